"""Functions that engines call in tests: they sleep, fail, die, allocate, or report where they run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from dynvision.errors import ConfigError
from dynvision.system.progress import tell_listeners


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def echo(value: Any) -> Any:
    return value


def pid() -> int:
    return os.getpid()


def fail(text: str) -> None:
    raise ConfigError(text)


def fail_unexpectedly() -> None:
    raise RuntimeError("a library's own error")


def say(lines: list[str]) -> str:
    for line in lines:
        tell_listeners(line)
    return "said"


def die(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(10)


def die_unless_noted(note: str, number: int, times: int = 1) -> int:
    """Die so many times, then return how often it was called."""
    calls = count_call(note)
    if calls <= times:
        die(number)
    return calls


def kill_worker_unless_noted(note: str, times: int = 1) -> int:
    """Kill the worker of this child so many times, then return how often it was called."""
    calls = count_call(note)
    if calls <= times:
        sys.stderr.write("the last words\n")
        sys.stderr.flush()
        time.sleep(0.2)
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    return calls


def stop_worker(seconds: float) -> str:
    """Stop the worker of this process for a while, as a machine that hangs does."""
    os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(os.getppid(), signal.SIGCONT)
    return "it goes on"


def count_call(note: str) -> int:
    """Add a byte to a file, and return how many there are."""
    with Path(note).open("ab") as file:
        file.write(b".")
    return Path(note).stat().st_size


def write_after(note: str, seconds: float) -> str:
    """Start a process, note both, sleep, and add a word to the note."""
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(note).write_text(f"{os.getpid()} {helper.pid}")
    try:
        time.sleep(seconds)
    except KeyboardInterrupt:
        Path(note).with_suffix(".interrupted").touch()
        raise
    Path(note).with_suffix(".finished").touch()
    helper.kill()
    return "finished"


def run_out_of_memory() -> None:
    raise MemoryError


def environment(names: list[str]) -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in names}


def numpy_threads() -> int:
    import torch

    return torch.get_num_threads()


def ignore_interruptions(note: str) -> None:
    """Refuse to end when told to, and note this process and one that it started."""
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(note).write_text(f"{os.getpid()} {helper.pid}")
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(60)


def pid_slowly(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def environment_slowly(names: list[str], seconds: float) -> dict[str, str | None]:
    time.sleep(seconds)
    return environment(names)


def kill_the_worker_of(note: str, seconds: float) -> int:
    """Note the worker, sleep, and return it."""
    Path(note).write_text(str(os.getppid()))
    time.sleep(seconds)
    return os.getppid()


def is_taken_for_many() -> bool:
    """Whether Lightning believes that Slurm has started this process as one of many."""
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

    return bool(SLURMEnvironment.detect())


def imported(module: str) -> bool:
    """Whether the process had a module before it was called."""
    return module in sys.modules


def draw_slowly(seconds: float) -> tuple[int, float]:
    """This process, and a number of NumPy's own generator, which nobody has seeded."""
    import numpy as np

    time.sleep(seconds)
    return os.getpid(), float(np.random.random())
