"""What visual cortex does, as ranges beside which the numbers of a network are read.

The ranges are those of the documentation (What the networks show), which has the sources in full. Where only a
direction is known, a range says no more than that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["CORTEX", "KnownRange", "find_range"]


@dataclass(frozen=True)
class KnownRange:
    """The range of a number in visual cortex.

    Attributes:
        low: Its lower end; `-inf` if only the upper one is known.
        high: Its upper end; `inf` if only the lower one is known.
        text: What is known, in a few words.
        source: Who measured it.
    """

    low: float
    high: float
    text: str
    source: str

    def holds(self, value: float) -> bool:
        """Tell whether a value lies in the range; one that is not finite does not."""
        return math.isfinite(value) and self.low <= value <= self.high


_MULLER_1999 = "Müller et al. 1999; Groen et al. 2022"

CORTEX: dict[tuple[str, str], KnownRange] = {
    ("contrast response", "c50"): KnownRange(0.1, 0.6, "0.1 to 0.6", "Albrecht & Hamilton 1982; Sclar et al. 1990"),
    ("contrast response", "n"): KnownRange(
        2.0, 3.0, "2 to 3 on average", "Albrecht & Hamilton 1982; Sclar et al. 1990"
    ),
    ("onset transient", "transient_ratio"): KnownRange(1.5, 2.5, "about 2 (1.5 to 2.5)", "Müller et al. 2001"),
    ("repetition suppression", "recovery_shortest"): KnownRange(0.0, 1.0, "below 1 at short intervals", _MULLER_1999),
    ("repetition suppression", "adaptation_shortest"): KnownRange(0.0, 1.0, "below 1 at short intervals", _MULLER_1999),
    ("temporal summation", "doubling_highest"): KnownRange(1.0, 2.0, "below 2, about 1.3", "Zhou et al. 2018"),
}
"""By phenomenon and measure of `dynvision.analysis.phenomena`. Latencies and accuracies have no range of their own."""


def find_range(phenomenon: str, measure: str) -> KnownRange | None:
    """Return the range of a number in visual cortex; `None` if none is known."""
    return CORTEX.get((phenomenon, measure))
