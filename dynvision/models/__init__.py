"""Networks: those that come with the project, and how any network is built, loaded, stepped, trained and checked."""

from typing import Any

__all__ = ["RCNN", "DelayedNormalization", "NormalizingNetwork"]


def __getattr__(name: str) -> Any:
    # Imported on demand, because reading the header of a weights file must not import torch.
    if name == "RCNN":
        from dynvision.models.rcnn import RCNN

        return RCNN
    if name == "DelayedNormalization":
        from dynvision.models.delayed_normalization import DelayedNormalization

        return DelayedNormalization
    if name == "NormalizingNetwork":
        from dynvision.models.normalizing import NormalizingNetwork

        return NormalizingNetwork
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
