"""Reading the images of a raw `.beton` file directly, without FFCV.

FFCV takes about seven seconds of imports and compilation before its first image. In a recording, where the network sees
every image for many steps, that time is never made up for. In training, FFCV is much faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dynvision.data.betons.layout import Layout
from dynvision.data.betons.sidecars import changed_while_read, file_state, verify_beton
from dynvision.data.images.normalization import Normalization, pixel_table

__all__ = ["RawImages"]


class RawImages(Dataset[Any]):
    """Standardized images `[C, H, W]` (float32) of a raw `.beton` file, and their labels within the group.

    The numbers are those of `get_ffcv_dataloader`, to the bit. The file is verified against its sidecar first.

    Args:
        path: The file.
        normalize: Mean and standard deviation of each channel, for images in [0, 1].

    Raises:
        MissingError: If the file does not exist.
        DamagedFileError: If it is not the file that was written, or is changed while it is read.
        ValueError: If its images are compressed.
    """

    def __init__(self, path: Path, normalize: Normalization | None) -> None:
        self.path, self._opened_as = path, file_state(path)
        sidecar = verify_beton(path)
        file = sidecar["file"]
        if file["write_mode"] != "raw":
            raise ValueError(
                f"{path} holds images of write_mode '{file['write_mode']}'; these need get_ffcv_dataloader"
            )
        self._channels, size = int(file["channels"]), int(file["resolution"])
        self._shape = (size, size, 3) if self._channels == 3 else (self._channels, size, size)
        self._starts = Layout.read(path, self._channels, size).pointers
        self.targets: list[int] = sidecar["samples"]["group_label"]
        self._table = pixel_table(self._channels, normalize)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, int]]:
        """Read the images of a batch in one go."""
        length = int(np.prod(self._shape))
        pixels = np.empty((len(indices), *self._shape), np.uint8)
        try:
            with self.path.open("rb") as file:
                for number, index in enumerate(indices):
                    file.seek(int(self._starts[index]))
                    pixels[number] = np.frombuffer(file.read(length), np.uint8).reshape(self._shape)
        except (OSError, ValueError) as error:
            raise changed_while_read(self.path) from error
        if file_state(self.path) != self._opened_as:
            raise changed_while_read(self.path)
        planes = torch.from_numpy(pixels)
        planes = planes.permute(0, 3, 1, 2) if self._channels == 3 else planes
        images = torch.stack([row[planes[:, channel].int()] for channel, row in enumerate(self._table)], dim=1)
        return [(image, self.targets[index]) for image, index in zip(images, indices, strict=True)]
