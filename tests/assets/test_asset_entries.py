import re

import pytest

from evenface.assets import ASSETS, asset_path, catalog, origin
from evenface.assets.entries import find
from evenface.errors import UsageError
from evenface.files import sha256_file


def test_catalog_lists_the_assets_in_order():
    assert [asset.name for asset in catalog()] == ["sface", "orl", "openpeople"]
    assert list(ASSETS) == [asset.name for asset in catalog()]


@pytest.mark.parametrize("asset", catalog(), ids=lambda asset: asset.name)
def test_every_entry_is_pinned_and_attributed(asset):
    for sha256 in (asset.sha256, asset.wheel.sha256):
        assert re.fullmatch(r"[0-9a-f]{64}", sha256)
    assert asset.size > 0
    assert asset.licence
    assert asset.origin
    assert asset.purpose
    if asset.member is None:
        assert (asset.sha256, asset.size) == (asset.wheel.sha256, asset.wheel.size)
    else:
        assert asset.member.endswith(f"/models/{asset.file_name}")


def test_unknown_name_lists_the_known():
    with pytest.raises(UsageError, match=r"unknown asset 'sfaces'; known: sface, orl, openpeople"):
        find("sfaces")


@pytest.mark.assets
@pytest.mark.parametrize("name", list(ASSETS))
def test_fetched_asset_has_the_pinned_content(name, sface_path, orl_wheel, openpeople_wheel):
    path = asset_path(name)
    assert sha256_file(path) == ASSETS[name].sha256
    assert path.stat().st_size == ASSETS[name].size
    assert origin(name)["licence"] == ASSETS[name].licence
