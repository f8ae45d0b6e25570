"""Exports: the same whatever the number of workers, and resumed after an interruption."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dynvision.data.sources import exporting
from dynvision.data.sources.exporting import export_images, interrupted_export, open_export
from dynvision.data.sources.folders.class_folders import Export
from dynvision.errors import DataError

NAMES = ["ant", "bee", "cat"]
SOURCE = {"md5": "of this archive"}


def draw_images(count: int, channels: int = 3, seed: int = 0, size: int = 6) -> list[tuple[int, Any]]:
    rng = np.random.default_rng(seed)
    shape = (size, size, 3) if channels == 3 else (size, size)
    return [(int(rng.integers(3)), rng.integers(0, 256, shape, dtype=np.uint8)) for _ in range(count)]


def fill(label: int, value: int) -> tuple[int, Any]:
    return label, np.full((4, 4, 3), value, dtype=np.uint8)


def export(images: Iterable[Any], folder: Path, total: int, **options: Any) -> Export:
    return export_images(images, NAMES, folder, total, "raw/x:train", **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def mtimes(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*.png")}


def stop_after(images: list[Any], count: int) -> Iterator[Any]:
    yield from images[:count]
    raise KeyboardInterrupt


@pytest.fixture
def whole(tmp_path: Path) -> tuple[list[Any], Path, Export]:
    """Forty images and their export without an interruption."""
    images = draw_images(40)
    folder = tmp_path / "whole"
    folder.mkdir()
    return images, folder, export(images, folder, 40)


def test_class_folders_are_padded_so_that_string_order_is_numeric_order(tmp_path):
    names = [f"class {i}" for i in range(12)]
    made = export_images([fill(i, i) for i in range(12)], names, tmp_path, 12, "raw/x")
    folders = sorted(p.name for p in tmp_path.iterdir())
    assert folders == [f"{i:02d}" for i in range(12)]
    assert [(c.index, c.folder, c.name, c.count) for c in made.classes[:1]] == [(0, "00", "class 0", 1)]


def test_exported_images_are_the_source_pixel_for_pixel(tmp_path):
    rng = np.random.default_rng(0)
    images = [(label, rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)) for label in (1, 0, 1)]
    made = export_images(images, ["a", "b"], tmp_path, 3, "raw/x")
    for number, (label, pixels) in enumerate(images):
        assert np.array_equal(np.asarray(Image.open(tmp_path / str(label) / f"{number:05d}.png")), pixels)
    assert [c.count for c in made.classes] == [1, 2]
    assert made.shape == [5, 5, 3]
    assert made.n_bytes == sum(p.stat().st_size for p in tmp_path.rglob("*.png"))


def test_digest_depends_on_every_pixel_label_and_order(tmp_path):
    sources = [
        [fill(0, 1), fill(1, 2)],
        [fill(0, 1), fill(1, 3)],
        [fill(0, 1), fill(0, 2)],
        [fill(1, 2), fill(0, 1)],
    ]
    digests = []
    for number, images in enumerate([*sources, sources[0]]):
        (tmp_path / str(number)).mkdir()
        digests.append(export_images(images, ["a", "b"], tmp_path / str(number), 2, "raw/x").digest)
    assert len(set(digests[:4])) == 4
    assert digests[4] == digests[0]


@pytest.mark.slow
@settings(max_examples=15)
@given(count=st.integers(1, 40), chunk=st.integers(1, 12), channels=st.sampled_from([1, 3]))
def test_result_does_not_depend_on_the_number_of_workers_or_on_chunks(tmp_path_factory, count, chunk, channels):
    images = draw_images(count, channels)
    made = []
    with pytest.MonkeyPatch.context() as patch:
        for workers, size in ((1, 256), (1, chunk), (2, chunk), (5, chunk)):
            patch.setattr(exporting, "_CHUNK", size)
            folder = tmp_path_factory.mktemp("export")
            made.append((export(images, folder, count, workers=workers), contents(folder)))
    assert made[1:] == made[:1] * 3
    assert sum(c.count for c in made[0][0].classes) == len(made[0][1]) == count
    assert made[0][0].n_bytes == sum(map(len, made[0][1].values()))


def test_one_channel_is_kept_one_channel(tmp_path):
    images = draw_images(6, channels=1)
    assert export(images, tmp_path, 6).shape == [6, 6]
    for number, (label, pixels) in enumerate(images):
        with Image.open(tmp_path / str(label) / f"{number:05d}.png") as image:
            assert image.mode == "L"
            assert np.array_equal(np.asarray(image), pixels)


def test_one_channel_and_three_have_different_digests(tmp_path):
    made = []
    for name, shape in (("grey", (6, 6)), ("rgb", (6, 6, 3))):
        (tmp_path / name).mkdir()
        made.append(export([(0, np.full(shape, 9, dtype=np.uint8))], tmp_path / name, 1).digest)
    assert made[0] != made[1]


def test_compression_changes_the_bytes_and_neither_pixels_nor_digest(tmp_path):
    images = [(0, np.full((32, 32, 3), 40, dtype=np.uint8)), *draw_images(5)]
    made = {}
    for level in (0, 6, 9):
        (tmp_path / str(level)).mkdir()
        made[level] = export(images, tmp_path / str(level), 6, compress_level=level)
    assert made[0].digest == made[6].digest == made[9].digest
    assert made[0].classes == made[9].classes
    assert made[0].n_bytes > made[6].n_bytes >= made[9].n_bytes
    for number, (label, pixels) in enumerate(images):
        for level in made:
            with Image.open(tmp_path / str(level) / str(label) / f"{number:05d}.png") as image:
                assert np.array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("stop", [0, 1, 16, 17, 39])
def test_interrupted_export_is_resumed_and_ends_like_a_whole_one(tmp_path, monkeypatch, whole, stop):
    images, uninterrupted, expected = whole
    monkeypatch.setattr(exporting, "_CHUNK", 4)
    folder = open_export(tmp_path / "train", SOURCE)
    with pytest.raises(KeyboardInterrupt):
        export(stop_after(images, stop), folder, 40, workers=2)
    before = mtimes(folder)
    assert len(before) == stop - stop % 8  # two workers of four images each had ended
    assert open_export(tmp_path / "train", SOURCE) == folder
    assert export(images, folder, 40) == expected
    assert before.items() <= mtimes(folder).items()
    assert contents(folder) == contents(uninterrupted)


@pytest.mark.parametrize(
    "damage", ["empty", "cut", "cut at the end", "no image", "other pixels", "other shape", "one channel"]
)
def test_damaged_file_of_an_interrupted_export_is_written_again(tmp_path, whole, damage):
    images, uninterrupted, expected = whole
    folder = open_export(tmp_path / "train", SOURCE)
    export(images, folder, 40)
    path = sorted(folder.rglob("*.png"))[5]
    content = path.read_bytes()
    if damage == "other pixels":
        pixels = np.array(Image.open(path))
        pixels[3, 3, 1] ^= 1
        Image.fromarray(pixels).save(path)
    elif damage == "other shape":
        Image.open(path).resize((9, 9)).save(path)
    elif damage == "one channel":
        Image.open(path).convert("L").save(path)
    else:
        damaged = {"empty": b"", "cut": content[: len(content) // 2], "cut at the end": content[:-6]}
        path.write_bytes({**damaged, "no image": b"\0" * 300}[damage])
    before = mtimes(folder)
    assert export(images, folder, 40) == expected
    assert contents(folder) == contents(uninterrupted)
    changed = {name for name, time_ns in mtimes(folder).items() if before[name] != time_ns}
    assert changed == {str(path.relative_to(folder))}


def test_file_that_is_not_of_the_source_is_an_error_that_says_what_to_remove(tmp_path, whole):
    images, *_ = whole
    folder = open_export(tmp_path / "train", SOURCE)
    with pytest.raises(KeyboardInterrupt):
        export(stop_after(images, 0), folder, 40)
    (folder / "1" / "99999.png").write_bytes(b"stray")
    expected = (
        r"raw/x:train: .*/1 contains \d+ images, but \d+ were exported\. The others are from an interrupted export of "
        r"something else\. Remove .*\.train\.export and run"
    )
    with pytest.raises(DataError, match=expected):
        export(images, folder, 40)


def test_leftovers_of_another_source_are_removed_and_those_of_the_same_kept(tmp_path):
    folder = open_export(tmp_path / "train", SOURCE)
    (folder / "0").mkdir()
    (folder / "0" / "00000.png").write_bytes(b"of the old source")
    assert open_export(tmp_path / "train", dict(SOURCE)) == folder
    assert (folder / "0" / "00000.png").exists()
    assert open_export(tmp_path / "train", {"md5": "of another archive"}) == folder
    assert [p.name for p in folder.iterdir()] == [".export.json"]


@pytest.mark.parametrize("note", ["", "{", "[]", "{}"])
def test_leftovers_whose_source_is_unknown_are_removed(tmp_path, note):
    folder = open_export(tmp_path / "train", SOURCE)
    (folder / "0").mkdir()
    (folder / ".export.json").write_text(note)
    open_export(tmp_path / "train", SOURCE)
    assert [p.name for p in folder.iterdir()] == [".export.json"]


@pytest.mark.parametrize("total", [39, 41])
def test_source_with_another_number_of_images_is_an_error(tmp_path, total):
    expected = f"raw/x:train: the source gave 40 images where {total} were expected"
    with pytest.raises(DataError, match=expected):
        export(draw_images(40), tmp_path, total)


def test_full_disk_is_raised_and_keeps_what_was_written(tmp_path, monkeypatch, whole):
    images, uninterrupted, expected = whole
    write = Path.write_bytes

    def fill_up(path: Path, content: Any) -> int:
        if path.name == "00030.png":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, content)

    folder = open_export(tmp_path / "train", SOURCE)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fill_up)
        with pytest.raises(OSError, match="No space left on device"):
            export(images, folder, 40, workers=1)
    before = mtimes(folder)
    assert len(before) == 30
    assert export(images, folder, 40) == expected
    assert before.items() <= mtimes(folder).items()
    assert contents(folder) == contents(uninterrupted)


LARGE = """
import sys
from pathlib import Path
import numpy as np
from dynvision.data.sources.exporting import export_images, open_export
folder = open_export(Path(sys.argv[1]), {"md5": "of this archive"})
rng = np.random.default_rng(3)
images = [(n % 3, rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for n in range(6000)]
print(export_images(images, ["ant", "bee", "cat"], folder, 6000, "raw/x:train").digest)
"""


@pytest.mark.slow
def test_killed_export_is_resumed_and_ends_like_a_whole_one(tmp_path):
    def start(name: str) -> subprocess.Popen[str]:
        arguments = [sys.executable, "-c", LARGE, str(tmp_path / name)]
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    folder = interrupted_export(tmp_path / "train")
    child = start("train")
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*/*.png"))) < 500:
        assert time.monotonic() < deadline, "the export did not begin"
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    before = mtimes(folder)
    assert 500 <= len(before) < 6000, "it was not killed in the middle"
    digest, _ = start("train").communicate(timeout=60)
    other, _ = start("whole").communicate(timeout=60)
    assert digest == other != ""
    assert contents(folder) == contents(interrupted_export(tmp_path / "whole"))
    kept = [name for name, time_ns in mtimes(folder).items() if before.get(name) == time_ns]
    assert len(kept) >= len(before) - 8  # at most one file a thread was half written
    assert not (tmp_path / "train").exists()


@pytest.mark.parametrize("first", [1, 3])
def test_grey_images_among_coloured_ones_are_an_error_that_names_the_image(tmp_path, first):
    images = [*draw_images(3, first), *draw_images(2, 4 - first)]
    with pytest.raises(DataError, match=r"^raw/x:train: image 3 has the shape .*; all images of a dataset are grey"):
        export(images, tmp_path, 5)
