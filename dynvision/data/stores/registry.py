"""Which store keeps the images, as the configuration says."""

from __future__ import annotations

import importlib
import pkgutil

from dynvision.config import Config
from dynvision.data import stores
from dynvision.data.stores.base import ImageStore
from dynvision.errors import unknown_name
from dynvision.paths import Paths

__all__ = ["open_store"]

_NOT_STORES = ("base", "registry")


def open_store(config: Config, paths: Paths) -> ImageStore:
    """Open the store that `image_store` or `use_ffcv` of config_data.yaml names.

    The module of that name in this folder defines `STORE`; no other store is imported.

    Raises:
        UnknownNameError: If there is no such store; names the nearest.
    """
    name = config.data.store_name
    known = [module.name for module in pkgutil.iter_modules(stores.__path__) if module.name not in _NOT_STORES]
    if name not in known:
        raise unknown_name("store", name, known, f"{config.folder / 'config_data.yaml'}: image_store")
    store: type[ImageStore] = importlib.import_module(f"{stores.__name__}.{name}").STORE
    return store(config, paths)
