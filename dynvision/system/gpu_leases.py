"""Leases of GPUs: two runs of this machine never compute on one GPU at once, unless both are told that they may.

A lease is the kernel's lock on a file named after the GPU, in a folder for all users of the machine. It is free when
its holder ends. What is in the file says who holds the lease, for people.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from dynvision.errors import MachineError
from dynvision.system.owners import Owner, describe_process
from dynvision.system.progress import say, tell_listeners

__all__ = ["FOLDER", "SHARE", "lease_gpu", "name_gpus", "sharing_gpus"]

FOLDER = Path("/tmp/dynvision-gpus")  # for all users: where TMPDIR points differs among them
"""The folder with a file for each GPU that was ever leased on this machine."""

SHARE = "DYNVISION_SHARE_GPUS"
"""The variable that says that several runs may compute on one GPU, if it is 1."""

REPEAT = 300.0
"""Seconds after which a process that waits says again for whom."""

_TURN = 0.5
"""Seconds between two looks at the GPUs that are waited for."""

_LONGEST = 4096
"""The most bytes that are read of a file."""

_depth: dict[tuple[int, str], int] = {}
"""How many leases of each GPU this process, by its id, has within each other."""


def name_gpus(uuids: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Name the GPUs that a process sees, so that every process of the machine has the same name for the same GPU.

    Args:
        uuids: What the driver calls each; empty texts if it does not say.
        environment: The environment: a part of a GPU (MIG) that is named in `CUDA_VISIBLE_DEVICES` is leased by
            itself. Without a driver's name, the number in that variable is that of the machine.
    """
    chosen: list[str] = []
    for variable in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
        chosen = chosen or [entry.strip() for entry in environment.get(variable, "").split(",") if entry.strip()]
    names = []
    for number, uuid in enumerate(uuids):
        entry = chosen[number] if number < len(chosen) else str(number)
        names.append(entry if entry.startswith("MIG-") else uuid or entry)
    return names


@contextlib.contextmanager
def sharing_gpus(may_share: bool) -> Iterator[None]:
    """Let what is computed in this block share GPUs with other runs, if it may; otherwise the environment says it.

    Args:
        may_share: Whether the configuration allows it.
    """
    before = os.environ.get(SHARE)
    if may_share:
        os.environ[SHARE] = "1"
    try:
        yield
    finally:
        if may_share and before is None:
            del os.environ[SHARE]
        elif may_share and before is not None:
            os.environ[SHARE] = before


@contextlib.contextmanager
def lease_gpu(
    gpus: Sequence[str],
    number: int | None = None,
    *,
    share: bool | None = None,
    folder: Path = FOLDER,
    tell: Callable[[str], object] | None = None,
) -> Iterator[int]:
    """Lease a GPU; wait while every one that would do is taken.

    A process may lease a GPU again that it has leased already: one call then computes within another.

    Args:
        gpus: The names of the GPUs that this process sees, by their numbers; see `name_gpus`.
        number: Which of them; `None` takes the first that is free.
        share: Whether other runs that share it may compute on the GPU, too; by default the variable `SHARE` says so.
        folder: The folder of the leases; it is made.
        tell: Takes a sentence that says who is waited for; by default it goes to the terminal and the log of the run.

    Yields:
        The number of the GPU.

    Raises:
        MachineError: If GPUs cannot be leased on this machine; says what to do.
    """
    wanted = range(len(gpus)) if number is None else [number]
    is_shared = os.environ.get(SHARE) == "1" if share is None else share
    if own := [n for n in wanted if _depth.get((os.getpid(), gpus[n]))]:
        with _counted(gpus[own[0]]):
            yield own[0]
        return
    taken, descriptor = _wait(gpus, wanted, is_shared, folder, tell or _tell)
    try:
        with _counted(gpus[taken]):
            yield taken
    finally:
        # A process that was forked from this one has the descriptor, too: closing alone would not free the lock.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


@contextlib.contextmanager
def _counted(gpu: str) -> Iterator[None]:
    key = (os.getpid(), gpu)
    _depth[key] = _depth.get(key, 0) + 1
    try:
        yield
    finally:
        _depth[key] -= 1


def _wait(
    gpus: Sequence[str], wanted: Sequence[int], is_shared: bool, folder: Path, tell: Callable[[str], object]
) -> tuple[int, int]:
    """Wait until one of the GPUs is free; return its number and the descriptor that is locked."""
    said, said_at = "", 0.0
    try:
        directory = _open_folder(folder)
        try:
            while True:
                for number in wanted:
                    descriptor = _take(directory, gpus[number], is_shared)
                    if descriptor is not None:
                        return number, descriptor
                used = [f"GPU {n} ({gpus[n]}) is used by {_read_holder(directory, gpus[n])}" for n in wanted]
                holders = "; ".join(used)
                if holders != said or time.monotonic() - said_at > REPEAT:
                    tell(f"{holders}: waiting until it is free (Ctrl-C stops waiting; {SHARE}=1 shares GPUs).")
                    said, said_at = holders, time.monotonic()
                time.sleep(_TURN)
        finally:
            os.close(directory)
    except OSError as error:
        raise MachineError(
            f"no GPU can be leased, because {folder} cannot be used: {error.strerror}. Let an administrator remove it, "
            f"or set {SHARE}=1, if nobody else computes on this machine's GPUs."
        ) from error


def _open_folder(folder: Path) -> int:
    """Make the folder of the leases, or find it; return its descriptor.

    Raises:
        OSError: If it cannot be used, or somebody has put a link in its place.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o1777)
        folder.chmod(0o1777)  # The mask of this process took rights from others.
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _take(directory: int, gpu: str, is_shared: bool) -> int | None:
    """Lock the file of a GPU if that is free; return its descriptor."""
    descriptor = _open_file(directory, gpu)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        _write_holder(descriptor)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return None
        raise
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _open_file(directory: int, gpu: str, flags: int = os.O_RDWR) -> int:
    """Open the file of a GPU, which any user may have made, or make it.

    Raises:
        OSError: If something else stands in its place: a link, a pipe, or a file that has another name, too.
    """
    name = re.sub(r"[^\w-]", "_", gpu)[:200] + ".lease"
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        # Without O_CREAT: Linux refuses that for a file of somebody else in a folder of all.
        descriptor = os.open(name, flags, dir_fd=directory)
    except FileNotFoundError:
        try:
            descriptor = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=directory)
            os.fchmod(descriptor, 0o666)
        except FileExistsError:
            descriptor = os.open(name, flags, dir_fd=directory)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise OSError(errno.EINVAL, f"{name} in it is no file of its own")
    return descriptor


def _write_holder(descriptor: int) -> None:
    content = {"owner": Owner.here().to_dict(), "command": describe_process()}
    with contextlib.suppress(OSError):  # The disk is full: the lease holds all the same.
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(content, ensure_ascii=True).encode(), 0)


def _read_holder(directory: int, gpu: str) -> str:
    descriptor = _open_file(directory, gpu)
    try:
        content = json.loads(os.pread(descriptor, _LONGEST, 0))
    except ValueError:
        return "another process"
    finally:
        os.close(descriptor)
    content = content if isinstance(content, dict) else {}
    owner, command = Owner.from_dict(content.get("owner")), content.get("command")
    if owner is None:
        return "another process"
    # Anybody may have written it.
    shown = f"process {owner.pid}" + (f" ({command[:120]})" if isinstance(command, str) and command else "")
    return "".join(character if character.isprintable() else "?" for character in shown)


def _tell(line: str) -> None:
    """Say a line on the terminal and in the log of the run."""
    say(line)
    tell_listeners(line)
