"""Imports of the host language's own library that generated code needs beyond the source's."""

from __future__ import annotations

import re
from collections.abc import Sequence

from netferry.pivot.program import Import

_MODULES = ("functools", "math", "typing", "warnings")
_SHORT = (("functools", "partial"), ("typing", "Any"))
"""What people import by name."""


def shorten(text: str, imports: Sequence[Import], taken: set[str]) -> tuple[str, list[str]]:
    """``functools.partial`` as ``partial`` and the like, unless the source says otherwise; and the imports it needs."""
    lines: list[str] = []
    for module, name in _SHORT:
        own = any((i.module, i.name, i.alias) == (module, name, name) for i in imports)
        busy = name in taken or any(i.alias in (name, module) for i in imports)
        if busy and not own:
            continue
        text, count = re.subn(rf"(?<![\w.'\"`/]){module}\.{name}\b", name, text)
        if count and not own:
            lines.append(f"from {module} import {name}")
    return text, lines


def missing(used: set[str], imports: Sequence[Import]) -> list[str]:
    """Import lines of the modules that a file uses and its source does not import."""
    known = {i.alias for i in imports}
    return [f"import {name}" for name in _MODULES if name in used - known]
