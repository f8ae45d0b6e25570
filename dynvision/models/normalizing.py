"""The normalizing network: areas with divisive normalization, short-term depression, and feedback on the gain of V1."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dynvision.config.networks import NORMALIZING_AREAS, check_normalizing
from dynvision.models.unrolling import unroll

__all__ = ["NormalizingArea", "NormalizingNetwork"]

State = dict[str, Tensor]
"""For each area `<area>.membrane` and `<area>.resource`, shape `[B, C, H, W]`, and `<area>.pool`, shape `[B, 1, 1, 1]`;
and `feedback`, the logarithm of the mean rates of V2, shape `[B, C]`."""

_TINY = 1e-12
"""Added to the mean square of a silent pool, where the square root has no gradient."""


class NormalizingArea(nn.Module):
    """A cortical area, whose rates are its rectified membrane potentials divided by the activity of all its units.

    Its output, which is recorded, is the rate ``r = ⌊v⌋ⁿ / (σⁿ + Gⁿ)`` of every unit with membrane potential v; G is
    the activity of the pool, at once and delayed (Heeger, Normalization of cell responses in cat striate cortex, Visual
    Neuroscience 9, 1992; Carandini & Heeger, Normalization as a canonical neural computation, Nature Reviews
    Neuroscience 13, 2012).

    Args:
        channels_in: Channels of the input.
        channels: Channels of the area.
        kernel: Width of the feedforward kernel in pixels.
        stride: Stride of the feedforward convolution.
        size_in: Width of the input in pixels.
        exponent: n, at least 1.
        sigma: The initial semisaturation σ, which is learned; above 0.
    """

    def __init__(
        self, channels_in: int, channels: int, kernel: int, stride: int, size_in: int, exponent: float, sigma: float
    ) -> None:
        super().__init__()
        self.feedforward = nn.Conv2d(channels_in, channels, kernel, stride, padding=kernel // 2)
        self.log_sigma = nn.Parameter(torch.tensor(math.log(sigma)))
        self.exponent = exponent
        self.size = (size_in + 2 * (kernel // 2) - kernel) // stride + 1

    def measure_pool(self, rectified: Tensor) -> Tensor:
        """Return the activity of the pool: the root mean square of ⌊v⌋ over all units.

        Args:
            rectified: ⌊v⌋, shape `[B, C, H, W]`.

        Returns:
            Shape `[B, 1, 1, 1]`, at least ``⌊v⌋ / √(C·H·W)`` for every unit.
        """
        return (rectified.square().mean(dim=(1, 2, 3), keepdim=True) + _TINY).sqrt()

    def forward(self, rectified: Tensor, pool: Tensor) -> Tensor:
        """Return the rates ``(⌊v⌋ / (σⁿ + Gⁿ)^(1/n))ⁿ``.

        Args:
            rectified: ⌊v⌋, shape `[B, C, H, W]`.
            pool: G, shape `[B, 1, 1, 1]`.

        Returns:
            Shape `[B, C, H, W]`, at least 0.
        """
        n, sigma = self.exponent, self.log_sigma.exp()
        # Powers of numbers up to 1, so that strong input overflows nothing.
        scale = torch.maximum(pool, sigma).detach()
        divisor = scale * ((sigma / scale).pow(n) + (pool / scale).pow(n)).pow(1 / n)
        return (rectified * divisor.reciprocal()).pow(n)


class NormalizingNetwork(nn.Module):
    """A network of normalizing areas, V1, V2 and so on, and a classifier.

    The image drives V1, and each area drives the next within the same step. With the drive ``d = W x_below + b``, one
    step of dt is, for every unit::

        v ← v + dt/τ · (s · (1 + f) · d − v)                  membrane potential, with depression s and feedback f
        P = √⟨⌊v⌋²⟩ ;  D ← D + dt/τ_pool · (P − D)            pool over all units, and its delayed copy
        r = ⌊v⌋ⁿ / (σⁿ + Gⁿ) ,  G = w·P + (1 − w)·D           rate
        s ← (s + dt/τ_s) / (1 + dt/τ_s + dt · u · r)          resource of the synapses

    The delayed part of the pool makes onset transients and weakens a second response soon after the first; without the
    part at once, the peak would not saturate with contrast (Zhou, Benson, Kay & Winawer, Predicting neuronal dynamics
    with a delayed gain control model, PLoS Computational Biology 15, 2019). The resource is the backward Euler step of
    ``ds/dt = (1 − s)/τ_s − u · s · r``, the depression of Tsodyks & Markram (PNAS 94, 1997), with the unit's own rate
    for that of its inputs. The feedback, in V1 alone, is ``f = k · tanh(A log(1 + ⟨r_V2⟩))``, for each channel, with
    the mean rates of the channels of V2 after the step before.

    **Activity is bounded for ever**, whatever the weights, the image and the number of steps. For an area of N units
    ``G ≥ w·P ≥ w·⌊v⌋/√N``, so that every rate lies in ``[0, (√N / w)ⁿ]``. The resource stays in (0, 1], because its new
    value is at most ``(s + dt/τ_s) / (1 + dt/τ_s)``. The membrane potential is a weighted mean of its past and of its
    drive (dt ≤ τ), so that |v| never exceeds the largest ``(1 + k)·|d|``; the drive is that of a bounded image, or of
    bounded rates. (The pool squares potentials, so numbers above 10¹⁸, which no image has, are beyond float32.)

    Args:
        n_classes: Outputs of the classifier, which reads ``log(1 + ⟨r⟩)`` of the channels of the last area.
        resolution: Width and height of the images in pixels.
        channels_in: Channels of the images.
        channels: Channels of V1, V2 and, if there are more, V4 and IT.
        strides: Strides of their feedforward convolutions.
        kernel: Width of the kernels of V1 in pixels; those of the other areas are 3 wide.
        exponent: n, from 1 to 4.
        sigma: The initial semisaturation of every area; the network learns its own for each.
        instantaneous: w, the share of the pool that acts at once; above 0, at most 1.
        depression: u, the share of a synapse's resource that a rate of 1 uses in 1 ms; from 0.
        feedback: k, the largest change of the gain of V1; from 0 and below 1.
        tau: Time constant of the membrane, in ms.
        tau_pool: Time constant of the delayed part of the pool, in ms.
        tau_depression: Time constant with which synapses recover, in ms.
        dt: Duration of a step in ms, above 0 and at most `tau` and `tau_pool`.

    Shape:
        Input `[B, T, C, H, W]` or `[B, C, H, W]`; output `[B, T, n_classes]` or `[B, n_classes]`.

    Raises:
        ValueError: If an argument is out of its bounds, or `channels` and `strides` are not of the same two to four
            areas.
    """

    def __init__(
        self,
        n_classes: int,
        resolution: int = 32,
        channels_in: int = 3,
        channels: Sequence[int] = (16, 32),
        strides: Sequence[int] = (2, 2),
        kernel: int = 9,
        exponent: float = 2.0,
        sigma: float = 1.0,
        instantaneous: float = 0.75,
        depression: float = 0.007,
        feedback: float = 0.5,
        tau: float = 10.0,
        tau_pool: float = 50.0,
        tau_depression: float = 150.0,
        dt: float = 5.0,
    ) -> None:
        super().__init__()
        shape = (n_classes, resolution, channels_in, channels, strides, kernel)
        strengths = (exponent, sigma, instantaneous, depression, feedback)
        check_normalizing(*shape, *strengths, tau, tau_pool, tau_depression, dt)
        self.areas = NORMALIZING_AREAS[: len(channels)]
        self.n_classes, self.dt, self.tau = n_classes, dt, tau
        self.tau_pool, self.tau_depression = tau_pool, tau_depression
        self.instantaneous, self.depression, self.feedback = instantaneous, depression, feedback
        self.frame_shape = (channels_in, resolution, resolution)
        size, below = resolution, channels_in
        for number, (name, width, stride) in enumerate(zip(self.areas, channels, strides, strict=True)):
            area = NormalizingArea(below, width, kernel if number == 0 else 3, stride, size, exponent, sigma)
            self.add_module(name, area)
            size, below = area.size, width
        self.gain = nn.Linear(channels[1], channels[0])
        self.classifier = nn.Linear(below, n_classes)

    def initial_state(self, batch_size: int) -> State:
        """Return silence: membranes at 0, pools without activity, full resources; see `State` for the shapes."""
        weight, state = self.classifier.weight, {}
        for name, area in self._areas():
            shape = (batch_size, area.feedforward.out_channels, area.size, area.size)
            state[f"{name}.membrane"] = weight.new_zeros(shape)
            state[f"{name}.resource"] = weight.new_ones(shape)
            state[f"{name}.pool"] = weight.new_zeros(batch_size, 1, 1, 1)
        state["feedback"] = weight.new_zeros(batch_size, self.gain.in_features)
        return state

    def step(self, x_t: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Advance by one time step.

        Args:
            x_t: The frame, shape `[B, C, H, W]`.
            state: The state after the step before; `None` starts from silence.

        Returns:
            The classifier's output, shape `[B, n_classes]`, and the new state.

        Raises:
            ValueError: If the frame does not have the size that the network was made for.
        """
        if x_t.shape[1:] != self.frame_shape:
            raise ValueError(
                f"this network takes frames of shape [B, {', '.join(map(str, self.frame_shape))}], not "
                f"{list(x_t.shape)}: make it with that resolution and channels_in, or resize the images"
            )
        state = self.initial_state(len(x_t)) if state is None else state
        new: State = {}
        gain = 1 + self.feedback * torch.tanh(self.gain(state["feedback"]))
        read = below = x_t
        for number, (name, area) in enumerate(self._areas()):
            drive = area.feedforward(below)
            below = self._advance(name, area, drive * gain[:, :, None, None] if number == 0 else drive, state, new)
            read = torch.log1p(below.mean(dim=(2, 3)))
            if number == 1:
                new["feedback"] = read
        return self.classifier(read), new

    def forward(self, x: Tensor) -> Tensor:
        """Show a sequence of frames, starting from silence.

        Args:
            x: Shape `[B, T, C, H, W]`, or `[B, C, H, W]` for a single step.

        Returns:
            The classifier's output, shape `[B, T, n_classes]` or `[B, n_classes]`.

        Raises:
            ValueError: If the frames do not have the size that the network was made for.
        """
        return unroll(self.step, x)

    def _advance(self, name: str, area: NormalizingArea, drive: Tensor, state: State, new: State) -> Tensor:
        """Advance one area: put its state into `new`, and return its rates `[B, C, H, W]`."""
        membrane, resource, delayed = (state[f"{name}.{part}"] for part in ("membrane", "resource", "pool"))
        membrane = torch.lerp(membrane, (resource * drive).to(membrane.dtype), self.dt / self.tau)
        rectified = torch.relu(membrane)
        pool = area.measure_pool(rectified)
        delayed = delayed + self.dt / self.tau_pool * (pool - delayed)
        rate: Tensor = area(rectified, self.instantaneous * pool + (1 - self.instantaneous) * delayed)
        recovered = self.dt / self.tau_depression
        resource = (resource + recovered) / (1 + recovered + self.dt * self.depression * rate)
        new |= {f"{name}.membrane": membrane, f"{name}.resource": resource, f"{name}.pool": delayed}
        return rate

    def _areas(self) -> list[tuple[str, NormalizingArea]]:
        return [(name, self.get_submodule(name)) for name in self.areas]  # type: ignore[misc]
