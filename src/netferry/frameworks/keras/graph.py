"""From a live Keras model to the neutral graph of its layers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any, Final

import keras

from netferry.diagnostics import NetferryError, failure
from netferry.frameworks.keras.spelled import (
    WIDTHS,
    Unwritable,
    expression,
    head,
    is_public,
    kind_of,
    make,
    options,
    snake,
)
from netferry.graphs.model import Body, Dialect, Entrance, Kind, Make, Network, Ref, Step

_OPERATORS: Final = {
    "Add": "+", "Subtract": "-", "Multiply": "*", "Divide": "/", "TrueDivide": "/", "FloorDivide": "//", "Mod": "%",
    "Power": "**", "Matmul": "@", "Greater": ">", "GreaterEqual": ">=", "Less": "<", "LessEqual": "<=", "Equal": "==",
    "NotEqual": "!=", "Negative": "-", "GetItem": "[]", "LogicalAnd": "&", "LogicalOr": "|",
}  # fmt: skip
_ROLES: Final = {"Add": "add", "Concatenate": "concat", "Multiply": "multiply"}
_INLINE: Final = 6
"""Up to how many layers a sequence inside a network is written where it is called."""


class Reader:
    """Reads one model and those inside it."""

    def __init__(self, file: str = "") -> None:
        self.file = file
        self.imports: dict[str, str] = {}
        """Classes of the user's own -> the modules that define them."""
        self._names: set[str] = set()

    def network(self, model: Any, name: str) -> Network:
        """The graph of a model."""
        if isinstance(model, keras.Sequential):
            return self._sequence(model, name)
        if not is_graph(model):
            message = f"{model.name} is a {type(model).__name__} whose forward pass is code, not a graph of layers"
            raise failure("NF070", message, file=self.file)
        return _Graph(self, model, name).read()

    def _sequence(self, model: Any, name: str) -> Network:
        found = Network(name, [], Body([], [], []))
        taken = getattr(model, "inputs", None) or []
        found.entrances = [Entrance(-1, "", entrance(t, "")) for t in taken]
        found.chain = [
            self.member(layer, found) for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)
        ]
        return found

    def member(self, layer: Any, within: Network) -> Make:
        """A layer that is written as an argument: one of a sequence."""
        if not is_network(layer):
            return self.told(layer, lambda: make(layer))  # type: ignore[no-any-return]
        if isinstance(layer, keras.Sequential) and 0 < len(layer.layers) <= _INLINE:
            members = [m for m in layer.layers if not isinstance(m, keras.layers.InputLayer)]
            return Make("keras.Sequential", (("", [self.member(m, within) for m in members]),))
        return Make(self.nested(layer, within))

    def nested(self, model: Any, within: Network) -> str:
        """A network that is called as a layer: what stands for the function that builds it."""
        base = snake(re.sub(r"\W+", "_", "network" if is_unnamed(model) else model.name)).strip("_")
        name, number = f"build_{base}", 2
        while name in self._names:
            name, number = f"build_{base}_{number}", number + 1
        self._names.add(name)
        within.nested.append(self.network(model, name))
        return f"@{name}"

    def told(self, layer: Any, say: Any) -> Any:
        """What ``say`` gives; raises what is wrong with the layer."""
        kind = type(layer)
        if kind.__name__ == "Lambda" and kind.__module__.startswith("keras."):
            raise self.unwritable(layer, "NF072", "holds a function, of which only compiled code is known")
        if isinstance(layer, keras.layers.Layer) and not is_public(kind) and not is_network(layer):
            self._own(layer)
        try:
            return say()
        except Unwritable as error:
            raise self.unwritable(layer, "NF073", str(error)) from error

    def _own(self, layer: Any) -> None:
        """A layer of the user's own class: it must be importable."""
        kind = type(layer)
        if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
            raise self.unwritable(layer, "NF071", "is of a class that no module defines")
        self.imports[kind.__qualname__] = kind.__module__

    def unwritable(self, layer: Any, code: str, why: str) -> NetferryError:
        """The error about one layer."""
        return failure(code, f"the layer {layer.name!r} ({type(layer).__name__}) {why}", file=self.file)


def is_graph(model: Any) -> bool:
    return bool(getattr(model, "_nodes", None)) and hasattr(model, "_outputs_struct")


def is_network(layer: Any) -> bool:
    """Whether a layer is a network of which the layers in it are known."""
    return isinstance(layer, keras.Sequential) or (isinstance(layer, keras.Model) and is_graph(layer))


def entrance(tensor: Any, label: str) -> str:
    """The expression that makes a network's input."""
    shape = tuple(tensor.shape[1:])
    said = [f"({', '.join(map(repr, shape))}{',' if len(shape) == 1 else ''})"]
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if dtype != keras.config.floatx():
        said.append(f'dtype="{dtype}"')
    if label:
        said.append(f'name="{label}"')
    return f"keras.Input({', '.join(said)})"


class _Graph:
    """Reads the graph of one functional model."""

    def __init__(self, reader: Reader, model: Any, name: str) -> None:
        self.reader = reader
        self.model = model
        self.numbers: dict[int, int] = {}
        self.kept: list[Any] = []
        self.inner: dict[str, str] = {}
        """Networks that are called several times -> what stands for the functions that build them."""
        self.network = Network(name, [], Body([], [], []))

    def read(self) -> Network:
        """The network."""
        ordered = list(nodes(self.model))
        calls: dict[int, int] = {}
        for operation, _ in ordered:
            calls[id(operation)] = calls.get(id(operation), 0) + 1
        shared = {identity for identity, count in calls.items() if count > 1}
        for tensor in self.model.inputs:
            label = tensor._keras_history.operation.name
            label = "" if re.fullmatch(r"input(_layer)?(_?\d+)?|keras_tensor.*", label) else label
            self.network.entrances.append(Entrance(self.number(tensor), label, entrance(tensor, label)))
        body = self.network.body
        body.inputs = [e.value for e in self.network.entrances]
        for operation, node in ordered:
            if _changes_nothing(operation) and id(operation) not in shared:
                self.numbers[id(node.output_tensors[0])] = self.number(node.input_tensors[0])
            elif not node.is_input:
                body.steps.append(self.step(operation, node, shared))
        body.outputs = self.refs(self.model._outputs_struct)
        body.channels = {self.number(t): t.shape[-1] for t in self.kept if t.shape and isinstance(t.shape[-1], int)}
        self.network.inputs = self.refs(self.model._inputs_struct)
        return self.network

    def number(self, tensor: Any) -> int:
        """What stands for a tensor."""
        if id(tensor) not in self.numbers:
            self.numbers[id(tensor)] = len(self.kept)
            self.kept.append(tensor)
        return self.numbers[id(tensor)]

    def refs(self, value: Any) -> Any:
        """Nested arguments with the tensors in them numbered."""
        if isinstance(value, keras.KerasTensor):
            return Ref(self.number(value))
        if isinstance(value, list | tuple):
            return type(value)(self.refs(v) for v in value)
        if isinstance(value, dict):
            return {k: self.refs(v) for k, v in value.items()}
        return expression(value)

    def step(self, operation: Any, node: Any, shared: set[int]) -> Step:
        """One call."""
        if not isinstance(operation, keras.layers.Layer):
            return self.reader.told(operation, lambda: self._operation(operation, node))  # type: ignore[no-any-return]
        return self.reader.told(operation, lambda: self._layer(operation, node, shared))  # type: ignore[no-any-return]

    def _layer(self, layer: Any, node: Any, shared: set[int]) -> Step:
        args = tuple(self.refs(a) for a in node.arguments.args)
        parameters = inspect.signature(layer.call).parameters
        kwargs = {
            k: self.refs(v) for k, v in node.arguments.kwargs.items()
            if any(part is not None for part in keras.tree.flatten(v)) and not (k in parameters and v is parameters[k].default)
        }  # fmt: skip
        outputs = tuple(self.number(t) for t in node.output_tensors)
        owner = str(id(layer)) if id(layer) in shared else ""
        label = "" if is_unnamed(layer) else layer.name.removeprefix(f"{self.model.name}_")
        if is_network(layer):
            return self._inner(
                layer, Step("", {}, args, outputs, kwargs=kwargs, layered=True, owner=owner, label=label)
            )
        first = next(iter(node.input_tensors), None)
        found = options(layer, len(first.shape) if first is not None else 0)
        kind = kind_of(type(layer))
        return Step(head(type(layer)), found, args, outputs, kind, kwargs, layered=True, owner=owner, label=label)

    def _inner(self, model: Any, call: Step) -> Step:
        """The call of a network: written there and then where it is short, else made by a function of its own."""
        if isinstance(model, keras.Sequential) and len(model.layers) <= _INLINE and not call.owner:
            made = self.reader.member(model, self.network)
            return replace(call, head=made.head, options={"": made.options[0][1]}, kind=Kind("chain", ("",)), label="")
        head = self.inner.get(call.owner) or self.reader.nested(model, self.network)
        if call.owner:
            self.inner[call.owner] = head
        return replace(call, head=head, kind=Kind("network", short=head.removeprefix("@build_")))

    def _operation(self, operation: Any, node: Any) -> Step:
        """A function of tensors."""
        name = type(operation).__name__
        args = tuple(self.refs(a) for a in node.arguments.args)
        kwargs = {k: self.refs(v) for k, v in node.arguments.kwargs.items() if v is not None}
        outputs = tuple(self.number(t) for t in node.output_tensors)
        binary = _OPERATORS.get(name, "")
        if binary == "[]" and isinstance(args[1], list):
            args = (args[0], tuple(args[1]))
        config = _given(operation)
        if binary and not config and not kwargs and len(args) == (1 if name == "Negative" else 2):
            return Step(binary, {}, args, outputs, Kind(_ROLES.get(name, ""), binary=binary))
        function = _function(operation)
        if function is None:
            raise Unwritable("is an operation without a public function")
        defaults = {p.name: p.default for p in inspect.signature(function[1]).parameters.values()}
        said = {k: expression(v) for k, v in config.items() if k in defaults and v != defaults[k]}
        return Step(f"keras.ops.{function[0]}", said, args, outputs, Kind(_ROLES.get(name, "")), kwargs)


def _changes_nothing(operation: Any) -> bool:
    return isinstance(operation, keras.layers.Activation) and operation.activation is keras.activations.linear


def _given(operation: Any) -> dict[str, Any]:
    """What an operation was made with."""
    config = getattr(operation, "_auto_config", None)
    found = dict(config.config) if config is not None else {}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in found.items() if k not in ("name", "dtype")}


@cache
def _functions() -> dict[str, Any]:
    return {n: f for n, f in vars(keras.ops).items() if inspect.isfunction(f)}


def _function(operation: Any) -> tuple[str, Any] | None:
    """The public function that an operation stands for."""
    bare = snake(type(operation).__name__)
    for name in (bare, bare.replace("_", ""), re.sub(r"_(?=\d)", "", bare)):
        if name in _functions():
            return name, _functions()[name]
    return None


def nodes(model: Any) -> Iterator[tuple[Any, Any]]:
    """Every call of the model's graph with what is called, a branch after the other, each after what it needs."""
    seen: set[int] = set()
    own = (
        {id(n) for level in model._nodes_by_depth.values() for n in level}
        if hasattr(model, "_nodes_by_depth")
        else None
    )
    waiting: list[tuple[Any, bool]] = [(t, False) for t in reversed(keras.tree.flatten(model._outputs_struct))]
    while waiting:
        tensor, ready = waiting.pop()
        history = tensor._keras_history
        node = history.operation._inbound_nodes[history.node_index]
        if id(node) in seen or (own is not None and id(node) not in own):
            continue
        if ready:
            seen.add(id(node))
            yield history.operation, node
            continue
        waiting.append((tensor, True))
        if not node.is_input:
            waiting += [(t, False) for t in reversed(node.input_tensors)]


def is_unnamed(layer: Any) -> bool:
    """Whether a layer has the name that Keras gives where the user gives none."""
    bare = re.sub(r"_\d+$", "", layer.name)
    return bare in (keras.src.utils.naming.to_snake_case(type(layer).__name__), "functional", "model", "sequential")


def dialect(reader: Reader) -> Dialect:
    """How a graph is written in Keras."""
    own = [f"from {module} import {name}" for name, module in sorted(reader.imports.items())]
    lines = ["import keras\nfrom keras import layers", *own]
    return Dialect(
        ("\n".join(lines),),
        lambda i, o: f"keras.Model({i}, {o})",
        "keras.Sequential",
        lambda t: f"{t}.shape[-1]",
        WIDTHS,
    )
