"""Texts of several lines as statements of their own: docstrings that have been changed."""

from __future__ import annotations

import ast


def docstring(node: ast.stmt, indent: str) -> str:
    """A text of several lines that stands alone, between triple quotes; empty for any other statement."""
    match node:
        case ast.Expr(value=ast.Constant(value=str(text))) if "\n" in text:
            first, *rest = text.replace("\\", "\\\\").replace('"""', '\\"""').split("\n")
            widths = [len(line) - len(line.lstrip()) for line in rest if line.strip()]
            own = min(widths, default=0)
            lines = [first, *(indent + line[own:] if line.strip() else "" for line in rest)]
            if not rest[-1].strip():
                lines[-1] = indent
            return '"""' + "\n".join(lines) + '"""'
    return ""
