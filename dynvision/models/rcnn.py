"""The reference network: convolutional areas with leaky integration and lateral recurrence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dynvision.config.networks import RCNN_AREAS, check_rcnn
from dynvision.models.stability import clip_gain
from dynvision.models.unrolling import unroll

__all__ = ["RCNN", "Area"]

State = dict[str, Tensor]
"""The rates of each area, shape `[B, C, H, W]`."""


class Area(nn.Module):
    """A cortical area, whose rates x follow ``tau dx/dt = -x + f(W x_below + R x)`` with f = ReLU.

    One step is forward Euler, ``x ← x + dt/tau · (f(W x_below + R x) − x)``. With dt ≤ tau, rates never fall below
    zero. If the lateral recurrence R has a gain ‖R‖ < 1, the map is a contraction for any fixed input: activity has one
    fixed point, converges to it from any state, and stays below ``‖W x_below + b‖ / (1 − ‖R‖)`` however long the
    stimulus lasts (Miller & Hardt, Stable recurrent models, ICLR 2019).

    Args:
        channels_in: Channels of the input.
        channels: Channels of the area.
        kernel: Width of the feedforward kernel in pixels.
        stride: Stride of the feedforward convolution.
        size_in: Width of the input in pixels.
    """

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int, size_in: int) -> None:
        super().__init__()
        self.feedforward = nn.Conv2d(channels_in, channels, kernel, stride, padding=kernel // 2)
        self.lateral = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.size = (size_in + 2 * (kernel // 2) - kernel) // stride + 1

    def forward(self, below: Tensor, rate: Tensor, alpha: float) -> Tensor:
        """Advance by one step.

        Args:
            below: Rates of the area below (or the image), shape `[B, C_in, H_in, W_in]`.
            rate: Rates of this area, shape `[B, C, H, W]`.
            alpha: dt / tau.

        Returns:
            The rates after the step, shape `[B, C, H, W]`.
        """
        drive = torch.relu(self.feedforward(below) + self.lateral(rate))
        return torch.lerp(rate, drive.to(rate.dtype), alpha)


class RCNN(nn.Module):
    """A recurrent convolutional network: V1, V2, V4, IT and a classifier.

    The image drives V1, and each area drives the next within the same step. Every area also drives itself through its
    lateral connections. The classifier reads the spatial average of IT.

    Args:
        n_classes: Outputs of the classifier.
        resolution: Width and height of the images in pixels.
        channels_in: Channels of the images.
        channels: Channels of V1, V2, V4 and IT.
        strides: Strides of their feedforward convolutions.
        tau: Time constant, in the same unit as `dt`, such as milliseconds.
        dt: Duration of a step, above 0 and at most `tau`.
        max_gain: Upper bound of the gain of each area's lateral recurrence, from 0 and below 1; see `Area`.

    Shape:
        Input `[B, T, C, H, W]` or `[B, C, H, W]`; output `[B, T, n_classes]` or `[B, n_classes]`.

    Raises:
        ValueError: If an argument is out of its bounds, or `channels` or `strides` do not have four entries.
    """

    areas = RCNN_AREAS

    def __init__(
        self,
        n_classes: int,
        resolution: int = 32,
        channels_in: int = 3,
        channels: Sequence[int] = (16, 24, 32, 48),
        strides: Sequence[int] = (2, 2, 2, 1),
        tau: float = 10.0,
        dt: float = 5.0,
        max_gain: float = 0.9,
    ) -> None:
        super().__init__()
        check_rcnn(n_classes, resolution, channels_in, channels, strides, tau, dt, max_gain)
        self.tau, self.dt, self.max_gain, self.n_classes = tau, dt, max_gain, n_classes
        self.frame_shape = (channels_in, resolution, resolution)
        size, below = resolution, channels_in
        for number, (name, width, stride) in enumerate(zip(self.areas, channels, strides, strict=True)):
            area = Area(below, width, 5 if number == 0 else 3, stride, size)
            self.add_module(name, area)
            size, below = area.size, width
        self.classifier = nn.Linear(below, n_classes)
        self._initialize()

    @property
    def alpha(self) -> float:
        """The share of the way to their target that rates move in one step: dt / tau."""
        return self.dt / self.tau

    def initial_state(self, batch_size: int) -> State:
        """Return silence: zero rates, shape `[B, C, H, W]` for each area."""
        weight = self.classifier.weight
        return {
            name: weight.new_zeros(batch_size, area.lateral.in_channels, area.size, area.size)
            for name, area in self._areas()
        }

    def step(self, x_t: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Advance by one time step.

        Args:
            x_t: The frame, shape `[B, C, H, W]`.
            state: The rates of all areas; `None` starts from silence.

        Returns:
            The classifier's output, shape `[B, n_classes]`, and the new state.

        Raises:
            ValueError: If the frame does not have the size that the network was made for.
        """
        if x_t.shape[1:] != self.frame_shape:
            raise ValueError(
                f"this RCNN takes frames of shape [B, {', '.join(map(str, self.frame_shape))}], not "
                f"{list(x_t.shape)}: make it with that resolution and channels_in, or resize the images"
            )
        state = self.initial_state(len(x_t)) if state is None else state
        below, new = x_t, {}
        for name, area in self._areas():
            below = new[name] = area(below, state[name], self.alpha)
        return self.classifier(below.mean(dim=(2, 3))), new

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

    def constrain(self) -> None:
        """Scale lateral kernels down, in place, so that no gain is above `max_gain`; training calls it."""
        for _, area in self._areas():
            clip_gain(area.lateral.weight, area.size, self.max_gain)

    def _areas(self) -> list[tuple[str, Area]]:
        return [(name, self.get_submodule(name)) for name in self.areas]  # type: ignore[misc]

    def _initialize(self) -> None:
        for _, area in self._areas():
            nn.init.kaiming_normal_(area.feedforward.weight, nonlinearity="relu")
            if area.feedforward.bias is not None:
                nn.init.zeros_(area.feedforward.bias)
            nn.init.normal_(area.lateral.weight, std=0.3 / (9 * area.lateral.in_channels) ** 0.5)
        self.constrain()
