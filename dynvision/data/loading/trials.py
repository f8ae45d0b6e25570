"""Trials of several images: which images follow one another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["choose_trials", "count_images"]


def count_images(images_per_trial: int | None, shown: int) -> int:
    """How many images a trial has: as many as are asked for, or as are shown.

    Raises:
        ValueError: It is no whole number from 1, or fewer than are shown.
    """
    if images_per_trial is None:
        return shown
    if isinstance(images_per_trial, bool) or not isinstance(images_per_trial, int) or images_per_trial < 1:
        raise ValueError(f"images_per_trial is a whole number from 1, not {images_per_trial!r}")
    if images_per_trial < shown:
        raise ValueError(f"the presentation shows {shown} images a trial, and images_per_trial is {images_per_trial}")
    return images_per_trial


def choose_trials(n_samples: int, n_images: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Choose the images of each trial.

    Trial i begins with sample i. The samples are laid out on a ring in a seeded order, and a trial goes on along the
    ring, so that its images differ and every sample is shown once at every place in a trial.

    Args:
        n_samples: N, how many samples there are; each is a trial.
        n_images: K, how many images a trial shows.
        seed: Seeds the order.

    Returns:
        Shape `[N, K]`: which sample each image is.

    Raises:
        ValueError: There are fewer samples than a trial shows.
    """
    if n_images > n_samples:
        raise ValueError(
            f"a trial shows {n_images} different images, and there are only {n_samples}. Show fewer ('which: next' in "
            "the program), or add images."
        )
    ring = np.random.default_rng(seed).permutation(n_samples)
    place = np.empty(n_samples, dtype=np.int64)
    place[ring] = np.arange(n_samples)
    trials: npt.NDArray[np.int64] = ring[(place[:, None] + np.arange(n_images)) % n_samples]
    return trials
