"""Checks of the whole configuration: one file for each kind of thing that would go wrong silently, or too late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynvision.config.checks.parameters import check_parameters
from dynvision.config.checks.transforms import check_transforms
from dynvision.config.checks.values import check_values

if TYPE_CHECKING:
    from dynvision.config.schema import Config

__all__ = ["check_meaning"]


def check_meaning(config: Config) -> None:
    """Check what names, numbers and transforms mean once they are used.

    Raises:
        ConfigError: See the modules; the message names file and key.
    """
    check_values(config)
    check_parameters(config)
    check_transforms(config)
