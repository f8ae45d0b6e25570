"""The engine of this machine: calls on Dask workers, each with a computing child of its own."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from dynvision.engines.calls import Call, Resources
from dynvision.engines.distributed_engine import DistributedEngine
from dynvision.engines.local.workforce import LocalWorkforce
from dynvision.engines.opening import open_engine, started_early
from dynvision.engines.settings import EngineSettings
from dynvision.errors import ConfigError, DamagedFileError, DynvisionError, UnexpectedError
from dynvision.system.machine import usable_cores
from dynvision.system.owners import describe_process
from tests.helpers.engine_calls import Opening, call

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_calls_run_at_once_and_a_warm_child_computes_several(open_local: Opening) -> None:
    engine = open_local(workers=2)
    assert (engine.slots, engine.has_one_place) == (2, False)
    for number in range(6):
        engine.submit(call("sleep", seconds=0.2, name=f"call-{number}"))
    outcomes = [engine.wait() for _ in range(6)]
    assert sorted(outcome.call.name for outcome in outcomes) == [f"call-{number}" for number in range(6)]
    assert {outcome.result for outcome in outcomes} == {0.2}
    assert len({outcome.where for outcome in outcomes}) == 2
    engine.submit(call("pid"))
    first = engine.wait()
    for _ in range(4):
        engine.submit(call("pid"))
    assert {engine.wait().result for _ in range(4)} <= {first.result, *_pids(engine)}


def _pids(engine: DistributedEngine) -> set[int]:
    """The computing children of two workers."""
    for _ in range(2):
        engine.submit(call("pid_slowly", seconds=0.3))
    return {engine.wait().result for _ in range(2)}


def test_calls_of_higher_priority_start_first(open_local: Opening) -> None:
    engine = open_local()
    assert engine.has_one_place
    for priority in (1, 3, 2):  # The worker is still starting.
        engine.submit(call("echo", value=priority, priority=priority))
    assert [engine.wait().result for _ in range(3)] == [3, 2, 1]


def test_progress_is_told_with_the_name_of_its_call_in_the_thread_that_waits(open_local: Opening) -> None:
    engine = open_local()
    engine.submit(call("say", lines=["one", "models/a: two"], name="models/a"))
    told: list[tuple[str, int]] = []
    assert engine.wait(lambda line: told.append((line, threading.get_ident()))).result == "said"
    assert told == [(line, threading.get_ident()) for line in ("models/a: one", "models/a: two")]
    told.clear()
    engine.submit(call("say", lines=["responses/a: 3 of 9", "read back"], name="responses/a (9 partitions)"))
    engine.wait(lambda line: told.append((line, 0)))
    assert [line for line, _ in told] == ["responses/a: 3 of 9", "responses/a (9 partitions): read back"]


def test_an_error_comes_back_as_its_own_class(open_local: Opening) -> None:
    engine = open_local()
    engine.submit(call("fail", text="the setting 'x' is wrong"))
    error = engine.wait().error
    assert type(error) is ConfigError
    assert str(error) == "the setting 'x' is wrong"


def test_an_unexpected_error_names_the_file_with_its_traceback(open_local: Opening) -> None:
    engine = open_local()
    engine.submit(call("fail_unexpectedly"))
    error = engine.wait().error
    assert type(error) is UnexpectedError
    assert "RuntimeError: a library's own error" in str(error)
    assert "The traceback is in" in str(error)


def test_a_function_that_does_not_exist_is_an_error_of_its_call(open_local: Opening) -> None:
    engine = open_local()
    engine.submit(call("nothing"))
    assert isinstance(engine.wait().error, DynvisionError)


def test_arguments_that_are_no_json_are_an_error_of_their_call(open_local: Opening) -> None:
    engine = open_local()
    engine.submit(call("echo", value={1, 2}))
    assert "its arguments cannot be passed to the process that computes it" in str(engine.wait().error)


def test_a_memory_fault_takes_the_child_and_not_the_worker(open_local: Opening) -> None:
    engine = open_local()
    engine.submit(call("die", number=7))  # SIGBUS
    fault = engine.wait()
    assert type(fault.error) is DamagedFileError
    assert "memory fault (SIGBUS)" in str(fault.error)
    engine.submit(call("echo", value="still there"))
    assert engine.wait().result == "still there"


def test_waiting_for_nothing_is_an_error(open_local: Opening) -> None:
    with pytest.raises(DynvisionError, match="no call was submitted that could be waited for"):
        open_local().wait()


def test_a_worker_has_its_share_of_the_cores_and_no_gpu(open_local: Opening) -> None:
    engine = open_local(workers=2)
    names = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "OMP_WAIT_POLICY"]
    engine.submit(call("environment", names=names))
    share = str(max(1, usable_cores() // 2))
    assert list(engine.wait().result.values()) == [share, share, share, "", "PASSIVE"]


def test_each_gpu_has_one_worker_and_the_others_have_none(
    open_local: Opening, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    engine = open_local(workers=3, gpus=None)
    assert engine.slots == 3
    assert [engine.slots_for(r) for r in (Resources(), Resources(gpus=1), Resources(gpu_if_there=True))] == [3, 2, 2]
    for needs in (Resources(gpus=1), Resources(gpu_if_there=True)):
        engine.submit(call("environment_slowly", needs, names=["CUDA_VISIBLE_DEVICES"], seconds=0.6))
    engine.submit(call("environment_slowly", names=["CUDA_VISIBLE_DEVICES"], seconds=0.6))
    start = time.monotonic()
    outcomes = [engine.wait() for _ in range(3)]
    seen = sorted((o.result["CUDA_VISIBLE_DEVICES"], o.call.attempts[0] == Resources()) for o in outcomes)
    assert seen == [("", True), ("4", False), ("7", False)]
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(("workers", "slots"), [(1, 1), (2, 2), (None, None)])
def test_no_more_calls_are_computed_at_once_than_workers_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, workers: int | None, slots: int | None
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    workforce = LocalWorkforce(EngineSettings(kind="local", workers=workers, folder=tmp_path))
    on_gpu, on_cpu = Resources(gpus=1), Resources()
    assert workforce.slots == (slots or 4 + workforce.slots_for(on_cpu))
    assert workforce.slots_for(on_gpu) == min(4, workforce.slots)
    running = [on_gpu] * (workforce.slots - 1)
    assert workforce.has_room(on_cpu, running)
    assert not workforce.has_room(on_cpu, [*running, on_gpu])


def test_without_a_gpu_a_call_that_asks_for_one_runs_on_the_cpu_and_that_is_told_once(open_local: Opening) -> None:
    engine = open_local()
    told: list[str] = []
    for _ in range(2):
        engine.submit(call("echo", Resources(gpus=1), value=1))
        assert engine.wait(told.append).result == 1
    assert told == ["a GPU is asked for, but this machine has none that can be used: it is computed on the CPU"]


def test_a_gpu_that_is_not_there_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(ConfigError, match=r"'gpus' names GPU 3, which this machine does not have: it has 1, numbered"):
        DistributedEngine(EngineSettings(kind="local", gpus=(3,), folder=folder))


def test_a_job_s_variables_do_not_reach_the_child(open_local: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_JOB_ID", "71")
    engine = open_local()
    engine.submit(call("environment", names=["SLURM_NTASKS", "SLURM_JOB_ID"]))
    assert engine.wait().result == {"SLURM_NTASKS": None, "SLURM_JOB_ID": "71"}


def test_what_the_user_s_process_had_is_restored(
    open_local: Opening, capfd: pytest.CaptureFixture[str], folder: Path
) -> None:
    import dask.config
    import distributed  # noqa: F401  # with its defaults and its loggers

    logger = logging.getLogger("distributed")
    before = (dask.config.get("distributed.scheduler.allowed-failures"), logger.handlers[:], logger.level)
    handlers = {number: __import__("signal").getsignal(number) for number in (1, 2, 15)}
    engine = open_local()
    assert handlers == {number: __import__("signal").getsignal(number) for number in (1, 2, 15)}
    engine.submit(call("echo", value=1))
    engine.wait()
    engine.close()
    assert before == (dask.config.get("distributed.scheduler.allowed-failures"), logger.handlers[:], logger.level)
    assert capfd.readouterr() == ("", "")


def test_without_distributed_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"pip install 'dynvision-assets\[cluster\]'"):
        DistributedEngine(EngineSettings(kind="local", folder=folder))
    assert not folder.exists()


def test_who_computes_is_named_by_the_command_that_the_user_typed(open_local: Opening) -> None:
    engine = open_local()
    engine.submit(Call("who", "dynvision.system.owners:describe_process", {}))
    assert engine.wait().result == describe_process()


def test_a_run_in_which_nothing_went_wrong_leaves_no_log_of_dask(open_local: Opening, folder: Path) -> None:
    engine = open_local()
    engine.submit(call("echo", value=1))
    assert engine.wait().result == 1
    engine.close()
    assert not [path.read_text() for path in (folder / "logs").glob("*-dask.log")]


def test_closing_twice_does_no_harm(open_local: Opening) -> None:
    engine = open_local()
    engine.close()
    engine.close()
    assert engine.is_closed


@pytest.mark.parametrize("kind", ["here", "local"])
def test_a_closed_engine_says_so_instead_of_waiting_for_ever(folder: Path, kind: str) -> None:
    engine = open_engine(EngineSettings(kind=kind, workers=1, gpus=(), folder=folder))
    engine.submit(call("echo", value=1))
    assert engine.has_calls
    engine.close()
    with pytest.raises(DynvisionError, match="the engine is closed and computes nothing any more; run this again"):
        engine.wait()
    with pytest.raises(DynvisionError, match="the engine is closed"):
        engine.submit(call("echo", value=1))


def test_an_interruption_while_waiting_closes_the_engine(open_local: Opening, folder: Path) -> None:
    engine = open_local()
    engine.submit(call("sleep", seconds=60))
    threading.Timer(1.5, os.kill, (os.getpid(), 2)).start()
    with pytest.raises(KeyboardInterrupt):
        engine.wait()
    assert not list(folder.glob("run-*"))


@pytest.mark.skipif(sys.platform != "linux", reason="children are copies of a process on Linux alone")
def test_workers_share_what_was_imported_once_and_draw_numbers_of_their_own(open_local: Opening) -> None:
    engine = open_local(workers=2)
    for function, arguments in (
        ("imported", {"module": "torch"}),
        ("imported", {"module": "dynvision.experiments.recording"}),
    ):
        engine.submit(call(function, **arguments))
        assert engine.wait().result is True
    for _ in range(2):
        engine.submit(call("draw_slowly", seconds=1.0))
    pairs = [engine.wait().result for _ in range(2)]
    assert len({process for process, _ in pairs}) == 2
    assert len({number for _, number in pairs}) == 2
    engine.submit(call("numpy_threads"))
    assert engine.wait().result == max(1, usable_cores() // 2)


def test_what_was_started_early_is_used_by_the_engine_and_otherwise_ended(folder: Path) -> None:
    settings = EngineSettings(kind="local", workers=1, gpus=(), folder=folder)
    others = psutil.Process().children()
    with started_early(settings):
        (early,) = (process for process in psutil.Process().children() if process not in others)
        with open_engine(settings):
            assert [process for process in psutil.Process().children() if process not in others] == [early]
    assert not early.is_running()
    with started_early(settings):
        (unused,) = (process for process in psutil.Process().children() if process not in others)
    assert not unused.is_running()
    with started_early(EngineSettings(kind="here", folder=folder)):
        assert [process for process in psutil.Process().children() if process not in others] == []
