"""Single steps of recurrent layers as Keras's cells take them: an output, and the new states in a list."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling, Support
from netferry.ops.layer_forms import on_keras
from netferry.ops.recurrent import _KINDS, _canonical, _in_keras, _in_torch, _Kind, _scan
from netferry.ops.recurrent_layers import _COMMON
from netferry.ops.registry import register, register_support

Array = np.ndarray[Any, Any]

_CODE = '''
class {name}(torch.nn.{base}Cell):
    """One step of {article} {base}: the output, and the new states in a list."""

    def forward(self, x, states):
{step}

    def get_initial_state(self, batch_size):
        return [self.weight_hh.new_zeros(batch_size, self.hidden_size) for _ in range({count})]
'''
_ONE = """        nested = isinstance(states, (list, tuple))
        h = super().forward(x, states[0] if nested else states)
        return h, [h] if nested else h"""
_TWO = """        h, c = super().forward(x, tuple(states))
        return h, [h, c]"""
_REST = (
    "kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None, kernel_constraint=None, "
    "recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0"
)
_IGNORED = (
    "kernel_initializer", "recurrent_initializer", "bias_initializer", "unit_forget_bias", "seed", "kernel_regularizer",
    "recurrent_regularizer", "bias_regularizer", "kernel_constraint", "recurrent_constraint", "bias_constraint", "name",
    "dtype", "trainable",
)  # fmt: skip


def _signature(kind: _Kind) -> str:
    gates = "" if kind.nonlinear else "recurrent_activation='sigmoid', "
    forget = "unit_forget_bias=True, " if kind.name == "lstm" else ""
    after = ", reset_after=True" if kind.name == "gru" else ""
    last = "name=None, dtype=None, trainable=True"
    return f"units, activation='tanh', {gates}{_COMMON}, {forget}{_REST}{after}, seed=None, {last}"


def _reference(kind: _Kind) -> Any:
    def reference(x: Array, states: Any, *, hidden_size: int, bias: bool = True, **weights: Array) -> Any:
        _, found = _scan(kind, x[None], tuple(states), weights, "", "tanh")
        return (found[0], *found)

    return reference


def _register(kind: _Kind) -> None:
    name = f"{kind.torch}Step"
    several = kind.states > 1
    article = "a" if kind.name == "gru" else "an"
    code = _CODE.format(name=name, base=kind.torch, article=article, step=_TWO if several else _ONE, count=kind.states)
    register_support(Support(name, {"torch": code}))
    torch = Spelling(
        name, "input_size, hidden_size, bias=True", call="x, states", params=_in_torch(kind, "", True), support=name,
        layer=True, read=False, positional=2,
    )  # fmt: skip
    signature = _signature(kind)
    fixed: dict[str, Any] = {
        "activation": "tanh", "recurrent_activation": "sigmoid", "dropout": 0.0, "recurrent_dropout": 0.0, "reset_after": True,
    }  # fmt: skip

    def in_keras(package: str) -> list[Spelling]:
        return [
            Spelling(
                f"{package}.layers.{kind.keras}Cell", signature,
                maps={"units": "hidden_size", "use_bias": "bias", "sequence": "x", "inputs": "x"}, ignore=_IGNORED,
                fixed={k: v for k, v in fixed.items() if f"{k}=" in signature}, call=f"{'sequence' if kind.nonlinear else 'inputs'}, states",
                params=_in_keras(kind, "", True, ""), layer=True, write=False,
            )
        ]  # fmt: skip

    register(
        OpDef(
            f"{kind.name}_step",
            "x, states, *, input_size=..., hidden_size, bias=True",
            f"One step of {kind.torch}: the output and the new states.",
            reference=_reference(kind),
            params=_canonical(kind, "", True),
            optional={"bias_ih": "bias", "bias_hh": "bias"},
            spellings={"torch": [torch], **on_keras(in_keras)},
            cases=[Case({"x": (2, 3), "states": [(2, 4)] * kind.states}, {"input_size": 3, "hidden_size": 4})],
        )
    )


for _kind in _KINDS:
    _register(_kind)
