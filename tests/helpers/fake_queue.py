"""Commands named like those of Slurm, for what a real one does rarely or slowly: each job is a file with its state."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dynvision.engines.calls import Resources
from dynvision.engines.queues.workforce import QueueWorkforce
from dynvision.engines.settings import EngineSettings
from dynvision.engines.workforce import Demand, Door, WorkerProcess

SCRIPTS = {
    "sbatch": """\
echo "$(env | grep -c '^SLURM_')" >> {folder}/variables
if [ -e {folder}/refusal ]; then cat {folder}/refusal >&2; exit 1; fi
number=$(( $(ls {folder}/jobs | wc -l) + 1 ))
grep -o -- '--name [^ ]*' "$1" | cut -d' ' -f2 > {folder}/names/$number
echo "PENDING|Resources" > {folder}/jobs/$number
echo "Submitted batch job $number"
""",
    "squeue": """\
if [ -e {folder}/silence ]; then echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1; fi
cd {folder}/jobs
for number in *; do echo "$number|$(cat $number)"; done
""",
    "scancel": 'if [ -e {folder}/deaf ]; then echo "scancel: error: slurm is down" >&2; exit 1; fi\n'
    'for number in "$@"; do echo "CANCELLED|None" > {folder}/jobs/$number; done\n',
    "scontrol": 'echo "JobId=$4 JobState=$(cut -d"|" -f1 {folder}/jobs/$4) BatchHost=node1"\n',
}


class FakeQueue:
    """A batch system of files.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("jobs", "names", "bin"):
            (folder / name).mkdir(parents=True)
        for name, text in SCRIPTS.items():
            path = folder / "bin" / name
            path.write_text("#!/bin/sh\n" + text.replace("{folder}", str(folder)))
            path.chmod(0o755)

    def use(self, patch: pytest.MonkeyPatch) -> None:
        """Let commands find it before any other."""
        patch.setenv("PATH", f"{self.folder / 'bin'}:/usr/bin:/bin")

    @property
    def states(self) -> list[str]:
        """The state of each job, in order."""
        paths = sorted((self.folder / "jobs").iterdir(), key=lambda path: int(path.name))
        return [path.read_text().partition("|")[0].strip() for path in paths]

    def set_state(self, number: int, state: str, reason: str = "None") -> None:
        (self.folder / "jobs" / str(number)).write_text(f"{state}|{reason}\n")

    def worker(self, number: int) -> WorkerProcess:
        """The worker of a job, as it is when it has come."""
        name = (self.folder / "names" / str(number)).read_text().strip()
        return WorkerProcess(f"tls://10.0.0.2:{number}", name)

    def refuse(self, words: str | None) -> None:
        path = self.folder / "refusal"
        path.unlink(missing_ok=True)
        if words is not None:
            path.write_text(f"sbatch: error: {words}\n")


class Situation:
    """A workforce on such a queue, with a clock that stands still unless it is told to go on.

    Args:
        queue: The queue.
        folder: The folder of the engine.
        settings: More of the engine's settings.
    """

    def __init__(self, queue: FakeQueue, folder: Path, **settings: object) -> None:
        self.queue, self.now = queue, 1000.0
        self.workers: list[WorkerProcess] = []
        self.busy: set[str] = set()
        self.told: list[str] = []
        chosen = EngineSettings(kind="slurm", folder=folder, **settings)  # type: ignore[arg-type]
        self.workforce = QueueWorkforce(chosen, clock=lambda: self.now)
        self.door = Door("tls://10.0.0.1:1", folder / "tls", folder / "run", folder / "logs", "abc")
        for path in (self.door.credentials, self.door.folder, self.door.logs):
            path.mkdir(parents=True)
        self.workforce.open(self.door)

    def adjust(self, *demands: Demand) -> None:
        self.told += self.workforce.adjust(demands, self.workers, frozenset(self.busy))

    def until(self, is_true: Callable[[], object], *demands: Demand, step: float = 0.0) -> None:
        """Adjust until something is so; the clock goes on by `step` each time."""
        deadline = time.monotonic() + 20
        while True:
            self.adjust(*demands)
            if is_true():
                return
            assert time.monotonic() < deadline, f"it never came: {self.queue.states}, {self.told}"
            time.sleep(0.01)
            self.now += step

    def submitted(self, count: int, *demands: Demand, step: float = 0.0) -> None:
        """Adjust until there have been so many jobs, and all have their numbers."""
        self.until(lambda: len(self.queue.states) == count, *demands, step=step)
        self.until(lambda: all(job.number for job in self.workforce._jobs.values()), *demands)

    def connect(self, *numbers: int, busy: Sequence[int] = ()) -> None:
        """Let the workers of jobs be there, and of these some compute."""
        for number in numbers:
            self.queue.set_state(number, "RUNNING")
        self.workers = [self.queue.worker(number) for number in numbers]
        self.busy = {self.queue.worker(number).name for number in busy}


def demand(resources: Resources, waiting: int = 1, running: int = 0, priority: int = 0) -> Demand:
    return Demand(resources, waiting, running, priority)
