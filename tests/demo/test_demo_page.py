"""The demo page: answers, refusals, and what a person sees in Chromium."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evenface.data.manifest import Manifest
from evenface.demo.app import MAX_BODY, create_app
from evenface.export.ship import export_onnx
from evenface.recogniser import Recogniser
from untrained_run import write_faces, write_run


def picture(seed: int) -> bytes:
    """An aligned face as far as sizes tell: coarse squares."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse.repeat(28, axis=0).repeat(28, axis=1)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory) -> Recogniser:
    folder = tmp_path_factory.mktemp("demo")
    audit = Manifest.read(write_faces(folder / "faces"))
    report = export_onnx(write_run(folder / "student"), folder, audit=audit, replicates=20)
    return Recogniser.load(folder / report.file)


@pytest.fixture(scope="module")
def address(recogniser) -> Iterator[str]:
    import uvicorn

    config = uvicorn.Config(create_app(recogniser), host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def call(url: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, Any]:
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read(), response.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


def pair(first: bytes, second: bytes) -> bytes:
    encoded = {
        "first": base64.b64encode(first).decode(),
        "second": base64.b64encode(second).decode(),
    }
    return json.dumps(encoded).encode()


def test_two_pictures_are_compared_as_the_recogniser_does(address, recogniser):
    status, content, _ = call(f"{address}/verify", pair(picture(0), picture(1)))
    answer = json.loads(content)
    expected = recogniser.verify(picture(0), picture(1))
    assert status == 200
    assert answer["score"] == pytest.approx(expected.score, abs=1e-6)
    assert answer["match"] is expected.match
    crop = base64.b64decode(answer["faces"][1].partition(",")[2])
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(crop))), recogniser.face(picture(1)).pixels
    )


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (b"", 400, "expected JSON"),
        (b"[1, 2]", 400, "expected JSON"),
        (b'{"first": "?", "second": ""}', 400, "expected JSON"),
        (pair(b"no picture", picture(0)), 422, "not an image"),
        (pair(b"", picture(0)), 422, "empty"),
    ],
)
def test_what_cannot_be_compared_is_said(address, body, status, expected):
    code, content, _ = call(f"{address}/verify", body)
    assert code == status
    assert expected in json.loads(content)["error"]


def test_long_calls_are_cut_off(address):
    code, content, _ = call(f"{address}/verify", b"x" * (MAX_BODY + 1))
    assert code == 413
    assert "larger than" in json.loads(content)["error"]


def test_other_hosts_and_other_pages_are_refused(address):
    assert call(f"{address}/model", Host="evil.example")[0] == 400
    body = pair(picture(0), picture(0))
    assert call(f"{address}/verify", body, Origin="http://evil.example")[0] == 403
    assert call(f"{address}/verify", body, Origin=address)[0] == 200


def test_the_page_may_load_nothing_from_elsewhere(address):
    for path in ("/", "/page.js", "/page.css", "/model"):
        status, content, headers = call(address + path)
        assert status == 200
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["Cache-Control"] == "no-store"
        assert b"http" not in content
    assert call(f"{address}/../pyproject.toml")[0] == 404


@pytest.mark.browser
def test_a_person_sees_the_decision_and_how_often_it_errs(address, browser, tmp_path):
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    page = browser.new_page()
    problems: list[str] = []
    asked: list[str] = []
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.on("request", lambda r: asked.append(r.url))
    page.goto(address)
    page.set_input_files("#first", tmp_path / "0.png")
    page.set_input_files("#second", tmp_path / "0.png")
    page.click("#compare")
    page.wait_for_selector("#result:not([hidden])")
    assert page.inner_text("#decision") == "Match"
    assert page.is_visible("#simulated")
    assert page.locator("#rates tbody tr").all_inner_texts()[0].startswith("north")
    assert page.locator("#face1").evaluate("image => image.naturalWidth") == 112
    assert problems == []
    page.set_input_files("#second", tmp_path / "bad.png")
    page.click("#compare")
    page.wait_for_selector("#error:not([hidden])")
    assert "not an image" in page.inner_text("#error")
    assert not page.is_visible("#result")
    assert all(url.startswith((address, "data:", "blob:")) for url in asked)
    page.close()
