"""Recurrent layers of one level over (batch, time, features), which return the last output or all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling, Support
from netferry.ops.layer_forms import on_keras
from netferry.ops.recurrent import _KINDS, _canonical, _in_keras, _Kind, _scan
from netferry.ops.registry import register, register_support

Array = np.ndarray[Any, Any]

_CODE = '''
class {name}(torch.nn.{base}):
    """{article} {base} over (batch, time, features): its last output, or all with ``return_sequences``."""

    def __init__(
        self, input_size, hidden_size, bias=True, return_sequences=False, return_state=False, go_backwards=False
    ):
        super().__init__(input_size, hidden_size, bias=bias, batch_first=True)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards

    def forward(self, x, state=None):
        x = x.flip(1) if self.go_backwards else x
        outputs, {last} = super().forward(x, {initial})
        result = outputs if self.return_sequences else outputs[:, -1]
        return (result, {states}) if self.return_state else result
'''
_COMMON = (
    "use_bias=True, kernel_initializer='glorot_uniform', recurrent_initializer='orthogonal', bias_initializer='zeros'"
)
_TRAINING = (
    "kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None, activity_regularizer=None, "
    "kernel_constraint=None, recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0"
)
_ENDS = "return_sequences=False, return_state=False, go_backwards=False, stateful=False"


def _signature(kind: _Kind) -> str:
    if kind.name == "lstm":
        return (
            f"units, activation='tanh', recurrent_activation='sigmoid', {_COMMON}, unit_forget_bias=True, "
            f"{_TRAINING}, seed=None, {_ENDS}, unroll=False, use_cudnn='auto'"
        )
    if kind.name == "gru":
        return (
            f"units, activation='tanh', recurrent_activation='sigmoid', {_COMMON}, "
            f"{_TRAINING}, seed=None, {_ENDS}, unroll=False, reset_after=True, use_cudnn='auto'"
        )
    return f"units, activation='tanh', {_COMMON}, {_TRAINING}, {_ENDS}, unroll=False, seed=None"


def _reference(kind: _Kind) -> Any:
    def reference(
        x: Array, state: Any = None, *, hidden_size: int, return_sequences: bool = False, return_state: bool = False,
        go_backwards: bool = False, returns: str = "told", **weights: Any,
    ) -> Any:  # fmt: skip
        x = x[:, ::-1] if go_backwards else x
        zeros = np.zeros((x.shape[0], hidden_size))
        initial = (zeros,) * kind.states if state is None else tuple(state) if kind.states > 1 else (state,)
        arrays = {name: value for name, value in weights.items() if isinstance(value, np.ndarray)}
        outputs, last = _scan(kind, x.swapaxes(0, 1), initial, arrays, "", "tanh")
        result = outputs.swapaxes(0, 1) if return_sequences else outputs[-1]
        return (result, *last) if return_state else result

    return reference


def _register(kind: _Kind) -> None:
    several = kind.states > 1
    name = f"{kind.torch}Layer"
    code = _CODE.format(
        name=name,
        base=kind.torch,
        article="A" if kind.name == "gru" else "An",
        last="(h, c)" if several else "h",
        initial=(
            "None if state is None else tuple(s.unsqueeze(0) for s in state)"
            if several
            else "None if state is None else state.unsqueeze(0)"
        ),
        states="h[0], c[0]" if several else "h[0]",
    )
    register_support(Support(name, {"torch": code}))
    torch = Spelling(
        name,
        "input_size, hidden_size, bias=True, return_sequences=False, return_state=False, go_backwards=False",
        call="x, state=None",
        params={f"{n}_l0": f"{n}: {layout}" for n, layout in _canonical(kind, "", True).items()},
        support=name,
        layer=True,
        read=False,
        positional=2,
    )
    fixed: dict[str, Any] = {
        "activation": "tanh", "recurrent_activation": "sigmoid", "dropout": 0.0, "recurrent_dropout": 0.0,
        "stateful": False, "reset_after": True,
    }  # fmt: skip
    signature = _signature(kind)

    def in_keras(package: str) -> list[Spelling]:
        return [
            Spelling(
                f"{package}.layers.{kind.keras}",
                signature,
                maps={"units": "hidden_size", "use_bias": "bias", "sequence": "x", "initial_state": "state"},
                ignore=(
                    "kernel_initializer", "recurrent_initializer", "bias_initializer", "unit_forget_bias", "seed",
                    "kernel_regularizer", "recurrent_regularizer", "bias_regularizer", "activity_regularizer",
                    "kernel_constraint", "recurrent_constraint", "bias_constraint", "unroll", "use_cudnn",
                ),
                fixed={k: v for k, v in fixed.items() if f"{k}=" in signature},
                call="sequence, initial_state=None",
                params=_in_keras(kind, "", True, "cell."),
                layer=True,
            )
        ]  # fmt: skip

    base = {"input_size": 3, "hidden_size": 4}
    state: Any = [(2, 4)] * kind.states if several else (2, 4)
    register(
        OpDef(
            f"{kind.name}_layer",
            "x, state=None, *, input_size=..., hidden_size, bias=True, return_sequences=False, return_state=False, "
            "go_backwards=False, returns='told'",
            f"One level of {kind.torch} over a sequence: the last output or all of them, with the last states or without.",
            reference=_reference(kind),
            params=_canonical(kind, "", True),
            optional={"bias_ih": "bias", "bias_hh": "bias"},
            spellings={"torch": [*_taken_apart(kind, torch), torch], **on_keras(in_keras)},
            cases=[
                Case({"x": (2, 5, 3)}, base),
                Case({"x": (2, 5, 3)}, base | {"return_sequences": True, "go_backwards": True}),
                Case({"x": (2, 5, 3), "state": state}, base | {"return_state": True}),
                Case({"x": (2, 5, 3)}, base | {"bias": False}),
            ],
        )
    )


def _taken_apart(kind: _Kind, spelling: Spelling) -> list[Spelling]:
    """PyTorch's own layer, of whose results the code around takes what it needs."""
    own = f"torch.nn.{kind.torch}({{input_size}}, {{hidden_size}}, %sbatch_first=True)"
    return [
        replace(
            spelling, path="", signature="", support="", template=own % ("" if bias else "bias=False, "),
            when={"returns": "stack", "bias": bias},
        )
        for bias in (True, False)
    ]  # fmt: skip


for _kind in _KINDS:
    _register(_kind)
