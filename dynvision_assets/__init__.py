"""The Dagster project over `dynvision`: an asset for each stage, and functions that read the results in Python.

`load`, `path`, `images`, `export` and `catalog` need no running server. They import only what the result needs:

    import dynvision_assets as dva
    dva.load("responses/contrast/rcnn_gratings")
    dva.catalog("responses")
"""

from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING, Any

try:
    distribution("dynvision")
except PackageNotFoundError:
    pass
else:
    raise ImportError(
        "The distribution 'dynvision' is installed in this environment; it is another package with the same import "
        "name as part of this one. Remove it with 'pip uninstall dynvision' and reinstall dynvision-assets, or use "
        "a separate environment ('make setup' makes .venv)."
    )

if TYPE_CHECKING:
    from dynvision_assets.cataloging import catalog
    from dynvision_assets.exporting import export
    from dynvision_assets.loading import ProcessedFile, load, path
    from dynvision_assets.showing import images

__all__ = ["ProcessedFile", "catalog", "export", "images", "load", "path"]


def __getattr__(name: str) -> Any:
    # Import on first use, so that the command line starts without reading the configuration's modules.
    if name == "catalog":
        from dynvision_assets.cataloging import catalog

        return catalog
    if name == "export":
        from dynvision_assets.exporting import export

        return export
    if name == "images":
        from dynvision_assets.showing import images

        return images
    if name in __all__:
        from dynvision_assets import loading

        return getattr(loading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
