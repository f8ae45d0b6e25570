"""The engines that use Dask: this machine's cores and GPUs, the jobs of a cluster, or a running scheduler."""

from __future__ import annotations

import contextlib
import dataclasses
import pkgutil
import queue
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dynvision.engines.base import Engine
from dynvision.engines.calls import Call, Outcome, Resources
from dynvision.engines.credentials import CERTIFICATE, KEY, ROOT, make_credentials, read_credentials
from dynvision.engines.dask_use import check_installed, use_dask
from dynvision.engines.dispatcher import Dispatcher, Failed, Message, as_own_error
from dynvision.engines.events import Event, Submitted
from dynvision.engines.here_thread import HereThread
from dynvision.engines.hub import Hub
from dynvision.engines.interfaces import LOOPBACK, address_of
from dynvision.engines.run_folders import make_run_folder, remove_leftovers, tidy_logs
from dynvision.engines.running_cluster import RunningCluster
from dynvision.engines.settings import HERE, QUEUES, EngineSettings
from dynvision.engines.workforce import Door, Workforce
from dynvision.errors import ConfigError, unknown_name
from dynvision.system.stopping import hold_signals

if TYPE_CHECKING:
    from distributed import Security

__all__ = ["DistributedEngine"]

_WORKFORCES = {
    "local": "dynvision.engines.local.workforce:LocalWorkforce",
    **dict.fromkeys(QUEUES, "dynvision.engines.queues.workforce:QueueWorkforce"),
}
"""For each kind of engine with a scheduler of its own the class of its workers, which takes the settings."""


class DistributedEngine(Engine):
    """Computes calls on Dask workers. One thread runs Dask, another gives calls to workers; `wait` only listens.

    Args:
        settings: Where the workers are.

    Raises:
        ConfigError: If a package is missing, or the machine does not have what the settings name.
    """

    def __init__(self, settings: EngineSettings) -> None:
        check_installed()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._outstanding = 0
        self._here: HereThread | None = None
        self._is_local = settings.kind == "local"
        self._closing = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self._open(settings, stack)
            self._closing = stack.pop_all()

    @property
    def has_one_place(self) -> bool:
        return self.slots == 1 and not self._workforce.may_grow

    def slots_for(self, resources: Resources, here: bool = False) -> int:
        return 1 if here and not self._is_local else self._workforce.slots_for(resources)

    def refusal(self, resources: Resources, here: bool = False) -> str:
        return "" if here and not self._is_local else self._workforce.refusal(resources)

    @property
    def has_calls(self) -> bool:
        return self._outstanding > 0

    def submit(self, call: Call) -> None:
        self.check_open()
        self._outstanding += 1
        if not self._is_local:  # Whether a GPU is there is known of this machine alone.
            attempts = tuple(dataclasses.replace(attempt, gpu_if_there=False) for attempt in call.attempts)
            call = dataclasses.replace(call, attempts=attempts)
        if call.here and not self._is_local:
            if self._here is None:
                self._here = HereThread(self._messages)
                self._closing.callback(self._here.close)
            self._here.submit(call)
        else:
            self._events.put(Submitted(call))

    def wait(self, tell: Callable[[str], object] | None = None) -> Outcome:
        self.check_waits()
        try:
            while True:
                # A timeout lets signals through on every system.
                with contextlib.suppress(queue.Empty):
                    message = self._messages.get(timeout=1.0)
                    if isinstance(message, Outcome):
                        self._outstanding -= 1
                        return message
                    if isinstance(message, Failed):
                        raise as_own_error(message.error)
                    if tell is not None:
                        tell(message.text)
                self.slots = self._workforce.slots
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.is_closed = True
        with hold_signals(drop=False):  # A second Ctrl-C must not leave half of it running.
            self._closing.close()

    def _open(self, settings: EngineSettings, stack: contextlib.ExitStack) -> None:
        """Start what is needed; each part is closed with the stack, the last one first."""
        run = secrets.token_hex(6)
        logs = settings.folder.absolute() / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        hub = Hub(run, self._events)
        self._workforce = workforce = make_workforce(settings, hub)
        stack.callback(workforce.close)
        workforce.prepare()
        stack.callback(tidy_logs, logs, run)
        stack.enter_context(use_dask(logs / f"{run}-dask.log"))
        if settings.kind == "address":
            self._connect(settings, hub, stack)
        else:
            self._start_scheduler(settings, hub, run, stack)
        dispatcher = Dispatcher(hub, workforce, self._events, self._messages)
        stack.callback(dispatcher.close)
        dispatcher.start()
        self.slots, self.link = workforce.slots, hub.link

    def _start_scheduler(self, settings: EngineSettings, hub: Hub, run: str, stack: contextlib.ExitStack) -> None:
        remove_leftovers(settings.folder.absolute())
        folder = make_run_folder(settings.folder.absolute(), run)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        make_credentials(folder / "tls")
        host = LOOPBACK if self._is_local else address_of(settings.interface)
        stack.callback(hub.close)
        hub.start_scheduler(host, read_credentials(folder / "tls"))
        # The scheduler closes its connections after the workers have ended, so that it does not report losses.
        stack.callback(self._workforce.close)
        logs = settings.folder.absolute() / "logs"
        self._workforce.open(Door(hub.address, folder / "tls", folder, logs, run))

    def _connect(self, settings: EngineSettings, hub: Hub, stack: contextlib.ExitStack) -> None:
        if settings.address is None:
            raise ConfigError("the engine 'address' needs the setting 'address', such as tls://10.0.0.1:8786.")
        security = None
        if settings.address.startswith("tls://"):
            if settings.certificates is None:
                raise ConfigError(
                    f"{settings.address} needs the setting 'certificates': a folder with ca.pem, cert.pem and key.pem."
                )
            security = _read_certificates(settings.certificates)
        stack.callback(hub.close)
        hub.connect(settings.address, security)
        workers = hub.workers
        self._workforce.adjust([], workers, frozenset())


def _read_certificates(folder: Path) -> Security:
    """Return what Dask needs to connect with a user's certificates.

    Raises:
        ConfigError: If a file is missing, or is no certificate or key.
    """
    missing = next((folder / file for file in (ROOT, CERTIFICATE, KEY) if not (folder / file).is_file()), None)
    if missing is not None:
        raise ConfigError(
            f"{missing} is not there. Let the setting 'certificates' name the folder with {ROOT}, {CERTIFICATE} and "
            f"{KEY}; a relative path starts at the root."
        )
    security = read_credentials(folder)
    try:
        security.get_connection_args("client")
    except OSError as error:
        raise ConfigError(
            f"the certificates in {folder} cannot be used ({error}). The setting 'certificates' needs {ROOT}, "
            f"{CERTIFICATE} and the key of that in {KEY}, all readable and in the format PEM."
        ) from error
    return security


def make_workforce(settings: EngineSettings, hub: Hub) -> Workforce:
    """Return where the workers of some settings come from.

    Raises:
        UnknownNameError: If there is no such kind of engine; the message names the nearest.
    """
    if settings.kind == "address":
        return RunningCluster(settings, hub)
    if settings.kind not in _WORKFORCES:
        raise unknown_name("engine", settings.kind, (HERE, *_WORKFORCES, "address"))
    workforce: Workforce = pkgutil.resolve_name(_WORKFORCES[settings.kind])(settings)
    return workforce
