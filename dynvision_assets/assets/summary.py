"""`summary/<experiment>/<subject>`: tables and pictures over all conditions; `summary/<experiment>`: all subjects."""

from __future__ import annotations

from dynvision_assets.assets.stage_asset import make_stage_asset
from dynvision_assets.assets.table import AssetType, register

__all__ = ["ASSET_TYPE"]

ASSET_TYPE = register(AssetType("summary", frozenset({"matplotlib", "parquet"}), make_stage_asset))
