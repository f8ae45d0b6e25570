from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynvision.system import progress
from dynvision.system.child.process import ComputeProcess
from dynvision.system.progress import listen_to_progress, progress_bar


def test_a_line_says_how_far_it_is_how_fast_and_how_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.2)
    lines: list[str] = []
    with listen_to_progress(lines.append), progress_bar(200, "raw/mine:train") as bar:
        bar.update(50)
        time.sleep(0.5)
        bar.update(150)
    first, *_, last = lines
    assert first.startswith("raw/mine:train: 50 of 200 images (25%), ")
    assert " a second, " in first
    assert first.endswith(" s left")
    assert last.startswith("raw/mine:train: 200 of 200 images (100%), ")
    assert ", done in " in last


@pytest.mark.slow
def test_lines_come_while_a_single_step_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.1)
    lines: list[str] = []
    with listen_to_progress(lines.append), progress_bar(3, "models/a/b:all_s0", "update") as bar:
        bar.set_postfix(epoch="1/3")
        time.sleep(0.55)
    assert len(lines) >= 5
    assert lines[0].startswith("models/a/b:all_s0: 0 of 3 updates (0%), 0 a second")
    assert lines[0].endswith("epoch=1/3")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.5, "9.5 s"), (42.4, "42 s"), (90, "1 min 30 s"), (7322, "2 h 2 min")]
)
def test_durations_are_written_as_people_say_them(seconds: float, text: str) -> None:
    assert progress._duration(seconds) == text


def test_without_a_listener_there_is_no_thread_and_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.01)
    lines: list[str] = []
    with listen_to_progress(lines.append):
        pass
    with progress_bar(1, "quiet"):
        time.sleep(0.1)
    assert lines == []


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ComputeProcess]:
    """A child that can import a module with a function that takes a while."""
    content = """
        import time
        from dynvision.system import progress

        def work():
            progress.EVERY = 0.1
            with progress.progress_bar(4, "work") as bar:
                for _ in range(4):
                    time.sleep(0.15)
                    bar.update()
            return "done"
    """
    (tmp_path / "slow_functions_of_a_test.py").write_text(textwrap.dedent(content))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    made = ComputeProcess()
    yield made
    made.close()


@pytest.mark.slow
def test_the_child_tells_its_progress_before_its_answer(process: ComputeProcess) -> None:
    lines: list[str] = []
    assert process.call("slow_functions_of_a_test:work", lines.append) == "done"
    assert len(lines) >= 4
    assert lines[-1].startswith("work: 4 of 4 images (100%)")
    count = len(lines)
    assert process.call("slow_functions_of_a_test:work") == "done"
    assert len(lines) == count
