"""The images behind responses: `images` gives what was shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dynvision.errors import ConfigError
from dynvision.system.error_log import machine_errors
from dynvision.workspace.leftovers import parse_existing
from dynvision_assets.opening import open_here

if TYPE_CHECKING:
    import xarray

__all__ = ["images"]


@machine_errors()
def images(responses: xarray.DataTree, *, root: Path | str | None = None) -> xarray.DataArray:
    """Return the images that were shown to record responses, as they were before they were standardized.

    They are lazy: only those that you use are read.

    Args:
        responses: What `load` gives, or some of its samples.
        root: The folder that contains `data/`; by default the one that the responses were loaded from, or else that of
            `load`.

    Returns:
        float32 from 0 to 1, `[sample, channel, y, x]`, or `[sample, image, channel, y, x]` if a trial shows several
        images, with the coordinates of the samples.

    Raises:
        ConfigError: If these are no responses.
        MissingError: If the images are not there any more; the message names the command.
        DamagedFileError: If they are not the ones that were shown.
        MachineError: If a permission is missing, and so on.
    """
    tree = getattr(responses, "root", None)
    if tree is None or not {"target", "inputs"} <= {*tree.attrs}:
        raise ConfigError("images takes the responses as load gives them: the whole tree, or one of its layers")
    workspace = open_here(root or tree.encoding.get("root"))
    target = parse_existing(workspace, str(tree.attrs["target"]).partition(", ")[0])[0]
    return workspace.stage(target).shown_images(target, tree.to_dataset())
