"""Building a model in a process of its own that kills itself in the middle of the training.

Run as a program: `python -m tests.helpers.interrupted ROOT CONFIG UPDATES [NOTE]`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent.parent
MODEL = "models/rcnn/gratings:all_s0"


def build_until_killed(root: Path, config: Path, updates: int, *, in_write: bool = False) -> None:
    """Build the model in a child process that writes a checkpoint after every epoch, and kills itself (SIGKILL).

    Args:
        root: The root.
        config: The folder of its configuration.
        updates: After how many updates of the weights in this process it is killed.
        in_write: Kill it when the next note of a checkpoint after these updates is to be put in place instead.
    """
    arguments = [str(root), str(config), str(updates), *(["note"] if in_write else [])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tests.helpers.interrupted", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def _main(root: str, config: str, updates: str, note: str = "") -> None:
    from torch.optim.optimizer import register_optimizer_step_post_hook

    from dynvision.models.making import checkpoints
    from dynvision.workspace.building import build_targets

    checkpoints.EVERY, checkpoints.LARGEST_SHARE = 0.0, float("inf")
    count = [0]
    write = checkpoints.write_json

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def on_update(*arguments: Any) -> None:
        count[0] += 1
        if count[0] == int(updates) and not note:
            die()

    def write_or_die(path: Path, value: Any) -> None:
        if note and count[0] >= int(updates):
            die()
        write(path, value)

    checkpoints.write_json = write_or_die  # type: ignore[assignment]
    register_optimizer_step_post_hook(on_update)
    build_targets([MODEL], root=root, config=config)


if __name__ == "__main__":
    _main(*sys.argv[1:])
