"""`models/<model>/<dataset>`: trained networks, one partition for each class group and seed."""

from __future__ import annotations

from dynvision_assets.assets.stage_asset import make_stage_asset
from dynvision_assets.assets.table import AssetType, register
from dynvision_assets.run_config import ModelsConfig

__all__ = ["ASSET_TYPE"]

ASSET_TYPE = register(AssetType("models", frozenset({"pytorch"}), make_stage_asset, config_type=ModelsConfig))
