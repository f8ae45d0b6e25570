"""Machines made of namespaces of this one: each has its own network, name, processes and start of the kernel."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import psutil

__all__ = ["Machine", "two_machines", "why_no_machines"]

NETWORK = "10.98.7"
"""The network between the machines; it exists within their namespaces only."""

_START = """
hostname "$1" && mount --bind "$2" /proc/sys/kernel/random/boot_id && ip link set lo up && echo ready && exec cat
"""
"""The first process of a machine: it ends when its standard input does, and all the others with it."""


class Machine:
    """A machine on which commands can be started.

    Args:
        name: Its host name.
        number: The last part of its address.
        folder: A folder for the file that stands for the id of its start.

    Attributes:
        address: Its address.
    """

    def __init__(self, name: str, number: int, folder: Path) -> None:
        self.name, self.address = name, f"{NETWORK}.{number}"
        self._number = number
        boot = folder / f"{name}.boot_id"
        boot.write_text(f"{uuid.uuid4()}\n")
        spaces = ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command = [*spaces, "sh", "-c", _START, "sh", name, str(boot)]
        self._outer = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._outer.stdout is not None
        assert self._outer.stderr is not None
        if self._outer.stdout.readline() != "ready\n":
            raise OSError(self._outer.stderr.read().strip() or "no machine could be made")
        (first,) = psutil.Process(self._outer.pid).children()
        self.pid = first.pid

    def connect(self, other: Machine) -> None:
        """Lay a cable to another machine, and give both their addresses.

        The cable goes with the machine that ends first. So the addresses are not at its ends: a machine keeps its own.
        """
        self._set("link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", str(other.pid))
        for machine, far in ((self, other), (other, self)):
            machine._set("addr", "add", f"{machine.address}/32", "dev", "lo")
            machine._set("link", "set", "eth0", "up")
            machine._set("route", "add", f"{far.address}/32", "dev", "eth0", "src", machine.address)

    def start(
        self,
        command: list[str],
        *,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        stdout: IO[bytes] | int | None = None,
        stderr: IO[bytes] | int | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a command on it.

        Args:
            command: The command.
            folder: Its working directory.
            environment: Variables besides those of this process.
            stdout: As `subprocess` takes it.
            stderr: As `subprocess` takes it.
        """
        spaces = ["nsenter", "--target", str(self.pid), "--net", "--uts", "--mount", "--pid"]
        return subprocess.Popen(
            [*spaces, *command],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )

    def kill(self) -> None:
        """End everything on it at once, as a power cut does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, 9)
        self._outer.communicate()

    def _set(self, *arguments: str) -> None:
        command = ["nsenter", "--target", str(self.pid), "--net", "ip", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise OSError(done.stderr.strip())


@contextlib.contextmanager
def two_machines(folder: Path) -> Iterator[tuple[Machine, Machine]]:
    """Have two machines that are connected, and end both afterwards; nothing of them stays.

    Args:
        folder: A folder for small files; both machines see all of this one's.
    """
    with contextlib.ExitStack() as stack:
        machines = []
        for number, name in enumerate(("hosta", "hostb"), 1):
            machines.append(Machine(name, number, folder))
            stack.callback(machines[-1].kill)
        first, second = machines
        first.connect(second)
        yield first, second


def why_no_machines(folder: Path) -> str:
    """Say why no machines can be made here; empty if they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root of a Linux system may make namespaces"
    missing = [program for program in ("ip", "unshare", "nsenter", "mount") if shutil.which(program) is None]
    if missing:
        return f"{missing[0]} is not installed"
    try:
        with two_machines(folder):
            return ""
    except OSError as error:
        return f"this system gives no namespaces: {error}"
