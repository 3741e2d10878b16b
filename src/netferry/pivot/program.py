"""A pivot program: the definitions that the entry reaches, as trees with op nodes, and what is known about them."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from netferry.pivot.nodes import Hole


@dataclass
class Definition:
    """One top-level statement of the output: a class, a function, a constant."""

    names: tuple[str, ...]
    node: ast.stmt
    module: str
    lead: str = ""
    """Comment lines that stand directly above it in the source."""


@dataclass
class Import:
    """An import of the host language's libraries that the output keeps: ``from module import name as alias``."""

    module: str
    name: str
    alias: str

    def text(self) -> str:
        """The import statement."""
        if not self.name:
            return f"import {self.module}" + (f" as {self.alias}" if self.alias != self.module.split(".")[0] else "")
        return f"from {self.module} import {self.name}" + (f" as {self.alias}" if self.alias != self.name else "")


@dataclass
class Program:
    """The pivot of one migration."""

    source: str
    entry: str
    definitions: list[Definition]
    imports: list[Import] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    facts: Any = None
    observed: int = 0
    assumed: int = 0
    docstring: str = ""
    width: int = 88
    """The line length that the source keeps to."""
    construction: ast.expr = field(default_factory=lambda: ast.Constant(None))
    renamed: dict[str, str] = field(default_factory=dict)
    """Attributes that the target class reserves: ``Class.name`` -> new name."""

    def classes(self) -> Sequence[ast.ClassDef]:
        """The class definitions."""
        return [d.node for d in self.definitions if isinstance(d.node, ast.ClassDef)]
