"""The definitions that Dagster loads. Importing this module reads the configuration of the root.

While this module is imported, Python's garbage collector runs less often, which makes importing Dagster a fifth faster.
The former thresholds are set again at the end.
"""

# ruff: noqa: E402  # Dagster has to be imported after the thresholds are changed.
from __future__ import annotations

import gc

from dynvision.system.machine import collect_garbage_seldom

_THRESHOLDS = collect_garbage_seldom()

import dagster as dg

from dynvision.errors import ConfigError, DynvisionError
from dynvision.roots import find_root
from dynvision.system.environment import load_environment
from dynvision_assets.opening import open_here
from dynvision_assets.wiring import make_definitions

__all__ = ["defs"]


class UnusableConfigurationError(dg.DagsterError, ConfigError):
    """The configuration cannot be used.

    Dagster puts a heading of its own above every error of another kind, so that the sentence would stand below a page
    of Dagster's traceback.
    """


def _load() -> dg.Definitions:
    """Make the definitions of the root that the environment names.

    Raises:
        UnusableConfigurationError: If the configuration is not valid.
    """
    try:
        load_environment(find_root())
        return make_definitions(open_here())
    except DynvisionError as error:
        reason = str(error)
    raise UnusableConfigurationError(f"{reason.rstrip('.')}.\n\nMend it, then reload the definitions.")


defs = _load()
gc.set_threshold(*_THRESHOLDS)
