import errno
import os

import pytest

from evenface.assets import asset_path, cache_dir, get_asset, origin
from evenface.assets.cache import state
from evenface.errors import DataError, MissingAssetError


def test_cache_dir_follows_the_environment_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("EVENFACE_CACHE_DIR", str(tmp_path / "here"))
    assert cache_dir() == tmp_path / "here"
    monkeypatch.setenv("EVENFACE_CACHE_DIR", "~/faces")
    assert cache_dir() == tmp_path.home() / "faces"


def test_cache_dir_defaults_to_the_user_cache(monkeypatch):
    monkeypatch.delenv("EVENFACE_CACHE_DIR", raising=False)
    assert cache_dir().name == "evenface"
    assert cache_dir().is_absolute()


def test_missing_asset_names_the_command(shop):
    with pytest.raises(MissingAssetError, match=r"evenface assets get model$"):
        asset_path("model")
    assert state("model") == "missing"


def test_missing_asset_names_a_cache_dir_that_is_not_the_default(shop, tmp_path):
    with pytest.raises(MissingAssetError, match=f"get model --cache-dir {tmp_path}"):
        asset_path("model", cache_dir=tmp_path)


def test_fetched_asset_is_found_and_its_origin_recorded(shop):
    path = get_asset("model", source=shop.model)
    assert asset_path("model") == path
    assert state("model") == "present"
    record = origin("model")
    assert record["licence"] == "CC0-1.0"
    assert record["origin"] == "a toy zoo"
    assert record["obtained_from"] == str(shop.model)
    assert record["sha256"] == record["sha256"].lower()
    assert record["obtained_at"].endswith("+00:00")


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_damage_is_noticed_and_repaired(shop, damage):
    path = get_asset("model", source=shop.model)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] if damage == "truncated" else whole[:-1] + b"?")
    assert state("model") == "damaged"
    with pytest.raises(DataError, match=r"model\.onnx: damaged .* evenface assets get model"):
        asset_path("model")
    assert get_asset("model", source=shop.model) == path
    assert path.read_bytes() == whole


def test_touched_file_is_verified_again_and_the_record_renewed(shop):
    path = get_asset("model", source=shop.model)
    os.utime(path, ns=(1, 1))
    assert asset_path("model") == path
    assert '"mtime_ns": 1,' in (path.parent / "origin.json").read_text()
    assert origin("model")["obtained_from"] == str(shop.model)


@pytest.mark.parametrize("record", ["not json", "[]", '{"sha256": 3}'])
def test_broken_record_costs_one_verification(shop, record):
    path = get_asset("model", source=shop.model)
    (path.parent / "origin.json").write_text(record)
    assert asset_path("model") == path
    assert origin("model")["obtained_from"] == "unknown"


def test_read_only_cache_serves(shop, monkeypatch):
    path = get_asset("model", source=shop.model)
    (path.parent / "origin.json").unlink()

    def refuse(target, value):
        raise OSError(errno.EROFS, "Read-only file system", str(target))

    monkeypatch.setattr("evenface.assets.cache.write_json", refuse)
    assert asset_path("model") == path
