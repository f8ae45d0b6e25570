"""Image files as a torch dataset: decoded on demand, brought to one size, standardized."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from dynvision.data.images.normalization import Normalization, normalize_pixels
from dynvision.data.images.reading import name_unreadable, read_image
from dynvision.data.images.samples import Sample

__all__ = ["DecodedFiles"]


class DecodedFiles(Dataset[Any]):
    """Standardized images `[C, H, W]` (float32), and their labels within the group.

    Args:
        samples: The images.
        root: The folder that relative paths start from.
        channels: 3 or 1.
        resolution: Width and height in pixels.
        normalize: Mean and standard deviation of each channel; `None` leaves images in [0, 1].
        bit_depth: The bits of images that have more than 8.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        root: Path,
        channels: int,
        resolution: int,
        normalize: Normalization | None,
        bit_depth: int | None = None,
    ) -> None:
        self.samples, self.root, self.channels, self.resolution = samples, root, channels, resolution
        self.normalize, self.bit_depth = normalize, bit_depth

    @property
    def targets(self) -> list[int]:
        """The label of each image."""
        return [sample.group_label for sample in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        sample = self.samples[index]
        path = self.root / sample.source
        with name_unreadable(path):
            pixels = np.array(read_image(path, self.channels, self.resolution, self.bit_depth, sample.xxh3))
        planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()
        return normalize_pixels(planes, self.normalize)[0], sample.group_label
