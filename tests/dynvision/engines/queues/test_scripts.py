"""The scripts of jobs, for each batch system."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dynvision.engines.calls import Call, Resources
from dynvision.engines.queues.scripts import job_scripts
from dynvision.engines.settings import QUEUES, EngineSettings
from dynvision.errors import ConfigError

NEEDS = Resources(cpus=8, memory=16 << 30, time=5400, gpus=1, account="abc", partition="short")

HEADERS = {
    "slurm": [
        *("#SBATCH -p short", "#SBATCH -A abc", "#SBATCH -n 1", "#SBATCH --cpus-per-task=8", "#SBATCH --mem=16384M"),
        *("#SBATCH -t 01:30:00", "#SBATCH --gres=gpu:1", "#SBATCH --no-requeue"),
        "#SBATCH --output=/root/engine/logs/dynvision-1.log",
    ],
    "pbs": [
        *("#PBS -q short", "#PBS -A abc", "#PBS -l select=1:ncpus=8:mem=16384mb:ngpus=1"),
        *("#PBS -l walltime=01:30:00", "#PBS -j oe", "#PBS -o /root/engine/logs/dynvision-1.log", "#PBS -r n"),
    ],
    "lsf": [
        *("#BSUB -q short", '#BSUB -P "abc"', "#BSUB -n 8", '#BSUB -R "span[hosts=1]"', "#BSUB -W 01:30"),
        *("#BSUB -M 17179870", '#BSUB -gpu "num=1"', "#BSUB -o /root/engine/logs/dynvision-1.log", "#BSUB -rn"),
    ],
    "sge": [
        *("#$ -q short", "#$ -P abc", "#$ -l h_vmem=2048M", "#$ -l h_rt=01:30:00", "#$ -pe smp 8", "#$ -l gpu=1"),
        *("#$ -j y", "#$ -o /root/engine/logs/dynvision-1.log", "#$ -r n", "#$ -S /bin/bash"),
    ],
    "oar": [
        *("#OAR -q short", "#OAR --project abc", "#OAR -l /nodes=1/gpu=1,walltime=01:30:00"),
        *("#OAR -O /root/engine/logs/dynvision-1.log", "#OAR -E /root/engine/logs/dynvision-1.log"),
    ],
    "htcondor": [
        *("accounting_group = abc", "MY.DaskWorkerCores = 8", "MY.DaskWorkerMemory = 17179869184", "request_gpus = 1"),
        *("allowed_job_duration = 5400", "Error = /root/engine/logs/dynvision-1.log", "Executable = /bin/sh"),
        "RequestMemory = floor(MY.DaskWorkerMemory / 1048576)",
    ],
}
MEMORY_OR_TIME = ("--mem", " -t ", "mem=", "walltime", "-M ", "-W ", "h_vmem", "h_rt", "RequestMemory", "allowed_job")


def script(kind: str, needs: Resources = NEEDS, **settings: object) -> str:
    """The script of a job with some needs."""
    chosen = EngineSettings(kind=kind, folder=Path("/root/engine"), **settings)  # type: ignore[arg-type]
    (text,) = job_scripts(chosen, [needs]).values()
    return text


@pytest.mark.parametrize("kind", QUEUES)
def test_job_asks_for_what_its_calls_need(kind):
    lines = script(kind).splitlines()
    assert [line for line in HEADERS[kind] if line not in lines] == []


@pytest.mark.parametrize("kind", QUEUES)
def test_job_without_limits_asks_for_neither_memory_nor_time(kind):
    header = script(kind, Resources()).partition("cd ")[0]
    assert [word for word in MEMORY_OR_TIME if word in header] == []


@pytest.mark.parametrize("kind", QUEUES)
def test_job_starts_the_worker_in_the_place_and_with_the_settings_of_this_process(kind, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DYNVISION_ROOT", "/data/my root")
    text = script(kind, Resources(cpus=2), before=("module load cuda",), interface="ib0")
    text = text.replace("''", "'") if kind == "htcondor" else text
    parts = [
        f"cd {tmp_path} || exit 1",
        "export CUDA_VISIBLE_DEVICES=",
        "export DYNVISION_ROOT='/data/my root'",
        "module load cuda",
        f"exec {sys.executable} -P -m dynvision.engines.queues.job_main tls://<this machine>:<port> --name dynvision-1",
        "--nthreads 2 ",
        "--death-timeout 60 --local-directory /root/engine/dynvision-1 --credentials /root/engine/credentials "
        "--interface ib0",
    ]
    places = [text.find(part) for part in parts]
    assert -1 not in places, parts[places.index(-1)]
    assert places == sorted(places)


@pytest.mark.parametrize("kind", QUEUES)
def test_job_is_not_told_the_password_of_the_database(kind, monkeypatch):
    monkeypatch.setenv("DYNVISION_POSTGRES", "postgresql://me:secret@host/runs")
    monkeypatch.setenv("DYNVISION_SHARE_GPUS", "1")
    text = script(kind)
    assert "secret" not in text
    assert "export DYNVISION_SHARE_GPUS=1" in text


def test_job_of_slurm_is_one_process_for_what_reads_its_variables():
    assert "unset SLURM_NTASKS SLURM_NPROCS SLURM_PROCID SLURM_LOCALID\n" in script("slurm")


def test_job_with_a_gpu_sees_the_one_that_the_batch_system_gives():
    assert "CUDA_VISIBLE_DEVICES" not in script("slurm")


@pytest.mark.parametrize(
    ("kind", "flag", "line"),
    [
        ("slurm", "--gpus-per-node", "#SBATCH --gpus-per-node=1"),
        ("slurm", "--gres=gpu:a100:{gpus}", "#SBATCH --gres=gpu:a100:1"),
        ("slurm", "--comment={{gpu}}_{gpus}", "#SBATCH --comment={gpu}_1"),
        ("slurm", "--gpus=a{{x}}", "#SBATCH --gpus=a{x}=1"),
        ("pbs", "-l ngpus={gpus}", "#PBS -l ngpus=1"),
        ("oar", "-p gpu_count={gpus}", "#OAR -p gpu_count=1"),
        ("htcondor", "request_GPUs = {gpus}", "request_GPUs = 1"),
    ],
)
def test_own_option_for_gpus_takes_the_place_of_the_usual_one(kind, flag, line):
    lines = script(kind, gpu_flag=flag).splitlines()
    assert [entry for entry in lines if "gpu" in entry.lower()] == [line]
    assert flag.partition("=")[0] not in script(kind, Resources(), gpu_flag=flag)


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        *(("slurm", "--gres=gpu:a100:1"), ("slurm", "--gres=gpu"), ("slurm", "--gres gpu:2"), ("slurm", "-G 1")),
        *(("slurm", "--gpus-per-node=a100:1"), ("slurm", "--gpus=2"), ("slurm", "--tres-per-task=cpu:4,gres/gpu:1")),
        *(("pbs", "-l select=1:ncpus=4:ngpus=1"), ("lsf", '-gpu "num=1"'), ("sge", "-l gpu=1"), ("sge", "-l gpu")),
        *(("oar", "-l /nodes=1/gpu=1"), ("oar", "-p gpu_count=2"), ("htcondor", "request_GPUs = 1")),
    ],
)
def test_option_that_asks_for_a_gpu_which_the_job_would_not_use_is_refused(kind, option):
    for settings, needs in (({}, Resources(extra=(option,))), ({"extra": (option,)}, Resources())):
        with pytest.raises(ConfigError) as caught:
            script(kind, needs, **settings)
        assert str(caught.value).endswith(
            f"the option '{option}' asks for a GPU, but 'gpus' is 0, so that a job would hold a GPU and compute on the "
            "CPU. Take the option out of 'extra' in config_compute.yaml and write 'gpus: 1' for what is computed on a "
            "GPU. If the cluster wants other words than usual, give them as 'gpu_flag', with {gpus} in the place of "
            "the number."
        )
    assert option in script(kind, Resources(gpus=1, extra=(option,)))


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        *(("slurm", "--gres=gpu:0"), ("slurm", "--gres=gpu:a100:0"), ("slurm", "--partition=gpu")),
        *(("slurm", "--constraint=gpu80gb"), ("slurm", "--qos=gpu-short"), ("slurm", "--gpus=0")),
        *(("slurm", "--exclude=gpu[01-04]"), ("slurm", "--gpus-per-node 0"), ("slurm", "-A gpus")),
        *(("lsf", "-G group1"), ("lsf", "-q gpu"), ("pbs", "-l select=1:ncpus=4:ngpus=0"), ("sge", "-l h=gpu01")),
        *(("oar", "-p gpu='NO'"), ("oar", "-p gpu_count=0"), ("htcondor", "request_gpus = 0")),
    ],
)
def test_option_that_names_a_gpu_but_asks_for_none_is_taken(kind, option):
    assert option in script(kind, Resources(extra=(option,)))


def test_own_options_come_last_so_that_they_win():
    text = script("slurm", Resources(extra=("--qos=long",)), extra=("--requeue",))
    header = [line for line in text.splitlines() if line.startswith("#SBATCH")]
    assert header[-2:] == ["#SBATCH --requeue", "#SBATCH --qos=long"]


def test_option_that_htcondor_cannot_read_is_refused():
    with pytest.raises(ConfigError) as caught:
        script("htcondor", extra=("--nice",))
    assert str(caught.value) == ("'--nice' is no line for HTCondor; write extra and gpu_flag as 'key = value'")


def test_calls_with_the_same_needs_have_one_script():
    calls = [Call(f"raw/{number}", "m:f", {}, (NEEDS,)) for number in range(3)]
    scripts = job_scripts(EngineSettings(kind="slurm"), [*calls, Resources(cpus=2, extra=("--nice",))])
    assert list(scripts) == [
        "8 cores, 1 GPU, 16G, 01:30:00, partition short, account abc",
        "2 cores, --nice",
    ]


def test_log_in_a_folder_with_spaces_and_percent_signs_is_quoted():
    chosen = EngineSettings(kind="slurm", folder=Path("/my root/100%"))
    (text,) = job_scripts(chosen, [Resources()]).values()
    assert "#SBATCH --output='/my root/100%%/logs/dynvision-1.log'" in text
    assert "--credentials '/my root/100%/credentials'" in text


@pytest.mark.slow
def test_writing_a_script_leaves_ctrl_c_alone_and_works_in_any_thread():
    code = (
        "import signal, threading\n"
        "from dynvision.engines.queues.job_classes import job_class\n"
        "before, real = signal.getsignal(signal.SIGINT), signal.signal\n"
        "found = []\n"
        "thread = threading.Thread(target=lambda: found.append(job_class('slurm', 'SLURMJob')))\n"
        "thread.start(); thread.join()\n"
        "print(found[0].__name__, signal.getsignal(signal.SIGINT) is before, signal.signal is real)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "SLURMJob True True\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
