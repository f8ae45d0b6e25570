"""`responses/<experiment>/<subject>`: recorded responses, one partition a condition.

Conditions of one run that are computed by the same process load network and images once.
"""

from __future__ import annotations

from dynvision_assets.assets.stage_asset import make_stage_asset
from dynvision_assets.assets.table import AssetType, register
from dynvision_assets.run_config import ResponsesConfig

__all__ = ["ASSET_TYPE"]

ASSET_TYPE = register(
    AssetType("responses", frozenset({"zarr", "pytorch"}), make_stage_asset, config_type=ResponsesConfig)
)
