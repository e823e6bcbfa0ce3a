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
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evenface.data.manifest import Manifest
from evenface.demo.app import MAX_BODY, create_app
from evenface.export.ship import export_onnx
from evenface.recogniser import Recogniser
from evenface.teachers.on_photographs import MeasuredModel, Point
from evenface.thresholds import Threshold
from untrained_run import write_faces, write_run


def picture(seed: int) -> bytes:
    """An aligned face as far as sizes tell: coarse squares."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse.repeat(28, axis=0).repeat(28, axis=1)).save(stream, "PNG")
    return stream.getvalue()


def blank() -> bytes:
    """A picture without a face, of a size that makes one be looked for."""
    stream = io.BytesIO()
    Image.new("RGB", (200, 160), (200, 210, 220)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory) -> Recogniser:
    folder = tmp_path_factory.mktemp("demo")
    audit = Manifest.read(write_faces(folder / "faces"))
    report = export_onnx(write_run(folder / "student"), folder, audit=audit, replicates=20)
    return Recogniser.load(folder / report.file)


@contextmanager
def served(recogniser: Recogniser) -> Iterator[str]:
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


@pytest.fixture(scope="module")
def address(recogniser) -> Iterator[str]:
    with served(recogniser) as address:
        yield address


@pytest.fixture
def measured(recogniser) -> Recogniser:
    """The same model with two thresholds from photographs, and none that all pairs pass."""
    points = (
        Point(fmr=1e-2, fnmr=0.01, threshold=-0.999),
        Point(fmr=1e-3, fnmr=0.02, threshold=0.999),
    )
    of = MeasuredModel(
        title="a toy", fingerprint="0" * 64, views=("original", "flip"), points=points
    )
    chosen = Threshold(0.999, "photographs", 1e-3)
    return Recogniser(recogniser.model, threshold=chosen, views=of.views, measured=of)


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
        (b"[" * 200_000, 400, "expected JSON"),
        (b'{"first": "?", "second": ""}', 400, "expected JSON"),
        (pair(b"no picture", picture(0)), 422, "first image: not an image"),
        (pair(picture(0), b""), 422, "second image: the file is empty"),
    ],
)
def test_what_cannot_be_compared_is_said(address, body, status, expected):
    code, content, _ = call(f"{address}/verify", body)
    assert code == status
    assert expected in json.loads(content)["error"]


def test_it_is_said_which_picture_cannot_be_used(address):
    _, content, _ = call(f"{address}/verify", pair(picture(0), blank()))
    assert json.loads(content)["problems"] == {"second": "second image: no face found"}
    _, content, _ = call(f"{address}/verify", pair(b"", blank()))
    assert list(json.loads(content)["problems"]) == ["first", "second"]


def test_the_model_says_its_error_on_photographs(address, measured):
    described = json.loads(call(f"{address}/model")[1])
    assert described["about"].startswith("model: ")
    assert "not valid for photographs" in described["decided_by"]
    assert described["choices"] == []
    with served(measured) as other:
        described = json.loads(call(f"{other}/model")[1])
    assert "2 % of genuine pairs rejected" in described["about"]
    assert [of["chosen"] for of in described["choices"]] == [False, True]


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


@pytest.fixture
def page(browser) -> Iterator[Any]:
    """A tab in which nothing goes wrong and from which nothing is asked elsewhere."""
    page = browser.new_page()
    problems: list[str] = []
    asked: list[str] = []
    refused = "Failed to load resource"  # Chromium's line about an answer of 4xx
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.on("request", lambda r: asked.append(r.url))
    yield page
    assert [text for text in problems if refused not in text] == []
    assert all(url.startswith(("http://127.0.0.1:", "data:", "blob:")) for url in asked)
    page.close()


def drop(page: Any, zone: str, content: bytes, name: str) -> None:
    """Drop a file on a place of the page as a person does."""
    transfer = page.evaluate_handle(
        """([content, name]) => {
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name));
            return transfer;
        }""",
        [base64.b64encode(content).decode(), name],
    )
    page.dispatch_event(zone, "drop", {"dataTransfer": transfer})


@pytest.mark.browser
def test_a_person_sees_the_decision_and_how_often_it_errs(address, page, tmp_path):
    (tmp_path / "0.png").write_bytes(picture(0))
    page.goto(address)
    assert page.is_disabled("#compare")
    page.set_input_files("#first", tmp_path / "0.png")
    page.set_input_files("#second", tmp_path / "0.png")
    page.wait_for_function("document.querySelectorAll('.preview:not([hidden])').length == 2")
    assert page.locator(".preview").first.evaluate("image => image.naturalWidth") == 112
    page.click("#compare")
    page.wait_for_selector("#result:not([hidden])")
    assert page.inner_text("#decision") == "Match"
    assert "not valid for photographs" in page.inner_text("#scores")
    assert page.is_visible("#simulated")
    assert page.locator("#rates tbody tr").all_inner_texts()[0].startswith("north")
    assert page.locator("#face1").evaluate("image => image.naturalWidth") == 112


@pytest.mark.browser
def test_pictures_are_dropped_and_the_one_without_a_face_is_marked(address, page):
    page.goto(address)
    drop(page, ".zone[data-picture=first]", picture(0), "face.png")
    drop(page, ".zone[data-picture=second]", blank(), "wall.png")
    page.click("#compare")
    page.wait_for_selector(".zone.bad")
    assert page.inner_text("#problem-second") == "second image: no face found"
    assert page.inner_text("#problem-first") == ""
    assert not page.is_visible("#result")
    drop(page, ".zone[data-picture=second]", b"no picture", "report.pdf")
    assert page.inner_text(".zone[data-picture=second] .hint") == "report.pdf"
    assert page.inner_text("#problem-second") == ""
    drop(page, "h1", picture(1), "beside.png")  # the page stays
    drop(page, ".zone[data-picture=second]", picture(1), "other.png")
    page.click("#compare")
    page.wait_for_selector("#result:not([hidden])")


@pytest.mark.browser
def test_the_false_match_rate_is_chosen_and_the_keyboard_suffices(measured, page, tmp_path):
    (tmp_path / "0.png").write_bytes(picture(0))
    (tmp_path / "1.png").write_bytes(picture(1))
    with served(measured) as address:
        page.goto(address)
        page.wait_for_selector("#rate:not([hidden])")
        for name in ("first", "second"):
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.id") == name
        page.set_input_files("#first", tmp_path / "0.png")
        page.set_input_files("#second", tmp_path / "1.png")
        page.focus("#compare")
        page.keyboard.press("Enter")
        page.wait_for_selector("#result:not([hidden])")
        assert page.inner_text("#decision") == "No match"
        page.select_option("#fmr", index=0)
        assert page.inner_text("#decision") == "Match"
        assert "threshold -0.999" in page.inner_text("#scores")
        assert "2 % of genuine pairs rejected" in page.inner_text("#model")


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_is_wider_than_the_screen(address, page, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(address)
    page.wait_for_selector("#audit:not([hidden])")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
