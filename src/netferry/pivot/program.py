"""A pivot program: the definitions that the entry reaches, as trees with op nodes, and what is known about them."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from netferry.pivot.copying import Memo, copied
from netferry.pivot.facts import Note
from netferry.pivot.nodes import Hole

if TYPE_CHECKING:
    from netferry.pivot.network import Network


@dataclass
class Definition:
    """One top-level statement of the output: a class, a function, a constant."""

    names: tuple[str, ...]
    node: ast.stmt
    module: str
    lead: str = ""
    """Comment lines that stand directly above it in the source."""
    tail: str = ""
    """Comments behind its last statement: on that line, and on indented ones below."""


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
    notes: list[Note] = field(default_factory=list)
    """Changes that do not concern what the network computes, with their places."""
    width: int = 88
    """The line length that the source keeps to."""
    construction: ast.expr = field(default_factory=lambda: ast.Constant(None))
    renamed: dict[str, str] = field(default_factory=dict)
    """Attributes that the target class reserves: ``Class.name`` -> new name."""

    tied: set[int] = field(default_factory=set)
    """Layers of the source whose matrix is that of another layer here."""
    dissolved: set[str] = field(default_factory=set)
    """Attributes that are local variables here: ``Class.name``."""
    state: frozenset[int] = frozenset()
    """The identities of the arrays that the network owns."""
    names: dict[str, str] = field(default_factory=dict)
    """Definitions of the source, ``module.name`` -> what they are called here."""

    def classes(self) -> Sequence[ast.ClassDef]:
        """The class definitions."""
        return [d.node for d in self.definitions if isinstance(d.node, ast.ClassDef)]

    def copy(self) -> Program:
        """A program that passes may change; the facts are shared."""
        memo: Memo = {}
        definitions = [replace(d, node=copied(d.node, memo)) for d in self.definitions]
        return replace(
            self, definitions=definitions, imports=list(self.imports), holes=copied(self.holes, memo),
            construction=copied(self.construction, memo), renamed=dict(self.renamed), tied=set(self.tied), dissolved=set(self.dissolved),
        )  # fmt: skip

    def __str__(self) -> str:
        from netferry.pivot.text import show

        return show(self)

    def network(self) -> Network:
        """The network itself: modules, layers, and what flows between them; raises NetferryError without a run."""
        from netferry.pivot.network import network

        return network(self)

    def to_json(self) -> dict[str, Any]:
        """The network as plain values (``docs/pivot-schema.json``)."""
        return self.network().to_json()

    def table(self) -> list[dict[str, Any]]:
        """The layers, with the shapes of their results and their numbers of parameters."""
        return self.network().table()

    def diagram(self) -> str:
        """The data flow as a Mermaid diagram."""
        return self.network().diagram()
