"""The web application: one page, one call. Pictures stay in memory and are forgotten.

Served on the loopback interface only. The page may load nothing but itself (content security
policy), other hosts' names are refused (DNS rebinding), and so are calls from other pages.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import json
from importlib import resources
from typing import Any

from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from evenface.errors import DataError
from evenface.recogniser import Recogniser

HOST = "127.0.0.1"
MAX_BODY = 40 * 2**20
"""Bytes of a call: two pictures of about 15 MB, in base64."""
MAX_CALLS = 16
"""Connections at once; others are turned away (503)."""

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src data: blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}


NAMES = ("first", "second")
"""Of the two pictures."""


class RefusedError(Exception):
    """A call that is not answered; the message says why.

    Args:
        status: of HTTP.
        reason: for the user.
        problems: what is wrong with a picture, by its name, where pictures are the reason.
    """

    def __init__(self, status: int, reason: str, problems: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.problems = problems or {}


def create_app(recogniser: Recogniser) -> Starlette:
    """The application around one recogniser."""

    one_at_a_time = asyncio.Lock()  # a large picture takes hundreds of megabytes

    async def verify(request: Request) -> Response:
        try:
            body = await _body(request)
            async with one_at_a_time:
                answer = await run_in_threadpool(_answer, recogniser, body)
        except RefusedError as error:
            return _json({"error": str(error), "problems": error.problems}, error.status)
        return _json(answer)

    async def model(request: Request) -> Response:
        return _json(describe(recogniser))

    files = [
        Route(path, _file(name, kind), methods=["GET"]) for path, (name, kind) in _FILES.items()
    ]
    return Starlette(
        routes=[
            *files,
            Route("/model", model, methods=["GET"]),
            Route("/verify", verify, methods=["POST"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])],
    )


def describe(recogniser: Recogniser) -> dict[str, Any]:
    """What the page says of the model: its error on photographs, its threshold and that of other
    false match rates, and the rates of every group where it was audited."""
    decides_by, point, measured = recogniser.decides_by, recogniser.operating_point, None
    if decides_by and decides_by.basis == "photographs":
        measured = recogniser.measured
    return {
        "about": str(recogniser.about),
        "threshold": recogniser.threshold,
        "decided_by": str(decides_by) if decides_by else None,
        "choices": [
            {**of.model_dump(mode="json"), "chosen": of.threshold == recogniser.threshold}
            for of in (measured.points if measured else ())
            if of.threshold is not None
        ],
        "operating_point": point.model_dump(mode="json") if point else None,
    }


def compare(recogniser: Recogniser, pictures: dict[str, bytes]) -> dict[str, Any]:
    """Score, decision, remarks and the aligned faces as PNG data addresses.

    Args:
        recogniser: what compares.
        pictures: the two files by :data:`NAMES`.

    Raises:
        RefusedError: a picture cannot be read or shows no face; says which one.
    """
    faces, problems = [], {}
    for name in NAMES:
        try:
            faces.append(recogniser.face(pictures[name]))
        except DataError as error:
            problems[name] = f"{name} {error}"
    if problems:
        raise RefusedError(422, "; ".join(problems.values()), problems)
    found = recogniser.compare(*faces)
    return {
        "score": found.score,
        "threshold": found.threshold,
        "match": found.match,
        "remarks": list(found.remarks),
        "faces": [_data_address(face.pixels) for face in faces],
    }


def _answer(recogniser: Recogniser, body: bytes) -> dict[str, Any]:
    return compare(recogniser, _pictures(body))


async def _body(request: Request) -> bytes:
    """The call's content, given up as soon as it is too long."""
    origin = request.headers.get("origin")
    if origin is not None and origin != f"http://{request.headers.get('host')}":
        raise RefusedError(403, "calls from other pages are not answered")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise RefusedError(413, f"the two pictures are larger than {MAX_BODY // 2**20} MiB")
        parts.append(part)
    return b"".join(parts)


def _pictures(body: bytes) -> dict[str, bytes]:
    try:
        content = json.loads(body)
        return {name: base64.b64decode(content[name], validate=True) for name in NAMES}
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error):
        raise RefusedError(400, "expected JSON with 'first' and 'second' in base64") from None


def _file(name: str, kind: str) -> Any:
    async def respond(request: Request) -> Response:
        content = (resources.files("evenface.demo") / name).read_bytes()
        return Response(content, media_type=kind, headers=_HEADERS)

    return respond


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse(content, status_code=status, headers=_HEADERS)


def _data_address(pixels: Any) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
