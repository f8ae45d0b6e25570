"""Image files as a torch dataset: decoded on demand, brought to one size, standardized."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from dynvision.data.images.normalization import Normalization, normalize_pixels
from dynvision.data.images.reading import read_image
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
    """

    def __init__(
        self, samples: Sequence[Sample], root: Path, channels: int, resolution: int, normalize: Normalization | None
    ) -> None:
        self.samples, self.root, self.channels, self.resolution = samples, root, channels, resolution
        self.normalize = normalize

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        sample = self.samples[index]
        pixels = np.array(read_image(self.root / sample.source, self.channels, self.resolution))
        planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()
        return normalize_pixels(planes, self.normalize)[0], sample.group_label
