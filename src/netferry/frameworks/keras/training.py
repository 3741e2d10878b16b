"""Threads the training flag: a method that asks for it takes an argument ``training``, and its callers hand it on."""

from __future__ import annotations

import ast
import inspect

import keras

from netferry.ops import registry
from netferry.pivot.nodes import LayerCall, Op
from netferry.pivot.program import Program
from netferry.walking import Transformer, walk


def thread(program: Program) -> None:
    """Replace every ``is_training`` op by the argument of the method around it."""
    for node in program.classes():
        methods = {m.name: m for m in node.body if isinstance(m, ast.FunctionDef)}
        asking = {name for name, m in methods.items() if _asks(m)}
        if not asking:
            continue
        while True:
            more = {n for n, m in methods.items() if n not in asking and n != "__init__" and _calls(m, asking)}
            if not more:
                break
            asking |= more
        for name in asking - {"__init__"}:
            _add_argument(methods[name])
        for name, method in methods.items():
            _Replace(asking, inside=name in asking and name != "__init__").visit(method)


def _asks(method: ast.FunctionDef) -> bool:
    return any((isinstance(n, Op) and n.name == "is_training") or _takes_flag(n) for n in walk(method))


def _takes_flag(node: ast.AST) -> bool:
    """``super().call(x)`` of a layer that does something else in training."""
    if not isinstance(node, LayerCall) or not ast.unparse(node.callee).startswith("super()."):
        return False
    paths = [s.path for s in registry.get(node.name).spellings.get("keras", ()) if s.layer and s.path]
    kinds = [getattr(keras.layers, path.rpartition(".")[2], None) for path in paths]
    return any(kind is not None and "training" in inspect.signature(kind.call).parameters for kind in kinds)


def _calls(method: ast.FunctionDef, names: set[str]) -> bool:
    return any(_self_call(n) in names for n in walk(method))


def _self_call(node: ast.AST) -> str | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        owner = node.func.value
        if isinstance(owner, ast.Name) and owner.id == "self":
            return node.func.attr
    return None


def _add_argument(method: ast.FunctionDef) -> None:
    """``training=False`` as the last ordinary parameter (keyword-only where ``*args`` takes the rest)."""
    arguments = method.args
    if any(a.arg == "training" for a in [*arguments.args, *arguments.kwonlyargs]):
        return
    made = ast.arguments(
        list(arguments.posonlyargs), list(arguments.args), arguments.vararg, list(arguments.kwonlyargs),
        list(arguments.kw_defaults), arguments.kwarg, list(arguments.defaults),
    )  # fmt: skip
    if arguments.vararg is not None or arguments.kwonlyargs:
        made.kwonlyargs.append(ast.arg("training"))
        made.kw_defaults.append(ast.Constant(False))
    else:
        made.args.append(ast.arg("training"))
        made.defaults.append(ast.Constant(False))
    method.args = made


class _Replace(Transformer):
    def __init__(self, asking: set[str], *, inside: bool) -> None:
        self.asking = asking
        self.inside = inside

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, Op) and node.name == "is_training":
            made: ast.expr = ast.Name("training", ast.Load()) if self.inside else ast.Constant(False)
            return ast.copy_location(made, node)
        self.generic_visit(node)
        if self.inside and _takes_flag(node):
            node.nf_training = True  # type: ignore[attr-defined]
        if not (self.inside and isinstance(node, ast.Call) and _self_call(node) in self.asking):
            return node
        if any(k.arg == "training" for k in node.keywords):
            return node
        flag = ast.keyword("training", ast.Name("training", ast.Load()))
        return ast.copy_location(ast.Call(node.func, node.args, [*node.keywords, flag]), node)
