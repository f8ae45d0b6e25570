"""A process on a machine of its own, as far as locks can tell: another name, another start, no flock between them.

Run as `python -m tests.helpers.lock_runner <settings as JSON>`; `Runner.start` does. The product has no switches for
this: what a machine would do differently is replaced in this process.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dynvision.errors import DynvisionError
from dynvision.system import owners
from dynvision.system.files import write_json
from dynvision.system.locks import FOR_EVER, OutputBusyError, output_lock, output_locks

PROJECT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Runner:
    """What a process does, and on which machine.

    Attributes:
        task: `hold`, `contend` or `race`.
        output: The output that is locked.
        host: The name of the machine; as root a real one, in a namespace.
        boot: The id of its start; empty for the real one.
        flock: `works`, `nothing` (it succeeds and locks nothing) or `refused`.
        skew: How many seconds the machine's clock is ahead.
        refresh: Seconds between two signs of life.
        rounds: How often `contend` and `race` are repeated.
        number: Which of the processes this is.
    """

    task: str
    output: str
    host: str = ""
    boot: str = ""
    flock: str = "works"
    skew: float = 0.0
    refresh: float = 15.0
    rounds: int = 1
    number: int = 0

    def start(self) -> subprocess.Popen[str]:
        """Start the process."""
        command = [sys.executable, "-m", "tests.helpers.lock_runner", json.dumps(asdict(self))]
        if self.host and can_rename_hosts():
            command = ["unshare", "--uts", "sh", "-c", f'hostname {self.host} && exec "$@"', "sh", *command]
        return subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def can_rename_hosts() -> bool:
    """Whether this process may make namespaces with host names of their own."""
    tried = ["unshare", "--uts", "hostname", "dynvision-test"]
    with contextlib.suppress(OSError):
        return os.geteuid() == 0 and subprocess.run(tried, capture_output=True, check=False).returncode == 0
    return False


def start_holder(runner: Runner) -> subprocess.Popen[str]:
    """Start a process that holds a lock, and wait until it has it."""
    child = runner.start()
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def end_holder(child: subprocess.Popen[str]) -> str:
    """Tell a holder to put its output in place, and return what came of it."""
    return child.communicate("\n", timeout=60)[0].strip()


def run_all(runners: list[Runner]) -> list[str]:
    """Run processes at once; return what each printed."""
    children = [runner.start() for runner in runners]
    return [child.communicate(timeout=200)[0].strip() for child in children]


def _pretend(settings: Runner) -> None:
    """Make this process behave as on the machine that the settings describe."""
    if settings.boot:
        owners._boot_id = lambda: settings.boot
    if settings.host and socket.gethostname() != settings.host:
        socket.gethostname = lambda: settings.host
    if settings.skew:
        real = time.time
        time.time = lambda: real() + settings.skew
    if settings.flock == "nothing":
        fcntl.flock = lambda *arguments: None
    if settings.flock == "refused":
        fcntl.flock = _refuse
    output_locks.TURN = 0.002


def _refuse(*arguments: object) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def _hold(settings: Runner) -> str:
    """Hold the lock until a line comes, then put the output in place."""
    try:
        with output_lock(Path(settings.output), refresh=settings.refresh):
            print("held", flush=True)
            sys.stdin.readline()
            write_json(Path(settings.output), {"by": settings.number})
    except DynvisionError as error:
        return f"{type(error).__name__}: {error}"
    return "written"


def _contend(settings: Runner) -> str:
    """Take the lock again and again; nobody else may be inside, and every turn counts."""
    output = Path(settings.output)
    inside, counter = output.with_name("inside"), output.with_name("counter")
    for _ in range(settings.rounds):
        with output_lock(output, FOR_EVER, refresh=settings.refresh):
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
            count = int(counter.read_text())
            time.sleep(0.0005)
            counter.write_text(str(count + 1))
            inside.unlink()
    return "done"


def _race(settings: Runner) -> str:
    """Try to take over one abandoned lock after another; return in which rounds that worked."""
    won, folder = [], Path(settings.output)
    for number in range(settings.rounds):
        output = folder / f"output-{number}"
        _meet(output, "ready", settings)
        with contextlib.suppress(OutputBusyError), output_lock(output, refresh=settings.refresh):
            won.append(number)
            _meet(output, "tried", settings)
            continue
        _meet(output, "tried", settings)
    return json.dumps(won)


def _meet(output: Path, word: str, settings: Runner) -> None:
    """Wait until all processes have come to the same point."""
    output.with_name(f"{output.name}-{word}-{settings.number}").touch()
    while sum(1 for _ in output.parent.glob(f"{output.name}-{word}-*")) < 4:
        time.sleep(0.0005)


def main() -> None:
    """Do the task of the settings, and print what came of it."""
    settings = replace(Runner("", ""), **json.loads(sys.argv[1]))
    _pretend(settings)
    print({"hold": _hold, "contend": _contend, "race": _race}[settings.task](settings), flush=True)


if __name__ == "__main__":
    main()
