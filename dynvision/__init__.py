"""Stimuli in time, recurrent vision networks and their recorded responses.

The library never imports Dagster; the asset graph over it is `dynvision_assets`.
"""

import os
from importlib.metadata import PackageNotFoundError, distribution

__all__: list[str] = []

try:
    distribution("dynvision")
except PackageNotFoundError:
    pass
else:
    raise ImportError(
        "The distribution 'dynvision' is installed in this environment; it is another package with "
        "the same import name as this one. Remove it with 'pip uninstall dynvision' and reinstall "
        "dynvision-assets, or use an environment of its own ('make setup' makes .venv)."
    )

_PASSIVE_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0", "OPENBLAS_THREAD_TIMEOUT": "4"}
"""How the threads of OpenMP (GNU, then Intel and LLVM) and of OpenBLAS wait for each other.

By default they spin: two processes on the same cores then take several times as long as one after the other, because
each waits at full speed for threads that the other keeps from running. The number of threads, on which the last bits
of a sum depend, is not changed.
"""

# These libraries read their settings once, when they are loaded, and so do those of child processes. So this is done on
# import, before torch or NumPy are loaded. What the user has set is kept.
if not os.environ.keys() & {*_PASSIVE_WAITING, "GOMP_SPINCOUNT"}:
    os.environ.update(_PASSIVE_WAITING)
