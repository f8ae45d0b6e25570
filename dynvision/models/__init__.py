"""Networks: the reference recurrent network, and how any network is built, loaded, stepped, trained and checked."""

from typing import Any

__all__ = ["RCNN"]


def __getattr__(name: str) -> Any:
    # Imported on demand, because reading the header of a weights file must not import torch.
    if name == "RCNN":
        from dynvision.models.rcnn import RCNN

        return RCNN
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
