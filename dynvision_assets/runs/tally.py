"""What is known of the partitions of an asset, and the sentences of the check `up_to_date` about it.

A tally stays small, however many partitions there are, and is JSON-ready: the sensor keeps it for its next
turn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from dynvision.system.escaping import escape_markdown, show_text
from dynvision.targets import Target
from dynvision.workspace import Status
from dynvision_assets.partitions import asset_key

__all__ = ["NOTHING", "UP_TO_DATE", "Reason", "Tally"]

UP_TO_DATE = "up_to_date"
"""The name of the check."""

NOTHING = "Nothing of it has been made."

_MOST_NAMED = 5
"""How many partitions, and how many different reasons, a sentence names."""


@dataclass
class Reason:
    """Partitions that are stale or damaged for one reason.

    Attributes:
        state: `stale` or `damaged`.
        text: The reason.
        count: How many partitions there are.
        names: The first of them.
    """

    state: str
    text: str
    count: int = 0
    names: list[str] = field(default_factory=list)


@dataclass
class Tally:
    """How many partitions of an asset are in which state, and the names of the first few.

    Attributes:
        states: The number of partitions in each state.
        missing: The first partitions that were never made.
        reasons: The first reasons for which others are stale or damaged.
        other_reasons: The number of partitions that are so for other reasons.
        buildable: The first targets that can be built again, one more than are named.
    """

    states: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    other_reasons: int = 0
    buildable: list[str] = field(default_factory=list)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Tally:
        """Read what `to_dict` gave."""
        return cls(**{**values, "reasons": [Reason(**reason) for reason in values["reasons"]]})

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return dataclasses.asdict(self)

    @property
    def count(self) -> int:
        """How many partitions were added."""
        return sum(self.states.values())

    def add(self, target: Target, status: Status) -> None:
        """Add a partition; `target` is of the same asset as all others."""
        self.states[status.state] = self.states.get(status.state, 0) + 1
        name = str(target.partition)
        if status.state == "missing" and len(self.missing) < _MOST_NAMED:
            self.missing.append(name)
        if status.state not in ("stale", "damaged"):
            return
        if not status.unreadable and len(self.buildable) <= _MOST_NAMED:
            self.buildable.append(str(target))
        # A reason may begin with the target itself, so that it would be another one for each partition.
        reason = self._find_reason(status.state, status.reason.removeprefix(f"{target}: "))
        if reason is None:
            self.other_reasons += 1
            return
        reason.count += 1
        if len(reason.names) < _MOST_NAMED:
            reason.names.append(name)

    def evaluate(self, key: tuple[str, ...]) -> dg.AssetCheckEvaluation:
        """Return the result of the check, once all partitions were added.

        A partition that was never made does not let the check fail: the user decides what to make.

        Args:
            key: The asset.
        """
        return dg.AssetCheckEvaluation(
            asset_key=asset_key(key),
            check_name=UP_TO_DATE,
            passed=not self.reasons,
            severity=dg.AssetCheckSeverity.ERROR if "damaged" in self.states else dg.AssetCheckSeverity.WARN,
            description=self._complain(key) if self.reasons else self._praise(),
            metadata={"partitions": ", ".join(f"{count} {name}" for name, count in self.states.items())},
        )

    def _find_reason(self, state: str, text: str) -> Reason | None:
        """Return the reason with a text, a new one if there is none; `None` if there are too many."""
        for reason in self.reasons:
            if (reason.state, reason.text) == (state, text):
                return reason
        if len(self.reasons) >= _MOST_NAMED:
            return None
        self.reasons.append(Reason(state, text))
        return self.reasons[-1]

    def _praise(self) -> str:
        """Return the sentence for an asset of which nothing is stale or damaged."""
        missing = self.states.get("missing", 0)
        made = self.count - missing
        if not made:
            return NOTHING
        if self.count == 1:
            return "It is up to date."
        sentence = f"{made} partitions are up to date" if made > 1 else "1 partition is up to date"
        return f"{sentence}; not made: {_name(self.missing, missing)}." if missing else f"{sentence}."

    def _complain(self, key: tuple[str, ...]) -> str:
        """Return which partitions are stale or damaged, why, and the command, as Markdown."""
        lines = [_describe_reason(reason, self.count) for reason in self.reasons]
        if self.other_reasons:
            noun = "partition" if self.other_reasons == 1 else "partitions"
            lines.append(f"…and {self.other_reasons} other {noun}, for other reasons")
        if self.buildable:
            names = " ".join(self.buildable) if len(self.buildable) <= _MOST_NAMED else "/".join(key)
            lines.append(f"Make it up to date: `dynvision make {names}`, or the job `make`")
        return "\n\n".join(lines)


def _describe_reason(reason: Reason, total: int) -> str:
    """Return one line: the partitions that share a state and a reason."""
    why = escape_markdown(show_text(reason.text))
    if total == 1:
        return f"It is {reason.state}: {why}"
    noun = "partitions are" if reason.count > 1 else "partition is"
    return f"{reason.count} of {total} {noun} {reason.state} ({_name(reason.names, reason.count)}): {why}"


def _name(names: Sequence[str], count: int) -> str:
    """Name partitions, of which the first few are given."""
    text = ", ".join(escape_markdown(show_text(name)) for name in names)
    more = count - len(names)
    return f"{text} and {more} more" if more > 0 else text
