"""A controlling process: it sends calls to a running Dask scheduler, and prints what comes of each as a line of JSON.

Run as `python -m tests.helpers.remote_calls <address> <folder> <workers>` with a list of calls as JSON on a file
`calls.json` in the folder: `[name, function, arguments]` each.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from dynvision.engines.calls import Call
from dynvision.engines.distributed_engine import DistributedEngine
from dynvision.engines.settings import EngineSettings


def main() -> None:
    """Submit the calls once there are as many workers as wanted, and wait for all."""
    address, folder, workers = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    calls = json.loads((folder / "calls.json").read_text())
    settings = EngineSettings(kind="address", address=address, folder=folder / "engine")
    while True:
        with DistributedEngine(settings) as engine:
            if engine.slots == workers:
                for name, function, arguments in calls:
                    engine.submit(Call(name, function, arguments))
                for _ in calls:
                    done = engine.wait(lambda line: _print(told=line))
                    error = None if done.error is None else f"{type(done.error).__name__}: {done.error}"
                    _print(name=done.call.name, error=error, result=done.result, where=done.where)
                return
        time.sleep(0.3)


def _print(**content: object) -> None:
    print(json.dumps(content), flush=True)


if __name__ == "__main__":
    main()
