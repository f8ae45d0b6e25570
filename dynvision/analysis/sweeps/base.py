"""The description of how a sweep is analysed: which numbers, which fitted curves, which axis."""

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
        fit: Fits the curve; takes the levels `[N]`, the values `[N]` and the rows of the tuning table.
        function: The curve itself; takes x and the parameters by name.
        of: What the curve is fitted to: numbers of each layer, or accuracy.
        mark: The parameter that figures mark; it has the unit of the swept parameter.
        mark_label: Its name in figures.
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
        also_fitted: Numbers to which the curve of the layers is fitted besides the main one.
        shared: Numbers that are drawn for all layers together.
        curves: The curves that are fitted.
        is_log: Whether levels are drawn on a logarithmic axis.
    """

    main: str = "response"
    also_fitted: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = ()
    is_log: bool = False

    def curve_of(self, fitted: Literal["layers", "accuracy"]) -> Curve | None:
        """Return the curve that is fitted to the layers, or to accuracy; `None` if there is none."""
        return next((curve for curve in self.curves if curve.of == fitted), None)
