"""The definitions for `dg list defs`, `dg check defs` and `dg dev`: loaded when they are asked for, not on import."""

from __future__ import annotations

import dagster as dg

__all__ = ["defs"]


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions of the root that the environment names, or of the nearest one.

    Raises:
        ConfigError: If its configuration is not valid.
    """
    # Importing that module reads the configuration.
    from dynvision_assets import definitions

    return definitions.defs
