from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from dynvision.errors import ConfigError, DamagedFileError, MachineError, UnexpectedError, UnreadableError
from dynvision.system.error_log import KEPT, describe_error, machine_errors, write_log
from dynvision.system.failures import SYSTEM, causes_of, find_machine_error, unreadable_file


@pytest.fixture(autouse=True)
def _own_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:  # noqa: BLE001
        return caught


@pytest.mark.parametrize("number", SYSTEM)
def test_every_refusal_of_the_system_is_a_sentence_with_its_file(number: int) -> None:
    meaning, advice = SYSTEM[number]
    said = str(find_machine_error(OSError(number, os.strerror(number), "/a/b\n")))
    assert said == f"/a/b\\n: {meaning}. {advice}"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "not enough memory"),
        (RuntimeError("can't start new thread"), "no further process or thread"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "not enough memory"),
        (ValueError("zstd: No space left on device (os error 28)"), "no space is left on the disk"),
        (ImportError("libx.so: failed to map segment from shared object"), "not enough memory"),
        (sqlite3.OperationalError("database or disk is full"), "no space is left on the disk"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "cannot be written"),
        (sqlite3.DatabaseError("database disk image is malformed"), "it is damaged"),
        (UnicodeEncodeError("utf-8", "a\udcff", 1, 2, "surrogates not allowed"), r"'a\\udcff' holds bytes"),
        (OSError("Caught OSError\nTraceback (most recent call last):\nOSError: Disk quota exceeded"), "quota"),
    ],
)
def test_refusals_are_known_by_type_or_text_and_also_as_causes(error: Exception, says: str) -> None:
    for outer in (error, raised(RuntimeError("a library failed"), error)):
        with pytest.raises(MachineError, match=says), machine_errors():
            raise outer


def test_other_errors_pass_and_ours_stay(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), machine_errors():
        raise ZeroDivisionError
    own = ConfigError("a sentence")
    assert describe_error(raised(RuntimeError("of a library"), own)) is own
    assert not (tmp_path / "state").exists()


def test_an_error_of_ours_that_was_handled_before_is_not_what_failed() -> None:
    error = ZeroDivisionError("a fault")
    error.__context__ = ConfigError("handled")
    assert [type(cause) for cause in causes_of(error)] == [ZeroDivisionError, ConfigError]
    assert "ZeroDivisionError: a fault" in str(describe_error(error))


def test_an_unexpected_error_names_the_line_and_the_log(tmp_path: Path) -> None:
    said = describe_error(raised(KeyError("x")), "raw/mine:test")
    assert isinstance(said, UnexpectedError)
    assert str(said).startswith(f"raw/mine:test: KeyError: 'x' ({__file__}, line ")
    (log,) = (tmp_path / "state/dynvision/logs").iterdir()
    assert str(log) in str(said)
    assert "Traceback (most recent call last)" in log.read_text()


def test_without_any_folder_for_logs_the_traceback_is_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynvision.system.error_log.log_folders", lambda: iter([Path("/dev/null/logs")]))
    assert write_log("x") is None
    assert "Traceback (most recent call last)" in str(describe_error(raised(KeyError("x"))))
    assert "Traceback" not in str(describe_error(raised(OSError(errno.ENOSPC, "full"))))


def test_only_so_many_logs_are_kept(tmp_path: Path) -> None:
    for _ in range(KEPT + 3):
        assert write_log("a traceback") is not None
    assert len(list((tmp_path / "state/dynvision/logs").iterdir())) == KEPT


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE])
def test_what_cannot_be_read_is_not_said_to_be_damaged(number: int) -> None:
    error = unreadable_file("/a", OSError(number, os.strerror(number)), "Build it again.")
    assert isinstance(error, UnreadableError)
    assert "Build it again" not in str(error)


@pytest.mark.parametrize("number", [errno.EISDIR, errno.ELOOP, errno.EINVAL])
def test_what_is_no_file_is_damaged(number: int) -> None:
    error = unreadable_file("/a", OSError(number, os.strerror(number)), "Build it again.")
    assert type(error) is DamagedFileError
    assert str(error).endswith(f"({os.strerror(number)}). Build it again.")


def test_an_error_whose_text_cannot_be_shown_is_said_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    assert "Mute: an error whose text cannot be shown (ValueError)" in str(describe_error(Mute()))
