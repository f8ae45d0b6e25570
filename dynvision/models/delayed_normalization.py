"""The delayed normalization model: a network whose responses are known in advance, to check the whole chain with."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dynvision.config.networks import check_delayed_normalization
from dynvision.models.unrolling import unroll

__all__ = ["DelayedNormalization"]

State = dict[str, Tensor]
"""The filters' values by name, each of shape `[B]`."""

_FILTERS = ("early", "late", "early_slow", "late_slow", "pool")


class DelayedNormalization(nn.Module):
    """One response, divided by a delayed copy of its own linear drive (Zhou, Benson, Kay & Winawer 2019).

    The drive x is the contrast of the frame: the root mean square of its normalized values over channels and pixels,
    over `reference`. It is filtered by the difference of two gamma functions, ``h(t) = t/τ1² e^(−t/τ1) − w · t/(1.5τ1)²
    e^(−t/1.5τ1)``, to the linear response ``l = h ∗ x``. This is divided by its own low-pass ``g = e^(−t/τ2)/τ2 ∗ l``::

        R = scale · |l|ⁿ / (σⁿ + |g|ⁿ)

    With steps of `dt`, each impulse response is sampled at the ends of the steps and has the sum 1 (−w for the second
    gamma function). These convolutions are computed exactly by first-order recursions, with ``r = e^(−dt/τ1)``,
    ``q = e^(−dt/1.5τ1)`` and ``p = e^(−dt/τ2)``::

        a ← r·a + (1−r)·x    b ← r·b + (1−r)·a    c ← q·c + (1−q)·x    d ← q·d + (1−q)·c
        l = b − w·d          g ← p·g + (1−p)·l

    The response to a constant contrast c settles at the Naka–Rushton function ``scale · cⁿ / (c50ⁿ + cⁿ)`` with
    ``c50 = σ / (1 − w)``.

    The network names no class: all its scores are 0, so its accuracy is NaN. It has no weights and is not trained
    (`training: null`).

    Args:
        tau1: Time constant of the drive's filter in ms, above 0.
        w: Weight of its negative lobe, in [0, 1]; 1 leaves no sustained response.
        tau2: Time constant of the normalization in ms, above 0.
        n: Exponent, above 0.
        sigma: Semisaturation constant in units of the drive, above 0.
        scale: Sustained response to an infinite drive; the unit of the response.
        dt: Milliseconds a step, above 0.
        reference: Root mean square, in units of the normalized image, that counts as a drive of 1; above 0.
        n_classes: How many scores there are.

    Shape:
        Input `[B, T, C, H, W]` or `[B, C, H, W]`; output `[B, T, n_classes]` or `[B, n_classes]`. The layer `response`
        gives R, `[B, 1]`, in float64 (float32 on Apple's GPU, which has no float64).

    Raises:
        ValueError: If an argument is out of its bounds.

    Source: Zhou, Benson, Kay & Winawer, Predicting neuronal dynamics with a delayed gain control model, PLoS Comput.
    Biol. 15, 2019; for human cortex Groen et al., Temporal dynamics of neural responses in human visual cortex,
    J. Neurosci. 42, 2022.
    """

    def __init__(
        self,
        tau1: float = 50.0,
        w: float = 0.0,
        tau2: float = 100.0,
        n: float = 2.0,
        sigma: float = 1.0,
        scale: float = 1.0,
        dt: float = 1.0,
        reference: float = 1.0,
        n_classes: int = 2,
    ) -> None:
        super().__init__()
        check_delayed_normalization(tau1, w, tau2, n, sigma, scale, dt, reference, n_classes)
        self.w, self.n, self.sigma, self.scale = float(w), float(n), float(sigma), float(scale)
        self.dt, self.reference, self.n_classes = dt, float(reference), n_classes
        # The share of their way that the filters go in one step.
        self.first, self.second, self.pooled = (-math.expm1(-dt / tau) for tau in (tau1, 1.5 * tau1, tau2))
        self.response = nn.Identity()

    def step(self, x_t: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Advance by one time step.

        Args:
            x_t: The frame, shape `[B, C, H, W]`, normalized, so that mean grey is 0.
            state: The state after the step before; `None` starts from rest.

        Returns:
            The scores, all 0, shape `[B, n_classes]`, and the new state.
        """
        state = _rest(x_t) if state is None else state
        early = state["early"]
        norm = torch.linalg.vector_norm(x_t, dim=(1, 2, 3), dtype=early.dtype)
        drive = norm / (x_t[0].numel() ** 0.5 * self.reference)
        early = torch.lerp(early, drive, self.first)
        late = torch.lerp(state["late"], early, self.first)
        early_slow = torch.lerp(state["early_slow"], drive, self.second)
        late_slow = torch.lerp(state["late_slow"], early_slow, self.second)
        linear = late - self.w * late_slow
        pool = torch.lerp(state["pool"], linear, self.pooled)
        self.response(self._divide(linear, pool).unsqueeze(1))
        new = dict(zip(_FILTERS, (early, late, early_slow, late_slow, pool), strict=True))
        return x_t.new_zeros(len(x_t), self.n_classes, dtype=torch.float32), new

    def forward(self, x: Tensor) -> Tensor:
        """Show a sequence of frames, starting from rest.

        Args:
            x: Shape `[B, T, C, H, W]`, or `[B, C, H, W]` for a single step.

        Returns:
            The scores, shape `[B, T, n_classes]` or `[B, n_classes]`.
        """
        return unroll(self.step, x)

    def _divide(self, linear: Tensor, pool: Tensor) -> Tensor:
        """Return ``scale · |l|ⁿ / (σⁿ + |g|ⁿ)``, with all three over the larger of σ and |g|: no power vanishes."""
        largest = pool.abs().clamp(min=self.sigma)
        drive, gain = (linear.abs() / largest) ** self.n, (pool.abs() / largest) ** self.n
        return self.scale * drive / ((self.sigma / largest) ** self.n + gain)


def _rest(frames: Tensor) -> State:
    """Return zeros for each filter, `[B]`, on the device of the frames."""
    dtype = torch.float32 if frames.device.type == "mps" else torch.float64
    return {name: torch.zeros(len(frames), dtype=dtype, device=frames.device) for name in _FILTERS}
