"""Fitting a loader's parameters into memory; see `optimize_loader_params`."""

from dynvision.data.loading.params import ORDERS, DatasetParams, optimize_loader_params

__all__ = ["ORDERS", "DatasetParams", "optimize_loader_params"]
