"""What the machine refuses (a full disk, a missing permission, a low limit), said in one sentence.

Every library wraps such a failure in its own way, so it is looked for along the whole chain of causes, and if no error
in it is the system's own, in the texts of the errors.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from dynvision.errors import DamagedFileError, DynvisionError, MachineError, OutOfMemoryError, UnreadableError
from dynvision.system.escaping import show_text

__all__ = [
    "as_unreadable",
    "causes_of",
    "explain_os_error",
    "find_machine_error",
    "find_own_error",
    "is_unreadable",
    "last_line",
    "text_of",
    "unreadable_file",
]

_RIGHTS = "Change the permissions (chmod, chown) or ask its owner, then run this again."
_DISK = "Make room (df -h says where), then run this again; what was finished is kept."
_FILES = "Raise the limit (ulimit -n 4096) or end other programs, then run this again."
_MOUNT = "See whether it is mounted and answers, then run this again."
_PROCESSES = "Raise the limit (ulimit -u) or end other programs, then run this again."
_MEMORY = "End other programs, raise the limit (ulimit -v), or use smaller batches, then run this again."

SYSTEM: dict[int, tuple[str, str]] = {
    errno.EACCES: ("permission denied", _RIGHTS),
    errno.EPERM: ("the operation is not permitted", _RIGHTS),
    errno.EROFS: ("the file system is read-only", "Set DYNVISION_ROOT to a folder that can be written."),
    errno.ENOSPC: ("no space is left on the disk", _DISK),
    errno.EDQUOT: ("the quota of the disk is used up", _DISK),
    errno.EFBIG: (
        "the file becomes larger than allowed",
        "Raise the limit (ulimit -f), then run this again.",
    ),
    errno.ENAMETOOLONG: ("the name is too long", "Use shorter names, or a root with a shorter path."),
    errno.EMFILE: ("this process may not open more files", _FILES),
    errno.ENFILE: ("no program may open more files on this machine", _FILES),
    errno.EAGAIN: ("no further process or thread may be started, or a resource is in use", _PROCESSES),
    errno.ENOMEM: ("there is not enough memory", _MEMORY),
    errno.EIO: ("the disk reports an error (input/output error)", "Check the disk (dmesg), then run this again."),
    errno.ESTALE: ("the network drive lost it (stale file handle)", _MOUNT),
    errno.ENOTCONN: ("the drive is not connected any more", _MOUNT),
    errno.ETIMEDOUT: ("the drive or machine does not answer", _MOUNT),
    errno.ETXTBSY: ("it is a program that is running", "End that program, then run this again."),
    errno.EBUSY: ("it is in use", "End what uses it, then run this again."),
    errno.ENOENT: ("it does not exist", "If it was moved or deleted meanwhile, run this again."),
    errno.ENOTDIR: ("a file stands where a folder has to be", "Move that file away, then run this again."),
    errno.EISDIR: ("a folder stands where a file has to be", "Move that folder away, then run this again."),
    errno.ENOTEMPTY: ("the folder is not empty", "If another program writes there, end it; then run this again."),
    errno.EEXIST: ("it exists already", "If another program writes there, end it; then run this again."),
    errno.ELOOP: ("its links lead round in a circle", "Remove the link, then run this again."),
    errno.EXDEV: ("it lies on another drive than the folder that it has to be moved to", _MOUNT),
    errno.EPIPE: ("the program at the other end of a pipe has ended", "Run this again."),
}
"""For each error number of the system: what it means, and what to do."""

NO_TEMPORARY = "No usable temporary directory"

_UNREADABLE = {
    *(errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EMFILE),
    *(errno.ENFILE, errno.ENOMEM, errno.EBUSY, errno.EAGAIN),
}

_DATABASE = "See whether its folder can be read and written and has space, then run this again."

_TEXTS = {
    **{os.strerror(number).lower(): number for number in SYSTEM if number not in (errno.ENOENT, errno.EEXIST)},
    "no space left on device": errno.ENOSPC,
    "database or disk is full": errno.ENOSPC,
    "disk i/o error": errno.EIO,
    "can't start new thread": errno.EAGAIN,
    "failed to map segment": errno.ENOMEM,
    "can't allocate memory": errno.ENOMEM,
    "not enough memory": errno.ENOMEM,
    "unable to allocate": errno.ENOMEM,
    "std::bad_alloc": errno.ENOMEM,
    "out of memory": errno.ENOMEM,
    "failed to allocate": errno.ENOMEM,
    "unable to mmap": errno.ENOMEM,
}
"""Parts of the texts of errors, in lower case, by which libraries tell such a failure."""

_DATABASE_TEXTS = {
    "disk i/o error": (
        "its disk is full or reports an error, or a file may not grow (ulimit -f)",
        f"{_DISK} If there is room, check the disk (dmesg).",
    ),
    "unable to open database file": ("it cannot be opened", _DATABASE),
    "attempt to write a readonly database": ("it cannot be written", _DATABASE),
    "database is locked": ("another program is writing it all the time", "Wait for that program, then run this again."),
    "malformed": ("it is damaged", "Restore it, or move that folder away; then run this again."),
    "not a database": ("it is damaged", "Restore it, or move that folder away; then run this again."),
    "no such table": ("it is damaged", "Restore it, or move that folder away; then run this again."),
}
"""The same for databases of SQLite."""


def is_unreadable(error: OSError) -> bool:
    """Whether an error says that something cannot be read now, and not that it is missing or damaged."""
    return error.errno in _UNREADABLE


def unreadable_file(path: object, error: OSError, advice: str, why: str = "") -> DamagedFileError:
    """Return the error of a file of an output that cannot be read.

    Args:
        path: The file or folder.
        error: Why it cannot be read.
        advice: What to do if it is damaged: a sentence that names the command.
        why: Why it is read at all, for the end of the first sentence.

    Returns:
        An `UnreadableError` if nothing says that the file is damaged; then the advice is another one.
    """
    text = f"{show_text(path)} cannot be read ({show_text(error.strerror or error, 200)}){why}"
    return as_unreadable(error, text) or DamagedFileError(f"{text}. {advice}")


def as_unreadable(error: OSError, text: str, if_broken: str = "") -> UnreadableError | None:
    """Return the error of something that exists but cannot be read now; `None` if it is missing or damaged.

    Args:
        error: Why it cannot be read.
        text: What to say about it, without a full stop; what to do is added.
        if_broken: What to do if the disk cannot read that place any more, if that is not to check the disk.
    """
    if is_unreadable(error) and error.errno is not None:
        advice = if_broken if if_broken and error.errno == errno.EIO else SYSTEM[error.errno][1]
        return UnreadableError(f"{text}. {advice}")
    return None


def explain_os_error(error: OSError) -> str:
    """Say in a few words what an error of the system means: `permission denied`."""
    if error.errno in SYSTEM:
        return SYSTEM[error.errno][0]
    return show_text(error.strerror or error, 200)


def causes_of(error: BaseException, *, with_context: bool = True) -> Iterator[BaseException]:
    """Yield an error and what it was raised from, each once, the error itself first.

    The errors that Dagster and SQLAlchemy keep in an attribute of theirs count as causes.

    Args:
        error: The error.
        with_context: Whether the errors that were being handled when another was raised count, too.
    """
    pending, seen = [error], set()
    while pending:
        current = pending.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        context = current.__context__ if with_context and not current.__suppress_context__ else None
        wrapped = (getattr(current, name, None) for name in ("user_exception", "orig"))
        pending += [cause for cause in (current.__cause__, *wrapped, context) if isinstance(cause, BaseException)]


def find_own_error(error: BaseException) -> DynvisionError | None:
    """Return the error for users that an error was raised from, or is."""
    own = [cause for cause in causes_of(error, with_context=False) if isinstance(cause, DynvisionError)]
    return own[0] if own else None


def find_machine_error(error: BaseException) -> MachineError | None:
    """Return the sentence about what the machine refused, if an error was raised from such a refusal."""
    causes = list(causes_of(error))
    sentence = next((text for text in map(_explain, causes) if text), None)
    sentence = sentence or next((text for text in map(_explain_by_text, causes) if text), None)
    if not sentence:
        return None
    return OutOfMemoryError(sentence) if SYSTEM[errno.ENOMEM][0] in sentence else MachineError(sentence)


def _explain(error: BaseException) -> str:
    """Explain an error of the system itself; an empty text if it is none."""
    if isinstance(error, DynvisionError):
        return ""
    if isinstance(error, MemoryError):
        return f"{SYSTEM[errno.ENOMEM][0]}. {_MEMORY}"
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        name = show_text(error.object, 200)
        return f"the name '{name}' holds bytes that are no UTF-8. Give it another name."
    if isinstance(error, OSError):
        return _explain_os(error)
    return ""


def _explain_os(error: OSError) -> str:
    if error.errno == errno.ENOENT and not error.filename and not _has_working_directory():
        return "the current folder does not exist any more. Change to one that exists (cd), then run this again."
    if NO_TEMPORARY in str(error):
        return f"no folder for temporary files can be written. {_DISK} TMPDIR names another folder."
    if error.errno not in SYSTEM:
        return ""
    meaning, advice = SYSTEM[error.errno]
    names = [name for name in (error.filename, error.filename2) if isinstance(name, str | bytes | os.PathLike)]
    where = " → ".join(show_text(os.fsdecode(name), 400) for name in names)
    return f"{where}: {meaning}. {advice}" if where else f"{meaning}. {advice}"


def _explain_by_text(error: BaseException) -> str:
    """Explain an error by its text, as libraries that are not written in Python leave it; an empty text if unknown."""
    if isinstance(error, DynvisionError | SyntaxError | AssertionError | KeyError):
        return ""
    text = text_of(error)
    place = f"the database in {os.environ.get('DAGSTER_HOME', 'the Dagster home')}: " if _is_of_database(error) else ""
    if place and (known := next((v for part, v in _DATABASE_TEXTS.items() if part in text.lower()), None)):
        return f"{place}{known[0]} ({show_text(last_line(text), 300)}). {known[1]}"
    number = next((number for part, number in _TEXTS.items() if part in text.lower()), None)
    if number is None:
        return ""
    meaning, advice = SYSTEM[number]
    said = show_text(last_line(text), 300)
    return f"{place}{meaning} ({said}). {advice}"


def _is_of_database(error: BaseException) -> bool:
    # Not by class: importing sqlite3 would take a third of the time of `dynvision --help`.
    return "sqlite3" in (type(error).__module__, type(getattr(error, "orig", None)).__module__)


def text_of(error: BaseException) -> str:
    """Return the text of an error; of a class whose own code for it fails, a text that says so."""
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001  # it is code of a user's
        return f"an error whose text cannot be shown ({type(failure).__name__})"


def last_line(text: str) -> str:
    """Return what a text says: its first line, or the last one if it holds a traceback."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    return lines[-1] if "Traceback (most recent call last)" in text else lines[0]


def _has_working_directory() -> bool:
    try:
        os.getcwd()  # noqa: PTH109  # pathlib calls it, too
    except OSError:
        return False
    return True
