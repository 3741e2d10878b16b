"""Classes whose constructor builds a graph: ``super().__init__(inputs, outputs)``. What it applies becomes their forward pass."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from netferry.passes.splitting import Split, Splitter
from netferry.pivot.nodes import Op

_FORWARD = "forward"
Make = Callable[[set[str]], Splitter]
Place = Callable[[list[ast.stmt], list[ast.stmt], Sequence[str], Sequence[str]], list[ast.stmt]]


def graph_of(node: ast.ClassDef) -> ast.FunctionDef | None:
    """The constructor of a class that is a graph; None for all others."""
    methods = {s.name: s for s in node.body if isinstance(s, ast.FunctionDef)}
    init = methods.get("__init__")
    if init is None or _FORWARD in methods or _position(init) is None:
        return None
    return init


def _position(init: ast.FunctionDef) -> int | None:
    for position, statement in enumerate(init.body):
        match statement:
            case ast.Expr(value=Op(name="functional_model")):
                return position
    return None


def divide(node: ast.ClassDef, splitter_of: Make, placed: Place) -> ast.ClassDef:
    """The class with a constructor that makes its layers and a method that applies them."""
    init = graph_of(node)
    at = _position(init) if init is not None else None
    if init is None or at is None:
        return node
    parameters = {a.arg for a in [*init.args.args, *init.args.kwonlyargs]} - {"self"}
    graph = init.body[at]
    assert isinstance(graph, ast.Expr) and isinstance(graph.value, Op)
    named = _by_name(graph.value)
    start = next((i for i, s in enumerate(init.body) if _starts_base(s)), -1) + 1
    splitter = splitter_of(parameters)
    split = splitter.body(init.body[start : at + 1])
    later = [
        s for s in init.body[at + 1 :] if not splitter.is_dynamic(s)
    ]  # Tensors of the graph are nobody's elsewhere.
    init.body = [*init.body[:start], *placed(split.init, *_saved(split, later), sorted(parameters)), *later]
    inputs = [ast.arg(n) for n in split.inputs]
    body = split.forward
    if named:
        inputs = [ast.arg("inputs")]
        body = [_item(name, key) for key, name in named.items()] + body
    arguments = ast.arguments([], [ast.arg("self"), *inputs], None, [], [], None, [])
    forward = ast.FunctionDef(_FORWARD, arguments, body, [], None)
    node.body.insert(node.body.index(init) + 1, forward)
    return node


def _starts_base(statement: ast.stmt) -> bool:
    """``super().__init__()``."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__"))):
            return True
    return False


def _by_name(graph: Op) -> dict[str, str]:
    """Key -> variable of inputs that come in one dictionary."""
    given = graph.operand("inputs")
    if not isinstance(given, ast.Dict):
        return {}
    pairs = zip(given.keys, given.values, strict=True)
    return {
        str(k.value): v.id for k, v in pairs if isinstance(k, ast.Constant) and isinstance(v, ast.Name)
    }  # fmt: skip


def _item(name: str, key: str) -> ast.stmt:
    item = ast.Subscript(ast.Name("inputs", ast.Load()), ast.Constant(key), ast.Load())
    return ast.Assign([ast.Name(name, ast.Store())], item)


def _saved(split: Split, later: list[ast.stmt]) -> tuple[list[ast.stmt], list[str]]:
    """What keeps the constructor's names that the forward pass needs, but for those that the source keeps itself."""
    kept_already = {n for s in [*split.init, *later] if (n := _kept_name(s))}
    names = [n for n in split.shared if n not in split.made and n not in kept_already]
    return [ast.parse(f"self.{n} = {n}").body[0] for n in names], names


def _kept_name(statement: ast.stmt) -> str:
    """The name that ``self.name = name`` keeps."""
    match statement:
        case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=ast.Name(id=given)):
            return name if name == given else ""
    return ""
