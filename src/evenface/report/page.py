"""Pages from templates: the environment, the style sheet and how texts are set."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from evenface.errors import DataError, MissingDependencyError
from evenface.report.numbers import count

_NUMBER_AND_UNIT = re.compile(r"(?<=\d) (?=%|points)")
_INTERVAL = re.compile(r"\[[^\]]*\]")
_NO_BREAK = "\N{NO-BREAK SPACE}"


def render_template(name: str, context: dict[str, Any], **filters: Callable[..., Any]) -> str:
    """A page as text; ``style`` is added to what the template sees.

    Args:
        name: of the template in ``evenface/report/templates``.
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
        loader=PackageLoader("evenface.report", "templates"),
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
    style = template_text("style.css")
    return environment.get_template(name).render({"style": style, **context})


def template_text(name: str) -> str:
    """A file beside the templates: the style sheet, the script of the tables."""
    return (resources.files("evenface.report") / "templates" / name).read_text("utf-8")


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


def refuse_other_content(folder: Path, suffixes: Iterable[str], *, of: str) -> None:
    """Raise where replacing the folder would delete what no report has written.

    Args:
        folder: that is to be replaced, if it exists.
        of: what is reported, for the message: "an audit".
        suffixes: of the files that a report writes there, without the dot.

    Raises:
        DataError: it holds something else, which is named.
    """
    expected = {f".{suffix}" for suffix in suffixes}
    if folder.is_dir():
        for path in folder.iterdir():
            if path.is_dir() or path.suffix not in expected:
                raise DataError(
                    f"{path}: not of {of}, whose report would replace {folder}. Move it away, "
                    "or give another folder"
                )
