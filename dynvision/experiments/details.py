"""The details in a record of responses that code reads."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from dynvision.errors import DamagedFileError
from dynvision.records import Record

__all__ = ["ResponseDetails"]


@dataclass(frozen=True)
class ResponseDetails:
    """Numbers of one condition.

    Attributes:
        samples: Trials.
        n_timesteps: Recorded steps.
        accuracy: Of the readout, over the whole trial; `None`, like the next two, if labels do not match the network's
            classes.
        accuracy_over_time: At each recorded step, shape `[T]`.
        chance: The accuracy of guessing.
        readout: The settings of the readout.
        mean_response: For each layer the mean over units and trials at each recorded step, shape `[T]`.
        peak_response: For each layer the highest of these, or the lowest one of a suppressed layer.
        resting_response: For each layer the mean over the same trial with nothing shown.
    """

    samples: int
    n_timesteps: int
    accuracy: float | None
    accuracy_over_time: list[float] | None
    chance: float | None
    readout: dict[str, Any]
    mean_response: dict[str, list[float]]
    peak_response: dict[str, float]
    resting_response: dict[str, float]

    @classmethod
    def from_record(cls, record: Record) -> ResponseDetails:
        """Read the details of a record.

        Raises:
            DamagedFileError: If one is missing.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        missing = [name for name in names if name not in record.details]
        if missing:
            raise DamagedFileError(
                f"the record of {record.target} has no '{missing[0]}'. Make it again: dynvision make --force "
                f"{record.target}"
            )
        return cls(**{name: record.details[name] for name in names})

    def to_dict(self) -> dict[str, Any]:
        """Return the details as JSON-ready values."""
        return dataclasses.asdict(self)
