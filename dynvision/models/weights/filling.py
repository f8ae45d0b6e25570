"""Giving a network weights that have the names of today."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import nn

__all__ = ["fill_network"]


def fill_network(network: nn.Module, weights: Mapping[str, Any]) -> None:
    """Replace all weights of a network, none of which is taken for that of an older version of its modules.

    A state dict says of which version each module is, which a file of safetensors does not. Without it some modules
    (torchvision's `MNASNet`) refuse weights, and others convert them.

    Args:
        network: Its weights are replaced.
        weights: All its weights, under the names in its own state dict.

    Raises:
        RuntimeError: If a weight is missing, unexpected or of another shape. A module's own code may raise others.
    """
    current: Any = OrderedDict(weights)
    current._metadata = getattr(network.state_dict(), "_metadata", None)
    network.load_state_dict(current)
