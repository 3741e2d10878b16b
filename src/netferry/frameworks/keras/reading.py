"""How Keras and TensorFlow code is put together: models, layers, variables, and what has no meaning elsewhere."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from netferry.conventions import MISSING
from netferry.frameworks.keras import flags, methods, older, orders, paths, rules, sizes, starts, wrapping
from netferry.frameworks.keras.activations import activated, follow
from netferry.frameworks.keras.merging import applied
from netferry.frameworks.keras.probe import KerasProbe
from netferry.frameworks.keras.vocabulary import LIBRARIES, callable_path, class_path
from netferry.frameworks.keras.walk import walk
from netferry.ops import registry
from netferry.ops.binding import CannotBind
from netferry.pivot.copying import copied
from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import LayerAttribute, Op, Reference, constant
from netferry.pivot.render import regrouped
from netferry.reader import Reader
from netferry.walking import walk as walk_tree
from netferry.weights.build import Module

Rule = Callable[["KerasConventions", Reader, ast.Call], "ast.expr | object | None"]

_ANNOTATIONS = {
    "tf.Tensor": "Tensor", "tf.Module": "Module", "keras.Model": "Module", "keras.layers.Layer": "Module", "keras.Sequential": "Sequential",
}  # fmt: skip
_IGNORED = frozenset({
    "kernel_regularizer", "bias_regularizer", "activity_regularizer", "kernel_constraint", "bias_constraint",
    "recurrent_regularizer", "recurrent_constraint", "beta_regularizer", "gamma_regularizer", "beta_constraint",
    "gamma_constraint", "embeddings_regularizer", "embeddings_constraint", "depthwise_regularizer", "pointwise_regularizer",
    "depthwise_constraint", "pointwise_constraint", "dtype", "input_shape", "input_dim", "batch_input_shape",
    "batch_size", "input_length", "unroll", "use_cudnn", "implementation", "synchronized", "renorm", "fused",
    "lora_rank", "trainable", "autocast", "virtual_batch_size",
})  # fmt: skip
"""Arguments of stock layers that do not change what they compute."""
_ERASED = (
    "keras.src.saving",
    "keras.src.api_export",
    "keras.src.utils.io_utils",
    "tensorflow.python.eager.def_function",
    "tf.random.set_seed",
    "builtins.print",
)


_WHICH = re.compile(r"(is|use|has)_(\w+_)?(tensorflow|tf|torch|pytorch|jax|keras|keras_core)(_backend)?", re.IGNORECASE)
"""What code calls the answer to what it runs on, where it can run on several."""


class KerasConventions(KerasProbe):
    """Keras and TensorFlow as a source; ``name`` tells which names the code's own arguments have."""

    libraries = frozenset(LIBRARIES)
    network_libraries: frozenset[str] = frozenset()
    mode_flags = flags.FLAGS
    """Arguments that say whether a network is trained, which is asked of it elsewhere."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def tracks(self, network: Any) -> bool:
        """The target's places of layers follow from running its code, not from attribute paths of the source."""
        return True

    def is_library(self, module: str) -> bool:
        """Whether a module is Keras's or TensorFlow's own: all but the networks that Keras publishes."""
        return module.split(".")[0] in self.libraries and not module.startswith("keras.src.applications.")

    def is_module(self, value: Any) -> bool:
        """Whether a value is a Keras layer or model."""
        return paths.is_holder(value)

    def call_parameters(self, network: Any) -> list[str]:
        """The names of the parameters of ``call``."""
        return list(inspect.signature(getattr(network, "call", network)).parameters)

    def is_container(self, path: str) -> bool:
        """Whether a class path is that of a container."""
        return path in ("keras.Sequential", "keras.Functional", "keras.Model", "keras.layers.Layer", "tf.Module")

    def is_sequence(self, value: Any) -> bool:
        """Whether a value is a ``Sequential``."""
        return isinstance(value, keras.Sequential)

    def value(self, value: Any) -> ast.expr | None:
        """Types as canonical strings, errors of the framework's as what others raise."""
        if isinstance(value, type) and issubclass(value, tf.errors.OpError):
            return ast.Name("RuntimeError", ast.Load())
        return constant(value.name) if isinstance(value, tf.DType) else None

    def annotation(self, value: Any) -> str | None:
        """The neutral name of a Keras type."""
        path = callable_path(value) if isinstance(value, type) else None
        return _ANNOTATIONS.get(path or "")

    def erased(self, value: Any) -> bool:
        """Registration for saving and compilation mean nothing elsewhere."""
        if value is MISSING:
            return False
        name = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', getattr(value, '__name__', ''))}"
        return name.startswith(_ERASED) or value is tf.function

    def walk(self, network: Any) -> Iterator[Module]:
        """Every layer of a network and the arrays it holds."""
        return walk(network)

    def foreign(self, value: Any) -> bool:
        """No class stands for published checkpoints alone."""
        return False

    def guess_method(self, reader: Reader, node: ast.Call) -> str | None:
        """Tensors have no methods of their own here, but for what asks for their shape."""
        return rules.SHAPE_METHODS.get(node.func.attr) if isinstance(node.func, ast.Attribute) else None

    def guess_attribute(self, reader: Reader, node: ast.Attribute) -> bool:
        """An unobserved attribute that can only be a tensor's."""
        if reader.values(node) or reader.values(node.value):
            return False
        return (
            node.attr in ("shape", "ndim") and isinstance(node.value, ast.Name) and reader.static(node.value) is MISSING
        )

    def attribute(self, reader: Reader, node: ast.Attribute, owners: Sequence[Any]) -> ast.expr | None:
        """Variables of stock layers, and arguments they were made with."""
        if node.attr == "newaxis":
            return ast.copy_location(ast.Constant(None), node)
        if node.attr in ("variable_dtype", "compute_dtype") and ast.unparse(node.value) == "self":
            return ast.copy_location(constant("float32"), node)
        if reader.static(node.value) is np and node.attr in older.ALIASES:
            return ast.copy_location(ast.Name(node.attr, ast.Load()), node)
        if reader.static(node.value) is tf.image.ResizeMethod:
            return ast.copy_location(ast.Constant(getattr(tf.image.ResizeMethod, node.attr)), node)
        if owners and isinstance(owners[0], list) and node.attr == "layers":
            return reader.visit(node.value)  # type: ignore[no-any-return]
        if not owners or not self.is_module(owners[0]):
            return None
        if isinstance(owners[0], keras.Sequential) and node.attr == "layers":
            return Op("sequence_of", {"module": reader.visit(node.value)}, site=reader.site(node))
        if node.attr in rules.LISTS and not all(node.attr in vars(o) for o in owners):
            return reader.hole(node, "the list of a layer's variables is read", "read each variable by its attribute")
        names: dict[str, str] = {}
        for owner in owners:
            for op, spelling in registry.find(self.layer_path(owner) or ""):
                if node.attr in spelling.params:
                    names[op.name] = spelling.params[node.attr].partition(":")[0].strip()
                elif spelling.layer and node.attr in spelling.parsed and (found := spelling.conversion(node.attr)):
                    names[op.name] = found.attribute
                break
        if len(set(names.values())) != 1:
            return None
        return LayerAttribute(reader.visit(node.value), next(iter(names.values())), tuple(names), reader.site(node))

    def structure(self, reader: Reader, node: ast.Call, path: str) -> ast.expr | object | None:
        """Containers, variables, activations given as arguments."""
        if (started := methods.started(reader, node)) is not None:
            return started
        if methods.makes_trainer(reader, node):
            return methods.no_trainer(reader, node)
        rule = _RULES.get(path)
        if rule is not None:
            return rule(self, reader, node)
        if path.endswith(".__init__"):
            return self._base(reader, node, f"keras.layers.{path.split('.')[1]}")
        if path in ("keras.Layer.__call__", "keras.Layer.build", "keras.Layer.add_loss", "keras.Layer.add_metric"):
            return ast.Constant(None)
        if path == "keras.layers.TimeDistributed":
            return wrapping.at_every_step(reader, node)
        if wrapping.is_augmentation(next(iter(reader.callees(node)), None)):
            return wrapping.left_out(reader, node, path)
        if path.startswith("keras.layers."):
            wrapping.without_inner_dropout(reader, node)
            return self._layer(reader, node, path)
        return MISSING

    def _base(self, reader: Reader, node: ast.Call, path: str) -> ast.expr | object:
        """``super().__init__(...)`` of a class that extends a stock layer."""
        _strip(reader, node, path)
        node.keywords = [k for k in node.keywords if k.arg is not None or not methods.holds_options(reader, k)]
        errors: list[str] = []
        for op, spelling in registry.find(path):
            try:
                made = reader.calls.op(node, op, spelling, [])
            except CannotBind as error:
                errors.append(str(error))
                continue
            made.complete = True  # type: ignore[attr-defined]
            made.indirect = reader.visit(node.func)  # type: ignore[attr-defined]
            reader.counts.observed += 1
            return made
        return reader.hole(node, f"{path}: {errors[-1]}") if errors else MISSING

    def applied(self, reader: Reader, node: ast.Call, path: str) -> Any:
        """A layer without variables that is made and applied at once is a function."""
        if wrapping.is_augmentation(type(next(iter(reader.callees(node)), None))) and isinstance(node.func, ast.Call):
            wrapping.left_out(reader, node, path)
            return reader.visit(node.args[0])
        node.keywords = [k for k in node.keywords if not (k.arg in ("training", "mask") and _is_none(reader, k.value))]
        return applied(reader, node, path, _strip)

    def _layer(self, reader: Reader, node: ast.Call, path: str) -> ast.expr | object:
        """A stock layer: what only training and saving know is dropped, the activation stands behind it."""
        label = next((k.value for k in node.keywords if k.arg == "name"), None)
        if label is not None:
            reader.facts.labels[getattr(node, "nf_id", -1)] = label
            node.keywords = [k for k in node.keywords if k.arg != "name"]
        given = next((k.value for k in node.keywords if k.arg == "activation"), None)
        position = _position(path, "activation")
        splits = position is not None and path not in _OWN_ACTIVATION
        if splits and given is None and position is not None and position < len(node.args):
            given = node.args[position]
            node.args[position] = ast.copy_location(ast.Constant(None), given)
        node.keywords = [k for k in node.keywords if not (splits and k.arg == "activation")]
        for keyword in node.keywords:
            keyword.arg = rules.OLD_NAMES.get((path, keyword.arg or ""), keyword.arg or "") or None
        starts.note(reader, node, path)
        _strip(reader, node, path)
        if (refused := self._masking(reader, node)) is not None:
            return refused
        if not splits or given is None:
            return MISSING
        applied = activated(reader, given)
        if applied is None:
            return MISSING
        follow(reader, node, applied)
        made = reader.calls.translate(node, path, [])
        return applied if made is MISSING else _behind(made, applied, reader, node)

    def _masking(self, reader: Reader, node: ast.Call) -> ast.expr | None:
        """``Embedding(mask_zero=True)`` means nothing where no layer looks at the mask."""
        given = next((k for k in node.keywords if k.arg == "mask_zero"), None)
        if given is None:
            return None
        node.keywords = [k for k in node.keywords if k is not given]
        seen = [given.value.value] if isinstance(given.value, ast.Constant) else reader.values(given.value)
        if not any(seen):
            return None
        if self.masked:
            why = f"the mask of zeros reaches {', '.join(sorted(self.masked))}, which elsewhere take no mask unasked"
            return reader.hole(node, why, "give the mask to these layers by hand, or leave out mask_zero")
        reader.note(node, "mask_zero is left out: no layer looks at the mask")
        return None

    def plain_call(self, reader: Reader, node: ast.Call, callees: Sequence[Any]) -> ast.expr | None:
        """The project's own classes lose the names that Keras gives to their instances."""
        if methods.only_trains(reader, node):
            return methods.no_trainer(reader, node)
        methods.leave_out(reader, node, callees)
        methods.name_locals(reader, node)
        return None

    def mixed(self, reader: Reader, node: ast.BinOp) -> None:
        """An array of NumPy's beside a tensor becomes one of the tensor's type."""
        if isinstance(node.op, ast.Add) and sizes.is_listed(node.left) != sizes.is_listed(node.right):
            side = "left" if sizes.is_listed(node.left) else "right"
            setattr(node, side, ast.Call(ast.Name("list", ast.Load()), [getattr(node, side)], []))
        left, right = reader.values(node.left), reader.values(node.right)
        tensors = bool(left) and all(isinstance(v, Tensor) for v in left)
        if tensors and rules.are_arrays(right) and isinstance(node.left, ast.Name | ast.Attribute):
            node.right = Op("new_tensor", {"x": copied(node.left)}, {"data": node.right}, site=reader.site(node.right))

    def subscript(self, reader: Reader, node: ast.Subscript) -> ast.expr | None:
        """Nothing but tensors and containers has items."""
        return None

    def members(self, reader: Reader, node: ast.expr) -> ast.expr | None:
        """Lists that hold layers are lists here too."""
        return None

    def member(self, reader: Reader, owner: ast.expr, name: ast.expr) -> ast.expr | None:
        """Attributes read by name are attributes here too."""
        return None

    def declared(self, reader: Reader, node: ast.ClassDef) -> None:
        """A class that extends a stock layer extends the one that its constructor starts."""
        for base in node.bases:
            if isinstance(base, Reference) and base.kind == "base":
                made = (n for n in walk_tree(node) if isinstance(n, Op) and getattr(n, "complete", False))
                base.op = next((n.name for n in made), "")

    def decided(self, reader: Reader, test: ast.expr) -> bool | None:
        """Data are channels-last: that is what the source was seen to do."""
        match test:
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                answer = self.decided(reader, operand)
                return None if answer is None else not answer
            case ast.Call() if reader.static(test.func) is tf.executing_eagerly:
                return True
            case ast.Name(id=name) | ast.Attribute(attr=name) if _WHICH.fullmatch(name):
                flag = reader.static(test)
                return flag if isinstance(flag, bool) else None
            case ast.Compare(
                left=ast.Call() as call, ops=[ast.Eq() | ast.NotEq() as op], comparators=[ast.Constant(value=value)]
            ):
                known = _settings(reader, call)
                if known is not None:
                    return (value == known) == isinstance(op, ast.Eq)
        return None

    def statement(self, reader: Reader, node: ast.stmt) -> list[ast.stmt] | None:
        """Statements that vanish or change their form."""
        if getattr(node, "nf_made", False):  # Nothing of the source's.
            return [node]
        match node:
            case ast.ClassDef() if _is_layer(reader, node):
                methods.prepare(reader, node)
            case ast.FunctionDef():
                orders.resolve(node, lambda test: self.decided(reader, test))
            case ast.With(items=items) if all(_is_scope(reader, i.context_expr) for i in items):
                made = [reader.visit(s) for s in node.body]
                return [s for m in made for s in (m if isinstance(m, list) else [m])]
            case ast.If(test=test) if (answer := self.decided(reader, test)) is not None:
                made = [reader.visit(s) for s in (node.body if answer else node.orelse)]
                return [s for m in made for s in (m if isinstance(m, list) else [m])]
            case ast.Expr(value=ast.Call() as call):
                return self._bare_call(reader, node, call)
            case ast.AugAssign(target=ast.Name() as target, op=op, value=value) if _is_tensor(reader, node):
                # Tensors are never changed in place here: the name gets a new one.
                total = ast.BinOp(ast.copy_location(ast.Name(target.id, ast.Load()), target), op, value)
                total.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
                changed = ast.copy_location(ast.Assign([target], ast.copy_location(total, value)), node)
                return [reader.visit(changed)]
            case ast.Assign(targets=[ast.Attribute(attr="input_spec" | "supports_masking" | "_name")]):
                return []
            case ast.Assign(targets=[target], value=value) if methods.only_trains(reader, value):
                return methods.without_trainer(reader, node, target)
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)]):
                return self._held(reader, node, name)
        return None

    def _bare_call(self, reader: Reader, node: ast.Expr, call: ast.Call) -> list[ast.stmt] | None:
        callees = reader.callees(call)
        callee = callees[0] if callees else reader.static(call.func)
        if callee is MISSING:
            return None
        if self.erased(callee):
            return []
        path = callable_path(callee) or ""
        if path in ("keras.Sequential.add", "keras.Sequential.pop") and _is_input(reader, call.args[:1]):
            return []
        if path.rpartition(".")[2] in (
            "compile",
            "summary",
            "fit",
            "build",
            "add_loss",
            "add_metric",
        ) and path.startswith("keras."):
            return []
        return None

    def _held(self, reader: Reader, node: ast.Assign, name: str) -> list[ast.stmt] | None:
        """Lists and dicts of layers are containers that the network owns."""
        kind = methods.container(reader, name)
        if kind is None or not _is_display(node.value):
            return None
        value = reader.visit(node.value)
        if not isinstance(value, Op):
            value = Op(kind, {"modules": value}, layer=True, site=reader.site(node))
        node.value = value
        node.targets = [reader.visit(t) for t in node.targets]
        return [node]


_OWN_ACTIVATION = frozenset({
    "keras.layers.LSTM", "keras.layers.GRU", "keras.layers.SimpleRNN", "keras.layers.Activation", "keras.layers.LSTMCell",
    "keras.layers.GRUCell", "keras.layers.SimpleRNNCell", "keras.layers.ConvLSTM2D", "keras.layers.ReLU",
})  # fmt: skip


def _is_none(reader: Reader, value: ast.expr) -> bool:
    """Whether an argument always was None, or is."""
    if isinstance(value, ast.Constant):
        return value.value is None
    seen = reader.values(value)
    return bool(seen) and all(v is None for v in seen)


def _is_tensor(reader: Reader, node: ast.AST) -> bool:
    """Whether what a statement computes was seen to be a tensor."""
    events = reader.facts.by_node.get(getattr(node, "nf_id", -1), ())
    return any(isinstance(e.result, Tensor) for e in events)


def _is_display(value: ast.expr) -> bool:
    return isinstance(
        value, ast.List | ast.ListComp | ast.Dict | ast.DictComp | ast.Tuple | ast.Name | ast.Call | ast.BinOp
    )


def _position(path: str, argument: str) -> int | None:
    """Where a layer takes an argument by position; None where it has none of that name."""
    kind = getattr(keras.layers, path.rpartition(".")[2], None)
    names = list(inspect.signature(kind.__init__).parameters)[1:] if kind is not None else []
    return names.index(argument) if argument in names else None


def _strip(reader: Reader, node: ast.Call, path: str) -> None:
    """Drop what does not change the result."""
    kept = {"input_dim"} if path.endswith("Embedding") else set()
    node.keywords = [k for k in node.keywords if k.arg in kept or k.arg not in _IGNORED]
    _drop_channels_last(reader, node)
    for keyword in node.keywords:
        if keyword.arg == "padding":
            keyword.value = _word(reader, keyword.value)
    if _of_channels(reader, node, path):
        node.keywords = [k for k in node.keywords if k.arg != "axis"]


def _of_channels(reader: Reader, node: ast.Call, path: str) -> bool:
    """Whether a layer that counts channels in an axis counts them in the last."""
    if path == "keras.layers.Concatenate":
        return False
    made = [v for v in reader.values(node) if isinstance(v, keras.layers.Layer)]
    if not made:
        axes = [k.value for k in node.keywords if k.arg == "axis"]
        return any(getattr(a, "nf_ordered", False) or (*{*reader.values(a)},) == (-1,) for a in axes)
    return all(_last_axis(v) for v in made)


def _last_axis(layer: Any) -> bool:
    match layer:
        case keras.layers.BatchNormalization(axis=axis, input_spec=spec):
            return bool(axis == -1 or (spec is not None and axis == spec.ndim - 1))
        case keras.layers.Normalization(axis=(axis,)):
            return bool(axis == -1 or axis == len(layer._build_input_shape or ()) - 1)
    return False


def _word(reader: Reader, value: ast.expr) -> ast.expr:
    """How to pad: a word, in small letters; a variable that always held one word stands for it."""
    known = reader.values(value) if isinstance(value, ast.Call) else []
    if known and isinstance(known[0], tuple) and all(v == known[0] for v in known):
        # Computed from the sizes of the input, which the network has for good.
        return ast.copy_location(constant(known[0]), value)
    seen = set(map(str, reader.values(value))) if not isinstance(value, ast.Constant) else {str(value.value)}
    if isinstance(value, ast.Name) and seen == {"same", "valid"}:
        is_same = ast.Compare(value, [ast.Eq()], [ast.Constant("same")])
        return ast.copy_location(ast.IfExp(is_same, ast.Constant("same"), ast.Constant("valid")), value)
    word = seen.pop().lower() if len(seen) == 1 else ""
    return ast.copy_location(ast.Constant(word), value) if word in ("same", "valid", "causal") else value


def _settings(reader: Reader, call: ast.Call) -> str | None:
    """What a call answers that asks where channels are, or what Keras runs on."""
    names = {getattr(c, "__name__", "") for c in [*reader.callees(call), reader.static(call.func)]}
    if "image_data_format" in names:
        return "channels_last"
    return keras.backend.backend() if names == {"backend"} else None


def _is_scope(reader: Reader, node: ast.expr) -> bool:
    """Whether a context only gives names to what is made in it."""
    if not isinstance(node, ast.Call):
        return False
    names = {getattr(c, "__name__", "") for c in [*reader.callees(node), reader.static(node.func)]}
    return bool(names & {"name_scope", "name_scope_v1", "name_scope_v2", "variable_scope"})


def _drop_channels_last(reader: Reader, node: ast.Call) -> None:
    """``data_format="channels_last"`` says what holds anyway."""

    def holds(value: ast.expr) -> bool:
        if not (seen := reader.values(value)):  # Code that was not reached has data as all other code has.
            return not isinstance(value, ast.Constant) or value.value in (None, "channels_last")
        return all(v in (None, "channels_last") for v in seen)

    node.keywords = [k for k in node.keywords if not (k.arg == "data_format" and holds(k.value))]


def _behind(made: Any, applied: Op, reader: Reader, node: ast.Call) -> ast.expr:
    """A layer and its activation, one after the other."""
    listing = made.operand("layers") if isinstance(made, Op) and made.name == "sequential" else None
    chain = list(listing.elts) if isinstance(listing, ast.List) else [made]
    both = Op("sequential", {"layers": ast.List([*chain, applied], ast.Load())}, layer=True, site=reader.site(node))
    both.nf_pair = True  # type: ignore[attr-defined]
    return both


def _is_layer(reader: Reader, node: ast.ClassDef) -> bool:
    bases = [reader.static(b) for b in node.bases]
    return any(isinstance(b, type) and issubclass(b, keras.layers.Layer | tf.Module) for b in bases)


def _is_input(reader: Reader, args: Sequence[ast.expr]) -> bool:
    """Whether a layer says only what comes in."""
    calls = [a for a in args if isinstance(a, ast.Call)]
    callees = [c for a in calls for c in [*reader.callees(a), reader.static(a.func)]]
    made = any(isinstance(v, keras.layers.InputLayer) for a in args for v in reader.values(a))
    return made or any(c in (keras.Input, keras.layers.InputLayer) for c in callees)


def _sequential(conventions: KerasConventions, reader: Reader, node: ast.Call) -> ast.expr | object:
    given = node.args[0] if node.args else next((k.value for k in node.keywords if k.arg == "layers"), None)
    if isinstance(node.func, ast.Attribute) and node.func.attr == "__init__":
        listing = given if given is not None else ast.List([], ast.Load())
        return ast.Call(reader.visit(node.func), [_members(reader, listing)], [])
    listing = ast.List([], ast.Load()) if given is None else given
    made = Op("sequential", {"layers": _members(reader, listing)}, layer=True, site=reader.site(node))
    made.nf_source = True  # type: ignore[attr-defined]
    return made


def _members(reader: Reader, listing: ast.expr) -> ast.expr:
    """The members, those with activations as two, what only says what comes in left out."""
    if not isinstance(listing, ast.List | ast.Tuple):
        return reader.visit(listing)  # type: ignore[no-any-return]
    found: list[tuple[int, ast.expr]] = []
    for index, element in enumerate(listing.elts):
        if _is_input(reader, [element]):
            continue
        made = reader.visit(element)
        pair = isinstance(made, Op) and getattr(made, "nf_pair", False)
        found.extend((index, m) for m in (made.operands[0].value.elts if pair else [made]))
    return regrouped(listing, found)


def _append(conventions: KerasConventions, reader: Reader, node: ast.Call) -> ast.expr | object:
    assert isinstance(node.func, ast.Attribute)
    owner, item = reader.visit(node.func.value), reader.visit(node.args[0])
    return Op("append_to_sequence", {"module": owner, "item": item})


def _initialise(conventions: KerasConventions, reader: Reader, node: ast.Call) -> ast.expr | object:
    """``super().__init__(**kwargs)``: names and types are given to nobody else."""
    return ast.copy_location(ast.Call(reader.visit(node.func), [], []), node)


_RULES: dict[str, Rule] = {
    **rules.RULES,
    "keras.Sequential": _sequential,
    "keras.Sequential.__init__": _sequential,
    "keras.Sequential.add": _append,
    "keras.Layer.__init__": _initialise,
    "keras.Model.__init__": _initialise,
    "tf.Module.__init__": _initialise,
}


def conventions(name: str) -> KerasConventions:
    """The conventions for the source framework."""
    return KerasConventions(name)


__all__ = ["class_path", "conventions"]
