"""A thread with Dask's scheduler and client in it. What happens there comes out as events, in one queue."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
import secrets
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from dynvision.engines.attempts import Attempt
from dynvision.engines.events import Broken, Ended, Event, Said, SilenceChanged, SilenceWatch, Started, WorkersChanged
from dynvision.engines.worker import run_call
from dynvision.engines.workforce import WorkerProcess
from dynvision.errors import ConfigError, DynvisionError

if TYPE_CHECKING:
    from distributed import Client, Scheduler, Security

__all__ = ["Hub"]

T = TypeVar("T")

_LOOK = 1.0
"""Seconds between two looks at the workers of a scheduler that is not ours; our own one tells."""

PATIENCE = 10.0
"""Seconds that a scheduler may take to answer."""

_CLOSING = 0.8
"""Seconds that the client, and then the scheduler, may take to say goodbye."""


class Hub:
    """Dask's loop in a thread of its own.

    Args:
        run: A name that no other run has.
        events: Where what happens is put.
    """

    def __init__(self, run: str, events: queue.SimpleQueue[Event]) -> None:
        self.link: str | None = None
        self.address = ""
        self._topic = f"dynvision-{run}"
        self._events = events
        self._opened: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread: threading.Thread | None = None
        self._running: dict[str, asyncio.Task[None]] = {}
        self._client: Client | None = None
        self._scheduler: Scheduler | None = None
        self._workers: tuple[WorkerProcess, ...] = ()
        self._silence, self._silent = SilenceWatch(), frozenset[str]()

    def start_scheduler(self, host: str, security: Security) -> None:
        """Start a scheduler that listens on one address only, and connect to it.

        Raises:
            ConfigError: If it cannot listen there.
        """
        self._start(lambda: self._open_scheduler(host, security))

    def connect(self, address: str, security: Security | None) -> None:
        """Connect to a running scheduler.

        Raises:
            ConfigError: If none answers there.
        """
        self._start(lambda: self._open_client(address, security))

    @property
    def workers(self) -> tuple[WorkerProcess, ...]:
        """The workers that are connected."""
        return self._workers

    def send(self, key: str, attempt: Attempt, worker: str) -> None:
        """Give a call to a worker. Its end is an event, unless it is dropped before."""
        order = {
            "key": key,
            "topic": self._topic,
            "function": attempt.call.function,
            "arguments": attempt.arguments,
        }
        self._loop.call_soon_threadsafe(self._send, key, order, worker)

    def drop(self, key: str) -> None:
        """Forget a call; a worker that computes it interrupts it."""
        self._loop.call_soon_threadsafe(self._drop, key)

    def ask(self, function: Callable[..., T], *arguments: Any, workers: list[str], seconds: float) -> dict[str, Any]:
        """Call a function in the processes of workers, beside what they compute.

        Returns:
            For each address what it returned, or the exception that it raised.

        Raises:
            TimeoutError: If they do not answer.
        """

        async def ask() -> dict[str, Any]:
            assert self._client is not None
            answers: Any = self._client.run(function, *arguments, workers=workers, on_error="return")
            return dict(await asyncio.wait_for(answers, seconds))

        return self._wait(ask(), seconds + 1)

    def close(self) -> None:
        """Close client and scheduler, and end the thread."""
        if self._thread is None:
            return
        with contextlib.suppress(RuntimeError):  # The loop has ended by itself.
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(3 * _CLOSING)

    def _wait(self, job: Coroutine[Any, Any, T], seconds: float) -> T:
        return asyncio.run_coroutine_threadsafe(job, self._loop).result(seconds)

    def _start(self, opening: Callable[[], Awaitable[None]]) -> None:
        # A daemon, so that a controller that is interrupted while it closes does not wait for it for ever.
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._live(opening)), name="dynvision-engine", daemon=True
        )
        self._thread.start()
        self._opened.result()

    async def _live(self, opening: Callable[[], Awaitable[None]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(_log_exception)
        self._stop = asyncio.Event()
        try:
            await opening()
        except BaseException as error:  # noqa: BLE001  # it is raised in the thread that waits for it
            await self._close()
            self._opened.set_exception(error)
            return
        self._opened.set_result(None)
        watch = asyncio.create_task(self._watch())
        await self._stop.wait()
        watch.cancel()
        await self._close()

    async def _open_scheduler(self, host: str, security: Security) -> None:
        from dynvision.engines.private_scheduler import PrivateScheduler

        try:
            scheduler = PrivateScheduler(
                security=security,
                host=host,
                protocol="tls",
                port=0,
                dashboard_address=f"{host}:0",
                # Whoever does not know this cannot see the dashboard, which has no other protection.
                http_prefix=f"/{secrets.token_urlsafe(16)}/",
            )
            scheduler.on_change = self._look_at_own
            self._scheduler = scheduler
            await scheduler
        except OSError as error:
            raise ConfigError(
                f"no scheduler can listen on {host} ({error}). Set 'interface' to one of this machine's network "
                "interfaces."
            ) from error
        self.link = scheduler.link
        await self._open_client(scheduler.address, security)

    async def _open_client(self, address: str, security: Security | None) -> None:
        from distributed import Client

        client = Client(
            address, security=security, asynchronous=True, set_as_default=False, timeout=PATIENCE, name="dynvision"
        )
        self._client = client
        try:
            # Dask waits for ever for what listens there and does not speak as a scheduler does.
            await asyncio.wait_for(client, 2 * PATIENCE)
        except (OSError, TimeoutError, ValueError, RuntimeError, TypeError) as error:
            is_mute = isinstance(error, TimeoutError) and not str(error)
            why = "what listens there does not speak as one does" if is_mute else _short(error)
            raise ConfigError(
                f"no Dask scheduler answers at {address} ({why}). Check the setting 'address', whether it "
                "runs, and, if it begins with tls://, the setting 'certificates'."
            ) from error
        self.address = address
        client.subscribe_topic(self._topic, self._on_message)
        if self._scheduler is None:
            self.link = client.dashboard_link
            await self._look_at_other()

    async def _close(self) -> None:
        for task in self._running.values():
            task.cancel()
        for part in (self._client, self._scheduler):
            if part is not None:
                with contextlib.suppress(Exception):
                    closing: Any = part.close(timeout=_CLOSING)
                    await asyncio.wait_for(closing, _CLOSING)

    async def _watch(self) -> None:
        """Look at the workers of another's scheduler now and then, and notice if it is gone."""
        lost = 0.0
        while True:
            await asyncio.sleep(_LOOK)
            assert self._client is not None
            lost = 0.0 if self._client.status == "running" else lost + _LOOK
            if lost > 30 * _LOOK:
                gone = f"the Dask scheduler at {self.address} does not answer any more. What was finished is kept."
                self._events.put(Broken(DynvisionError(gone)))
                return
            if self._scheduler is not None:
                self._tell_silence({address: state.last_seen for address, state in self._scheduler.workers.items()})
            elif not lost:
                with contextlib.suppress(OSError, asyncio.TimeoutError):
                    await self._look_at_other()

    def _look_at_own(self) -> None:
        assert self._scheduler is not None
        self._tell_workers(
            WorkerProcess(address, str(state.name), dict(state.resources))
            for address, state in self._scheduler.workers.items()
        )

    async def _look_at_other(self) -> None:
        assert self._client is not None
        identity = self._client.scheduler.identity
        try:
            workers = (await identity(n_workers=-1))["workers"]
        except TypeError:  # Older versions always return all of them.
            workers = (await identity())["workers"]
        self._tell_workers(
            WorkerProcess(address, str(worker["name"]), dict(worker.get("resources", {})))
            for address, worker in workers.items()
        )
        self._tell_silence({address: worker.get("last_seen", 0.0) for address, worker in workers.items()})

    def _tell_workers(self, workers: Any) -> None:
        now = tuple(workers)
        if now != self._workers:
            self._workers = now
            self._events.put(WorkersChanged(now))

    def _tell_silence(self, last_seen: dict[str, float]) -> None:
        silent = self._silence.look(last_seen)
        if silent != self._silent:
            self._silent = silent
            self._events.put(SilenceChanged(silent))

    def _on_message(self, event: tuple[float, Any]) -> None:
        message = event[1]
        if "line" in message:
            self._events.put(Said(message["key"], message["line"]))
        else:
            self._events.put(Started(message["key"], message["where"]))

    def _send(self, key: str, order: dict[str, Any], worker: str) -> None:
        self._running[key] = asyncio.create_task(self._run(key, order, worker))

    def _drop(self, key: str) -> None:
        task = self._running.pop(key, None)
        if task is not None:
            task.cancel()

    async def _run(self, key: str, order: dict[str, Any], worker: str) -> None:
        from distributed.scheduler import KilledWorker

        assert self._client is not None
        future = self._client.submit(run_call, order, key=key, workers=[worker], pure=False)
        answer: dict[str, Any] | None
        try:
            answer = await future
        except KilledWorker:
            answer = None
        except asyncio.CancelledError:
            if self._running.pop(key, None) is not None:  # Dask cancelled it, because its worker was closed.
                self._events.put(Ended(key, None))
            raise
        except Exception as error:  # noqa: BLE001  # whatever Dask cannot do with it becomes the call's error
            answer = {"error": "DynvisionError", "message": f"the worker cannot compute it: {_short(error)}"}
        finally:
            future.release()
        self._running.pop(key, None)
        self._events.put(Ended(key, answer))


def _short(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__


def _log_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what failed in the loop beside Dask's own messages, and not on the terminal."""
    import logging

    logging.getLogger("distributed.dynvision").error("%s", context.get("message"), exc_info=context.get("exception"))
