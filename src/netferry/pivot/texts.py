"""Texts of several lines: docstrings that have been changed, and constants that become some."""

from __future__ import annotations

import ast


def docstring(node: ast.stmt, indent: str) -> str:
    """A text of several lines that stands alone, or is a module's constant, in triple quotes; empty for other statements."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))) if (
            "\n" in text and not indent
        ):
            return f'{name} = """{_escaped(text)}"""'
        case ast.Expr(value=ast.Constant(value=str(text))) if "\n" in text:
            first, *rest = _escaped(text).split("\n")
            widths = [len(line) - len(line.lstrip()) for line in rest if line.strip()]
            own = min(widths, default=0)
            lines = [first, *(indent + line[own:] if line.strip() else "" for line in rest)]
            if not rest[-1].strip():
                lines[-1] = indent
            return '"""' + "\n".join(lines) + '"""'
    return ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', '\\"""')
