"""How pixels are stored: raw, JPEG, a mixture, or the source's own bytes; and images that cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dynvision.data.betons.sidecars import read_sidecar, verify_beton
from dynvision.data.betons.spec import BetonFile
from dynvision.data.betons.writing import write_beton, write_betons
from dynvision.data.ffcv_dataloader import get_ffcv_dataloader
from dynvision.data.images.reading import read_image
from dynvision.data.images.samples import Sample
from dynvision.errors import UnknownNameError

pytestmark = pytest.mark.slow

SIZE = 72
SOURCES = ["wide.jpg", "tall.jpg", "square.jpg", "small.jpg", "grey.jpg", "drawing.png", "cmyk.jpg", "flat.png"]
LABELS = [5, 5, 2, 2, 9, 9, 0, 0]
QUALITY = {"raw": 90, "jpg": 90, "smart": 100, "proportion": 90, "bytes": 90}
MODES = list(QUALITY)
BAD = {"torn.jpg": b"\xff\xd8\xff\xe0 torn", "empty.png": b"", "text.png": b"no image at all"}


def draw_sources(folder: Path) -> None:
    """Smooth pictures of many sizes and kinds; `flat.png` is one colour, so that JPEG is much smaller."""
    rng = np.random.default_rng(1)
    shapes = {"wide.jpg": (160, 90), "tall.jpg": (80, 130), "square.jpg": (SIZE, SIZE), "small.jpg": (40, 50)}
    for name in SOURCES:
        small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        image = small.resize(shapes.get(name, (100, 84)), Image.Resampling.BICUBIC)
        if name == "drawing.png":  # noise, for which JPEG saves little
            image = Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8))
        mode = {"grey.jpg": "L", "cmyk.jpg": "CMYK"}.get(name, "RGB")
        (Image.new("RGB", (SIZE, SIZE), "teal") if name == "flat.png" else image).convert(mode).save(
            folder / name, **({"quality": 92} if name.endswith("jpg") else {})
        )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each mode, and two with images left out, written by one child."""
    folder = tmp_path_factory.mktemp("modes")
    draw_sources(folder)
    samples = [Sample(name, label, label // 5) for name, label in zip(SOURCES, LABELS, strict=True)]
    files = [BetonFile(folder / f"{mode}.beton", samples, folder, SIZE, 3, {}, mode, QUALITY[mode]) for mode in MODES]
    for name, content in BAD.items():
        (folder / name).write_bytes(content)
    torn = [Sample("torn.jpg", 4, 4), *samples[:3], Sample("empty.png", 4, 4), samples[5], Sample("text.png", 5, 5)]
    files += [BetonFile(folder / f"left_out_{m}.beton", torn, folder, SIZE, 3, {}, m) for m in ("raw", "bytes")]
    write_betons(
        files,
        timeout=60,
        description="modes",
        max_bad_images=6,
        finish_record=lambda left_out: {"left_out": sorted({Path(path).name for path, _ in left_out})},
    )
    return folder


def load(path: Path, **options: Any) -> tuple[Any, list[int]]:
    loader = get_ffcv_dataloader(path, batch_size=8, n_timesteps=1, dtype=torch.uint8, **options)
    images, labels, _ = next(iter(loader.iterate_images()))
    return images.permute(0, 2, 3, 1).numpy(), labels.tolist()


def expected(folder: Path) -> Any:
    return np.stack([read_image(folder / name, 3, SIZE) for name in SOURCES])


def stored(path: Path) -> list[tuple[int, bytes]]:
    """How each image is stored (0 is JPEG, 1 raw) and its bytes."""
    from ffcv.reader import Reader

    reader, content = Reader(str(path)), path.read_bytes()
    sizes = dict(zip(reader.alloc_table["ptr"].tolist(), reader.alloc_table["size"].tolist(), strict=True))
    entries = reader.metadata["f0"]
    places = entries["data_ptr"].ravel().tolist()
    modes = entries["mode"].ravel().tolist()
    return [(mode, content[place : place + sizes[place]]) for mode, place in zip(modes, places, strict=True)]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_named_in_the_sidecar_and_can_be_loaded(written, mode):
    path = written / f"{mode}.beton"
    file = verify_beton(path, full=True)["file"]
    assert (file["write_mode"], file["samples"], file["bad_images"]) == (mode, len(SOURCES), [])
    assert file["jpeg_quality"] == (None if mode in ("raw", "bytes") else QUALITY[mode])
    how = "none: images keep their own size" if mode == "bytes" else "bicubic filter with anti-aliasing, centre cropped"
    assert how in file["fit"]
    images, labels = load(path)
    assert images.shape == (len(SOURCES), SIZE, SIZE, 3)
    assert labels == LABELS
    wanted = expected(written)
    if mode == "raw":
        assert np.array_equal(images, wanted)
    # Noise is not kept by JPEG; the smooth pictures are, whichever decoder scaled them.
    smooth = [place for place, name in enumerate(SOURCES) if name != "drawing.png"]
    errors = np.abs(images.astype(int) - wanted.astype(int)).mean(axis=(1, 2, 3))
    assert errors[smooth].max() < (4 if mode == "bytes" else 2), dict(zip(SOURCES, errors, strict=True))


def test_raw_is_raw_and_jpg_is_jpeg(written):
    assert [mode for mode, _ in stored(written / "raw.beton")] == [1] * len(SOURCES)
    assert [mode for mode, _ in stored(written / "jpg.beton")] == [0] * len(SOURCES)


def test_smart_is_jpeg_only_where_that_is_much_smaller(written):
    kinds = {name: mode for name, (mode, _) in zip(SOURCES, stored(written / "smart.beton"), strict=True)}
    assert kinds["flat.png"] == 0
    assert kinds["drawing.png"] == 1


def test_proportion_is_half_jpeg(written):
    assert [mode for mode, _ in stored(written / "proportion.beton")] == [0, 1] * (len(SOURCES) // 2)


def test_bytes_are_those_of_the_source_where_it_is_a_jpeg_that_ffcv_reads(written):
    found = dict(zip(SOURCES, stored(written / "bytes.beton"), strict=True))
    for name in ("wide.jpg", "tall.jpg", "square.jpg", "small.jpg", "grey.jpg"):
        assert found[name] == (0, (written / name).read_bytes()), name
    for name in ("drawing.png", "cmyk.jpg", "flat.png"):
        assert found[name][0] == 0
        assert found[name][1][:2] == b"\xff\xd8", name
        assert found[name][1] != (written / name).read_bytes()


@pytest.mark.parametrize("mode", ["raw", "bytes"])
def test_images_left_out_are_listed_and_the_others_keep_their_labels_and_sources(written, mode):
    sidecar = read_sidecar(written / f"left_out_{mode}.beton")
    assert [Path(path).name for path, _ in sidecar["file"]["bad_images"]] == ["empty.png", "text.png", "torn.jpg"]
    assert all(reason for _, reason in sidecar["file"]["bad_images"])
    assert sidecar["samples"]["source"] == ["wide.jpg", "tall.jpg", "square.jpg", "drawing.png"]
    assert sidecar["samples"]["label"] == [5, 5, 2, 9]
    assert sidecar["samples"]["group_label"] == [1, 1, 0, 1]
    assert sidecar["file"]["samples"] == 4
    assert sidecar["record"] == {"left_out": ["empty.png", "text.png", "torn.jpg"]}
    images, labels = load(written / f"left_out_{mode}.beton")
    assert labels == [5, 5, 2, 9]
    wanted = expected(written)[[0, 1, 2]].astype(int)
    assert np.abs(images[:3].astype(int) - wanted).mean() < (4 if mode == "bytes" else 0.01)


def test_unknown_write_mode_names_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match=r"unknown write_mode 'smrt'\. Did you mean 'smart'\?"):
        write_beton(tmp_path / "x.beton", [Sample("a.png", 0, 0)], resolution=8, write_mode="smrt")
