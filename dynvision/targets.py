"""Targets: an asset key with a partition, the one name that paths, commands and Dagster share."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Target", "begins_with"]


@dataclass(frozen=True, order=True)
class Target:
    """One thing that can be built: `responses/contrast/rcnn_gratings:contrast=0.5`.

    Attributes:
        key: The parts of the asset key, the stage first.
        partition: The partition; `None` where the asset has none.
    """

    key: tuple[str, ...]
    partition: str | None = None

    @property
    def stage(self) -> str:
        """The stage: the first part of the key."""
        return self.key[0]

    def __str__(self) -> str:
        key = "/".join(self.key)
        return key if self.partition is None else f"{key}:{self.partition}"


def begins_with(key: str, prefix: str) -> bool:
    """Whether a key, as text, is a prefix or lies below it; `models/net_2` is not below `models/net`."""
    wanted = [part for part in prefix.split("/") if part]
    return key.split("/")[: len(wanted)] == wanted
