"""What an analysis of a sweep is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from dynvision.analysis.fits import Fit, Values

__all__ = ["Curve", "SweepAnalysis"]


@dataclass(frozen=True)
class Curve:
    """A curve that is fitted along a sweep.

    Attributes:
        fit: Fits it to levels and values; gets the rows of the tuning table too.
        function: The curve itself; takes x and the parameters by name.
        of: What it is fitted to: each layer's main number, or accuracy.
        mark: The parameter, in units of the swept one, that pictures mark.
        mark_label: What pictures call it.
    """

    fit: Callable[[Values, Values, pd.DataFrame], Fit]
    function: Callable[..., Values]
    of: Literal["layers", "accuracy"]
    mark: str
    mark_label: str


@dataclass(frozen=True)
class SweepAnalysis:
    """How a sweep along one parameter is analysed and drawn.

    Attributes:
        main: The number (`dynvision.analysis.courses.NUMBERS`) that is drawn for each layer.
        shared: Numbers that all layers can be compared in.
        curves: What is fitted.
        is_log: Its levels are drawn on a logarithmic axis.
    """

    main: str = "response"
    shared: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = ()
    is_log: bool = False

    def curve_of(self, kind: Literal["layers", "accuracy"]) -> Curve | None:
        """What is fitted to the layers, or to accuracy."""
        return next((curve for curve in self.curves if curve.of == kind), None)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numbers that become columns of the tuning table."""
        return tuple(dict.fromkeys((self.main, *self.shared)))
