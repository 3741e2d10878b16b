"""Recurrent layers: stacked LSTM, GRU and plain RNN, and their single steps.

Weights are named as in PyTorch, one input and one recurrent matrix per layer and direction, gates in the order
``ifgo`` and ``rzn``. Results are PyTorch's too: the output sequence and the last states of all layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import Template
from typing import Any

import numpy as np

from netferry.ops import recurrent_flax
from netferry.ops.core import Case, OpDef, Spelling
from netferry.ops.jax_forms import nnx_support
from netferry.ops.registry import register
from netferry.ops.shared import keras_support

Array = np.ndarray[Any, Any]
Weights = Mapping[str, Array]

_STACK = Template('''
class Stacked$cls(keras.layers.Layer):
    """$doc

    Returns the output sequence and the last $states_doc of shape (layers * directions, batch, hidden_size).
    """

    def __init__(
        self, hidden_size, num_layers=1, $extra_parameter bias=True, batch_first=False, dropout=0.0, bidirectional=False, **kwargs
    ):
        super().__init__(**kwargs)
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.batch_first = batch_first
        self.bidirectional = bidirectional
        self.layers = []
        for _ in range(num_layers):
            layer = keras.layers.$keras(
                hidden_size, $extra_argument use_bias=bias, return_sequences=True, return_state=True
            )
            self.layers.append(keras.layers.Bidirectional(layer) if bidirectional else layer)
        self.dropout = keras.layers.Dropout(dropout)

    def call(self, x, state=None):
        if not self.batch_first:
            x = keras.ops.transpose(x, (1, 0, 2))
        directions = 2 if self.bidirectional else 1
        last = []
        for index, layer in enumerate(self.layers):
            if index > 0:
                x = self.dropout(x)
            rows = range(index * directions, (index + 1) * directions)
            initial = None if state is None else [$initial]
            x, *states = layer(x, initial_state=initial)
            last.extend(states)
        if not self.batch_first:
            x = keras.ops.transpose(x, (1, 0, 2))
        return x, $result
''')

_CELL = Template('''
class $cls(keras.layers.Layer):
    """One step of $article $name: takes the inputs and the $states_doc, returns the new $states_doc."""

    def __init__(self, hidden_size, bias=True, $extra_parameter **kwargs):
        super().__init__(**kwargs)
        self.hidden_size = hidden_size
        self.cell = keras.layers.$keras(hidden_size, $extra_argument use_bias=bias)

    def call(self, x, state=None):
        if state is None:
            $zeros = self.cell.get_initial_state(keras.ops.shape(x)[0])
        $step
''')


@dataclass(frozen=True)
class _Kind:
    """What sets one recurrent layer apart: its step, its gates, its classes."""

    name: str
    torch: str
    keras: str
    gates: str
    merged_bias: bool
    step: Callable[..., tuple[Array, ...]]
    states: int = 1
    nonlinear: bool = False


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _lstm_step(x: Array, recurrent: Array, state: tuple[Array, ...], nonlinearity: str) -> tuple[Array, ...]:
    i, f, g, o = np.split(x + recurrent, 4, axis=-1)
    c = _sigmoid(f) * state[1] + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(c), c


def _gru_step(x: Array, recurrent: Array, state: tuple[Array, ...], nonlinearity: str) -> tuple[Array, ...]:
    (xr, xz, xn), (hr, hz, hn) = np.split(x, 3, axis=-1), np.split(recurrent, 3, axis=-1)
    z = _sigmoid(xz + hz)
    return ((1 - z) * np.tanh(xn + _sigmoid(xr + hr) * hn) + z * state[0],)


def _rnn_step(x: Array, recurrent: Array, state: tuple[Array, ...], nonlinearity: str) -> tuple[Array, ...]:
    return (np.tanh(x + recurrent) if nonlinearity == "tanh" else np.maximum(x + recurrent, 0),)


_KINDS = (
    _Kind("lstm", "LSTM", "LSTM", "ifgo", True, _lstm_step, states=2),
    _Kind("gru", "GRU", "GRU", "rzn", False, _gru_step),
    _Kind("rnn", "RNN", "SimpleRNN", "h", True, _rnn_step, nonlinear=True),
)
# Keras calls the LSTM's cell gate c and keeps the order; its GRU has the update gate first.
_KERAS_GATES = {"ifgo": "ifgo", "rzn": "zrn", "h": "h"}


def _suffixes(attributes: Mapping[str, Any]) -> list[tuple[str, str]]:
    """PyTorch's suffix of each layer's and direction's weights, and the path of its cell in Keras."""
    found = []
    for layer in range(attributes["num_layers"]):
        if attributes["bidirectional"]:
            found += [
                (f"_l{layer}", f"layers.{layer}.forward_layer.cell."),
                (f"_l{layer}_reverse", f"layers.{layer}.backward_layer.cell."),
            ]
        else:
            found.append((f"_l{layer}", f"layers.{layer}.cell."))
    return found


def _canonical(kind: _Kind, suffix: str, bias: bool) -> dict[str, str]:
    """The canonical layouts of one cell's weights."""
    rows = f"(g:{kind.gates} H)" if len(kind.gates) > 1 else "H"
    # A plain RNN's recurrent matrix has the hidden size twice, so its two axes need different names.
    made = {f"weight_ih{suffix}": f"{rows} I", f"weight_hh{suffix}": f"{rows} R"}
    return made | ({f"bias_ih{suffix}": rows, f"bias_hh{suffix}": rows} if bias else {})


def _in_torch(kind: _Kind, suffix: str, bias: bool) -> dict[str, str]:
    return {name: f"{name}: {layout}" for name, layout in _canonical(kind, suffix, bias).items()}


def _in_keras(kind: _Kind, suffix: str, bias: bool, path: str) -> dict[str, str]:
    columns = f"(g:{_KERAS_GATES[kind.gates]} H)" if len(kind.gates) > 1 else "H"
    made = {
        f"{path}kernel": f"weight_ih{suffix}: I {columns}",
        f"{path}recurrent_kernel": f"weight_hh{suffix}: R {columns}",
    }
    if not bias:
        return made
    pair = (f"bias_ih{suffix}", f"bias_hh{suffix}")
    # Keras adds one bias; its GRU resets after the product and so needs both, stacked.
    spec = f"{' + '.join(pair)}: {columns}" if kind.merged_bias else f"stack({', '.join(pair)}): B {columns}"
    return made | {f"{path}bias": spec}


def _stack_in_flax(kind: _Kind) -> Callable[[Mapping[str, Any]], Mapping[str, str]]:
    def params(attributes: Mapping[str, Any]) -> dict[str, str]:
        made: dict[str, str] = {}
        for (suffix, _), path in zip(_suffixes(attributes), recurrent_flax.paths(attributes), strict=True):
            made |= recurrent_flax.cell_params(kind.gates, kind.merged_bias, suffix, attributes["bias"], path)
        return made

    return params


def _stack_params(make: Callable[..., Mapping[str, str]]) -> Callable[[Mapping[str, Any]], Mapping[str, str]]:
    """Parameters of all layers and directions; ``make(suffix, bias, path)`` gives those of one."""

    def params(attributes: Mapping[str, Any]) -> dict[str, str]:
        made: dict[str, str] = {}
        for suffix, path in _suffixes(attributes):
            made |= make(suffix, attributes["bias"], path)
        return made

    return params


def _stack_reference(kind: _Kind) -> Callable[..., Any]:
    """The float64 reference of a stacked layer."""

    def reference(
        x: Array, state: Any = None, *, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
        bias: bool = True, batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, returns: str = "stack", **weights: Array,
    ) -> Any:  # fmt: skip
        x = x.swapaxes(0, 1) if batch_first else x
        initial = _initial(kind, state, (num_layers * (1 + bidirectional), x.shape[1], hidden_size))
        last: list[tuple[Array, ...]] = []
        for layer in range(num_layers):
            outputs = []
            for direction in range(1 + bidirectional):
                suffix = f"_l{layer}" + "_reverse" * direction
                states = tuple(s[len(last)] for s in initial)
                output, states = _scan(kind, x[::-1] if direction else x, states, weights, suffix, nonlinearity)
                outputs.append(output[::-1] if direction else output)
                last.append(states)
            x = np.concatenate(outputs, axis=-1)
        finals = tuple(np.stack(states) for states in zip(*last, strict=True))
        if returns != "stack":
            steps, ends = x.swapaxes(0, 1), np.concatenate([s[0] for s in last[-1 - bidirectional :]], axis=-1)
            return {"last": ends, "outputs": steps, "all": (steps, *(s[0] for s in finals))}[returns]
        return (x.swapaxes(0, 1) if batch_first else x), (finals if kind.states > 1 else finals[0])

    return reference


def _initial(kind: _Kind, state: Any, shape: tuple[int, ...]) -> tuple[Array, ...]:
    if state is None:
        return (np.zeros(shape),) * kind.states
    return tuple(state) if kind.states > 1 else (state,)


def _scan(
    kind: _Kind, xs: Array, states: tuple[Array, ...], weights: Weights, suffix: str, nonlinearity: str
) -> tuple[Array, tuple[Array, ...]]:
    """One layer in one direction over a sequence."""
    outputs = []
    for x in xs:
        projected = x @ weights[f"weight_ih{suffix}"].T + weights.get(f"bias_ih{suffix}", 0)
        recurrent = states[0] @ weights[f"weight_hh{suffix}"].T + weights.get(f"bias_hh{suffix}", 0)
        states = kind.step(projected, recurrent, states, nonlinearity)
        outputs.append(states[0])
    return np.stack(outputs), states


def _cell_reference(kind: _Kind) -> Callable[..., Any]:
    """The float64 reference of one step."""

    def reference(
        x: Array,
        state: Any = None,
        *,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        **weights: Array,
    ) -> Any:
        initial = _initial(kind, state, (x.shape[0], hidden_size))
        _, states = _scan(kind, x[None], initial, weights, "", nonlinearity)
        return states if kind.states > 1 else states[0]

    return reference


def _text(kind: _Kind, template: Template, **words: str) -> str:
    """A support text filled in, without the blanks that empty words leave."""
    extra = {
        "extra_parameter": 'nonlinearity="tanh",' if kind.nonlinear else "",
        "extra_argument": "activation=nonlinearity," if kind.nonlinear else "",
        "states_doc": "states (h, c), each" if kind.states > 1 else "state",
    }
    return template.substitute({**extra, **words}).replace(",  ", ", ")


def _flax_texts(kind: _Kind) -> recurrent_flax.FlaxTexts:
    return recurrent_flax.texts(
        kind.torch,
        gates=len(kind.gates),
        several=kind.states > 1,
        merged_bias=kind.merged_bias,
        nonlinear=kind.nonlinear,
    )


def _register_stack(kind: _Kind) -> None:
    several = kind.states > 1
    nonlinearity = 'nonlinearity="tanh", ' if kind.nonlinear else ""
    options = f"num_layers=1, {nonlinearity}bias=True, batch_first=False, dropout=0.0, bidirectional=False"
    keras_support(
        f"Stacked{kind.torch}",
        _text(
            kind,
            _STACK,
            cls=kind.torch,
            keras=kind.keras,
            doc=f"Stacked, optionally bidirectional {kind.torch}.",
            initial="s[row] for row in rows for s in state" if several else "state[row] for row in rows",
            result="(keras.ops.stack(last[0::2]), keras.ops.stack(last[1::2]))" if several else "keras.ops.stack(last)",
        ),
        flax=_flax_texts(kind).stack,
        flax_requires=(f"{kind.torch}Cell",),
    )
    target = Spelling(
        f"Stacked{kind.torch}",
        f"hidden_size, {options}",
        call="x, state=None",
        dynamic_params=_stack_params(lambda suffix, bias, path: _in_keras(kind, suffix, bias, path)),
        support=f"Stacked{kind.torch}",
        layer=True,
        read=False,
    )
    source = Spelling(
        f"torch.nn.{kind.torch}",
        f"input_size, hidden_size, {options}, {'proj_size=0, ' if several else ''}device=None, dtype=None",
        call="input, hx=None",
        maps={"input": "x", "hx": "state"},
        fixed={"proj_size": 0} if several else {},
        ignore=("device", "dtype"),
        dynamic_params=_stack_params(lambda suffix, bias, path: _in_torch(kind, suffix, bias)),
        layer=True,
        positional=2,
    )
    register(
        OpDef(
            kind.name,
            f"x, state=None, *, input_size=..., hidden_size, {options}, returns='stack'",
            f"A stack of {kind.torch} layers over a sequence: the outputs and the last states of all layers.",
            reference=_stack_reference(kind),
            dynamic_params=_stack_params(lambda suffix, bias, path: _canonical(kind, suffix, bias)),
            spellings={
                "torch": [source],
                "tensorflow": [*_singles("tf.keras", kind), *_chains("tf.keras", kind), target],
                "keras": [*_singles("keras", kind), *_chains("keras", kind), target],
                "flax": [_flax_stack(kind, options)],
            },
            cases=_stack_cases(kind),
        )
    )


def _singles(package: str, kind: _Kind) -> list[Spelling]:
    """Keras's own layer, where there is one level and one direction, and it returns what the code around it reads."""
    results = {"last": "", "outputs": ", return_sequences=True", "all": ", return_sequences=True, return_state=True"}
    activations = {"tanh": "", "relu": ", activation='relu'"} if kind.nonlinear else {"": ""}
    found = []
    for returns, result in results.items():
        for bias in (True, False):
            for name, activation in activations.items():
                options = activation + ("" if bias else ", use_bias=False") + result
                found.append(
                    Spelling(
                        "",
                        template=f"{package}.layers.{kind.keras}({{hidden_size}}{options})",
                        call="x, state=None",
                        params=_in_keras(kind, "_l0", bias, "cell."),
                        layer=True,
                        read=False,
                        when={
                            "returns": returns, "bias": bias, "num_layers": 1, "bidirectional": False,
                            **({"nonlinearity": name} if name else {}),
                        },
                        silent=("batch_first", "dropout"),
                    )
                )  # fmt: skip
    return found


LEVELS = 3
"""How many levels of a stack are written as layers one after another."""


_SHAPES = [
    (n, both, d) for n in range(1, LEVELS + 1) for both in (False, True) for d in (False, True)[:n] if n > 1 or both
]
"""Levels, whether in both directions, and whether with dropout between."""


def _chains(package: str, kind: _Kind) -> list[Spelling]:
    """Keras's own layers one after another, of both directions or one, where nothing reads their states."""
    return [_chain(package, kind, *shape, last=last) for shape in _SHAPES for last in (False, True)]


def _chain(package: str, kind: _Kind, levels: int, both: bool, dropped: bool, *, last: bool) -> Spelling:
    layers: list[str] = []
    params: dict[str, str] = {}
    for level in range(levels):
        if level and dropped:
            layers.append(f"{package}.layers.Dropout({{dropout}})")
        whole = "" if last and level == levels - 1 else ", return_sequences=True"
        layer = f"{package}.layers.{kind.keras}({{hidden_size}}{whole})"
        place = f"{len(layers)}." if levels > 1 else ""
        for suffix, side in (("", "forward_layer."), ("_reverse", "backward_layer.")) if both else (("", ""),):
            params |= _in_keras(kind, f"_l{level}{suffix}", True, f"{place}{side}cell.")
        layers.append(f"{package}.layers.Bidirectional({layer})" if both else layer)
    when: dict[str, Any] = {
        "returns": "last" if last else "outputs", "num_layers": levels, "bidirectional": both, "bias": True,
    }  # fmt: skip
    when |= ({"nonlinearity": "tanh"} if kind.nonlinear else {}) | ({} if dropped or levels == 1 else {"dropout": 0.0})
    text = layers[0] if levels == 1 else f"{package}.Sequential([{', '.join(layers)}])"
    silent = ("batch_first", "dropout") if levels == 1 else ("batch_first",)
    return Spelling("", template=text, call="x", params=params, layer=True, read=False, when=when, silent=silent)


def _flax_stack(kind: _Kind, options: str) -> Spelling:
    return nnx_support(
        f"Stacked{kind.torch}",
        f"input_size, hidden_size, {options}",
        call="x, state=None",
        dynamic_params=_stack_in_flax(kind),
        positional=2,
    )


def _stack_cases(kind: _Kind) -> list[Case]:
    """Sequences of 5 steps, batches of 2, 3 inputs."""

    def case(shape: tuple[int, ...], rows: int = 0, **attributes: Any) -> Case:
        operands: dict[str, Any] = {"x": shape}
        if rows:
            state = (rows, 2, attributes["hidden_size"])
            operands["state"] = [state] * kind.states if kind.states > 1 else state
        return Case(operands, {"input_size": 3, **attributes})

    found = [
        case((5, 2, 3), hidden_size=4),
        case((2, 5, 3), 1, hidden_size=4, batch_first=True, bias=False),
        case((5, 2, 3), 4, hidden_size=6, num_layers=2, bidirectional=True),
        case((2, 5, 3), hidden_size=4, num_layers=3, batch_first=True, dropout=0.3),
    ]
    found += [
        Case(
            {"x": (2, 5, 3)},
            {"input_size": 3, "hidden_size": 4, "batch_first": True, "returns": returns, "bias": bias, **more},
            gradients=False,  # PyTorch, which the gradients are compared with, returns a stack's results
            skip=dict.fromkeys(("torch", "flax"), "its own layer returns a stack's results"),
        )
        for returns in ("last", "outputs", "all")
        for bias in (True, False)
        for more in ({}, {"nonlinearity": "relu"})[: 1 + kind.nonlinear]
    ]
    found += [
        Case(
            {"x": (2, 5, 3)},
            {
                "input_size": 3,
                "hidden_size": 4,
                "batch_first": True,
                "returns": returns,
                "num_layers": levels,
                "bidirectional": both,
                "dropout": 0.2 * dropped,
            },
            gradients=False,
            skip=dict.fromkeys(("torch", "flax"), "its own layer returns a stack's results"),
        )
        for returns in ("last", "outputs")
        for levels, both, dropped in _SHAPES
    ]
    return found + ([case((5, 2, 3), 1, hidden_size=4, nonlinearity="relu")] if kind.nonlinear else [])


def _register_cell(kind: _Kind) -> None:
    several = kind.states > 1
    name = f"{kind.torch}Cell"
    nonlinearity = ', nonlinearity="tanh"' if kind.nonlinear else ""
    keras_support(
        name,
        _text(
            kind,
            _CELL,
            cls=name,
            keras=f"{kind.keras}Cell",
            name=kind.torch,
            article="a" if kind.name == "gru" else "an",
            states_doc="states (h, c)" if several else "state",
            zeros="state" if several else "(state,)",
            step="_, (h, c) = self.cell(x, list(state))\n        return h, c"
            if several
            else "return self.cell(x, [state])[0]",
        ),
        flax=_flax_texts(kind).cell,
    )
    target = Spelling(
        name,
        f"hidden_size, bias=True{nonlinearity}",
        call="x, state=None",
        params=_in_keras(kind, "", True, "cell."),
        support=name,
        layer=True,
        read=False,
    )
    source = Spelling(
        f"torch.nn.{name}",
        f"input_size, hidden_size, bias=True{nonlinearity}, device=None, dtype=None",
        call="input, hx=None",
        maps={"input": "x", "hx": "state"},
        ignore=("device", "dtype"),
        params=_in_torch(kind, "", True),
        layer=True,
        positional=2,
    )
    state: Any = [(2, 4)] * kind.states if several else (2, 4)
    cases = [
        Case({"x": (2, 3)}, {"input_size": 3, "hidden_size": 4}),
        Case({"x": (2, 3), "state": state}, {"input_size": 3, "hidden_size": 4, "bias": False}),
        Case({"x": (2, 3), "state": state}, {"input_size": 3, "hidden_size": 4}),
    ]
    if kind.nonlinear:
        cases.append(Case({"x": (2, 3)}, {"input_size": 3, "hidden_size": 4, "nonlinearity": "relu"}))
    register(
        OpDef(
            f"{kind.name}_cell",
            f"x, state=None, *, input_size=..., hidden_size, bias=True{nonlinearity}",
            f"One step of {kind.torch}: the new states.",
            reference=_cell_reference(kind),
            params=_canonical(kind, "", True),
            optional={"bias_ih": "bias", "bias_hh": "bias"},
            spellings={
                "torch": [source],
                "tensorflow": [target],
                "keras": [target],
                "flax": [
                    nnx_support(
                        name,
                        f"input_size, hidden_size, bias=True{nonlinearity}",
                        call="x, state=None",
                        params=recurrent_flax.cell_params(kind.gates, kind.merged_bias),
                        positional=2,
                    )
                ],
            },
            cases=cases,
        )
    )


for _kind in _KINDS:
    _register_stack(_kind)
    _register_cell(_kind)
