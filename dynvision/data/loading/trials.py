"""Trials of several images: which images follow one another."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.data.images.splits import spread_over_classes
from dynvision.errors import ConfigError, check_number

__all__ = ["choose_frames", "choose_trials", "count_images"]


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


def choose_trials(
    n_samples: int,
    n_images: int,
    seed: int = 0,
    labels: npt.ArrayLike | None = None,
    other_class: Collection[int] = (),
) -> npt.NDArray[np.int64]:
    """Choose the images of each trial.

    Trial i begins with sample i. The samples are laid out on a ring in a seeded order, and a trial takes its further
    images along the ring, so that its images differ and every sample is shown once at every position in a trial.

    Where a position needs another class than that of the trial's first image, trials that do not have it swap their
    image with one of another trial, chosen by the seed. Every sample is still shown once at that position, if the
    classes allow it: if more than half of all samples are of one class, some are shown more than once. The choice for a
    position does not depend on later ones.

    Args:
        n_samples: N, the number of samples; each begins one trial.
        n_images: K, how many images a trial shows.
        seed: Seeds the order.
        labels: The class of each sample, shape `[N]`; only needed for `other_class`.
        other_class: The positions in a trial, from 1, whose image is of another class than the first.

    Returns:
        Shape `[N, K]`: which sample each image is.

    Raises:
        ValueError: If there are fewer samples than a trial shows.
        ConfigError: If an image of another class is needed, and there is none.
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
    constrained = sorted(number for number in other_class if 0 < number < n_images)
    if constrained:
        classes = np.asarray(labels)
        if (classes == classes[0]).all():
            raise ConfigError(
                "a trial shows an image of another class ('which: other' in the program), and all images are of one "
                "class. Show a group of several classes, or write 'which: next'."
            )
        for number in range(constrained[0], n_images):
            _resolve_conflicts(trials, number, classes, number in constrained, np.random.default_rng([seed, number]))
    return trials


def choose_frames(
    stimuli: Sequence[Any], frames: Sequence[int], n_images: int, labels: Sequence[int], count: int | None = None
) -> npt.NDArray[np.int64]:
    """Choose the images of trials that each show the frames of one stimulus, in order, from its first.

    Args:
        stimuli: The stimulus that each sample is a frame of, shape `[N]`.
        frames: Its place in the stimulus, from 0, shape `[N]`.
        n_images: K, how many frames a trial shows.
        labels: The label of each sample, shape `[N]`.
        count: How many stimuli are shown, evenly over the labels; by default all.

    Returns:
        Shape `[stimuli, K]`: which sample each image is, in the order of the stimuli.

    Raises:
        ConfigError: If a stimulus has fewer frames.
    """
    places: dict[Any, dict[int, int]] = {}
    for sample, (stimulus, frame) in enumerate(zip(stimuli, frames, strict=True)):
        places.setdefault(stimulus, {})[frame] = sample
    trials = []
    for stimulus, samples in places.items():
        missing = next((number for number in range(n_images) if number not in samples), None)
        if missing is not None:
            raise ConfigError(
                f"a trial shows {n_images} frames, and the stimulus '{stimulus}' has {len(samples)}, without number "
                f"{missing} (counted from 0). Show fewer frames, or leave the stimulus out of the group."
            )
        trials.append([samples[number] for number in range(n_images)])
    chosen = spread_over_classes([labels[trial[0]] for trial in trials], count)
    return np.asarray(trials, dtype=np.int64)[chosen]


def _resolve_conflicts(
    trials: npt.NDArray[np.int64],
    number: int,
    classes: npt.NDArray[Any],
    needs_other_class: bool,
    generator: np.random.Generator,
) -> None:
    """Swap images at one position between trials until none repeats an earlier image of its trial, or has its class.

    Args:
        trials: Shape `[N, K]`; column `number` is changed.
        number: The position.
        classes: The class of each sample, shape `[N]`.
        needs_other_class: Whether the image is of another class than the first.
        generator: Draws which trials are swapped with.
    """
    first, earlier, images = classes[trials[:, 0]], trials[:, :number], trials[:, number]

    def suits(trial: Any, image: Any) -> npt.NDArray[np.bool_]:
        """Whether an image may be shown in a trial; one of the two may be a single number."""
        is_new = (earlier[trial] != np.asarray(image)[..., None]).all(axis=-1)
        return np.asarray(is_new & (first[trial] != classes[image]) if needs_other_class else is_new)

    everyone = np.arange(len(trials))
    for trial in np.flatnonzero(~suits(everyone, images)):
        if suits(trial, images[trial]):
            continue  # An earlier swap has changed it.
        partners = np.flatnonzero(suits(trial, images) & suits(everyone, images[trial]))
        if len(partners):
            partner = generator.choice(partners)
            images[[trial, partner]] = images[[partner, trial]]
            continue
        suited = np.flatnonzero(suits(trial, everyone))
        if not len(suited):
            raise ConfigError(
                f"no image is left for position {number} of a trial that differs from those before it. Show fewer "
                "images in a trial, or add images of other classes."
            )
        images[trial] = generator.choice(suited)
