"""Walks over the modules of a tree: ``modules()``, ``children()``, ``named_children()``, ``get_submodule(path)``, ``apply``."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from netferry.frameworks.torch import children, holding
from netferry.frameworks.torch.names import callable_path
from netferry.pivot.nodes import Hole, Op, constant
from netferry.walking import walk

if TYPE_CHECKING:
    from netferry.reader import Reader

_LISTS = (holding.Held("list"), holding.Held("dict"))
_UNNAMED = "modules that are held in a list or dict have no names of their own elsewhere"


def descend(reader: Reader, node: ast.Call, name: str) -> ast.expr | None:
    """The call of a method that walks; None where it is no such method."""
    if not isinstance(node.func, ast.Attribute):
        return None
    owner = node.func.value
    match name:
        case "get_submodule":
            return _submodule(reader, node, owner)
        case "modules" | "parameters" | "named_modules" if not node.args and not node.keywords:
            return Op(name, {"module": reader.visit(owner)}, site=reader.site(node))
        case "children":
            return _children(reader, node, owner)
        case "named_children":
            return _items(_named(reader, node, owner))
    return None


def _children(reader: Reader, node: ast.Call, owner: ast.expr) -> ast.expr:
    kind = holding.held(reader, owner)
    if kind is None:
        listing = children.listed(reader, owner)
        return listing or Op("children", {"module": reader.visit(owner)}, site=reader.site(node))
    listing = holding.members(reader, owner) or reader.visit(owner)
    return ast.Call(ast.Attribute(listing, "values", ast.Load()), [], []) if kind.kind == "dict" else listing


def _named(reader: Reader, node: ast.expr, owner: ast.expr) -> ast.expr:
    """The modules directly below, by name."""
    kind, seen = holding.held(reader, owner), reader.values(owner)
    if kind is not None and kind.kind == "dict":
        return holding.container(reader, owner, kind)
    if any(holding.of_class(type(child)) in _LISTS for value in seen for child in value._modules.values()):
        return reader.hole(node, _UNNAMED, "walk over the lists themselves")
    if kind is not None and any(list(v._modules) != [str(i) for i in range(len(v._modules))] for v in seen):
        return reader.hole(node, "the members of a sequence have no names elsewhere", "walk over it by position")
    if kind is not None and kind.kind == "list":
        pairs = ast.Call(ast.Name("enumerate", ast.Load()), [holding.container(reader, owner, kind)], [])
        targets: list[ast.expr] = [ast.Name("index", ast.Store()), ast.Name("layer", ast.Store())]
        over = ast.comprehension(ast.Tuple(targets, ast.Store()), pairs, [], 0)
        key = ast.Call(ast.Name("str", ast.Load()), [ast.Name("index", ast.Load())], [])
        return ast.DictComp(key, ast.Name("layer", ast.Load()), [over])
    module = reader.visit(owner) if kind is None else holding.container(reader, owner, kind)
    return Op("named_children", {"module": module}, site=reader.site(node))


def _items(table: ast.expr) -> ast.expr:
    return table if isinstance(table, Hole) else ast.Call(ast.Attribute(table, "items", ast.Load()), [], [])


def table(reader: Reader, node: ast.Call) -> ast.expr | None:
    """``self._modules.values()`` and its like; None for other calls."""
    match node.func:
        case ast.Attribute(value=ast.Attribute(value=owner, attr="_modules"), attr="values" | "items" | "keys" as what):
            pass
        case _:
            return None
    if not _are_modules(reader.values(owner)):
        return None
    if what == "values":
        return _children(reader, node, owner)
    found = _named(reader, node, owner)
    return found if isinstance(found, Hole) else ast.Call(ast.Attribute(found, what, ast.Load()), [], [])


def _are_modules(seen: Sequence[Any]) -> bool:
    return bool(seen) and all(isinstance(value, torch.nn.Module) for value in seen)


def modules_table(reader: Reader, node: ast.Attribute, owners: Sequence[Any]) -> ast.expr | None:
    """``self._modules`` as a value of its own."""
    if node.attr != "_modules" or not _are_modules(owners):
        return None
    return _named(reader, node, node.value)


def by_key(reader: Reader, node: ast.Subscript) -> ast.expr | None:
    """``self._modules[name]`` is ``getattr(self, name)``."""
    match node.value:
        case ast.Attribute(value=owner, attr="_modules") if _are_modules(reader.values(owner)):
            found = member(reader, owner, node.slice)
            if found is None and isinstance(node.slice, ast.Constant) and str(node.slice.value).isidentifier():
                return ast.Attribute(reader.visit(owner), str(node.slice.value), ast.Load())
            return found or ast.Call(
                ast.Name("getattr", ast.Load()), [reader.visit(owner), reader.visit(node.slice)], []
            )
    return None


def member(reader: Reader, owner: ast.expr, name: ast.expr) -> ast.expr | None:
    """``getattr(owner, name)`` of a container; None where it is nothing special."""
    seen, names = reader.values(owner), reader.values(name)
    kind = holding.held(reader, owner) if _are_modules(seen) else None
    if isinstance(name, ast.Constant):
        names = [name.value]
    if kind is None or not all(n in value._modules for value in seen for n in names):
        return None
    if kind.kind == "dict":
        return ast.Subscript(holding.container(reader, owner, kind), reader.visit(name), ast.Load())
    positions = {list(value._modules).index(n) for value in seen for n in names}
    if len(positions) == 1:
        listing = holding.members(reader, owner) or reader.visit(owner)
        return ast.Subscript(listing, constant(positions.pop()), ast.Load())
    return reader.hole(owner, "the members of a sequence or list have no names elsewhere", "use their positions")


def _submodule(reader: Reader, node: ast.Call, owner: ast.expr) -> ast.expr:
    """``self.get_submodule("layer1.0")`` is ``self.layer1[0]``."""
    path = node.args[0] if node.args else None
    seen = reader.values(owner)
    if not isinstance(path, ast.Constant) or not _are_modules(seen) or len({type(v) for v in seen}) != 1:
        return reader.hole(node, "a module is looked up by a computed path", "write the attributes out")
    made: ast.expr = reader.visit(owner)
    value = seen[0]
    for part in str(path.value).split("."):
        made = _step(made, value, part)
        value = value.get_submodule(part)
    return made


def _step(made: ast.expr, value: Any, part: str) -> ast.expr:
    kind = holding.of_class(type(value))
    if kind is None:
        return ast.Attribute(made, part, ast.Load())
    made = ast.Attribute(made, kind.attribute, ast.Load()) if kind.attribute else made
    if kind.kind == "dict":
        return ast.Subscript(made, constant(part), ast.Load())
    made = Op("sequence_of", {"module": made}) if kind.kind == "sequence" else made
    return ast.Subscript(made, constant(list(value._modules).index(part)), ast.Load())


def unnamed(reader: Reader, node: ast.For) -> bool:
    """Let ``for name, module in self.named_modules()`` walk over modules alone where the name is not used."""
    match node:
        case ast.For(target=ast.Tuple(elts=[ast.Name(id=name), ast.Name() as target]), iter=ast.Call() as call):
            pass
        case _:
            return False
    if {callable_path(c) for c in reader.callees(call)} != {"torch.nn.Module.named_modules"}:
        return False
    if any(isinstance(n, ast.Name) and n.id == name for s in node.body for n in walk(s)):
        return False
    assert isinstance(call.func, ast.Attribute)
    node.target = target
    node.iter = Op("modules", {"module": reader.visit(call.func.value)}, site=reader.site(call))
    return True
