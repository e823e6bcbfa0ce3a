"""Docstrings for the site: references such as :func:`name` and examples become code."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^( *)>>> .*(?:\n\1\S.*)*", re.MULTILINE)
_ROLE = re.compile(r":(?:func|class|meth|attr|data|mod):`~?([^`]+)`")


class PlainReferences(griffe.Extension):
    """Rewrites the docstring of everything that is loaded."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called once for each module, class, function and attribute."""
        if obj.docstring is not None:
            text = _ROLE.sub(r"`\1`", obj.docstring.value)
            obj.docstring.value = _EXAMPLE.sub(_fenced, text)


def _fenced(example: re.Match[str]) -> str:
    """An example in the prompt's form up to the next empty line, as a block of code."""
    return f"{example[1]}```pycon\n{example[0]}\n{example[1]}```"
