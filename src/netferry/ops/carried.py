"""Recognises the definitions that netferry's own output carries: a file that has one is read as if it were a stock layer.

So what one direction could only write with a definition of its own comes back as the op that it stands for.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from netferry.ops import registry
from netferry.ops.core import OpDef, Spelling
from netferry.pivot.copying import copied
from netferry.walking import Transformer

_MARK = "__netferry_carried__"
_USUAL = {"tf": "tensorflow", "np": "numpy", "jnp": "jax.numpy"}
"""Short names in the texts of supports, which import nothing themselves."""

Definition = ast.ClassDef | ast.FunctionDef


def recognised(tree: ast.Module, framework: str) -> dict[str, str]:
    """The definitions of a file that are ones a framework's files carry: their name -> the path they are found under."""
    known = _known(framework)
    aliases = _imported(tree)
    found = {}
    for node in tree.body:
        if isinstance(node, Definition) and node.name in known:
            text, path = known[node.name]
            if _text(node, aliases) == text:
                found[node.name] = path
    return found


def mark(name: str, path: str) -> ast.stmt:
    """A statement that remembers of a definition what it is."""
    return ast.Assign([ast.Attribute(ast.Name(name, ast.Load()), _MARK, ast.Store())], ast.Constant(path))


def path_of(value: Any) -> str | None:
    """The path of a class or function that was marked (not of one that extends it)."""
    found: str | None = getattr(value, "__dict__", {}).get(_MARK)
    return found


@functools.cache
def _known(framework: str) -> dict[str, tuple[str, str]]:
    """Name of a definition -> its comparable text, and the path of the op that is written with it."""
    found = {}
    for support in registry.supports():
        path = registry.carried_path(framework, support.name)
        code = support.code.get(framework)
        if code and _is_one(registry.find(path)):
            (node,) = ast.parse(code.strip()).body
            if isinstance(node, Definition):
                found[support.name] = (_text(node, _USUAL), path)
    return found


def _is_one(found: Sequence[tuple[OpDef, Spelling]]) -> bool:
    """Whether a definition stands for one op, or its arguments tell for which."""
    return len({op.name for op, _ in found}) == 1 or (bool(found) and all(spelling.kinds for _, spelling in found))


def _imported(tree: ast.Module) -> dict[str, str]:
    """What the names that a file imports stand for."""
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _text(node: Definition, aliases: Mapping[str, str]) -> str:
    """Equal for definitions that say the same, however they are laid out, explained, and name what they import."""
    return ast.dump(_Plain(aliases).visit(copied(node)))


class _Plain(Transformer):
    """Writes names of modules in full, and leaves explanations and hints out."""

    def __init__(self, aliases: Mapping[str, str]) -> None:
        self._aliases = aliases

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self._aliases.get(node.id, node.id), ast.Load())

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name):
            return ast.Name(f"{node.value.id}.{node.attr}", ast.Load())
        return node

    def _definition(self, node: Definition) -> Definition:
        self.generic_visit(node)
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        return node

    visit_ClassDef = _definition  # noqa: N815
    visit_FunctionDef = _definition  # noqa: N815
