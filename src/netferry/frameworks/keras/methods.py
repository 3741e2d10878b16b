"""The methods of Keras layers in neutral form: ``call`` is ``forward``, the training flag is asked for, ``build`` is part of ``__init__``."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import keras

from netferry.conventions import MISSING
from netferry.frameworks.keras import deferred, paths
from netferry.frameworks.keras.flags import FLAGS, Asked, rest_of
from netferry.frameworks.keras.vocabulary import callable_path
from netferry.ops import registry
from netferry.pivot.nodes import Op, constant
from netferry.reader import Reader
from netferry.walking import Transformer, walk

_DROPPED = {
    "get_config": "saving", "from_config": "saving", "get_build_config": "saving", "build_from_config": "saving",
    "compute_output_shape": "shape inference", "compute_output_spec": "shape inference", "compute_mask": "Keras's masks",
    "train_step": "training", "test_step": "training", "metrics": "training", "compile": "training",
    "predict_step": "training",
}  # fmt: skip
_STARTS = {"zeros": "zeros", "ones": "ones"}


def prepare(reader: Reader, node: ast.ClassDef) -> None:
    """Change a class's methods before they are read."""
    kept: list[ast.stmt] = []
    _drop_detour(reader, node)
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name in _DROPPED:
            reader.note(statement, f"{statement.name} is left out: it only concerns {_DROPPED[statement.name]}")
            continue
        kept.append(statement)
    node.body = kept
    deferred.settle(node)
    _merge_build(node)
    for method in node.body:
        if isinstance(method, ast.FunctionDef):
            _method(reader, method)


def _drop_detour(reader: Reader, node: ast.ClassDef) -> None:
    """A ``call`` that hands on to the class's own ``forward``: elsewhere that is what is called."""
    methods = {s.name: s for s in node.body if isinstance(s, ast.FunctionDef)}
    call = methods.get("call")
    if call is None or "forward" not in methods:
        return
    if any(isinstance(n, ast.Attribute) and ast.unparse(n) == "self.forward" for n in walk(call)):
        reader.note(call, "call is left out: it only hands on to forward, which is called without it")
        node.body.remove(call)


def _method(reader: Reader, method: ast.FunctionDef) -> None:
    if method.name == "__init__":
        _drop_options(method)
        _own_call(method)
        return
    if method.name in ("call", "__call__"):
        method.name = "forward"
    own = [name for name in sorted(FLAGS) if _has(method, name)]
    for name in own:
        _drop(method, name)
    rest = rest_of(method, reader.values)
    if rest:
        method.args.kwarg = None
    if _has(method, "mask") and method.name == "forward" and not _reads(method, "mask"):
        _drop(method, "mask")
    changer = Asked(own, rest, lambda call: _reaches_layer(reader, call))
    method.body = [changer.visit(s) for s in method.body]
    _own_call(method)


def _reaches_layer(reader: Reader, call: ast.Call) -> bool:
    """Whether a call is that of a layer or of a layer's method."""
    callees = reader.callees(call)
    if callees:
        return all(paths.is_holder(c) or paths.is_holder(getattr(c, "__self__", None)) for c in callees)
    return isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value).partition(".")[0] in (
        "self",
        "super()",
    )


def _own_call(method: ast.FunctionDef) -> None:
    """``self.call`` is ``self.forward``."""
    for node in (n for s in method.body for n in walk(s)):
        if isinstance(node, ast.Attribute) and node.attr == "call" and ast.unparse(node.value) in ("self", "super()"):
            node.attr = "forward"


def _has(method: ast.FunctionDef, name: str) -> bool:
    return any(a.arg == name for a in [*method.args.args, *method.args.kwonlyargs])


def _reads(method: ast.FunctionDef, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name for s in method.body for n in walk(s))


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
    reads = [n.id for s in method.body for n in walk(s) if isinstance(n, ast.Name)]
    in_base = [
        n.id for s in method.body for c in walk(s) if isinstance(c, ast.Call) and _is_base(c) for n in walk(c)
        if isinstance(n, ast.Name)
    ]  # fmt: skip
    if rest is not None and reads.count(rest.arg) == in_base.count(rest.arg):
        method.args.kwarg = None
    for name in ("name", "dtype", "trainable"):
        if _has(method, name) and reads.count(name) == in_base.count(name):
            _drop(method, name)


def _is_base(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "__init__"


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


class _Sizes(Transformer):
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
    found: dict[tuple[str, str], str] = {}
    for _, layer in paths.layers(network):
        for name, value in vars(layer).items():
            members = (
                list(value.values()) if isinstance(value, dict) else value if isinstance(value, list | tuple) else []
            )
            if members and all(paths.is_holder(m) for m in members):
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
    if name.lower() in _STARTS:
        return Op(_STARTS[name.lower()], {}, {"shape": shape}, site=site)
    if name in ("Constant", "constant_initializer"):
        return Op("full", {}, {"shape": shape, "value": ast.Constant(float(found.value))}, site=site)
    if name == "RandomNormal":
        spread = {"mean": constant(float(found.mean)), "std": constant(float(found.stddev))}
        return Op("normal", {}, spread | {"shape": shape}, site=site)
    if name == "RandomUniform":
        limits = {"low": constant(float(found.minval)), "high": constant(float(found.maxval))}
        return Op("uniform", {}, limits | {"shape": shape}, site=site)
    return Op("randn", {}, {"shape": shape}, site=site)


_TRAINERS = (keras.initializers.Initializer, keras.regularizers.Regularizer, keras.constraints.Constraint)
_TRAINER_ENDINGS = ("_initializer", "_regularizer", "_constraint")


def _is_trainer(value: Any) -> bool:
    """Whether an object only says how a layer starts, is held while it is trained, or draws random numbers."""
    return (
        isinstance(value, (*_TRAINERS, keras.random.SeedGenerator))
        or type(value).__module__ == "tensorflow.python.ops.init_ops_v2"
    )


def only_trains(reader: Reader, value: ast.expr) -> bool:
    """Whether an expression gave initialisers, regularisers or constraints and nothing else."""
    seen = reader.values(value) if isinstance(value, ast.Call) else []
    return bool(seen) and all(_is_trainer(v) for v in seen)


def without_trainer(reader: Reader, node: ast.Assign, target: ast.expr) -> list[ast.stmt]:
    """Layers are made without it: its name goes, or stays empty where code hands it on."""
    reader.note(node, f"{ast.unparse(target)} is left out: it only concerns initial values, penalties or seeds")
    around = reader.function[-1] if reader.function else reader.file.tree
    if isinstance(target, ast.Name) and _is_handed_on(around, target.id):
        node.value = ast.copy_location(ast.Constant(None), node.value)
        return [node]
    return []


def _is_handed_on(around: ast.AST, name: str) -> bool:
    """Whether a name is read elsewhere than in arguments that stock layers lose, and in calls of it."""
    given = {
        id(k.value) for n in walk(around) if isinstance(n, ast.Call) for k in n.keywords
        if k.arg and k.arg.endswith((*_TRAINER_ENDINGS, "initializer"))
    }  # fmt: skip
    called = {id(n.func) for n in walk(around) if isinstance(n, ast.Call)}
    reads = (n for n in walk(around) if isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load))
    return any(id(n) not in given | called for n in reads)


def started(reader: Reader, node: ast.Call) -> ast.expr | None:
    """``initializer(shape)``: what the initialiser gives, as an expression."""
    callees = reader.callees(node)
    if not callees or isinstance(callees[0], type) or not all(_is_trainer(c) for c in callees):
        return None
    given = {k.arg: k.value for k in node.keywords}
    shape = node.args[0] if node.args else given.get("shape")
    return None if shape is None else initial(reader, reader.visit(shape), node.func)


__all__ = ["callable_path", "container", "initial", "prepare", "registry"]
