"""A real Slurm cluster of one node, in a temporary folder: munged, slurmctld and slurmd of its own, run as root.

Nothing outside of the folder is changed, and two clusters do not meet: each has its own key, socket, ports and state.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

DAEMONS = ("munged", "slurmctld", "slurmd")

CONF = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,sched_interval=5,bf_interval=5
ReturnToService=2
KillWait=2
InactiveLimit=0
MessageTimeout=30
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} SocketsPerBoard=1 CoresPerSocket={cpus} RealMemory={memory}
PartitionName=cpu Nodes={host} Default=YES MaxTime=01:00:00 OverTimeLimit=0 State=UP
PartitionName=closed Nodes={host} MaxTime=01:00:00 State=DOWN
"""


def find_daemon(name: str) -> str | None:
    """The path of a daemon; `None` if it is not installed."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin")


def why_not() -> str | None:
    """Why no cluster can be started here; `None` if one can."""
    if missing := [name for name in (*DAEMONS, "sbatch") if find_daemon(name) is None]:
        return f"{', '.join(missing)} missing: sh scripts/install_slurm.sh"
    return None if os.geteuid() == 0 else "the cluster is started as root"


class SlurmCluster:
    """A running cluster.

    Attributes:
        folder: Its folder, with the logs of the daemons.
        environment: The variables by which commands find it.
    """

    def __init__(self, folder: Path, cpus: int, memory: int) -> None:
        self.folder = folder
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._started: list[subprocess.Popen[bytes]] = []
        self._cpus, self._memory = cpus, memory

    def start(self) -> None:
        """Start the daemons, and wait until the node takes jobs."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        host = socket.gethostname().partition(".")[0]
        text = CONF.format(
            folder=self.folder,
            host=host,
            controller_port=free_port(),
            node_port=free_port(),
            cpus=self._cpus,
            memory=self._memory,
        )
        (self.folder / "slurm.conf").write_text(text)
        self._start_munge()
        self._run("slurmctld", "-D")
        self._run("slurmd", "-D", "-N", host)
        self._wait_for(lambda: "idle" in self.call("sinfo", "-h", "-o", "%T"), "the node is not idle")

    def _start_munge(self) -> None:
        paths = {
            "--socket": "munge.socket",
            "--key-file": "munge.key",
            "--pid-file": "munged.pid",
            "--log-file": "munged.log",
            "--seed-file": "munged.seed",
        }
        options = [f"{option}={self.folder / name}" for option, name in paths.items()]
        self._run("munged", "--foreground", "--force", *options)
        self._wait_for((self.folder / "munge.socket").exists, "munged makes no socket")

    def _run(self, name: str, *arguments: str) -> None:
        daemon = find_daemon(name)
        assert daemon is not None
        with (self.folder / f"{name}.out").open("wb") as output:
            self._started.append(
                subprocess.Popen(
                    [daemon, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **self.environment},
                    cwd=self.folder,
                    start_new_session=True,
                )
            )

    def _wait_for(self, is_ready: object, what: str) -> None:
        deadline = time.monotonic() + 30
        while not is_ready():  # type: ignore[operator]
            ended = [process.args for process in self._started if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                logs = "\n".join(
                    f"{path.name}: {path.read_text()[-800:]}" for path in self.folder.glob("*.[lo][ou][gt]")
                )
                raise RuntimeError(f"{what}; ended: {ended}\n{logs}")
            time.sleep(0.05)

    def call(self, *command: str) -> str:
        """Run a command of Slurm, such as `squeue`, and return what it prints; nothing if it fails."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        return done.stdout if done.returncode == 0 else ""

    def jobs(self) -> list[tuple[str, str]]:
        """The number and state of each job that waits or runs."""
        lines = self.call("squeue", "-h", "-o", "%i %T").splitlines()
        return [(number, state) for number, state in (line.split() for line in lines)]

    def cancel_all(self) -> None:
        """Cancel every job, and wait until none is there."""
        for number, _ in self.jobs():
            self.call("scancel", number)
        deadline = time.monotonic() + 30
        while self.jobs() and time.monotonic() < deadline:
            time.sleep(0.1)

    def stop(self) -> None:
        """End the jobs and the daemons, each by its own number."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.cancel_all()
        processes = [psutil.Process(process.pid) for process in self._started if process.poll() is None]
        families = [member for process in processes for member in (process, *process.children(recursive=True))]
        for process in reversed(self._started):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        for member in families:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        for process in self._started:
            process.wait(10)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def slurm_cluster(cpus: int = 2, memory: int = 4000) -> Iterator[SlurmCluster]:
    """Start a cluster of one node, and stop it at the end; nothing of it is left.

    Args:
        cpus: The cores that the node says it has.
        memory: Its memory in megabytes.
    """
    folder = Path(tempfile.mkdtemp(prefix="dynvision-slurm-"))
    folder.chmod(0o755)
    cluster = SlurmCluster(folder, cpus, memory)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
