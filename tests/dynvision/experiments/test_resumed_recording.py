"""A recording that was interrupted goes on, also with another number of threads; if it cannot, a line says why."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dynvision.errors import DataError
from dynvision.experiments.stores.store import partial_path
from dynvision.experiments.writing import SweepWriter
from dynvision.workspace.building import build_targets
from tests.helpers.chains import Chain
from tests.helpers.recordings import KEY, change_record, change_run, read_files, show, store

pytestmark = pytest.mark.slow


@pytest.fixture
def root(chain_copy: Chain) -> Path:
    """A root in which everything that responses are made from is built. A recording has four batches."""
    shutil.rmtree(chain_copy.root / "data" / "responses")
    change_record(chain_copy.root, batch_size=3)
    return chain_copy.root


@pytest.fixture
def interrupt(root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Begins a recording and ends it after three batches, of which two are on the disk for sure."""

    def begin(*levels: str) -> None:
        ended = iter(range(3))
        end_batch = SweepWriter.end_batch

        def end_some(writer: SweepWriter, steps: int) -> None:
            if next(ended, None) is None:
                raise DataError("stopped here")
            end_batch(writer, steps)

        with monkeypatch.context() as stop:
            stop.setattr(SweepWriter, "end_batch", end_some)
            with pytest.raises(DataError, match="stopped here"):
                show(root, *levels)

    return begin


def edit_header(root: Path, level: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the first line of the journal that an interrupted run left."""
    journal = partial_path(store(root, level)) / "journal.jsonl"
    first, rest = journal.read_text().split("\n", 1)
    header = json.loads(first)
    change(header)
    journal.write_text(json.dumps(header) + "\n" + rest)


def test_recording_that_was_begun_with_other_threads_goes_on_with_them_to_the_same_bytes(root, interrupt, capfd):
    change_run(root, threads=3)
    show(root, "0.5")
    whole = read_files(store(root))
    shutil.rmtree(root / "data" / "responses")
    interrupt("0.5")
    change_run(root, threads=2)
    capfd.readouterr()
    show(root, "0.5")
    said = capfd.readouterr().err
    assert "goes on with 3 threads, as it was begun, not with 2\n" in said
    assert re.search(r"resumes after ([23]) to \1 of 4 batches", said)
    assert "begins anew" not in said
    assert read_files(store(root)) == whole


def test_of_recordings_with_several_numbers_of_threads_the_one_that_is_furthest_goes_on(root, interrupt, capfd):
    change_run(root, threads=3)
    interrupt("0.1", "0.5")
    edit_header(root, "0.1", lambda header: header["making"].update(threads=7))
    journal = partial_path(store(root, "0.1")) / "journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:2]))  # one batch less
    change_run(root, threads=2)
    capfd.readouterr()
    show(root)
    said = capfd.readouterr().err
    assert "goes on with 3 threads, as it was begun, not with 2\n" in said
    assert (
        f"{KEY}:contrast=0.1: its recording begins anew, because what an interrupted run left is of a recording with "
        "other threads (7, now 3)\n"
    ) in said


def test_recording_that_was_begun_on_another_device_begins_anew_and_one_line_says_so(root, interrupt, capfd):
    interrupt()
    for level in ("0.1", "0.5", "1.0"):
        edit_header(root, level, lambda header: header["making"].update(device="cuda"))
    capfd.readouterr()
    show(root)
    said = capfd.readouterr().err
    assert [line for line in said.splitlines() if "begins anew" in line] == [
        f"{KEY} (3 conditions): its recording begins anew, because what an interrupted run left is of a recording with "
        "other device (cuda, now cpu)"
    ]
    assert "resumes after" not in said


def test_journal_that_cannot_be_read_is_said(root, interrupt, capfd):
    interrupt("0.5")
    journal = partial_path(store(root)) / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"digests"', '"digest'))
    show(root, "0.5")
    assert "begins anew, because what an interrupted run left cannot be read\n" in capfd.readouterr().err


def test_recording_that_is_forced_begins_anew_without_a_word(root, interrupt, capfd):
    interrupt("0.5")
    capfd.readouterr()
    build_targets([f"{KEY}:0.5"], root=str(root), config=str(root / "config"), force=True)
    said = capfd.readouterr().err
    assert "begins anew" not in said
    assert "resumes" not in said
