"""The methods of Keras layers in neutral form: ``call`` is ``forward``, the training flag is asked for, ``build`` is part of ``__init__``."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence
from typing import Any

import keras

from netferry.conventions import MISSING
from netferry.frameworks import detours
from netferry.frameworks.keras import deferred, extended, paths
from netferry.frameworks.keras.flags import FLAGS, Asked, rest_of
from netferry.frameworks.keras.vocabulary import callable_path, class_path
from netferry.ops import registry
from netferry.passes.living import loads, stores
from netferry.pivot.copying import copied
from netferry.pivot.nodes import Op, Reference, constant
from netferry.reader import Reader
from netferry.walking import Transformer, walk

_DROPPED = {
    "get_config": "saving", "from_config": "saving", "get_build_config": "saving", "build_from_config": "saving",
    "compute_output_shape": "shape inference", "compute_output_spec": "shape inference", "compute_mask": "Keras's masks",
    "train_step": "training", "test_step": "training", "metrics": "training", "compile": "training",
    "predict_step": "training",
}  # fmt: skip
_OPTIONS = frozenset({"name", "dtype", "trainable"})
"""What every layer takes and most hand on to their base."""
_STARTS = {"zeros": "zeros", "ones": "ones"}


def prepare(reader: Reader, node: ast.ClassDef) -> None:
    """Change a class's methods before they are read."""
    kept: list[ast.stmt] = []
    extended.settle(reader, node)
    detours.drop(reader, node, "call")
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name in _DROPPED:
            reader.note(statement, f"{statement.name} is left out: it only concerns {_DROPPED[statement.name]}")
            continue
        kept.append(statement)
    node.body = kept
    deferred.settle(node)
    _merge_build(reader, node)
    _drop_keepers(reader, node)
    for method in node.body:
        if isinstance(method, ast.FunctionDef):
            _method(reader, method, stock=_extends_stock(reader, node))


def _drop_keepers(reader: Reader, node: ast.ClassDef) -> None:
    """A graph whose base is a class of the user's that computes nothing extends the framework's own."""
    init = next((s for s in node.body if isinstance(s, ast.FunctionDef) and s.name == "__init__"), None)
    base = reader.static(node.bases[0]) if len(node.bases) == 1 else None
    if init is None or not isinstance(base, type) or not issubclass(base, keras.Model) or class_path(base) is not None:
        return
    own = [k for k in base.__mro__ if class_path(k) is None and k is not object]
    inherited = {n for k in own for n in vars(k)}
    read = {
        n.attr for n in walk(node) if isinstance(n, ast.Attribute) and _is_own(n.value) and isinstance(n.ctx, ast.Load)
    }
    read -= {n.attr for n in walk(init) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
    graph = next((c for s in init.body if (c := _graph_call(s)) is not None), None)
    if graph is None or "call" in inherited or (read - {"__init__", "get_config"}) & inherited:
        return
    reader.note(node, f"{base.__name__} is left out: it computes nothing")
    node.bases = [Reference("keras.Model", "Module")]
    graph.keywords = [k for k in graph.keywords if k.arg in ("inputs", "outputs")]


def _graph_call(statement: ast.stmt) -> ast.Call | None:
    """``super().__init__(inputs=x, outputs=y)``."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner, attr="__init__")) as call) if _is_own(owner):
            given = {*("inputs", "outputs")[: len(call.args)], *(k.arg for k in call.keywords)}
            return call if given >= {"inputs", "outputs"} and len(call.args) <= 2 else None
    return None


def _take_graph(method: ast.FunctionDef) -> None:
    """``super().__init__(inputs=x, outputs=y)``: the base is made first, and what the graph computes is noted."""
    for position, statement in enumerate(method.body):
        call = _graph_call(statement)
        if call is None:
            continue
        given = dict(zip(("inputs", "outputs"), call.args, strict=False))
        given |= {k.arg: k.value for k in call.keywords if k.arg in ("inputs", "outputs")}
        call.args, call.keywords = [], [k for k in call.keywords if k.arg not in given]
        method.body[position] = ast.copy_location(ast.Expr(Op("functional_model", given)), statement)
        first = 1 if ast.get_docstring(method, clean=False) is not None else 0
        method.body.insert(first, ast.copy_location(ast.Expr(call), statement))
        return


def _base_first(method: ast.FunctionDef) -> None:
    """``super().__init__()`` comes before what it needs nothing of: elsewhere a module holds nothing until then."""
    for statement in method.body:
        match statement:
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner, attr="__init__"), args=args, keywords=given)):
                if not _is_own(owner) or len(args) > 1 or any(k.arg in ("inputs", "outputs", "layers") for k in given):
                    return
                first = 1 if ast.get_docstring(method, clean=False) is not None else 0
                if method.body[first] is not statement:
                    method.body.remove(statement)
                    method.body.insert(first, ast.copy_location(ast.Expr(statement.value), statement))
                return


def _extends_stock(reader: Reader, node: ast.ClassDef) -> bool:
    """Whether all that a class extends belongs to the framework."""
    found = [reader.static(b) for b in node.bases]
    return all(not isinstance(b, type) or class_path(b) is not None for b in found)


def _method(reader: Reader, method: ast.FunctionDef, *, stock: bool) -> None:
    if method.name == "__init__":
        _take_graph(method)
        _drop_options(reader, method, stock=stock)
        if stock:
            _base_first(method)
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
    return isinstance(call.func, ast.Attribute) and _is_own(call.func.value, deep=True)


def _is_own(node: ast.expr, *, deep: bool = False) -> bool:
    """Whether an expression is ``self`` or ``super()``, or (``deep``) an attribute of these."""
    match node:
        case ast.Name(id="self") | ast.Call(func=ast.Name(id="super")):
            return True
        case ast.Attribute(value=value):
            return deep and _is_own(value, deep=True)
    return False


def _own_call(method: ast.FunctionDef) -> None:
    """``self.call`` is ``self.forward``."""
    for node in (n for s in method.body for n in walk(s)):
        if isinstance(node, ast.Attribute) and node.attr == "call" and _is_own(node.value):
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


def _drop_options(reader: Reader, method: ast.FunctionDef, *, stock: bool) -> None:
    """``**kwargs`` that only ``super().__init__`` gets, and a ``name`` for it; ``stock``: the framework's own."""
    rest = method.args.kwarg
    reads = [n.id for s in method.body for n in walk(s) if isinstance(n, ast.Name)]
    calls = [c for s in method.body for c in walk(s) if isinstance(c, ast.Call) and _is_base(c)]
    in_base = [n.id for c in calls for n in walk(c) if isinstance(n, ast.Name)]
    if rest is not None and reads.count(rest.arg) == in_base.count(rest.arg):
        given = [k for c in calls for k in c.keywords if k.arg is None and ast.unparse(k.value) == rest.arg]
        if stock or all(holds_options(reader, k) for k in given):
            method.args.kwarg = None
            for call in calls:
                call.keywords = [k for k in call.keywords if k not in given]
    for name in _OPTIONS:
        if _has(method, name) and reads.count(name) == in_base.count(name):
            _drop(method, name)
            for call in calls:
                call.keywords = [k for k in call.keywords if k.arg != name]


def _is_base(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "__init__"


def _merge_build(reader: Reader, node: ast.ClassDef) -> None:
    """What ``build`` makes is made at the end of ``__init__``; sizes of inputs become facts."""
    build = next((m for m in node.body if isinstance(m, ast.FunctionDef) and m.name == "build"), None)
    if build is None:
        return
    shape = build.args.args[1].arg if len(build.args.args) > 1 else ""
    changer = _Sizes(reader, shape)
    visited = [changer.visit(s) for s in _without_checks(build.body)]
    body = [s for s in visited if s is not None]
    given = {a.arg: d for a, d in zip(reversed(build.args.args), reversed(build.args.defaults), strict=False)}
    body = _Defaults(given).statements(body)
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
        case ast.Assign(targets=[ast.Attribute(attr="built" | "input_spec")]):
            return True
        case ast.Expr(value=ast.Constant(value=str())):
            return True
    return False


def _without_checks(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements that make something: not checks of sizes, nor what only these read."""
    kept = [s for s in body if not _only_marks(s) and not _only_checks(s)]
    while True:
        read = loads([s for s in kept if not _only_fills(s)])
        left = [s for s in kept if not (_only_fills(s) and not stores(s) & read and not _filled(s) & read)]
        if len(left) == len(kept):
            return kept
        kept = left


def _only_fills(statement: ast.stmt) -> bool:
    """Whether a statement only gives values to names and to items of what these hold."""
    match statement:
        case ast.Assign(targets=targets):
            return all(isinstance(t, ast.Name) or (isinstance(t, ast.Subscript) and _filled(t)) for t in targets)
        case ast.For(body=body) | ast.If(body=body):
            return all(map(_only_fills, [*body, *statement.orelse]))
    return False


def _filled(node: ast.AST) -> set[str]:
    """The names that have items written."""
    found = (n.value for n in walk(node) if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store))
    return {v.id for v in found if isinstance(v, ast.Name)}


def _only_checks(statement: ast.stmt) -> bool:
    """Whether a statement of ``build`` does nothing or raises."""
    match statement:
        case ast.Assert():
            return True
        case ast.If(body=[ast.Raise()], orelse=[]):
            return True
    return False


class _Defaults(Transformer):
    """Nothing is given for the parameters of ``build`` that have a default."""

    def __init__(self, given: dict[str, ast.expr]) -> None:
        self.given = given

    def statements(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """The statements with the defaults, and only the branches that they choose."""
        found: list[ast.stmt] = []
        for statement in body if self.given else ():
            match statement:
                case ast.If(test=ast.Compare(left=ast.Name(id=name), ops=[op], comparators=[ast.Constant(value=None)])):
                    default = self.given.get(name)
                    if isinstance(default, ast.Constant) and isinstance(op, ast.Is | ast.IsNot):
                        answer = (default.value is None) == isinstance(op, ast.Is)
                        found += self.statements(statement.body if answer else statement.orelse)
                        continue
            found.append(self.visit(statement))
        return found or body

    def visit_Name(self, node: ast.Name) -> ast.AST:
        default = self.given.get(node.id) if isinstance(node.ctx, ast.Load) else None
        return node if default is None else ast.copy_location(copied(default), node)


class _Sizes(Transformer):
    """``input_shape[-1]`` is a size that the run tells, and so is what else is read of the shape."""

    def __init__(self, reader: Reader, name: str) -> None:
        self.reader = reader
        self.name = name

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        """``input_shape = tf.TensorShape(input_shape)`` changes nothing."""
        if len(node.targets) == 1 and self._is_shape(node.targets[0]):
            return None
        return self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if self._is_shape(_bare(node.value)) and not isinstance(node.slice, ast.Slice):
            made = Op("input_size", {}, {"axis": node.slice})
            made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
            return ast.copy_location(made, node)
        seen = self.reader.values(node)
        if self._is_shape(_bare(node.value)) and seen and all(v == seen[0] for v in seen):
            return ast.copy_location(constant(tuple(seen[0])), node)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        bare = _bare(node)
        if bare is not node:
            made: ast.AST = self.visit(bare)
            return made
        match node:
            case ast.Call(func=ast.Name(id="len"), args=[given]) if self._is_shape(_bare(given)):
                ranks = {len(v) for v in self.reader.values(_bare(given)) if v is not None}
                return constant(ranks.pop()) if len(ranks) == 1 else node
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        seen = self.reader.values(node) if self._is_shape(node) else []
        known = [tuple(v) for v in seen if isinstance(v, list | tuple) and all(isinstance(n, int | None) for n in v)]
        return ast.copy_location(constant(known[0]), node) if known and len({*known}) == 1 else node

    def _is_shape(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == self.name != ""


def _bare(node: ast.expr) -> ast.expr:
    """A shape or size without the calls that only make it TensorFlow's, or a list."""
    match node:
        case ast.Call(func=ast.Attribute(attr="TensorShape" | "dimension_value"), args=[given], keywords=[]):
            return _bare(given)
        case ast.Call(func=ast.Attribute(value=value, attr="as_list"), args=[]):
            return _bare(value)
        case ast.Call(func=ast.Name(id="list" | "tuple" | "int"), args=[given], keywords=[]) if (
            _bare(given) is not given
        ):
            return _bare(given)
    return node


def leave_out(reader: Reader, node: ast.Call, callees: Sequence[Any]) -> None:
    """``Block(64, name="block1")``: the name of an instance of a class that does not use it itself."""
    if all(isinstance(c, type) and issubclass(c, keras.layers.Layer) for c in callees):
        used = {p for c in callees for p in _own_parameters(c)}
        node.keywords = [k for k in node.keywords if k.arg not in _OPTIONS or k.arg in used]
        node.keywords = [k for k in node.keywords if k.arg is not None or not holds_options(reader, k)]
    elif callees and all(map(_hands_on_options, callees)):
        node.keywords = [k for k in node.keywords if k.arg not in _OPTIONS]


def name_locals(reader: Reader, node: ast.Call) -> None:
    """``build(**locals())``: what is handed on, name by name."""
    named: list[ast.keyword] = []
    for keyword in node.keywords:
        seen = reader.values(keyword) if keyword.arg is None and ast.unparse(keyword.value) == "locals()" else []
        if not seen or any(v.keys() != seen[0].keys() for v in seen):
            named.append(keyword)
            continue
        named += [ast.keyword(n, ast.copy_location(ast.Name(n, ast.Load()), keyword.value)) for n in seen[0]]
    node.keywords = named


def holds_options(reader: Reader, given: ast.keyword) -> bool:
    """Whether ``**kwargs`` never held anything but what a layer is called and how it is saved."""
    seen = reader.values(given)
    return bool(seen) and all(isinstance(v, dict) and v.keys() <= _OPTIONS for v in seen)


def _hands_on_options(function: Any) -> bool:
    """Whether a function of the user's takes the name of a layer among its ``**kwargs`` and does not look at it."""
    code = getattr(function, "__code__", None)
    if code is None or not code.co_flags & inspect.CO_VARKEYWORDS:
        return False
    return not _OPTIONS & {*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], *code.co_consts}


def _own_parameters(kind: type) -> set[str]:
    """The parameters of a constructor that its class keeps when it is read."""
    code = getattr(kind.__init__, "__code__", None)  # type: ignore[misc]
    names = set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]) if code is not None else set()
    return names - _OPTIONS


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
            if members and (all(map(paths.is_holder, members)) or all(map(paths.is_variable, members))):
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
        return Op("full", {}, {"shape": shape, "value": _filling(reader, given, float(found.value))}, site=site)
    if name == "RandomNormal":
        spread = {"mean": constant(float(found.mean)), "std": constant(float(found.stddev))}
        return Op("normal", {}, spread | {"shape": shape}, site=site)
    if name == "RandomUniform":
        limits = {"low": constant(float(found.minval)), "high": constant(float(found.maxval))}
        return Op("uniform", {}, limits | {"shape": shape}, site=site)
    return Op("randn", {}, {"shape": shape}, site=site)


def _filling(reader: Reader, given: ast.expr | None, value: float) -> ast.expr:
    """The number that ``Constant(self.scale)`` starts with, in the words of the code where these are numbers."""
    match given:
        case (
            ast.Call(args=[number], keywords=[]) | ast.Call(args=[], keywords=[ast.keyword(arg="value", value=number)])
        ):
            seen = reader.values(number)
            if seen and all(type(v) in (int, float) and float(v) == value for v in seen):
                return reader.visit(copied(number))  # type: ignore[no-any-return]
    return ast.Constant(value)


_TRAINERS = (keras.initializers.Initializer, keras.regularizers.Regularizer, keras.constraints.Constraint)
_SOUGHT = (keras.initializers.get, keras.regularizers.get, keras.constraints.get)
"""What finds such an object by its name, or none."""
_OLDER = "tensorflow.python.ops.init_ops_v2"
"""Where TensorFlow has initialisers of its own."""
_TRAINER_ENDINGS = ("_initializer", "_regularizer", "_constraint")


def _is_trainer(value: Any) -> bool:
    """Whether an object only says how a layer starts, is held while it is trained, or draws random numbers."""
    return isinstance(value, (*_TRAINERS, keras.random.SeedGenerator)) or type(value).__module__ == _OLDER


def only_trains(reader: Reader, value: ast.expr) -> bool:
    """Whether an expression gave initialisers, regularisers or constraints and nothing else."""
    callees = reader.callees(value) if isinstance(value, ast.Call) else []
    if callees and all(c in _SOUGHT for c in callees):
        return True
    seen = reader.values(value) if isinstance(value, ast.Call) else []
    return bool(seen) and all(_is_trainer(v) for v in seen)


def makes_trainer(reader: Reader, node: ast.Call) -> bool:
    """Whether a call makes an initialiser, regulariser, constraint or a check of inputs."""
    if only_trains(reader, node):
        return True
    callees = [c for c in [*reader.callees(node), reader.static(node.func)] if isinstance(c, type)]
    return any(issubclass(c, (*_TRAINERS, keras.InputSpec)) or c.__module__ == _OLDER for c in callees)


def no_trainer(reader: Reader, node: ast.Call) -> ast.expr:
    """``init=RandomNormal()``, given to code that is no layer: layers are made without it."""
    reader.note(node, f"{ast.unparse(node)} is left out: it only concerns initial values, penalties or checks")
    return ast.copy_location(ast.Constant(None), node)


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
