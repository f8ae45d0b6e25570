"""What a machine does to a user: situations, what the command line prints in each, and its exit code.

`python -m tests.helpers.situations ROOT` prints the whole table for a copy of a root in which
`summary/contrast/rcnn_gratings` was built.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.chains import copy_root

DYNVISION = f"{sys.executable} -m dynvision_assets"
MODEL, RAW = "models/rcnn/gratings:all_s0", "raw/gratings:test"


@dataclass(frozen=True)
class Situation:
    """A command of a shell in a situation.

    Attributes:
        shell: The line for bash, in a copy of the root; `dynvision` stands for the program.
        code: The exit code.
        says: What is printed on standard error: a regular expression; an empty one if nothing is.
    """

    shell: str
    code: int
    says: str


SITUATIONS = {
    "no such target": Situation("dynvision show raw/gratins", 2, "Did you mean 'gratings'"),
    "wrong option": Situation("dynvision list --bogus", 2, "No such option"),
    "bytes that are no UTF-8": Situation("dynvision show $'raw/\\xff'", 2, r"unknown dataset '\\udcff'"),
    "characters that a terminal obeys": Situation("dynvision show $'\\e[31mraw\\n'", 2, r"'\\x1b\[31mraw\\n'"),
    "10,000 characters": Situation("dynvision show raw/$(printf %10000s | tr ' ' a)", 2, "unknown dataset 'a+…'"),
    "nobody reads the output": Situation("dynvision status | true; exit ${PIPESTATUS[0]}", 1, ""),
    "nobody reads the output, unbuffered": Situation(
        "PYTHONUNBUFFERED=1 dynvision list | true; exit ${PIPESTATUS[0]}", 1, ""
    ),
    "nobody reads the help": Situation("dynvision --help | true; exit ${PIPESTATUS[0]}", 1, ""),
    "standard output is full": Situation(
        "dynvision list > /dev/full", 1, "could not be written to standard output: no"
    ),
    "standard output of --help is full": Situation("dynvision --help > /dev/full", 1, "no space is left"),
    "standard error is full": Situation("dynvision show nope 2> /dev/full", 2, ""),
    "standard output is closed": Situation("dynvision list >&-", 0, ""),
    "standard error is closed": Situation("dynvision show nope 2>&-", 2, ""),
    "ASCII terminal": Situation("PYTHONIOENCODING=ascii dynvision show raw/é", 2, "unknown dataset"),
    "current folder deleted": Situation(
        "unset DYNVISION_ROOT; mkdir gone; cd gone; rmdir ../gone; dynvision list",
        2,
        "the current folder was deleted",
    ),
    "few files": Situation(
        "ulimit -n 8; dynvision make --force raw/gratings:test", 1, "may not open more files|cannot be opened"
    ),
    "little memory": Situation("ulimit -v 40000; dynvision list", 1, "not enough memory"),
    "database of Dagster is damaged": Situation(
        f"echo junk > .dagster/history/runs.db; dynvision make --force {RAW}", 1, r"runs\.db is damaged .*Move it aside"
    ),
    "settings of Dagster are wrong": Situation(
        f"echo 'bogus: 1' >> .dagster/dagster.yaml; dynvision make --force {RAW}", 2, "dagster.yaml: .*bogus.*Mend it"
    ),
    "a pipe stands in place of a record": Situation(
        "rm data/models/rcnn/gratings/all_s0/record.json; mkfifo data/models/rcnn/gratings/all_s0/record.json; "
        f"dynvision verify {MODEL}",
        1,
        "",
    ),
}


def run_situation(made: Path, name: str) -> subprocess.CompletedProcess[str]:
    """Run the command of a situation in a copy of a root in which everything is built."""
    with tempfile.TemporaryDirectory() as scratch:
        root = copy_root(made, Path(scratch) / "root")
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER_", "DYNVISION_"))},
            **{"DYNVISION_ROOT": str(root), "XDG_STATE_HOME": str(Path(scratch) / "state")},
        }
        return subprocess.run(
            ["bash", "-c", SITUATIONS[name].shell.replace("dynvision ", f"{DYNVISION} ", 1)],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            stdin=subprocess.DEVNULL,
            timeout=240,
            check=False,
        )


def find_fault(name: str, done: subprocess.CompletedProcess[str]) -> str:
    """Say what is wrong about what a command did in a situation; an empty text if nothing is."""
    wanted = SITUATIONS[name]
    said = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("shell-init: "))
    if done.returncode != wanted.code:
        return f"exit code {done.returncode} where {wanted.code} is right: {said}"
    if not re.search(wanted.says, said) or (not wanted.says and "error" in said):
        return f"it says {said!r}"
    if any(word in said + done.stdout for word in ("Traceback", "Exception ignored", "\x1b")):
        return f"more than a sentence: {said!r}"
    return "" if len(said) < 3000 else f"{len(said)} characters"


def main() -> None:
    """Print the table: situation, exit code, what is printed."""
    made, faults = Path(sys.argv[1]), []
    width = shutil.get_terminal_size().columns
    for name in SITUATIONS:
        done = run_situation(made, name)
        fault = find_fault(name, done)
        faults += [f"{name}: {fault}"] if fault else []
        said = (done.stderr.strip() or "(nothing on standard error)").splitlines()[-1]
        print(f"| {name} | {done.returncode} | {said[: max(width, 200)]} |", flush=True)
    print("\n".join(faults) or "no faults")


if __name__ == "__main__":
    main()
