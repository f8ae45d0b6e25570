"""Networks: the reference recurrent network, and how any network is loaded and stepped."""

from typing import Any

__all__ = ["RCNN"]


def __getattr__(name: str) -> Any:
    # Loaded on demand: reading what a weights file says of itself must not need torch.
    if name == "RCNN":
        from dynvision.models.rcnn import RCNN

        return RCNN
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
