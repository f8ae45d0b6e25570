"""Networks that take a whole sequence of frames at once, and give the scores of every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from dynvision.errors import ConfigError

__all__ = ["SequenceAxes", "find_axes"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class SequenceAxes:
    """Where the steps and the images are in the output of a layer for a whole sequence.

    Attributes:
        time: The axis of the steps.
        images: The axis of the images; the same one if both share it.
        is_time_first: On a shared axis: whether all images of a step follow each other, or all steps of an image.
        is_stacked: Whether the layer is called once a step, and its outputs are stacked.
    """

    time: int
    images: int
    is_time_first: bool = True
    is_stacked: bool = False

    def by_step(self, output: Tensor, n_steps: int, n_images: int) -> Tensor:
        """Return an output with the steps and the images first, `[T, B, …]`.

        Raises:
            ValueError: If it has not so many steps and images.
        """
        if self.time != self.images:
            ordered = output.movedim((self.time, self.images), (0, 1))
        else:
            first, second = (n_steps, n_images) if self.is_time_first else (n_images, n_steps)
            shared = output.movedim(self.time, 0)
            ordered = shared.reshape(first, second, *shared.shape[1:])
            ordered = ordered if self.is_time_first else ordered.transpose(0, 1)
        if ordered.shape[:2] != (n_steps, n_images):
            raise ValueError(f"{list(ordered.shape)} are not {n_steps} steps of {n_images} images")
        return ordered


def find_axes(shapes: Mapping[tuple[int, int], Mapping[str, Shape]], time_axis: int) -> dict[str, SequenceAxes]:
    """Find where steps and images are in the outputs of layers.

    Args:
        shapes: By the numbers of steps and of images, the shape of each layer's output; of (4, 2), (4, 3) and (5, 2).
        time_axis: The axis of the steps in what the network takes.

    Raises:
        ConfigError: If a layer has no axis of the steps, or none of the images.
    """
    axes: dict[str, SequenceAxes] = {}
    for layer, usual in shapes[4, 2].items():
        wide, long = shapes[4, 3][layer], shapes[5, 2][layer]
        images = [(axis, pair) for axis, pair in enumerate(zip(usual, wide, strict=False)) if pair[0] != pair[1]]
        steps = [(axis, pair) for axis, pair in enumerate(zip(usual, long, strict=False)) if pair[0] != pair[1]]
        grows_alike = len(usual) == len(wide) == len(long) and len(images) == len(steps) == 1
        if grows_alike and (images[0][1], steps[0][1]) == ((2, 3), (4, 5)):
            axes[layer] = SequenceAxes(steps[0][0], images[0][0])
        elif grows_alike and (images[0][1], steps[0][1]) == ((8, 12), (8, 10)):
            axes[layer] = SequenceAxes(steps[0][0], images[0][0], is_time_first=time_axis == 0)
        else:
            raise ConfigError(
                f"the layer '{layer}' gives outputs of shape {list(usual)} for 4 steps of 2 images, {list(wide)} for 3 "
                f"images and {list(long)} for 5 steps, which have no axes of steps and images; record another"
            )
    return axes
