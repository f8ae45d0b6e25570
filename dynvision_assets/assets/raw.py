"""`raw/<dataset>`: images in class folders, one partition for each split."""

from __future__ import annotations

from dynvision_assets.assets.stage_asset import make_stage_asset
from dynvision_assets.assets.table import AssetType, register
from dynvision_assets.run_config import RawConfig

__all__ = ["ASSET_TYPE"]

ASSET_TYPE = register(AssetType("raw", frozenset({"png"}), make_stage_asset, config_type=RawConfig))
