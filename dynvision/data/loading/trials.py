"""Trials of several images: which images follow one another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dynvision.errors import check_number

__all__ = ["choose_trials", "count_images"]


def count_images(images_per_trial: int | None, shown: int) -> int:
    """Count the images of a trial.

    Args:
        images_per_trial: The number that is asked for; by default as many as are shown.
        shown: How many images the presentation shows.

    Raises:
        ValueError: If the number is no whole number from 1, or smaller than `shown`.
    """
    if images_per_trial is None:
        return shown
    check_number("images_per_trial", images_per_trial, 1, whole=True)
    if images_per_trial < shown:
        raise ValueError(f"the presentation shows {shown} images a trial, and images_per_trial is {images_per_trial}")
    return images_per_trial


def choose_trials(n_samples: int, n_images: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Choose the images of each trial.

    Trial i begins with sample i. The samples are laid out on a ring in a seeded order, and a trial takes its further
    images along the ring, so that its images differ and every sample is shown once at every position in a trial.

    Args:
        n_samples: N, the number of samples; each begins one trial.
        n_images: K, how many images a trial shows.
        seed: Seeds the order.

    Returns:
        Shape `[N, K]`: which sample each image is.

    Raises:
        ValueError: If there are fewer samples than a trial shows.
    """
    if n_images > n_samples:
        raise ValueError(
            f"a trial shows {n_images} different images, and there are only {n_samples}. Show fewer ('which: next' in "
            "the program), or add images."
        )
    ring = np.random.default_rng(seed).permutation(n_samples)
    position = np.empty(n_samples, dtype=np.int64)
    position[ring] = np.arange(n_samples)
    trials: npt.NDArray[np.int64] = ring[(position[:, None] + np.arange(n_images)) % n_samples]
    return trials
