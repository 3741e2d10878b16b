"""Names of definitions that come together in one file: each keeps its own unless another file's has the same.

A definition is owned by the file that makes it. ``from .blocks import Block as B`` and ``blocks.Block`` are the same
owner, and are written as the name that the owner has in the output.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from netferry.project.names import bound_names, bound_names_of_expression
from netferry.walking import Transformer, walk

Owner = tuple[str, str, str]
"""``("", module, name)`` of a definition; ``("import", module, name)`` of what a library gives."""

_BESIDE = frozenset({"indirect", "alternatives", "nf_alternatives", "nf_partial"})
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def parts(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node, with what pivot nodes keep beside their fields."""
    yield from ast.iter_child_nodes(node)
    for name in _BESIDE & node.__dict__.keys():
        value = node.__dict__[name]
        if isinstance(value, list | tuple):
            yield from value
        elif isinstance(value, ast.AST):
            yield value


@dataclass
class Naming:
    """Who owns the names of each file, and what the owners are called in the output."""

    owners: dict[tuple[str, str], Owner] = field(default_factory=dict)
    """(file, name there) -> owner."""
    final: dict[Owner, str] = field(default_factory=dict)

    def settle(self, main: str, same: Mapping[Owner, Owner]) -> None:
        """Give every owner its name: first those that the main file sees, then the others in order.

        ``same`` maps definitions to equal ones of other files, whose names they share.
        """
        ordered = sorted(self.owners.items(), key=lambda item: item[0][0] != main)
        taken: set[str] = set()
        for (module, local), owner in ordered:
            owner = same.get(owner, owner)
            if owner in self.final:
                continue
            name = local if owner[0] or (owner[2] in taken and local not in taken) else owner[2]
            self.final[owner] = name if name not in taken else _distinct(name, owner[1] or module, taken)
            taken.add(self.final[owner])
        for owner, other in same.items():
            self.final[owner] = self.final[other]

    def changes(self, module: str) -> dict[str, str]:
        """The names of one file that are others in the output."""
        found = {name: self.final[owner] for (file, name), owner in self.owners.items() if file == module}
        return {name: final for name, final in found.items() if name != final}


def _distinct(name: str, module: str, taken: set[str]) -> str:
    """A name that tells where the definition comes from: ``Block`` of ``models.resnext`` is ``ResnextBlock``."""
    origin = module.rpartition(".")[2].strip("_")
    bare = name.lstrip("_")
    if bare[:1].isupper() and not bare.isupper():
        made = "".join(word[:1].upper() + word[1:] for word in origin.split("_")) + bare
    else:
        made = f"{origin.upper() if bare.isupper() else origin}_{bare}"
    made = name[: len(name) - len(bare)] + made
    while made in taken:
        made += "_"
    return made


class Rename(Transformer):
    """Renames module-level names in one definition; names that a function binds itself are its own."""

    def __init__(self, changes: Mapping[str, str]) -> None:
        self.changes = changes

    def expression(self, node: ast.expr) -> ast.expr:
        """One expression."""
        made = self.visit(node)
        assert isinstance(made, ast.expr)
        return made

    def visit(self, node: ast.AST) -> ast.AST:
        """Visit a node and what pivot nodes keep beside their fields."""
        made: ast.AST = super().visit(node)
        for name in _BESIDE & made.__dict__.keys():
            value = made.__dict__[name]
            if isinstance(value, list | tuple):
                setattr(made, name, [self.visit(item) for item in value])
            elif isinstance(value, ast.AST):
                setattr(made, name, self.visit(value))
        return made

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in self.changes:
            return node
        made = copy.copy(node)
        made.id = self.changes[node.id]
        return made

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self.changes.get(node.name, node.name)
        outer, own = self.changes, bound_names(node.body)
        self.generic_visit_fields(node, ("decorator_list", "bases", "keywords"))
        self.changes = {k: v for k, v in outer.items() if k not in own}
        self.generic_visit_fields(node, ("body",))
        self.changes = outer
        return node

    def generic_visit_fields(self, node: ast.AST, names: tuple[str, ...]) -> None:
        """Visit some fields of a node."""
        for name in names:
            value = getattr(node, name)
            if isinstance(value, list):
                value[:] = [self.visit(item) if isinstance(item, ast.AST) else item for item in value]
            elif isinstance(value, ast.AST):
                setattr(node, name, self.visit(value))

    def _function(self, node: _Function) -> ast.AST:
        if not isinstance(node, ast.Lambda):
            node.name = self.changes.get(node.name, node.name)
            self.generic_visit_fields(node, ("decorator_list", "returns"))
        local = {a.arg for a in walk(node.args) if isinstance(a, ast.arg)}
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        local |= bound_names_of_expression(node.body) if isinstance(node, ast.Lambda) else bound_names(node.body)
        local -= {n for s in body for g in walk(s) if isinstance(g, ast.Global) for n in g.names}
        self.generic_visit_fields(node, ("args",))
        outer = self.changes
        self.changes = {k: v for k, v in outer.items() if k not in local}
        self.generic_visit_fields(node, ("body",))
        self.changes = outer
        return node

    visit_FunctionDef = _function  # noqa: N815
    visit_AsyncFunctionDef = _function  # noqa: N815
    visit_Lambda = _function  # noqa: N815

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [self.changes.get(name, name) for name in node.names]
        return node
