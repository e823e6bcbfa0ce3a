"""Pages from templates: the environment, the style sheet and how texts are set."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from importlib import resources
from typing import Any

from evenface.errors import MissingDependencyError
from evenface.report.numbers import count

_NUMBER_AND_UNIT = re.compile(r"(?<=\d) (?=%|points)")
_INTERVAL = re.compile(r"\[[^\]]*\]")
_NO_BREAK = "\N{NO-BREAK SPACE}"


def render_template(name: str, context: dict[str, Any], **filters: Callable[..., Any]) -> str:
    """A page as text; ``style`` is added to what the template sees.

    Args:
        name: path of the template below ``evenface/report``.
        context: what it sees.
        filters: further filters, by name.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise MissingDependencyError("jinja2", "report", "the HTML report") from None
    environment = Environment(
        loader=PackageLoader("evenface.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    environment.filters |= {
        "capitalised": lambda text: text[:1].upper() + text[1:],
        "count": count,
        "moment": moment,
        "paragraphs": paragraphs,
        "sentence": sentence,
        "typeset": typeset,
        "words": lambda name: name.replace("_", " "),
        **filters,
    }
    style = (resources.files("evenface.report") / "style.css").read_text("utf-8")
    return environment.get_template(name).render({"style": style, **context})


def paragraphs(text: str) -> list[str]:
    """The lines of a text that are not empty."""
    return [line for line in text.splitlines() if line.strip()]


def moment(text: str) -> str:
    """An ISO date to the minute; another text as it is."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{parsed:%Y-%m-%d %H:%M} {parsed.tzname() or ''}".rstrip()


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def typeset(text: str) -> str:
    """Without line breaks inside intervals and before units."""
    text = _NUMBER_AND_UNIT.sub(_NO_BREAK, text)
    return _INTERVAL.sub(lambda match: match.group().replace(" ", _NO_BREAK), text)
