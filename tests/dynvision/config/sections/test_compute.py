from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dynvision.config import load_config
from dynvision.config.sections.compute import ComputeConfig
from dynvision.engines.calls import Resources
from dynvision.engines.settings import EngineSettings
from dynvision.errors import ConfigError, UnknownNameError
from dynvision.paths import Paths
from dynvision.targets import Target
from dynvision.workspace import Workspace

FILE = "config_compute.yaml"
ISSUE = """\
engine: slurm
defaults: {account: abc, partition: short, cpus: 8, memory: 16G, time: 30m}
stages:
  models: {gpus: 1, memory: [40G, 80G], time: 12h}
  responses: {gpus: 1, time: 2h}
  summary: here
targets: {"models/rcnn/imagenet*": {time: 48h}}
max_jobs: 20
gpu_flag: "--gpus-per-node"
interface: ib0
extra: ["--qos=normal"]
before: ["module load cuda"]
"""


@pytest.fixture
def compute(small_config):
    """Reads a text as the file of a small configuration."""

    def read(text: str) -> ComputeConfig:
        (small_config / FILE).write_text(text)
        return load_config(small_config).compute

    return read


def problem(small_config: Path, text: str) -> str:
    """The message with which a text is refused, without the folder."""
    (small_config / FILE).write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(small_config)
    return str(caught.value).replace(f"{small_config / FILE}: ", "")


def test_without_the_file_everything_is_computed_here(small_config):
    compute = load_config(small_config).compute
    target = Target(("models", "rcnn", "gratings"), "all_s0")
    assert compute.engine_settings(Path("/root")) == EngineSettings(folder=Path("/root/.dynvision/engine"))
    assert (compute.attempts(target), compute.runs_here(target)) == ((Resources(),), False)


def test_resources_are_those_of_the_target_then_the_stage_then_the_defaults(compute):
    read = compute(ISSUE)
    shared = {"cpus": 8, "gpus": 1, "account": "abc", "partition": "short"}
    first, second = read.attempts(Target(("models", "rcnn", "gratings"), "all_s0"))
    assert first == Resources(memory=40 << 30, time=12 * 3600, **shared)
    assert second == Resources(memory=80 << 30, time=12 * 3600, **shared)
    (longer, _) = read.attempts(Target(("models", "rcnn", "imagenet"), "all_s0"))
    assert (longer.time, longer.memory) == (48 * 3600, 40 << 30)
    (other,) = read.attempts(Target(("interim", "gratings"), "train_all"))
    assert other == Resources(cpus=8, memory=16 << 30, time=1800, account="abc", partition="short")


def test_engine_has_the_settings_of_the_file(compute):
    assert compute(ISSUE).engine_settings(Path("/root")) == EngineSettings(
        kind="slurm",
        folder=Path("/root/.dynvision/engine"),
        max_jobs=20,
        gpu_flag="--gpus-per-node",
        interface="ib0",
        extra=("--qos=normal",),
        before=("module load cuda",),
    )


def test_stage_may_be_kept_here_and_a_target_of_it_not(compute):
    read = compute("stages: {summary: here}\ntargets: {'summary/big*': {memory: 64G}, 'models/*': here}")
    assert read.runs_here(Target(("summary", "contrast")))
    assert not read.runs_here(Target(("summary", "bigger")))
    assert read.runs_here(Target(("models", "rcnn", "gratings"), "all_s0"))
    assert not read.runs_here(Target(("raw", "gratings"), "train_all"))


def test_later_patterns_win_key_by_key(compute):
    read = compute("targets:\n  'models/*': {cpus: 2, time: 1h}\n  'models/rcnn/*': {cpus: 4}\n  '*:all_s0': {gpus: 1}")
    assert read.attempts(Target(("models", "rcnn", "gratings"), "all_s0")) == (Resources(cpus=4, time=3600, gpus=1),)


def test_shorter_lists_repeat_their_last_value(compute):
    read = compute("defaults: {memory: [1G, 2G, 4G], time: [1h, 2h], cpus: 3, extra: [[--qos=a], [--qos=b, --nice]]}")
    attempts = read.attempts(Target(("raw", "gratings")))
    assert [a.memory for a in attempts] == [1 << 30, 2 << 30, 4 << 30]
    assert [a.time for a in attempts] == [3600, 7200, 7200]
    assert [a.cpus for a in attempts] == [3, 3, 3]
    assert [a.extra for a in attempts] == [("--qos=a",), ("--qos=b", "--nice"), ("--qos=b", "--nice")]


def test_list_of_options_is_of_every_attempt(compute):
    read = compute("defaults: {extra: [--qos=a, --nice]}\nstages: {raw: {extra: --exclusive}}")
    assert read.attempts(Target(("models", "a", "b"))) == (Resources(extra=("--qos=a", "--nice")),)
    assert read.attempts(Target(("raw", "a"))) == (Resources(extra=("--exclusive",)),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("defaults: {memory: 16}", "defaults.memory: 16 has no unit; write 16G"),
        ("defaults: {memory: [16G, 32]}", "defaults.memory: 32 has no unit; write 32G"),
        ("defaults: {time: 30}", "defaults.time: 30 has no unit; write 30m"),
        ("defaults: {time: 1:30}", "defaults.time: '1:30' is minutes for some and hours for others; "),
        ("defaults: {cpu: 1}", "defaults.cpu: unknown key. Did you mean 'cpus'?"),
        ("defaults: {cpus: 0}", "defaults.cpus.0: it must be greater than or equal to 1, not 0"),
        ("defaults: {cpus: []}", "defaults.cpus: List should have at least 1 item"),
        ("defaults: {account: 'a b'}", "the text 'a b' is not one word without spaces, quotes and characters of"),
        ("stages: {models: there}", "stages.models: "),
        ("engine: slrum", "engine: unknown engine 'slrum'. Did you mean 'slurm'?"),
        ("engine: address", "'engine: address' needs the address of a scheduler: add 'address: tls://host:port'"),
        ("{engine: address, address: 'host:8786'}", "address: 'host:8786' is no address of a scheduler; write tls://"),
        ("{engine: 'tcp://a:1', address: 'tcp://b:1'}", "engine is an address, and 'address' is another one; "),
        ("gpus: [0, 0]", "gpus: GPU 0 is listed twice"),
        ("gpu_flag: '--gres=gpu:{gpu}'", "gpu_flag: '--gres=gpu:{gpu}' may contain {gpus}, nothing else"),
        ("before: ['a\nb\n\nc']", "is not one line"),
        ("max_job: 3", "max_job: unknown key. Did you mean 'max_jobs'?"),
        ("certificates: ~nobody-of-this-name/x", "begins with a ~ that leads nowhere; write the whole path"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(small_config, text, message):
    assert message in problem(small_config, text)


def test_address_is_an_engine(compute):
    for text in ("engine: tcp://host:8786", "{engine: address, address: 'tcp://host:8786'}"):
        settings = compute(text).engine_settings(Path("/root"))
        assert (settings.kind, settings.address) == ("address", "tcp://host:8786")
    settings = compute("{engine: 'tls://[fe80::1]:8786', certificates: certs}").engine_settings(Path("/root"))
    assert (settings.address, settings.certificates) == ("tls://[fe80::1]:8786", Path("/root/certs"))


def test_command_line_chooses_another_engine_and_how_much_at_once(compute):
    read, root = compute("{engine: slurm, workers: 3, max_jobs: 7, gpus: 2}"), Path("/root")
    assert read.engine_settings(root, jobs=100).max_jobs == 100
    local = read.engine_settings(root, "local")
    assert (local.kind, local.workers, local.gpus) == ("local", 3, (0, 1))
    assert read.engine_settings(root, "local", 8).workers == 8
    assert read.engine_settings(root, "tcp://h:1").address == "tcp://h:1"
    assert read.engine_settings(root, "here").kind == "here"


def test_several_at_once_without_an_engine_are_workers_of_this_machine():
    compute, root = ComputeConfig(), Path("/root")
    assert compute.engine_settings(root, jobs=1).kind == "here"
    eight = compute.engine_settings(root, jobs=8)
    assert (eight.kind, eight.workers) == ("local", 8)


@pytest.mark.parametrize(
    ("engine", "jobs", "message"),
    [
        ("slrm", None, "unknown engine 'slrm'. Did you mean 'slurm'?"),
        ("address", None, "the engine 'address' needs the address of a running Dask scheduler: name it instead of"),
        ("tcp://h:1", 8, "the workers of a running cluster decide how many targets are computed at once"),
    ],
)
def test_choice_on_the_command_line_that_does_not_fit_is_refused(engine, jobs, message):
    with pytest.raises(ConfigError) as caught:
        ComputeConfig().engine_settings(Path("/root"), engine, jobs)
    assert message in str(caught.value)


def test_unknown_stage_names_the_nearest(small_config, tmp_path):
    (small_config / FILE).write_text("stages: {modles: {cpus: 2}}")
    with pytest.raises(UnknownNameError) as caught:
        Workspace(load_config(small_config), Paths(tmp_path))
    assert f"{small_config / FILE}: stages: unknown stage 'modles'. Did you mean 'models'?" in str(caught.value)


def test_pattern_over_a_stage_that_does_not_exist_names_the_nearest(small_config, tmp_path):
    for pattern in ("modles/rcnn/*", "modles"):
        (small_config / FILE).write_text(f"targets: {{'{pattern}': {{gpus: 1}}}}")
        with pytest.raises(UnknownNameError) as caught:
            Workspace(load_config(small_config), Paths(tmp_path))
        where = f"{small_config / FILE}: targets: '{pattern}': unknown stage 'modles'. Did you mean 'models'?"
        assert where in str(caught.value)


def test_pattern_whose_stage_is_a_pattern_is_taken(small_config, tmp_path):
    (small_config / FILE).write_text("targets: {'*rcnn*': {gpus: 1}, '[mr]*/rcnn/*': here, 'models/rcnn/*': here}")
    assert Workspace(load_config(small_config), Paths(tmp_path)).config.compute.targets.keys() >= {"*rcnn*"}


def test_each_mistake_in_what_a_stage_needs_is_one_sentence(small_config):
    assert problem(small_config, "stages: {models: {memory: 16}}") == "stages.models.memory: 16 has no unit; write 16G"
    assert problem(small_config, "stages: {models: there}") == "stages.models: it must be 'here', not the text 'there'"
    said = problem(small_config, "targets: {'models/*': {cpu: 1}}")
    assert said.startswith("targets.models/*.cpu: unknown key. Did you mean 'cpus'?")
    assert "\n" not in said


def test_file_that_cannot_be_read_is_an_error_and_not_an_absent_one(small_config):
    (small_config / FILE).symlink_to("gone.yaml")
    with pytest.raises(ConfigError) as caught:
        load_config(small_config)
    assert str(caught.value) == f"the config file {small_config / FILE} is a link to a file that does not exist"


def test_a_run_keeps_the_text_that_was_read_when_it_began(small_config, tmp_path):
    (small_config / FILE).write_text("max_jobs: 3")
    reading = Workspace.open(tmp_path, small_config).snapshot
    (small_config / FILE).write_text("max_jobs: 4")
    assert Workspace.of_reading(tmp_path, reading).config.compute.max_jobs == 3
    assert Workspace.open(tmp_path, small_config).config.compute.max_jobs == 4


def test_a_root_with_this_file_alone_says_which_files_are_missing(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / FILE).write_text("engine: local")
    with pytest.raises(ConfigError) as caught:
        Workspace.open(tmp_path)
    assert "config_data.yaml does not exist. Copy the default from" in str(caught.value)


@pytest.mark.slow
def test_reading_an_engine_loads_neither_dask_nor_torch(small_config):
    (small_config / FILE).write_text(ISSUE)
    code = (
        f"import sys; from dynvision.config import load_config; load_config({str(small_config)!r}); "
        "print([m for m in ('dask', 'distributed', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_can_use_a_gpu_has_one_of_this_machine_unless_told_otherwise():
    target, other = Target(("models", "rcnn", "gratings"), "all_s0"), Target(("models", "other", "gratings"), "all_s0")
    compute = ComputeConfig.model_validate({"targets": {"models/other/*": {"gpus": 0}}})
    assert [needs.gpu_if_there for needs in compute.attempts(target, gpu_if_there=True)] == [True]
    assert [needs.gpu_if_there for needs in compute.attempts(other, gpu_if_there=True)] == [False]
    assert [needs.gpu_if_there for needs in compute.attempts(target)] == [False]
