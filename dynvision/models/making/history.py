"""The course of a training."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["History"]


@dataclass
class History:
    """The course of a training, one entry an epoch.

    Attributes:
        loss: Mean training loss (cross-entropy, nats).
        val_accuracy: Share of validation images that are named correctly at the last step.
        device: The type of device that computed it: `cpu`, `cuda`, `mps`.
    """

    loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    device: str = "cpu"
