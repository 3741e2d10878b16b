"""Containers of modules: what they are called elsewhere, and classes that extend one, which hold one there.

A class that extends ``ModuleList`` or ``ModuleDict`` is no list or dict in other frameworks, and one that extends
``Sequential`` with a forward pass of its own is no chain: they hold their members in an attribute.
"""

from __future__ import annotations

import ast
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import torch

from netferry.pivot.copying import copied
from netferry.pivot.nodes import Op, Reference, constant

if TYPE_CHECKING:
    from netferry.reader import Reader

Kind = Literal["sequence", "list", "dict"]
_STOCK: Final[dict[type, Kind]] = {
    torch.nn.Sequential: "sequence",
    torch.nn.ModuleList: "list",
    torch.nn.ModuleDict: "dict",
}
_MADE: Final[dict[str, Kind]] = {"sequential": "sequence", "module_list": "list", "module_dict": "dict"}
_OPS: Final[dict[Kind, str]] = {kind: op for op, kind in _MADE.items()}


@dataclass(frozen=True)
class Held:
    """How the members of a container are held elsewhere; ``attribute`` is empty where the value is itself the container."""

    kind: Kind
    attribute: str = ""


def of_class(kind: type) -> Held | None:
    """How instances of a class hold their members; None for classes that are no containers."""
    stock = next((s for s in _STOCK if issubclass(kind, s)), None)
    if stock is None:
        return None
    if kind is stock:
        return Held(_STOCK[stock])
    root: Any = next(k for k in reversed(kind.__mro__) if issubclass(k, stock) and k is not stock)
    if root.__module__.startswith("torch."):
        return Held(_STOCK[stock])
    if stock is not torch.nn.Sequential:
        return Held(_STOCK[stock], _attribute(root))
    if root.forward is stock.forward:
        return Held("sequence")
    names = _names(root.forward)
    return Held("sequence" if names & {"super", "Sequential"} else "list", _attribute(root))


def _names(function: Any) -> set[str]:
    """The names that a function uses, those of functions within included."""
    code = getattr(function, "__code__", None)
    return _in_code(code) if isinstance(code, types.CodeType) else set()


def _in_code(code: types.CodeType) -> set[str]:
    inner = (_in_code(c) for c in code.co_consts if isinstance(c, types.CodeType))
    texts = {c for c in code.co_consts if isinstance(c, str)}
    return {*code.co_names, *texts}.union(*inner)


def _attribute(root: type) -> str:
    """``members``, or where the class has another use for that name, ``members_``."""
    used = {name for function in vars(root).values() for name in _names(function)}
    return "members_" if "members" in used | set(vars(root)) else "members"


def held(reader: Reader, node: ast.expr) -> Held | None:
    """How the container that an expression gives holds its members; None where it gives none, or several kinds."""
    seen = reader.values(node)
    if seen:
        found = {of_class(type(value)) for value in seen}
        return found.pop() if len(found) == 1 else None
    if isinstance(node, ast.Name) and node.id == "self":
        return own(reader)
    if isinstance(node, ast.Attribute):
        made = reader.counts.made.get(node.attr, set())
        return Held(_MADE[next(iter(made))]) if len(made) == 1 and made <= _MADE.keys() else None
    return None


def own(reader: Reader) -> Held | None:
    """How the class being read holds its members."""
    kind = reader.namespace.get(reader.class_name)
    return of_class(kind) if isinstance(kind, type) else None


def container(reader: Reader, node: ast.expr, kind: Held) -> ast.expr:
    """The expression of the container itself."""
    made: ast.expr = reader.visit(node)
    return ast.Attribute(made, kind.attribute, ast.Load()) if kind.attribute else made


def members(reader: Reader, node: ast.expr) -> ast.expr | None:
    """The members as a list or dict, where the value of the expression is another thing elsewhere."""
    kind = held(reader, node)
    if kind is None or (kind.kind != "sequence" and not kind.attribute):
        return None
    made = container(reader, node, kind)
    return Op("sequence_of", {"module": made}, site=reader.site(node)) if kind.kind == "sequence" else made


def by_name(reader: Reader, node: ast.Attribute, owners: list[Any]) -> ast.expr | None:
    """``self.heads.fc`` of a container whose members have names: a key in a dict, a position in all others."""
    if not owners or not all(isinstance(owner, torch.nn.Module) for owner in owners):
        return None
    kinds = {of_class(type(owner)) for owner in owners}
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind is None or not all(node.attr in owner._modules for owner in owners):
        return None
    if kind.kind == "dict":
        return ast.Subscript(container(reader, node.value, kind), constant(node.attr), ast.Load())
    positions = {list(owner._modules).index(node.attr) for owner in owners}
    if len(positions) != 1:
        return None
    listing = members(reader, node.value) or reader.visit(node.value)
    return ast.Subscript(listing, constant(positions.pop()), ast.Load())


def placed(reader: Reader, owner: ast.expr, name: ast.expr, item: ast.expr) -> ast.stmt | None:
    """The statement that adds a module to a container under a name; None where the owner is no container."""
    kind = held(reader, owner)
    if kind is None:
        return None
    where = container(reader, owner, kind)
    if kind.kind == "dict":
        return ast.Assign([ast.Subscript(where, reader.visit(name), ast.Store())], item)
    if kind.kind == "sequence":
        return ast.Expr(Op("append_to_sequence", {"module": where, "item": item}))
    return ast.Expr(ast.Call(ast.Attribute(where, "append", ast.Load()), [item], []))


def assigned(reader: Reader, node: ast.Assign) -> ast.stmt | None:
    """``self.norm = BatchNorm2d(8)`` in a class that extends a container adds a member."""
    target = node.targets[0]
    if len(node.targets) != 1 or not isinstance(target, ast.Attribute):
        return None
    seen = reader.values(node.value)
    if not seen or not all(isinstance(value, torch.nn.Module) for value in seen) or held(reader, target.value) is None:
        return None
    return placed(reader, target.value, constant(target.attr), reader.visit(node.value))


def base_call(reader: Reader, call: ast.Call) -> list[ast.stmt] | None:
    """``super().__init__(*modules)`` of a class that holds its members in an attribute."""
    kind = own(reader)
    if kind is None or not kind.attribute or not isinstance(call.func, ast.Attribute) or call.func.attr != "__init__":
        return None
    if not any(isinstance(base, type) and base in _STOCK for base in reader.bases):
        return None
    # The old form names the class that is extended, which is another one now.
    plain = ast.Call(ast.Attribute(_super(), "__init__", ast.Load()), [], [])
    return [ast.Expr(plain), _holding(kind, _given(reader, call, kind))]


def _super() -> ast.expr:
    return ast.Call(ast.Name("super", ast.Load()), [], [])


def _holding(kind: Held, given: ast.expr) -> ast.stmt:
    value = Op(_OPS[kind.kind], {"layers" if kind.kind == "sequence" else "modules": given}, layer=True)
    if isinstance(given, ast.List) and not given.elts and kind.kind == "sequence":
        value = Op("sequential", {}, layer=True)
    return ast.Assign([ast.Attribute(ast.Name("self", ast.Load()), kind.attribute, ast.Store())], value)


def _given(reader: Reader, call: ast.Call, kind: Held) -> ast.expr:
    """The members that the constructor is given, as a list or dict."""
    chained = any(base is torch.nn.Sequential for base in reader.bases)
    values = [*call.args, *(k.value for k in call.keywords)]
    if chained and values and any(isinstance(v, dict) for v in reader.values(values[0])):
        return _called("list", ast.Call(ast.Attribute(reader.visit(values[0]), "values", ast.Load()), [], []))
    if chained:
        return ast.List([reader.visit(v) for v in values], ast.Load())
    if not values or (isinstance(values[0], ast.Constant) and values[0].value is None):
        return ast.Dict([], []) if kind.kind == "dict" else ast.List([], ast.Load())
    made: ast.expr = reader.visit(values[0])
    if isinstance(made, ast.GeneratorExp):
        return ast.ListComp(made.elt, made.generators)
    seen = reader.values(values[0])
    is_own = bool(seen) and all(isinstance(v, dict if kind.kind == "dict" else list) for v in seen)
    return (
        made
        if is_own or isinstance(made, ast.List | ast.ListComp | ast.Dict | ast.DictComp)
        else _called(kind.kind, made)
    )


def _called(name: str, argument: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(name, ast.Load()), [argument], [])


def declared(reader: Reader, node: ast.ClassDef) -> None:
    """Let a class that holds its members extend ``Module``, and give it the constructor that it inherited."""
    kind = reader.namespace.get(node.name)
    found = of_class(kind) if isinstance(kind, type) else None
    stock = [i for i, base in enumerate(reader.bases) if isinstance(base, type) and base in _STOCK]
    if found is None or not stock:
        return
    if found.attribute:
        others = [b for i, b in enumerate(node.bases) if i not in stock]
        modules = [
            b for b in reader.bases if isinstance(b, type) and b not in _STOCK and issubclass(b, torch.nn.Module)
        ]
        node.bases = others if modules else [Reference("torch.nn.Module", "Module"), *others]
    if not any(isinstance(s, ast.FunctionDef) and s.name == "__init__" for s in node.body):
        _add_constructor(node, found, kind)


def _add_constructor(node: ast.ClassDef, kind: Held, of: Any) -> None:
    if of.__init__ not in (s.__init__ for s in _STOCK):  # type: ignore[misc]
        return
    spread = issubclass(of, torch.nn.Sequential)
    name: ast.expr = ast.Name("members", ast.Load())
    base = ast.Attribute(_super(), "__init__", ast.Load())
    body: list[ast.stmt] = [ast.Expr(ast.Call(base, [] if kind.attribute else [name], []))]
    if kind.attribute:
        body.append(_holding(kind, name if kind.kind == "sequence" else _called(kind.kind, name)))
    own, rest = ast.arg("self"), ast.arg("members")
    taken = ast.arguments([], [own] if spread else [own, rest], rest if spread else None, [], [], None,
                          [] if spread else [ast.Tuple([], ast.Load())])  # fmt: skip
    made = ast.FunctionDef(name="__init__", args=taken, body=body, decorator_list=[], returns=None)
    after_docstring = int(ast.get_docstring(node, clean=False) is not None)
    node.body = [*node.body[:after_docstring], made, *node.body[after_docstring:]]


def method(reader: Reader, node: ast.Call, path: str) -> ast.expr | None:
    """A method of a container: of the list or dict that it is elsewhere."""
    name = path.rpartition(".")[2]
    if not path.startswith(tuple(f"torch.nn.{s.__name__}." for s in _STOCK)) or not isinstance(
        node.func, ast.Attribute
    ):
        return None
    if name == "forward":
        return _chain(reader, node)
    if name.startswith("__"):
        return None
    kind = held(reader, node.func.value) or (Held("sequence") if path.startswith("torch.nn.Sequential.") else None)
    if kind is None:
        return None
    if kind.kind == "sequence":
        return _of_sequence(reader, node, kind, name)
    where = container(reader, node.func.value, kind)
    args: list[ast.expr] = [reader.visit(a) for a in node.args]
    return ast.Call(ast.Attribute(where, name, ast.Load()), args, [reader.visit(k) for k in node.keywords])


def _chain(reader: Reader, node: ast.Call) -> ast.expr | None:
    """``super().forward(x)`` where the sequence is held."""
    kind = own(reader)
    if kind is None or not kind.attribute:
        return None
    args: list[ast.expr] = [reader.visit(a) for a in node.args]
    if not isinstance(node.func, ast.Attribute) or not isinstance(node.func.value, ast.Call):
        args = args[1:]  # ``nn.Sequential.forward(self, x)``
    return ast.Call(ast.Attribute(ast.Name("self", ast.Load()), kind.attribute, ast.Load()), args, [])


def _of_sequence(reader: Reader, node: ast.Call, kind: Held, name: str) -> ast.expr | None:
    assert isinstance(node.func, ast.Attribute)
    where = container(reader, node.func.value, kind)
    if name == "append":
        return Op("append_to_sequence", {"module": where, "item": reader.visit(node.args[0])}, site=reader.site(node))
    last = not node.args or ast.unparse(node.args[0]) == "-1"
    if name == "pop" and last:
        return ast.Call(ast.Attribute(where, "pop", ast.Load()), [], [])
    return None


def rebuilt(reader: Reader, node: ast.stmt) -> list[ast.stmt] | None:
    """A sequence that is changed elsewhere than at its end is made anew."""
    match node:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner, attr="insert"), args=[index, item])):
            change: tuple[ast.expr, ...] = (index, copied(index), item)
        case ast.Assign(targets=[ast.Subscript(value=owner, slice=index)], value=item):
            change = (index, _next(index), item)
        case ast.Delete(targets=[ast.Subscript(value=owner, slice=index)]) if not isinstance(index, ast.Slice):
            change = (index, _next(index))
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner, attr="extend"), args=[more])):
            return _extended(reader, owner, more)
        case _:
            return None
    kind = held(reader, owner)
    if kind is None or kind.kind != "sequence" or isinstance(change[0], ast.Slice):
        return None
    if isinstance(node, ast.Delete) and ast.unparse(change[0]) == "-1":
        where = container(reader, owner, kind)
        return [ast.Expr(ast.Call(ast.Attribute(where, "pop", ast.Load()), [], []))]
    return _remade(reader, owner, kind, change)


def _remade(reader: Reader, owner: ast.expr, kind: Held, change: tuple[ast.expr, ...]) -> list[ast.stmt] | None:
    where = container(reader, owner, kind)
    if not isinstance(where, ast.Name | ast.Attribute):
        return None
    first, rest, *items = [reader.visit(c) for c in change]
    layers = [*_part(where, None, first), *items, *_part(where, rest, None)]
    target = copied(where)
    target.ctx = ast.Store()
    return [ast.Assign([target], Op("sequential", {"layers": ast.List(layers, ast.Load())}, layer=True))]


def _part(where: ast.expr, start: ast.expr | None, stop: ast.expr | None) -> list[ast.expr]:
    """``*where.layers[start:stop]``; nothing before position 0 or behind the last one."""
    edge = start if stop is None else stop
    if edge is not None and ast.unparse(edge) == "0":
        return [] if stop is not None else [ast.Starred(Op("sequence_of", {"module": copied(where)}), ast.Load())]
    if start is not None and ast.unparse(start) == "None":
        return []
    cut = ast.Subscript(Op("sequence_of", {"module": copied(where)}), ast.Slice(start, stop), ast.Load())
    return [ast.Starred(cut, ast.Load())]


def _next(index: ast.expr) -> ast.expr:
    """The position behind one: ``None`` behind the last."""
    text = ast.unparse(index)
    if text == "-1":
        return ast.Constant(None)
    if text.lstrip("-").isdigit():
        return constant(int(text) + 1)
    return ast.BinOp(copied(index), ast.Add(), ast.Constant(1))


def _extended(reader: Reader, owner: ast.expr, more: ast.expr) -> list[ast.stmt] | None:
    kind = held(reader, owner)
    if kind is None or kind.kind != "sequence":
        return None
    item = ast.Name("layer", ast.Load())
    body = ast.Expr(Op("append_to_sequence", {"module": container(reader, owner, kind), "item": item}))
    listing = members(reader, more) or reader.visit(more)
    return [ast.For(ast.Name("layer", ast.Store()), listing, [body], [])]
