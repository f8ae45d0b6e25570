"""The published cells of the delayed normalization model, and the model written as convolutions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

CELLS = {
    "zhou": {"tau1": 50.0, "w": 0.0, "tau2": 100.0, "n": 2.0, "sigma": 1.0},
    "macaque1": {"tau1": 39.5, "w": 0.0, "tau2": 39.7, "n": 2.2829, "sigma": 0.0266},
    "macaque2": {"tau1": 43.6, "w": 0.0, "tau2": 104.9, "n": 1.6136, "sigma": 0.0027},
    "macaque3": {"tau1": 33.7, "w": 0.0, "tau2": 137.3, "n": 3.5056, "sigma": 0.016},
}
"""The default of Zhou et al. (2019), and the three macaque cells of their code; times in ms."""


def convolve_response(
    drive: Values, *, tau1: float, w: float, tau2: float, n: float, sigma: float, scale: float = 1.0, dt: float = 1.0
) -> Values:
    """Return the response of the delayed normalization model as it was published, with convolutions.

    The impulse responses are sampled at the ends of steps and have unit area (Zhou, Benson, Kay & Winawer, PLoS Comput.
    Biol. 15, 2019).

    Args:
        drive: The drive at each step, shape `[T]`.

    Returns:
        The response at the end of each step, shape `[T]`.
    """
    # Long enough that what is cut off is below 1e-13 of the area.
    t = dt * np.arange(1, int(60 * max(tau1, tau2) / dt))

    def convolve(values: Values, impulse: Values) -> Values:
        kernel = impulse / impulse.sum()
        return np.convolve(values, kernel)[: len(values)]

    linear = convolve(drive, t * np.exp(-t / tau1)) - w * convolve(drive, t * np.exp(-t / (1.5 * tau1)))
    pool = convolve(linear, np.exp(-t / tau2))
    return scale * np.abs(linear) ** n / (sigma**n + np.abs(pool) ** n)
