"""Layers that merge a list of tensors, which elsewhere are operators and functions."""

from __future__ import annotations

import ast
from typing import Any

from netferry.pivot.nodes import Op
from netferry.reader import Reader

_OPERATORS: dict[str, type[ast.operator]] = {"Add": ast.Add, "Multiply": ast.Mult, "Subtract": ast.Sub}


def merged(reader: Reader, node: ast.Call, path: str) -> Any:
    """``Add()`` and ``add([x, y])``; None for anything else."""
    return None


def operator_of(name: str) -> type[ast.operator] | None:
    """The Python operator of a merging layer."""
    return _OPERATORS.get(name)


__all__ = ["Op", "merged", "operator_of"]
