"""A Dask scheduler that only those can use and watch who are told how."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.metrics import time
from tornado.ioloop import PeriodicCallback
from tornado.routing import PathMatches, Rule
from tornado.web import HTTPError, RequestHandler

__all__ = ["PrivateScheduler"]

_LOOK = 5.0
"""Seconds between two looks at which workers have not been heard of for too long."""

_ASLEEP = 5.0
"""Seconds by which a look comes late after which this process was stopped itself, as by Ctrl-Z."""


class PrivateScheduler(Scheduler):  # type: ignore[misc]  # Dask has few types
    """A scheduler that tells when workers come and go, and whose dashboard has a secret address."""

    on_change: Callable[[], object] | None = None

    def __init__(self, *, http_prefix: str, **options: Any) -> None:
        self._prefix = http_prefix.strip("/")
        super().__init__(http_prefix=http_prefix, **options)
        self.add_plugin(_Watch(self), name="dynvision-watch")
        self._looked, self._woke = time(), float("-inf")
        # Dask looks once in three minutes, which is too seldom to notice that this process was stopped for as long.
        self.periodic_callbacks["worker-ttl"] = PeriodicCallback(self.check_worker_ttl, 1000 * _LOOK)

    async def check_worker_ttl(self) -> None:
        """Remove the workers that have not been heard of for long, unless it is this process that did not listen.

        What workers sent while it was stopped is read after the first look. So all of them have their full time again.
        """
        now = time()
        if now - self._looked > _LOOK + _ASLEEP:
            self._woke = now
        self._looked = now
        if now - self._woke > self.worker_ttl:
            await super().check_worker_ttl()

    @property
    def link(self) -> str:
        """The dashboard."""
        server: Any = self.http_server
        return f"http://{server.address}:{server.port}/{self._prefix}/status"

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Start the dashboard's server. It knows no address but the secret ones; others would lead to them."""
        super().start_http_server(*arguments, **options)
        others = Rule(PathMatches(rf"/(?!{re.escape(self._prefix)}/).*"), _Nothing)
        self.http_application.default_router.rules.insert(0, others)


class _Nothing(RequestHandler):
    """A page that does not exist."""

    def prepare(self) -> None:
        raise HTTPError(404)


class _Watch(SchedulerPlugin):  # type: ignore[misc]  # Dask has few types
    def __init__(self, scheduler: PrivateScheduler) -> None:
        self._scheduler = scheduler

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        self._tell()

    def remove_worker(self, scheduler: Scheduler, worker: str, *, stimulus_id: str, **options: Any) -> None:
        self._tell()

    def _tell(self) -> None:
        if self._scheduler.on_change is not None:
            self._scheduler.on_change()
