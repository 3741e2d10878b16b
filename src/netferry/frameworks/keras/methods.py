"""The methods of Keras layers in neutral form: ``call`` is ``forward``, the training flag is asked for, ``build`` is part of ``__init__``."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import keras

from netferry.conventions import MISSING
from netferry.frameworks.keras.vocabulary import callable_path
from netferry.ops import registry
from netferry.pivot.nodes import Op
from netferry.reader import Reader

_DROPPED = {
    "get_config": "saving", "from_config": "saving", "get_build_config": "saving", "build_from_config": "saving",
    "compute_output_shape": "shape inference", "compute_output_spec": "shape inference", "compute_mask": "Keras's masks",
    "train_step": "training", "test_step": "training", "metrics": "training", "compile": "training",
    "predict_step": "training",
}  # fmt: skip
_STARTS = {"Zeros": "zeros", "Ones": "ones"}


def prepare(reader: Reader, node: ast.ClassDef) -> None:
    """Change a class's methods before they are read."""
    kept: list[ast.stmt] = []
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name in _DROPPED:
            reader.note(statement, f"{statement.name} is left out: it only concerns {_DROPPED[statement.name]}")
            continue
        kept.append(statement)
    node.body = kept
    _merge_build(node)
    flagged = {m.name for m in node.body if isinstance(m, ast.FunctionDef) and _has(m, "training")}
    for method in node.body:
        if isinstance(method, ast.FunctionDef):
            _method(method, flagged)


def _method(method: ast.FunctionDef, flagged: set[str]) -> None:
    if method.name == "call":
        method.name = "forward"
    if method.name == "__init__":
        _drop_options(method)
    own = _has(method, "training")
    if own:
        _drop(method, "training")
    if _has(method, "mask") and method.name == "forward" and not _reads(method, "mask"):
        _drop(method, "mask")
    changer = _Flag(own)
    method.body = [changer.visit(s) for s in method.body]


def _has(method: ast.FunctionDef, name: str) -> bool:
    return any(a.arg == name for a in [*method.args.args, *method.args.kwonlyargs])


def _reads(method: ast.FunctionDef, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name for s in method.body for n in ast.walk(s))


def _drop(method: ast.FunctionDef, name: str) -> None:
    """Take a parameter away, with its default."""
    arguments = method.args
    for index, argument in enumerate(arguments.args):
        if argument.arg == name:
            behind = len(arguments.args) - index
            arguments.args = [a for a in arguments.args if a.arg != name]
            if behind <= len(arguments.defaults):
                at = len(arguments.defaults) - behind
                arguments.defaults = [d for i, d in enumerate(arguments.defaults) if i != at]
            return
    kept = [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if a.arg != name]
    arguments.kwonlyargs, arguments.kw_defaults = [a for a, _ in kept], [d for _, d in kept]


def _drop_options(method: ast.FunctionDef) -> None:
    """``**kwargs`` that only ``super().__init__`` gets, and a ``name`` for it."""
    rest = method.args.kwarg
    reads = [n.id for s in method.body for n in ast.walk(s) if isinstance(n, ast.Name)]
    in_base = [
        n.id for s in method.body for c in ast.walk(s) if isinstance(c, ast.Call) and _is_base(c) for n in ast.walk(c)
        if isinstance(n, ast.Name)
    ]  # fmt: skip
    if rest is not None and reads.count(rest.arg) == in_base.count(rest.arg):
        method.args.kwarg = None
    for name in ("name", "dtype", "trainable"):
        if _has(method, name) and reads.count(name) == in_base.count(name):
            _drop(method, name)


def _is_base(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "__init__"


class _Flag(ast.NodeTransformer):
    """The training flag is asked for, not handed on; ``self.call`` is ``self.forward``."""

    def __init__(self, own: bool) -> None:
        self.own = own

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if self.own and node.id == "training" and isinstance(node.ctx, ast.Load):
            return ast.copy_location(Op("is_training", {}), node)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if (
            node.attr == "call"
            and isinstance(node.value, ast.Name | ast.Call)
            and ast.unparse(node.value) in ("self", "super()")
        ):
            node.attr = "forward"
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if any(k.arg == "training" and _is_flag(k.value) for k in node.keywords):
            node.keywords = [k for k in node.keywords if not (k.arg == "training" and _is_flag(k.value))]
        if node.args and isinstance(node.args[-1], ast.Name) and node.args[-1].id == "training" and len(node.args) > 1:
            node.args = node.args[:-1]
        self.generic_visit(node)
        return node


def _is_flag(value: ast.expr) -> bool:
    return (isinstance(value, ast.Name) and value.id == "training") or (
        isinstance(value, ast.Constant) and value.value is None
    )


def _merge_build(node: ast.ClassDef) -> None:
    """What ``build`` makes is made at the end of ``__init__``; sizes of inputs become facts."""
    build = next((m for m in node.body if isinstance(m, ast.FunctionDef) and m.name == "build"), None)
    if build is None:
        return
    shape = build.args.args[1].arg if len(build.args.args) > 1 else ""
    changer = _Sizes(shape)
    body = [changer.visit(s) for s in build.body if not _only_marks(s)]
    node.body.remove(build)
    init = next((m for m in node.body if isinstance(m, ast.FunctionDef) and m.name == "__init__"), None)
    if init is None:
        start = ast.parse("def __init__(self):\n    super().__init__()").body[0]
        assert isinstance(start, ast.FunctionDef)
        init = start
        node.body.insert(
            next((i for i, s in enumerate(node.body) if isinstance(s, ast.FunctionDef)), len(node.body)), init
        )
    init.body = [*init.body, *body]


def _only_marks(statement: ast.stmt) -> bool:
    """``super().build(...)``, ``self.built = True`` and the docstring."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="build"))):
            return True
        case ast.Assign(targets=[ast.Attribute(attr="built")]):
            return True
        case ast.Expr(value=ast.Constant(value=str())):
            return True
    return False


class _Sizes(ast.NodeTransformer):
    """``input_shape[-1]`` is a size that the run tells."""

    def __init__(self, name: str) -> None:
        self.name = name

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id == self.name and self.name:
            made = Op("input_size", {}, {"axis": node.slice})
            made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
            return ast.copy_location(made, node)
        self.generic_visit(node)
        return node


def leave_out(node: ast.Call, callees: Sequence[Any]) -> None:
    """``Block(64, name="block1")``: the name of an instance of a class that does not use it itself."""
    if not all(isinstance(c, type) and issubclass(c, keras.layers.Layer) for c in callees):
        return
    used = {p for c in callees for p in _own_parameters(c)}
    node.keywords = [k for k in node.keywords if k.arg not in ("name", "dtype", "trainable") or k.arg in used]


def _own_parameters(kind: type) -> set[str]:
    """The parameters of a constructor that its class keeps when it is read."""
    code = getattr(kind.__init__, "__code__", None)  # type: ignore[misc]
    names = set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]) if code is not None else set()
    return names - {"name", "dtype", "trainable"}


def container(reader: Reader, name: str) -> str | None:
    """What an attribute of some layer of the network is, when it is a list or dict that holds layers."""
    found = getattr(reader.facts, "keras_containers", None)
    if found is None:
        found = _containers(reader.facts.network)
        reader.facts.keras_containers = found
    return found.get((reader.class_name, name))


def _containers(network: Any) -> dict[tuple[str, str], str]:
    from netferry.frameworks.keras import paths

    found: dict[tuple[str, str], str] = {}
    for _, layer in paths.layers(network):
        for name, value in vars(layer).items():
            members = (
                list(value.values()) if isinstance(value, dict) else value if isinstance(value, list | tuple) else []
            )
            if members and all(isinstance(m, keras.layers.Layer) for m in members):
                kind = "module_dict" if isinstance(value, dict) else "module_list"
                for owner in type(layer).__mro__:
                    found[owner.__name__, name] = kind
    return found


def initial(reader: Reader, shape: ast.expr, given: ast.expr | None) -> ast.expr:
    """The value that an initialiser gives a new variable, as an expression."""
    value: Any = "glorot_uniform"
    if given is not None:
        seen = reader.values(given)
        value = given.value if isinstance(given, ast.Constant) else seen[0] if seen else reader.static(given)
    found = (
        keras.initializers.get(value)
        if (value is not MISSING and not callable(value)) or isinstance(value, str)
        else value
    )
    name = type(found).__name__
    site = reader.site(given) if given is not None else None
    if name in _STARTS:
        return Op(_STARTS[name], {}, {"shape": shape}, site=site)
    if name == "Constant":
        return Op("full", {}, {"shape": shape, "value": ast.Constant(float(found.value))}, site=site)
    return Op("randn", {}, {"shape": shape}, site=site)


__all__ = ["callable_path", "container", "initial", "prepare", "registry"]
