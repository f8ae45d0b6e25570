"""How one run computes: where and with how many workers, never what."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dynvision.errors import ConfigError, unknown_name
from dynvision.system.machine import check_device

__all__ = ["MAX_WORKERS", "RunSettings"]

MAX_WORKERS = 64


@dataclass(frozen=True)
class RunSettings:
    """What may differ between two runs that make the same thing.

    Responses take settings of `record` and `run` instead of device and workers; see `ResponsesStage.with_run_settings`.

    Attributes:
        device: Where networks compute: `auto` takes a GPU if there is one.
        workers: Threads or processes that write images; `None` is one for each usable core.
        fresh: Take nothing over from an interrupted run or from existing scores; set by `force`, not by users.
    """

    device: str = "auto"
    workers: int | None = None
    fresh: bool = False

    def __post_init__(self) -> None:
        check_device(self.device)
        if self.workers is not None and not 1 <= self.workers <= MAX_WORKERS:
            raise ConfigError(f"workers is {self.workers}; it is a number from 1 to {MAX_WORKERS}")

    @classmethod
    def from_dict(cls, value: Mapping[str, Any] | None) -> RunSettings:
        """Read settings as they are passed between processes.

        Raises:
            UnknownNameError: If there is no such setting or device; the message names the nearest.
            ConfigError: If a number is out of bounds.
        """
        known = [field.name for field in dataclasses.fields(cls) if field.name != "fresh"]
        for name in value or {}:
            if name not in known:
                raise unknown_name("run setting", name, known)
        return cls(**(value or {}))
