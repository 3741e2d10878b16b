"""A manifest's ``forward``, the call of a network written out, as the input specifications that it stands for."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

Spec = dict[str, Any]
_TRAINING = "training"
_TENSOR_MAKERS = frozenset({"constant", "asarray", "convert_to_tensor", "array"})


def inputs(forward: str, given: Sequence[Spec]) -> list[Spec]:
    """What ``forward`` calls the network with, made of the manifest's ``inputs``; ValueError where it says more.

    >>> inputs("model(tf.constant(x), flag=True)", [{"shape": [2, 3]}])
    [{'shape': [2, 3]}, {'value': True, 'name': 'flag'}]
    """
    call = _call(ast.parse(forward, mode="eval").body)
    found: list[Spec] = []
    for argument in (a for a in call.args if not _is_random(a)):
        found.extend(list(given) if isinstance(argument, ast.Starred) else [_spec(argument, given)])
    named = [k for k in call.keywords if k.arg != _TRAINING]
    return found + [_spec(k.value, given) | {"name": str(k.arg)} for k in named]


def _call(node: ast.expr) -> ast.Call:
    """The call of the network inside an expression that also builds it or takes a part of the output."""
    match node:
        case ast.Call(func=ast.Name(id="model")):
            return node
        case ast.Call(func=ast.Attribute(value=ast.Name(id="model"), attr="apply"), args=[_, *rest], keywords=named):
            return ast.Call(node.func, rest, [k for k in named if k.arg not in ("rngs", "mutable")])
        case ast.Subscript(value=value):
            return _call(value)
        case ast.BoolOp(values=[*_, last]):
            return _call(last)
        case ast.IfExp(test=ast.Constant(value=value), body=body, orelse=orelse):
            return _call(body if value else orelse)
    raise ValueError(f"{ast.unparse(node)} is not a plain call of the network")


def _is_random(node: ast.expr) -> bool:
    """Whether an argument is a key or a generator of random numbers, which netferry gives a network itself."""
    return isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("PRNGKey", "key", "Rngs")


def _spec(node: ast.expr, given: Sequence[Spec]) -> Spec:
    match node:
        case ast.Constant(value=value):
            return {"value": value}
        case ast.Name(id="x"):
            return dict(given[0])
        case ast.List(elts=items):
            return {"list": [_spec(item, given) for item in items]}
        case ast.Tuple(elts=items):
            return {"tuple": [_spec(item, given) for item in items]}
        case ast.Subscript(value=ast.Name(id="inputs"), slice=ast.Constant(value=int(index))):
            return dict(given[index])
        case ast.Subscript(value=value, slice=ast.Constant()):
            whole = _spec(value, given)
            return whole | {"shape": whole["shape"][1:]}
        case ast.Call(func=ast.Attribute(attr="transpose", value=value), args=axes):
            whole = _spec(value, given)
            return whole | {"shape": [whole["shape"][ast.literal_eval(a)] for a in axes]}
        case ast.Call(func=ast.Attribute(attr=maker), args=[value]) if maker in _TENSOR_MAKERS:
            return _spec(value, given)
    raise ValueError(f"{ast.unparse(node)} is no input that a specification can say")
