"""The workers of a Dask cluster that somebody else has started."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

from dynvision.engines.calls import Resources
from dynvision.engines.hub import Hub
from dynvision.engines.settings import EngineSettings
from dynvision.engines.worker import describe_worker
from dynvision.engines.workforce import Demand, Door, Loss, WorkerProcess, Workforce
from dynvision.errors import ConfigError

__all__ = ["RunningCluster"]

_PATIENCE = 60.0
"""Seconds that workers may take to describe themselves; they import this project first."""


class RunningCluster(Workforce):
    """The workers of a running scheduler. None is started or stopped.

    Args:
        settings: The address, and the folder of the root.
        hub: The connection to it.
    """

    may_grow = True

    def __init__(self, settings: EngineSettings, hub: Hub) -> None:
        self._address, self._folder, self._patience = settings.address, settings.folder, settings.queue_wait
        self._hub = hub
        self._known: set[str] = set()
        self._most_gpus, self._has_cpus = 0.0, True
        self._said_gpus, self._said_none = 0, False
        self._alone_since: float | None = None
        self.slots = 1

    def open(self, door: Door) -> None:
        """Do nothing: the workers are there."""

    def adjust(self, demands: Sequence[Demand], workers: Sequence[WorkerProcess], busy: frozenset[str]) -> list[str]:
        self.slots = max(1, len(workers))
        new = [worker for worker in workers if worker.address not in self._known]
        if new:
            self._check(new)
        offers = [worker.offers.get("gpu", 0) for worker in workers]
        most = max(offers, default=0)
        # Who had a GPU once gets one again: a worker with one may be lost, and come back.
        self._most_gpus, self._has_cpus = max(self._most_gpus, most), 0 in offers
        if workers or not demands:
            self._alone_since = None
            return self._tell_of_gpus(demands, most)
        self._alone_since = self._alone_since or time.monotonic()
        if time.monotonic() - self._alone_since < self._patience:
            return []
        self._alone_since = time.monotonic() + 3600  # It is said once an hour.
        return [f"the Dask scheduler at {self._address} has no worker; waiting for one"]

    def takes(self, worker: WorkerProcess, resources: Resources) -> bool:
        if worker.address not in self._known:
            return False
        offered = worker.offers.get("gpu", 0)
        if resources.gpus and self._most_gpus:
            return offered >= resources.gpus
        # A GPU is kept for those that need it, unless all workers have one.
        return not offered or not self._has_cpus

    def _tell_of_gpus(self, demands: Sequence[Demand], most: float) -> list[str]:
        """Say once which calls wait for a worker with more GPUs than any has, or run without one.

        Args:
            demands: What is needed.
            most: How many GPUs the best worker offers now.
        """
        if not self._most_gpus:
            if self._said_none or not any(demand.resources.gpus for demand in demands):
                return []
            self._said_none = True
            return [
                f"a target asks for a GPU, and no worker of {self._address} says that it has one: any of them computes "
                "it. Start those that have one with --resources gpu=1"
            ]
        wanted = max((demand.resources.gpus for demand in demands if demand.waiting), default=0)
        if wanted <= most:
            self._said_gpus = 0
            return []
        if wanted <= self._said_gpus:
            return []
        self._said_gpus = wanted
        offer = f"{most:g} at most" if most else "none now"
        return [
            f"a target asks for {wanted} GPU{'s' if wanted > 1 else ''}, and the workers of {self._address} offer "
            f"{offer}; waiting for one that was started with --resources gpu={wanted}"
        ]

    def explain_loss(self, worker: WorkerProcess) -> Loss:
        return Loss("lost", f"worker {worker.name} ({worker.address}) is not connected any more")

    def close(self) -> None:
        """Do nothing: the workers are not ours."""

    def _check(self, workers: Sequence[WorkerProcess]) -> None:
        """Check that workers can compute what they are given.

        Raises:
            ConfigError: If one of them has other versions, or does not see the root.
        """
        nonce, file = secrets.token_hex(16), (self._folder / f"nonce-{secrets.token_hex(8)}").absolute()
        self._folder.mkdir(parents=True, exist_ok=True)
        file.write_text(nonce)
        addresses = [worker.address for worker in workers]
        try:
            answers = self._hub.ask(describe_worker, nonce, [str(file)], workers=addresses, seconds=_PATIENCE)
        except TimeoutError:
            raise ConfigError(
                f"the workers of {self._address} have not answered within {_PATIENCE:.0f} s. Restart them."
            ) from None
        finally:
            file.unlink(missing_ok=True)
        here = describe_worker(nonce, [])["versions"]
        for worker in workers:
            if worker.address in answers:  # Otherwise it has ended meanwhile.
                self._check_answer(worker, answers[worker.address], here)
                self._known.add(worker.address)

    def _check_answer(self, worker: WorkerProcess, answer: Any, here: dict[str, str]) -> None:
        who = f"worker {worker.name} of {self._address}"
        if isinstance(answer, BaseException):
            raise ConfigError(
                f"{who} cannot use this project ({type(answer).__name__}: {str(answer)[:200]}). Install the same "
                "dynvision-assets there, with the extra [cluster], and restart it."
            )
        different = [name for name, version in here.items() if answer["versions"].get(name) != version]
        if different:
            name = different[0]
            raise ConfigError(
                f"{who} has {name} {answer['versions'].get(name)}, and this machine {here[name]}. Install the same "
                "version on both, and restart the worker."
            )
        if not answer["root"]:
            raise ConfigError(
                f"{who} (on {answer['host']}) does not see the folder {self._folder.absolute()}. The root has to be on "
                "a file system that all machines share, at the same path."
            )
