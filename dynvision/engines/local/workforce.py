"""The workers of this machine: one for each share of the cores, and one for each GPU."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dynvision.engines.calls import Resources
from dynvision.engines.interfaces import LOOPBACK
from dynvision.engines.local.arrivals import Arrivals
from dynvision.engines.local.gpus import choose_gpus
from dynvision.engines.local.nursery_process import start_nursery
from dynvision.engines.settings import EngineSettings
from dynvision.engines.worker_main import WorkerOptions
from dynvision.engines.workforce import Demand, Door, Loss, WorkerProcess, Workforce
from dynvision.errors import DynvisionError
from dynvision.system.machine import available_memory, usable_cores, whole_memory
from dynvision.system.process_trees import kill_tree

__all__ = ["LocalWorkforce"]

_MEMORY = 3 << 30
"""Bytes that a recording of a small network takes; more workers than fit are not started unless asked for."""

_MOST_FAILURES = 3
"""So many workers of one kind may end one after another without ever having been connected."""

_SILENCE = 5.0
"""Seconds after which the place of a worker that is not connected any more is free, though nothing reports its end."""

_PATIENCE = 3.5
"""Seconds that all workers may take to end."""


@dataclass(frozen=True)
class _Slot:
    """A place for one worker: its name without a number, and its GPU in the words of CUDA; `None` for the CPU."""

    name: str
    gpu: str | None


class LocalWorkforce(Workforce):
    """Workers of this machine, which start when there is work for them and then stay.

    Args:
        settings: How many, and which GPUs.
        clock: The time in seconds by which workers come; tests have their own.

    Raises:
        ConfigError: If a GPU is named that is not there.
    """

    def __init__(self, settings: EngineSettings, clock: Callable[[], float] = time.monotonic) -> None:
        gpus = choose_gpus(settings.gpus)
        count = settings.workers or max(1, min(usable_cores(), available_memory() // _MEMORY))
        shared = max(len(gpus), count) if settings.share_gpus and gpus else len(gpus)
        self._most = settings.workers or shared + count  # that compute at once; of a kind there may be as many
        shared = min(shared, self._most)
        self._gpu_slots = [_Slot(f"gpu-{i}", gpus[i % len(gpus)]) for i in range(shared)]
        self._cpu_slots = [_Slot(f"cpu-{i}", None) for i in range(count)]
        self._memory = whole_memory()
        self._threads = max(1, usable_cores() // count)
        self.slots = min(self._most, shared + count)
        self._nursery: subprocess.Popen[bytes] | None = None
        self._door: Door | None = None
        self._names: dict[_Slot, str] = {}
        self._numbers = itertools.count(1)
        self._ends: dict[str, tuple[int, int]] = {}
        self._met: set[str] = set()
        self._arrivals = Arrivals(clock)
        self._silent: dict[str, float] = {}
        self._failed: dict[bool, list[str]] = {True: [], False: []}
        self._said: set[str] = set()

    def slots_for(self, resources: Resources) -> int:
        slots = len(self._slots(self._wants_gpu(resources)))
        return slots if not resources.memory else max(1, min(slots, self._memory // resources.memory))

    def refusal(self, resources: Resources) -> str:
        if resources.memory is not None and resources.memory > self._memory:
            return (
                f"it asks for {_show(resources.memory)} of memory, and this machine has {_show(self._memory)}. Give it "
                "less 'memory' in config_compute.yaml, or choose another engine."
            )
        if resources.gpus > 1:
            return (
                f"it asks for {resources.gpus} GPUs, and on this machine a target is computed on one. Write 'gpus: 1' "
                "in config_compute.yaml, or choose another engine."
            )
        return ""

    def has_room(self, resources: Resources, running: Sequence[Resources]) -> bool:
        if len(running) >= self._most:
            return False
        return not resources.memory or sum(r.memory or 0 for r in running) + resources.memory <= self._memory

    def prepare(self) -> None:
        self._nursery = start_nursery()
        threading.Thread(target=self._listen, args=(self._nursery,), name="dynvision-workers", daemon=True).start()

    def open(self, door: Door) -> None:
        self._door = door

    def meet(self, worker: WorkerProcess) -> None:
        self._met.add(worker.name)
        self._arrivals.note_arrival()

    def adjust(self, demands: Sequence[Demand], workers: Sequence[WorkerProcess], busy: frozenset[str]) -> list[str]:
        missing = [name for name in self._names.values() if name not in self._met and name not in self._ends]
        hanging, told = self._arrivals.end_hanging(missing, self._log)
        self._ends.update((name, (pid, -signal.SIGKILL)) for name, pid in hanging.items())
        self._forget_ended({worker.name for worker in workers})
        if not self._gpu_slots and any(demand.resources.gpus for demand in demands):
            told.append("a GPU is asked for, but this machine has none that can be used: it is computed on the CPU")
        for wants_gpu in (True, False):
            mine = [demand for demand in demands if self._wants_gpu(demand.resources) == wants_gpu]
            wanted = sum(demand.waiting + demand.running for demand in mine)
            for slot in self._slots(wants_gpu)[:wanted]:
                if slot not in self._names and len(self._failed[wants_gpu]) < _MOST_FAILURES:
                    self._start(slot)
            told += self._tell_of_failures(wants_gpu, any(demand.waiting for demand in mine), bool(busy))
        told += self._tell_of_memory(demands)
        new = [line for line in told if line not in self._said]
        self._said.update(new)
        return new

    def _tell_of_failures(self, gpu: bool, are_waiting: bool, is_busy: bool) -> list[str]:
        """Say that calls of one kind wait in vain, as long as workers compute others.

        Args:
            gpu: Whether it is the kind that has a GPU.
            are_waiting: Whether calls of that kind wait.
            is_busy: Whether any worker computes; what it computes is waited for.

        Raises:
            DynvisionError: If nothing else is computed.
        """
        failed = self._failed[gpu]
        is_there = any(slot in self._names for slot in self._slots(gpu))  # Then those that work do it all.
        if len(failed) < _MOST_FAILURES or is_there or not are_waiting:
            return []
        kind = f" {'with' if gpu else 'without'} a GPU" if self._gpu_slots else ""
        sentence = (
            f"workers{kind} cannot be started: {len(failed)} ended one after another before they could be used. The "
            f"last one's log is {self._log(failed[-1])}"
        )
        if not is_busy:
            raise DynvisionError(f"{sentence}.")
        return [f"{sentence}; what other workers compute goes on"]

    def _tell_of_memory(self, demands: Sequence[Demand]) -> list[str]:
        """Say which calls wait for memory, though there is a worker for them."""
        used = sum(demand.running * (demand.resources.memory or 0) for demand in demands)
        for gpu in (True, False):
            mine = [demand for demand in demands if self._wants_gpu(demand.resources) == gpu]
            if sum(demand.running for demand in mine) < len(self._slots(gpu)):
                for memory in (demand.resources.memory for demand in mine if demand.waiting):
                    if memory and used + memory > self._memory:
                        return [
                            f"targets that ask for {_show(memory)} of memory wait for each other: this machine has "
                            f"{_show(self._memory)}"
                        ]
        return []

    def takes(self, worker: WorkerProcess, resources: Resources) -> bool:
        return worker.name.startswith("gpu-") == self._wants_gpu(resources)

    def explain_loss(self, worker: WorkerProcess) -> Loss:
        deadline = time.monotonic() + 1.0
        while worker.name not in self._ends and time.monotonic() < deadline:
            time.sleep(0.02)
        if worker.name not in self._ends:
            return Loss("lost", f"worker {worker.name} does not answer any more")
        pid, code = self._ends[worker.name]
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return Loss("lost", f"its worker (process {pid}) {how}")

    def log(self, worker: WorkerProcess) -> Path | None:
        return self._log(worker.name)

    def close(self) -> None:
        nursery, self._nursery = self._nursery, None
        if nursery is None:
            return
        assert nursery.stdin is not None
        with contextlib.suppress(OSError):
            nursery.stdin.close()
        try:
            nursery.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            kill_tree(nursery.pid)
            with contextlib.suppress(subprocess.TimeoutExpired):
                nursery.wait(0.5)

    def _slots(self, gpu: bool) -> list[_Slot]:
        return self._gpu_slots if gpu else self._cpu_slots

    def _wants_gpu(self, resources: Resources) -> bool:
        return (resources.gpus > 0 or resources.gpu_if_there) and bool(self._gpu_slots)

    def _log(self, name: str) -> Path | None:
        return self._door.logs / f"{self._door.run}-{name}.log" if self._door is not None else None

    def _start(self, slot: _Slot) -> None:
        assert self._door is not None
        assert self._nursery is not None
        assert self._nursery.stdin is not None
        name = f"{slot.name}-{next(self._numbers)}"
        scratch = self._door.folder / name
        scratch.mkdir(mode=0o700)
        options = WorkerOptions(
            address=self._door.address,
            credentials=self._door.credentials,
            name=name,
            host=LOOPBACK,
            threads=self._threads,
            resources={"gpu": 1.0} if slot.gpu is not None else {},
            scratch=scratch,
        )
        order = {
            "name": name,
            "log": str(self._log(name)),
            "environment": {"CUDA_VISIBLE_DEVICES": slot.gpu or ""},
            "options": asdict(options),
        }
        try:
            self._nursery.stdin.write(json.dumps(order, default=str).encode() + b"\n")
        except OSError:
            raise DynvisionError(
                f"the process that starts workers has ended ({self._nursery.poll()}); its last words are above. What "
                "was finished is kept; run this again."
            ) from None
        self._names[slot] = name

    def _forget_ended(self, connected: set[str]) -> None:
        """Free the slots of workers that have ended or are not connected any more, so that new ones start.

        Args:
            connected: The names of the workers that are connected.
        """
        for slot, name in list(self._names.items()):
            if name not in self._ends and not self._is_lost(name, connected):
                continue
            del self._names[slot]
            failed = self._failed[slot.gpu is not None]
            if name in self._met:
                failed.clear()
            else:
                failed.append(name)

    def _is_lost(self, name: str, connected: set[str]) -> bool:
        """Whether a worker is gone without a word: who would report its end was killed, or it was stopped."""
        if name in connected:
            self._silent.pop(name, None)
            return False
        if self._nursery is not None and self._nursery.poll() is not None:
            return True
        now = time.monotonic()
        return name in self._met and now - self._silent.setdefault(name, now) > _SILENCE

    def _listen(self, nursery: subprocess.Popen[bytes]) -> None:
        """Note which workers were started, and which have ended."""
        assert nursery.stdout is not None
        with nursery.stdout:
            for line in nursery.stdout:
                with contextlib.suppress(ValueError, KeyError):
                    said = json.loads(line)
                    self._arrivals.note_start(said["name"], said["pid"])
                    self._ends[said["name"]] = (said["pid"], said["code"])  # It has no code while it runs.


def _show(memory: int) -> str:
    return f"{memory / (1 << 30):.3g}G"
