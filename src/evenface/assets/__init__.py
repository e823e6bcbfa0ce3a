"""Assets: pretrained models and small face sets, fetched once, verified, kept in a user cache."""

from evenface.assets.cache import CACHE_VARIABLE, asset_path, cache_dir, origin
from evenface.assets.entries import ASSETS, Asset, Wheel, catalog
from evenface.assets.fetch import get_asset, get_assets

__all__ = [
    "ASSETS",
    "CACHE_VARIABLE",
    "Asset",
    "Wheel",
    "asset_path",
    "cache_dir",
    "catalog",
    "get_asset",
    "get_assets",
    "origin",
]
