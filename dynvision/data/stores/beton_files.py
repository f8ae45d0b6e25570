"""`.beton` files, written once by the processed stage and read fast through FFCV."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.data.betons.sidecars import read_sidecar, read_sidecar_head, sidecar_path, verify_beton
from dynvision.data.betons.spec import BetonFile, default_write_mode
from dynvision.data.betons.writing import write_betons
from dynvision.data.images.samples import Sample
from dynvision.data.sources.registry import find_source
from dynvision.data.stores.base import FinishRecord, Opening, StoredImages, WrittenStore
from dynvision.records import Record

if TYPE_CHECKING:
    from dynvision.data.ffcv_dataloader import FFCVStimulusLoader
    from dynvision.data.images.normalization import Normalization

__all__ = ["STORE", "BetonImages", "BetonStore", "ProcessedFile"]


@dataclass(frozen=True, repr=False)
class ProcessedFile:
    """A `.beton` file that was compared with its sidecar.

    Attributes:
        path: The file.
        sidecar: What the sidecar says: classes, samples, settings, data version.
        normalize: Mean and standard deviation of the dataset's channels, if the config has them.
    """

    path: Path
    sidecar: dict[str, Any]
    normalize: Normalization | None

    def __repr__(self) -> str:
        file = self.sidecar["file"]
        size = " × ".join(str(file[name]) for name in ("channels", "resolution", "resolution") if name in file)
        return f"<{type(self).__name__} {self.path}: {file['samples']} images of {size} pixels>"

    def loader(self, **settings: Any) -> FFCVStimulusLoader:
        """Open the file; takes the settings of `get_ffcv_dataloader`, normalized like the dataset by default."""
        from dynvision.data.ffcv_dataloader import get_ffcv_dataloader

        return get_ffcv_dataloader(self.path, **{"normalize": self.normalize, **settings})


class BetonStore(WrittenStore):
    """Keeps images in `.beton` files, each with a sidecar."""

    def open(self, dataset: str, partition: str, record: Record) -> BetonImages:
        """Open the files of a processed folder."""
        return BetonImages(self.paths.processed(dataset, partition), record, self.normalization(dataset))

    def settings(self, dataset: str) -> dict[str, Any]:
        """Return resolution and write mode, and the quality of JPEG images if there are some."""
        mode = self.write_mode(dataset)
        settings: dict[str, Any] = {
            "resolution": self.config.data.data_resolution[dataset],
            "write_mode": mode,
        }
        return settings if mode == "raw" else settings | {"jpeg_quality": self.config.data.jpeg_quality}

    def write_mode(self, dataset: str) -> str:
        """Return how the images of a dataset are stored: one of `WRITE_MODES`."""
        data = self.config.data
        channels = find_source(dataset, self.config, self.paths).channels
        chosen = data.write_mode.get(dataset)
        return "raw" if channels == 1 else chosen or default_write_mode(data.data_resolution[dataset], channels)

    def file(self, folder: Path, part: str) -> Path:
        """Return `<part>.beton`."""
        return folder / f"{part}.beton"

    def record_file(self, path: Path) -> Path:
        """Return the sidecar."""
        return sidecar_path(path)

    def read_record(self, path: Path) -> Record | None:
        """Read the record in the sidecar."""
        sidecar = read_sidecar_head(path)
        return None if sidecar is None else Record.from_dict(sidecar["record"], sidecar_path(path))

    def write(
        self,
        folder: Path,
        dataset: str,
        parts: Mapping[str, Sequence[Sample]],
        channels: int,
        description: str,
        finish_record: FinishRecord,
    ) -> tuple[Record, int]:
        """See `WrittenStore.write`."""
        data, mode = self.config.data, self.write_mode(dataset)
        files = [
            BetonFile(
                path=self.file(folder, part),
                samples=samples,
                base=self.paths.root,
                resolution=data.data_resolution[dataset],
                channels=channels,
                record={},
                write_mode=mode,
                jpeg_quality=data.jpeg_quality,
                bit_depth=data.bit_depth.get(dataset),
            )
            for part, samples in parts.items()
        ]

        def describe(left_out: Sequence[Sequence[str]]) -> dict[str, Any]:
            record = finish_record(left_out)
            facts = {"fit": files[0].fit, "bad_images": left_out}
            return dataclasses.replace(record, details={**record.details, **facts}).to_dict()

        sidecars = write_betons(
            files,
            timeout=data.write_timeout,
            description=description,
            max_bad_images=data.max_bad_images,
            finish_record=describe,
        )
        return Record.from_dict(sidecars[0]["record"], folder), sum(s["file"]["bytes"] for s in sidecars)

    def verify(self, path: Path, full: bool = False) -> dict[str, Any]:
        """Compare a file with its sidecar; see `verify_beton`."""
        return verify_beton(path, full=full, with_samples=False)

    def describe(self, path: Path) -> dict[str, Any]:
        """Read the sidecar of a file."""
        return read_sidecar(path)

    def load(self, path: Path, dataset: str) -> ProcessedFile:
        """Verify a file and return it with its sidecar."""
        return ProcessedFile(path, verify_beton(path), self.normalization(dataset))


class BetonImages(StoredImages):
    """The images of a processed folder.

    Args:
        folder: The processed folder.
        record: Its record.
        normalize: Mean and standard deviation of each channel.
    """

    def __init__(self, folder: Path, record: Record, normalize: Normalization | None) -> None:
        super().__init__(record, normalize)
        self.folder = folder

    def samples(self, part: str) -> dict[str, list[Any]]:
        """See `StoredImages.samples`."""
        return dict(read_sidecar(self.folder / f"{part}.beton")["samples"])

    def open_part(self, part: str, opening: Opening) -> Any:
        """See `StoredImages.open_part`; `workers` are threads of FFCV, one by default."""
        path, normalize = self.folder / f"{part}.beton", self.normalization(opening)
        if opening.is_looked_at_for_long and _is_raw(path):
            # The imports and the compilation of FFCV would take seconds.
            from dynvision.data.betons.raw_images import RawImages

            return opening.show(RawImages(path, normalize))
        from dynvision.data.ffcv_dataloader import get_ffcv_dataloader

        return get_ffcv_dataloader(
            path,
            opening.batch_size,
            normalize=normalize,
            order=opening.order,
            presentation=opening.presentation,
            lazy=True,
            label_space="group",
            indices=opening.indices,
            seed=opening.seed,
            images_per_trial=opening.images_per_trial,
            other_class=opening.other_class,
            num_workers=opening.workers or 1,
        )


def _is_raw(path: Path) -> bool:
    head = read_sidecar_head(path)  # If it is missing or damaged, whoever opens the file says so.
    return head is not None and head["file"].get("write_mode") == "raw"


STORE = BetonStore
