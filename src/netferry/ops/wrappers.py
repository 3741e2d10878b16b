"""Layers made of other layers: recurrent ones in both directions, and any layer at every step of a sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from netferry.ops.core import OpDef, Spelling, Support
from netferry.ops.forms import template
from netferry.ops.layer_forms import on_keras, support_layer
from netferry.ops.recurrent import _KINDS, _canonical, _in_keras, _in_torch, _Kind
from netferry.ops.registry import register, register_support

_BACK = "_reverse"
_CODE = '''
class Bidirectional{base}(torch.nn.{base}):
    """{article} {base} in both directions over (batch, time, features): its last outputs, or all with ``return_sequences``."""

    def __init__(
        self, input_size, hidden_size, bias=True, return_sequences=False, return_state=False, merge_mode="concat"
    ):
        super().__init__(input_size, hidden_size, bias=bias, batch_first=True, bidirectional=True)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.merge_mode = merge_mode

    def forward(self, x):
        outputs, {last} = super().forward(x)
        ahead, back = outputs.chunk(2, dim=-1)
        if not self.return_sequences:
            ahead, back = ahead[:, -1], back[:, 0]
        result = self.merge(ahead, back)
        return (result, {states}) if self.return_state else result

    def merge(self, ahead, back):
        if self.merge_mode == "concat":
            return torch.cat([ahead, back], dim=-1)
        if self.merge_mode == "mul":
            return ahead * back
        return ahead + back if self.merge_mode == "sum" else (ahead + back) / 2
'''
_OPTIONS = "bias=True, return_sequences=False, return_state=False, merge_mode='concat'"


def _both(make: Callable[[str, str], Mapping[str, str]]) -> dict[str, str]:
    """What ``make(suffix, path)`` gives for the two directions."""
    return {**make("", "forward_layer.cell."), **make(_BACK, "backward_layer.cell.")}


def _register_direction(kind: _Kind) -> None:
    """The op that PyTorch code is written from."""
    several = kind.states > 1
    name = f"Bidirectional{kind.torch}"
    code = _CODE.format(
        base=kind.torch, article="A" if kind.name == "gru" else "An", last="(h, c)" if several else "h",
        states="h[0], c[0], h[1], c[1]" if several else "h[0], h[1]",
    )  # fmt: skip
    register_support(Support(name, {"torch": code}))
    in_torch = {
        f"{key.removesuffix(_BACK)}_l0{_BACK if key.endswith(_BACK) else ''}": spec
        for key, spec in _both(lambda suffix, path: _in_torch(kind, suffix, True)).items()
    }
    params = _both(lambda suffix, path: _canonical(kind, suffix, True))
    in_keras = _both(lambda suffix, path: _in_keras(kind, suffix, True, path))
    register(OpDef(
        f"bidirectional_{kind.name}", f"x, *, input_size=..., hidden_size, {_OPTIONS}",
        f"One level of {kind.torch} in both directions, whose outputs are merged.", layout="opaque",
        params=params, optional={n: "bias" for n in params if n.startswith("bias")},
        spellings={
            "torch": [support_layer(name, f"input_size, hidden_size, {_OPTIONS}", params=in_torch, positional=2)],
            **on_keras(lambda package: _written(package, kind, in_keras)),
        },
    ))  # fmt: skip


def _written(package: str, kind: _Kind, params: Mapping[str, str]) -> list[Spelling]:
    """Keras wraps a layer for one direction; what it does by default goes without saying."""
    plain = {"bias": True, "return_state": False, "merge_mode": "concat"}
    wrapped = f"{package}.layers.Bidirectional({package}.layers.{kind.keras}({{hidden_size}}%s)%s)"
    every = ", use_bias={bias}, return_sequences={return_sequences}, return_state={return_state}"
    forms: list[tuple[str, str, dict[str, Any]]] = [
        ("", "", {**plain, "return_sequences": False}),
        (", return_sequences=True", "", {**plain, "return_sequences": True}),
        (every, ", merge_mode={merge_mode}", {}),
    ]
    return [
        Spelling("", template=wrapped % (inner, outer), call="x", params=params, layer=True, read=False, when=when)
        for inner, outer, when in forms
    ]


def _inner(attributes: Mapping[str, Any]) -> tuple[_Kind | None, bool]:
    """What the wrapped layer is, and whether it has biases."""
    layer = attributes.get("layer")
    kind = next((k for k in _KINDS if k.keras == type(layer).__name__), None)
    return kind, bool(getattr(layer, "use_bias", True))


def _layouts(attributes: Mapping[str, Any]) -> dict[str, str]:
    kind, bias = _inner(attributes)
    return {} if kind is None else _both(lambda suffix, path: _canonical(kind, suffix, bias))


def _specs(attributes: Mapping[str, Any]) -> dict[str, str]:
    kind, bias = _inner(attributes)
    return {} if kind is None else _both(lambda suffix, path: _in_keras(kind, suffix, bias, path))


for _kind in _KINDS:
    _register_direction(_kind)
register(OpDef(
    "bidirectional", "x, *, layer, input_size=..., merge_mode='concat'",
    "A recurrent layer in both directions over a sequence, whose outputs are merged.", layout="opaque",
    dynamic_params=_layouts,
    spellings=on_keras(lambda package: [
        Spelling(
            f"{package}.layers.Bidirectional", "layer, merge_mode='concat', weights=None, backward_layer=None",
            call="sequences", maps={"sequences": "x"}, fixed={"weights": None, "backward_layer": None},
            dynamic_params=_specs, layer=True,
        )
    ]),
))  # fmt: skip
register_support(Support("TimeDistributed", {"torch": '''
class TimeDistributed(torch.nn.Module):
    """Applies a layer to every step of sequences (batch, time, ...); ``images`` that it gives get their channels last."""

    def __init__(self, layer, images=False):
        super().__init__()
        self.layer = layer
        self.images = images

    def forward(self, x):
        steps = self.layer(x.flatten(0, 1))
        steps = steps.movedim(1, -1) if self.images else steps
        return steps.unflatten(0, x.shape[:2])
'''}))  # fmt: skip
register(OpDef(
    "time_distributed", "x, *, layer, images=False", "Applies a layer to every step of a sequence.", layout="opaque",
    spellings={
        "torch": [support_layer("TimeDistributed", "layer, images=False", positional=1)],
        **on_keras(lambda package: [
            Spelling(f"{package}.layers.TimeDistributed", "layer", call="inputs", maps={"inputs": "x"}, layer=True)
        ]),
    },
))  # fmt: skip
register_support(Support("Lambda", {"torch": '''
class Lambda(torch.nn.Module):
    """A function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)
'''}))  # fmt: skip
register(OpDef(
    "function_layer", "x, *, function", "A function as a layer.", layout="opaque",
    spellings={
        "torch": [support_layer("Lambda", "function", positional=1)],
        "flax": [template("{function}", layer=True, call="x")],
        **on_keras(lambda package: [
            Spelling(
                f"{package}.layers.Lambda", "function, output_shape=None, mask=None, arguments=None", call="inputs",
                maps={"inputs": "x"}, ignore=("output_shape",), fixed={"mask": None, "arguments": None}, layer=True,
            )
        ]),
    },
))  # fmt: skip
