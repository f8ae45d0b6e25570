"""Noise that belongs to a sample and a time step, never to a global generator."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["sensor_noise"]


def sensor_noise(
    sample_ids: npt.NDArray[np.int64], step: int, shape: tuple[int, ...], seed: int
) -> npt.NDArray[np.float32]:
    """Draw Gaussian noise of unit variance for each sample at one step.

    A counter-based generator (Philox: Salmon et al., Parallel random numbers: as easy as 1, 2, 3,
    SC 2011) is keyed by (seed, sample, step), so that a sample's noise does not depend on batch
    size, order, workers or the other conditions shown.

    Args:
        sample_ids: Which sample each row is, shape `[B]`.
        step: The time step, counted from the first step of the presentation.
        shape: The shape of one frame, `(C, H, W)`.
        seed: The seed of the noise.

    Returns:
        Shape `[B, C, H, W]`, float32.
    """
    noise = np.empty((len(sample_ids), *shape), dtype=np.float32)
    for row, sample in zip(noise, sample_ids, strict=True):
        key: Any = [seed, (int(sample) << 32) + step]
        generator = np.random.Generator(np.random.Philox(key=np.array(key, dtype=np.uint64)))
        generator.standard_normal(dtype=np.float32, out=row)
    return noise
