"""`interim/<dataset>`: one symlink for each class, in each split and group."""

from __future__ import annotations

from dynvision_assets.assets.stage_asset import make_stage_asset
from dynvision_assets.assets.table import AssetType, register

__all__ = ["ASSET_TYPE"]

ASSET_TYPE = register(AssetType("interim", frozenset({"symlink"}), make_stage_asset))
