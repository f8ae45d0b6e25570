"""Stimuli in time, recurrent vision networks and their recorded responses.

The library never imports Dagster; the asset graph over it is `dynvision_assets`.
"""

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
