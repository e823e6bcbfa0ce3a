"""evenface demo-app: compare two pictures in a browser, on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from evenface.cli.recognise import Fmr, Model, Threshold, ThresholdFrom
from evenface.errors import asking_for


def register(app: typer.Typer) -> None:
    """Add ``evenface demo-app``."""
    app.command("demo-app")(demo_app)


def demo_app(
    model: Model = None,
    fmr: Fmr = None,
    threshold: Threshold = None,
    threshold_from: ThresholdFrom = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")
    ] = 8300,
) -> None:
    """A page to compare two pictures. Bound to this machine; nothing leaves it (extra: demo)."""
    import socket

    from evenface.console import out
    from evenface.errors import UsageError
    from evenface.recogniser import Recogniser

    with asking_for("demo", "the demo page"):
        import uvicorn

        from evenface.demo.app import HOST, MAX_CALLS, create_app

    recogniser = Recogniser.load(model, fmr=fmr, threshold=threshold, audit=threshold_from)
    out().print(str(recogniser.about), markup=False, highlight=False)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
            listening.listen()  # the address is printed before the server takes over
        except OSError as error:
            raise UsageError(
                f"port {port} cannot be used ({error.strerror}); choose another with --port"
            ) from None
        address = f"http://{HOST}:{listening.getsockname()[1]}"
        out().print(f"open {address} in a browser; Ctrl-C stops it", highlight=False)
        config = uvicorn.Config(
            create_app(recogniser),
            log_level="warning",
            access_log=False,
            limit_concurrency=MAX_CALLS,
        )
        uvicorn.Server(config).run(sockets=[listening])
