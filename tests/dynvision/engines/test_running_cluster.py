"""Calls run on the workers of a Dask scheduler that somebody else has started."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynvision.engines.calls import Call, Resources
from dynvision.engines.credentials import make_credentials
from dynvision.engines.distributed_engine import DistributedEngine
from dynvision.engines.running_cluster import RunningCluster
from dynvision.engines.settings import EngineSettings
from dynvision.engines.worker import describe_worker
from dynvision.engines.workforce import Demand, WorkerProcess
from dynvision.errors import ConfigError
from dynvision.system.process_trees import kill_tree
from tests.helpers.engine_calls import PROJECT, alive, call, noted, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


class Cluster:
    """A scheduler and workers that are started by hand, as `dask scheduler` and `dask worker` do."""

    def __init__(self, folder: Path, tls: Path | None = None) -> None:
        self.folder, self.tls = folder, tls
        folder.mkdir()
        self.file = folder / "scheduler.json"
        self.processes = [
            self._start("scheduler", "--port", "0", "--no-dashboard", "--dashboard-address", "127.0.0.1:0")
        ]
        wait_for(self.file.exists)

    @property
    def address(self) -> str:
        return str(json.loads(self.file.read_text())["address"])

    def add_worker(self, name: str, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        arguments = "--nthreads", "2", "--no-nanny", "--no-dashboard", "--name", name, *options
        worker = self._start("worker", *arguments, **environment)
        self.processes.append(worker)
        return worker

    def _start(self, kind: str, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", f"distributed.cli.dask_{kind}", "--scheduler-file", str(self.file)]
        command += ["--host", "127.0.0.1", *options]
        if self.tls is not None:
            command += ["--protocol", "tls", "--tls-ca-file", str(self.tls / "ca.pem")]
            command += ["--tls-cert", str(self.tls / "cert.pem"), "--tls-key", str(self.tls / "key.pem")]
        environment = {**os.environ, "PYTHONPATH": str(PROJECT), **environment}
        with (self.folder / f"{kind}.log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)

    def close(self) -> None:
        for process in reversed(self.processes):
            kill_tree(process.pid)
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler with a worker for calls, and one with a GPU."""
    made = Cluster(tmp_path_factory.mktemp("cluster") / "plain")
    made.add_worker("plain")
    made.add_worker("gpu", "--resources", "gpu=1")
    yield made
    made.close()


@pytest.fixture
def settings(cluster: Cluster, folder: Path) -> EngineSettings:
    return EngineSettings(kind="address", address=cluster.address, folder=folder, queue_wait=0.5)


@contextlib.contextmanager
def two_workers(settings: EngineSettings) -> Iterator[DistributedEngine]:
    """An engine, once both workers have connected."""
    deadline = time.monotonic() + 30
    while True:
        with DistributedEngine(settings) as engine:
            if engine.slots == 2:
                yield engine
                return
        assert time.monotonic() < deadline
        time.sleep(0.3)


def test_calls_run_there_and_those_with_a_gpu_where_one_is_offered(settings: EngineSettings) -> None:
    with two_workers(settings) as engine:
        for gpus in (0, 1, 0, 1):
            engine.submit(call("pid", Resources(gpus=gpus)))
        outcomes = [engine.wait() for _ in range(4)]
    assert all(outcome.error is None for outcome in outcomes), outcomes
    pids = {gpus: {o.result for o in outcomes if o.call.attempts[0].gpus == gpus} for gpus in (0, 1)}
    assert [len(found) for found in pids.values()] == [1, 1]
    assert not list(settings.folder.glob("nonce-*"))


def test_two_controllers_do_not_disturb_each_other(settings: EngineSettings) -> None:
    with two_workers(settings) as one, two_workers(settings) as other:
        for number in range(6):
            for engine in (one, other):
                engine.submit(call("sleep", seconds=0.1, name=f"call-{number}"))
        for engine in (one, other):
            assert [engine.wait().result for _ in range(6)] == [0.1] * 6


def test_a_call_marked_here_is_computed_by_this_machine_s_own_process(settings: EngineSettings) -> None:
    with two_workers(settings) as engine:
        engine.submit(Call("here", "tests.helpers.calls:say", {"lines": ["line"]}, here=True))
        told: list[str] = []
        outcome = engine.wait(told.append)
        assert (outcome.result, outcome.where, told) == ("said", "", ["line"])
        engine.submit(Call("here", "tests.helpers.calls:fail", {"text": "no"}, here=True))
        assert str(engine.wait().error) == "no"


def test_closing_interrupts_the_calls_and_leaves_the_workers(
    settings: EngineSettings, cluster: Cluster, tmp_path: Path
) -> None:
    with two_workers(settings) as engine:
        engine.submit(call("write_after", note=str(tmp_path / "note"), seconds=60.0))
        wait_for(lambda: len(noted(tmp_path / "note")) == 2)
        start = time.monotonic()
    assert time.monotonic() - start < 5
    wait_for(lambda: not alive(noted(tmp_path / "note")), seconds=5)
    assert (tmp_path / "note.interrupted").exists()
    assert all(process.poll() is None for process in cluster.processes)
    with two_workers(settings) as engine:
        engine.submit(call("echo", value="again"))
        assert engine.wait().result == "again"


def test_a_worker_without_this_project_is_an_error(settings: EngineSettings, cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "broken" / "dynvision").mkdir(parents=True)
    (tmp_path / "broken" / "dynvision" / "__init__.py").touch()  # another package of that name
    worker = cluster.add_worker("foreign", PYTHONPATH=str(tmp_path / "broken"))
    try:
        with pytest.raises(ConfigError, match=r"worker foreign of tcp://\S+ cannot use this project"):
            _open_until_error(settings)
    finally:
        kill_tree(worker.pid)


def test_a_worker_of_another_version_is_an_error(settings: EngineSettings) -> None:
    answer = describe_worker("x", []) | {"root": True}
    here = answer["versions"] | {"torch": "1.0"}
    cluster = RunningCluster(settings, None)  # type: ignore[arg-type]  # it is not asked
    with pytest.raises(ConfigError, match=r"worker w of tcp://\S+ has torch \S+, and this machine 1\.0\. Install the"):
        cluster._check_answer(WorkerProcess("a", "w"), answer, here)


def test_a_worker_that_does_not_see_the_root_is_an_error(settings: EngineSettings) -> None:
    answer = describe_worker("x", [str(settings.folder / "none")])
    cluster = RunningCluster(settings, None)  # type: ignore[arg-type]  # it is not asked
    with pytest.raises(ConfigError, match=r"does not see the folder .*engine\. The root has to be on a file system "):
        cluster._check_answer(WorkerProcess("a", "w"), answer, answer["versions"])


PLAIN, ONE, TWO = (WorkerProcess(name, name, {"gpu": n} if n else {}) for n, name in enumerate(("a", "b", "c")))


def running_cluster(settings: EngineSettings) -> RunningCluster:
    """A cluster that knows the workers above, so that nobody is asked."""
    running = RunningCluster(settings, None)  # type: ignore[arg-type]
    running._known = {"a", "b", "c"}
    return running


def test_calls_go_to_workers_with_enough_gpus_and_others_only_if_no_worker_is_without(settings: EngineSettings) -> None:
    def takers(needs: int, *workers: WorkerProcess) -> list[str]:
        running = running_cluster(settings)
        running.adjust([], workers, frozenset())
        return [worker.name for worker in workers if running.takes(worker, Resources(gpus=needs))]

    assert [takers(needs, PLAIN, ONE, TWO) for needs in (0, 1, 2)] == [["a"], ["b", "c"], ["c"]]
    assert [takers(needs, PLAIN) for needs in (0, 1)] == [["a"], ["a"]]
    assert [takers(needs, ONE) for needs in (0, 1, 2)] == [["b"], ["b"], []]
    running = running_cluster(settings)
    demands = [Demand(Resources(gpus=2), 1, 0, 0)]
    assert running.adjust(demands, [ONE], frozenset()) == [
        f"a target asks for 2 GPUs, and the workers of {settings.address} offer 1 at most; waiting for one that was "
        "started with --resources gpu=2"
    ]
    assert running.adjust(demands, [ONE], frozenset()) == []


def test_a_call_whose_gpu_is_lost_waits_for_another_one_each_time(settings: EngineSettings) -> None:
    running, needs = running_cluster(settings), Resources(gpus=1)
    running.adjust([Demand(needs, 0, 1, 0)], [PLAIN, ONE], frozenset("b"))
    for _ in range(2):
        waits = [Demand(needs, 1, 0, 0)]
        assert running.adjust(waits, [PLAIN], frozenset()) == [
            f"a target asks for 1 GPU, and the workers of {settings.address} offer none now; waiting for one that was "
            "started with --resources gpu=1"
        ]
        assert running.adjust(waits, [PLAIN], frozenset()) == []
        assert not running.takes(PLAIN, needs)
        assert running.adjust(waits, [PLAIN, ONE], frozenset()) == []
        assert running.takes(ONE, needs)


def test_a_gpu_that_no_worker_has_ever_offered_is_spoken_of_once(settings: EngineSettings) -> None:
    running, needs = running_cluster(settings), Resources(gpus=1)
    assert running.adjust([Demand(Resources(), 1, 0, 0)], [PLAIN], frozenset()) == []
    assert running.adjust([Demand(needs, 0, 1, 0)], [PLAIN], frozenset("a")) == [
        f"a target asks for a GPU, and no worker of {settings.address} says that it has one: any of them computes it. "
        "Start those that have one with --resources gpu=1"
    ]
    assert running.adjust([Demand(needs, 1, 1, 0)], [PLAIN], frozenset("a")) == []
    assert running.takes(PLAIN, needs)


def test_an_address_where_nobody_answers_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynvision.engines.hub.PATIENCE", 1.0)
    with pytest.raises(ConfigError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9 "):
        DistributedEngine(EngineSettings(kind="address", address="tcp://127.0.0.1:9", folder=folder))


def test_something_else_that_listens_at_the_address_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynvision.engines.hub.PATIENCE", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # It takes connections, and never answers.
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(ConfigError, match=f"no Dask scheduler answers at {address} "):
            DistributedEngine(EngineSettings(kind="address", address=address, folder=folder))
        assert time.monotonic() - start < 20


def test_certificates_that_are_not_there_or_none_are_named(folder: Path, tmp_path: Path) -> None:
    settings = EngineSettings(kind="address", address="tls://127.0.0.1:9", certificates=tmp_path, folder=folder)
    with pytest.raises(ConfigError, match=rf"{tmp_path}/ca\.pem is not there\. Let the setting 'certificates' name"):
        DistributedEngine(settings)
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_text("nothing")
    with pytest.raises(ConfigError, match=rf"the certificates in {tmp_path} cannot be used \(.+\)\. The setting"):
        DistributedEngine(settings)


@pytest.mark.parametrize(
    ("address", "said"),
    [(None, "needs the setting 'address'"), ("tls://127.0.0.1:9", "needs the setting 'certificates'")],
)
def test_what_an_address_needs_is_named(folder: Path, address: str | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        DistributedEngine(EngineSettings(kind="address", address=address, folder=folder))


def test_a_scheduler_with_certificates_is_used_with_them(tmp_path: Path, folder: Path) -> None:
    make_credentials(tmp_path / "tls")
    cluster = Cluster(tmp_path / "secret", tmp_path / "tls")
    try:
        settings = EngineSettings(
            kind="address", address=cluster.address, certificates=tmp_path / "tls", folder=folder, queue_wait=0.1
        )
        assert cluster.address.startswith("tls://")
        told: list[str] = []
        with DistributedEngine(settings) as engine:
            engine.submit(call("echo", value=1))
            cluster.add_worker("late")
            assert engine.wait(told.append).result == 1
            assert (engine.slots, engine.has_one_place) == (1, False)  # More may come.
        assert told == [f"the Dask scheduler at {cluster.address} has no worker; waiting for one"]
    finally:
        cluster.close()


def _open_until_error(settings: EngineSettings) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        DistributedEngine(settings).close()
        time.sleep(0.3)
