"""Normalisation layers and functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling, complement
from netferry.ops.forms import template
from netferry.ops.registry import register
from netferry.ops.shared import keras_support

KERAS = {"tensorflow": "tf.keras", "keras": "keras"}
_KERAS_REST = (
    "beta_initializer='zeros', gamma_initializer='ones', moving_mean_initializer='zeros', moving_variance_initializer='ones', "
    "beta_regularizer=None, gamma_regularizer=None, beta_constraint=None, gamma_constraint=None, synchronized=False"
)
_NO_MEANING = tuple(p.split("=")[0] for p in _KERAS_REST.split(", "))
_AFFINE = (
    "beta_initializer='zeros', gamma_initializer='ones', beta_regularizer=None, gamma_regularizer=None, beta_constraint=None, "
    "gamma_constraint=None"
)
_AFFINE_NAMES = tuple(p.split("=")[0] for p in _AFFINE.split(", "))


def _shaped(vector: Any, like: Any) -> Any:
    return vector.reshape(1, -1, *[1] * (like.ndim - 2))


def normalised(x: Any, mean: Any, variance: Any, epsilon: float, weight: Any = None, bias: Any = None) -> Any:
    """``(x - mean) / sqrt(variance + epsilon)``, scaled and shifted per channel (axis 1)."""
    out = (x - mean) / np.sqrt(variance + epsilon)
    out = out if weight is None else out * _shaped(weight, x)
    return out if bias is None else out + _shaped(bias, x)


def _batch_norm(x: Any, *, weight: Any = None, bias: Any = None, running_mean: Any, running_var: Any, epsilon: float = 1e-5, **_: Any) -> Any:
    return normalised(x, _shaped(running_mean, x), _shaped(running_var, x), epsilon, weight, bias)


def _batch(n: int) -> None:
    rest = "eps=1e-05, momentum=0.1, affine=True, track_running_stats=True, device=None, dtype=None"
    params = {k: f"{k}: C" for k in ("weight", "bias", "running_mean", "running_var")}

    def torch(path: str, signature: str, *, write: bool = True) -> Spelling:
        return Spelling(
            f"torch.nn.{path}", signature, {"eps": "epsilon", "momentum": complement("momentum"), "input": "x"},
            ignore=("device", "dtype", "process_group"), fixed={"track_running_stats": True}, layer=True, call="input", params=params, write=write,
        )  # fmt: skip

    spellings = [torch(f"BatchNorm{n}d", f"num_features, {rest}"), torch(f"LazyBatchNorm{n}d", rest, write=False)]
    if n == 2:
        spellings.append(torch("SyncBatchNorm", f"num_features, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True, process_group=None, device=None, dtype=None", write=False))
    size = (3, 4, 5, 2, 6)[: n + 2]
    register(OpDef(
        f"batch_norm{n}d", "x, *, num_features=..., epsilon=1e-5, momentum=0.9, affine=True",
        "Normalises channels with statistics of the batch in training, with running ones otherwise (``momentum``: share of the old value kept).",
        layout="channels", reference=_batch_norm, params={k: "C" for k in params}, buffers=("running_mean", "running_var"),
        optional={"weight": "affine", "bias": "affine"},
        spellings={
            "torch": spellings,
            **{f: [Spelling(f"{k}.layers.BatchNormalization", f"axis=-1, momentum=0.99, epsilon=0.001, center=True, scale=True, {_KERAS_REST}",
                            {"center": "affine", "scale": "affine", "inputs": "x"}, ignore=_NO_MEANING, fixed={"axis": -1}, layer=True,
                            call="inputs", positional=0,
                            params={"gamma": "weight: C", "beta": "bias: C", "moving_mean": "running_mean: C", "moving_variance": "running_var: C"})]
               for f, k in KERAS.items()},
        },
        cases=[Case({"x": size}, {"num_features": 4}), Case({"x": size}, {"num_features": 4, "epsilon": 1e-3, "momentum": 0.7}),
               Case({"x": size}, {"num_features": 4, "affine": False})],
    ))  # fmt: skip


def _layer_norm(x: Any, *, weight: Any = None, bias: Any = None, normalized_shape: Any = None, epsilon: float = 1e-5, **_: Any) -> Any:
    count = len(normalized_shape) if isinstance(normalized_shape, list | tuple) else 1
    axes = tuple(range(x.ndim - count, x.ndim))
    out = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


register(OpDef(
    "layer_norm", "x, *, normalized_shape=..., epsilon=1e-5, affine=True, use_bias=True", "Normalises over the last axes.", layout="last",
    reference=_layer_norm, params={"weight": "C", "bias": "C"}, optional={"weight": "affine", "bias": "affine"},
    spellings={
        "torch": [Spelling("torch.nn.LayerNorm", "normalized_shape, eps=1e-05, elementwise_affine=True, bias=True, device=None, dtype=None",
                           {"eps": "epsilon", "elementwise_affine": "affine", "bias": "use_bias", "input": "x"}, ignore=("device", "dtype"), layer=True, call="input",
                           params={"weight": "weight: C", "bias": "bias: C"})],
        **{f: [Spelling(f"{k}.layers.LayerNormalization", f"axis=-1, epsilon=0.001, center=True, scale=True, {_AFFINE}",
                        {"center": "affine", "scale": "affine", "inputs": "x"}, ignore=_AFFINE_NAMES, fixed={"axis": -1}, when={"use_bias": True},
                        layer=True, call="inputs", positional=0, params={"gamma": "weight: C", "beta": "bias: C"})] for f, k in KERAS.items()},
    },
    cases=[Case({"x": (2, 3, 5)}, {"normalized_shape": (5,)}), Case({"x": (2, 3, 5)}, {"normalized_shape": 5, "epsilon": 1e-3}),
           Case({"x": (2, 3, 5)}, {"normalized_shape": 5, "affine": False})],
))  # fmt: skip

register(OpDef(
    "layer_norm_with", "x, weight=None, bias=None, *, normalized_shape, epsilon=1e-5", "Layer normalisation over the last axis with given scale and shift.",
    layout="last",
    reference=lambda x, weight=None, bias=None, **a: _layer_norm(x, weight=weight, bias=bias, **a),
    spellings={
        "torch": [Spelling("torch.nn.functional.layer_norm", "input, normalized_shape, weight=None, bias=None, eps=1e-05", {"input": "x", "eps": "epsilon"})],
        **{f: [Spelling("layer_norm", "x, weight=None, bias=None, epsilon=1e-5", support="layer_norm", read=False)] for f in KERAS},
    },
    cases=[Case({"x": (2, 3, 5)}, {"normalized_shape": (5,)}), Case({"x": (2, 3, 5), "weight": (5,), "bias": (5,)}, {"normalized_shape": (5,), "epsilon": 1e-3})],
))  # fmt: skip

register(OpDef(
    "rms_norm", "x, *, normalized_shape=..., epsilon=None, affine=True", "Divides by the root mean square over the last axis.", layout="last",
    reference=lambda x, *, weight=None, epsilon=None, **_: x / np.sqrt((x**2).mean(-1, keepdims=True) + (np.finfo(float).eps if epsilon is None else epsilon)) * (1 if weight is None else weight),
    params={"weight": "C"}, optional={"weight": "affine"},
    spellings={
        "torch": [Spelling("torch.nn.RMSNorm", "normalized_shape, eps=None, elementwise_affine=True, device=None, dtype=None",
                           {"eps": "epsilon", "elementwise_affine": "affine", "input": "x"}, ignore=("device", "dtype"), layer=True, call="input", params={"weight": "weight: C"})],
        **{f: [Spelling(f"{k}.layers.RMSNormalization", "axis=-1, epsilon=1e-6", {"inputs": "x"}, fixed={"axis": -1},
                        when={"affine": True, "epsilon": lambda e: e is not None}, layer=True, call="inputs", positional=0, params={"scale": "weight: C"})]
           for f, k in KERAS.items()},
    },
    cases=[Case({"x": (2, 3, 5)}, {"normalized_shape": 5, "epsilon": 1e-5})],
))  # fmt: skip


def _group_norm(x: Any, *, groups: int, weight: Any = None, bias: Any = None, epsilon: float = 1e-5, **_: Any) -> Any:
    parts = x.reshape(x.shape[0], groups, -1)
    mean, variance = parts.mean(-1, keepdims=True), parts.var(-1, keepdims=True)
    out = ((parts - mean) / np.sqrt(variance + epsilon)).reshape(x.shape)
    out = out if weight is None else out * _shaped(weight, x)
    return out if bias is None else out + _shaped(bias, x)


register(OpDef(
    "group_norm", "x, *, groups, num_channels=..., epsilon=1e-5, affine=True", "Normalises groups of channels of each sample.", layout="channels",
    reference=_group_norm, params={"weight": "C", "bias": "C"}, optional={"weight": "affine", "bias": "affine"},
    spellings={
        "torch": [Spelling("torch.nn.GroupNorm", "num_groups, num_channels, eps=1e-05, affine=True, device=None, dtype=None",
                           {"num_groups": "groups", "eps": "epsilon", "input": "x"}, ignore=("device", "dtype"), layer=True, call="input", params={"weight": "weight: C", "bias": "bias: C"}, positional=2)],
        **{f: [Spelling(f"{k}.layers.GroupNormalization", f"groups=32, axis=-1, epsilon=0.001, center=True, scale=True, {_AFFINE}",
                        {"center": "affine", "scale": "affine", "inputs": "x"}, ignore=_AFFINE_NAMES, fixed={"axis": -1}, layer=True, call="inputs",
                        params={"gamma": "weight: C", "beta": "bias: C"})] for f, k in KERAS.items()},
    },
    cases=[Case({"x": (2, 6, 5, 3)}, {"groups": 3, "num_channels": 6}), Case({"x": (2, 6, 5)}, {"groups": 2, "num_channels": 6, "epsilon": 1e-3})],
))  # fmt: skip


def _instance_norm(x: Any, *, weight: Any = None, bias: Any = None, epsilon: float = 1e-5, **_: Any) -> Any:
    axes = tuple(range(2, x.ndim))
    return normalised(x, x.mean(axes, keepdims=True), x.var(axes, keepdims=True), epsilon, weight, bias)


def _instance(n: int) -> None:
    size = (2, 3, 5, 4, 6)[: n + 2]
    register(OpDef(
        f"instance_norm{n}d", "x, *, num_features=..., epsilon=1e-5, affine=False", "Normalises every channel of every sample by itself.", layout="channels",
        reference=_instance_norm, params={"weight": "C", "bias": "C"}, optional={"weight": "affine", "bias": "affine"},
        spellings={
            "torch": [Spelling(f"torch.nn.InstanceNorm{n}d", "num_features, eps=1e-05, momentum=0.1, affine=False, track_running_stats=False, device=None, dtype=None",
                               {"eps": "epsilon", "input": "x"}, ignore=("momentum", "device", "dtype"), fixed={"track_running_stats": False}, layer=True, call="input",
                               params={"weight": "weight: C", "bias": "bias: C"})],
            **{f: [Spelling(f"{k}.layers.GroupNormalization", f"groups=32, axis=-1, epsilon=0.001, center=True, scale=True, {_AFFINE}",
                            {"center": "affine", "scale": "affine", "inputs": "x"}, ignore=_AFFINE_NAMES, fixed={"axis": -1, "groups": -1}, layer=True, read=False,
                            call="inputs", params={"gamma": "weight: C", "beta": "bias: C"}, positional=0)] for f, k in KERAS.items()},
        },
        cases=[Case({"x": size}, {"num_features": 3}), Case({"x": size}, {"num_features": 3, "affine": True, "epsilon": 1e-3})],
    ))  # fmt: skip


def _response(x: Any, *, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    padded = np.pad(x**2, [(0, 0), (size // 2, (size - 1) // 2), *[(0, 0)] * (x.ndim - 2)])
    total = sum(padded[:, i : i + x.shape[1]] for i in range(size))
    return x / (k + alpha * total / size) ** beta


register(OpDef(
    "local_response_norm", "x, *, size, alpha=1e-4, beta=0.75, k=1.0", "Divides by a power of the mean square over neighbouring channels.", layout="channels",
    reference=_response,
    spellings={
        "torch": [Spelling("torch.nn.functional.local_response_norm", "input, size, alpha=0.0001, beta=0.75, k=1.0", {"input": "x"}),
                  Spelling("torch.nn.LocalResponseNorm", "size, alpha=0.0001, beta=0.75, k=1.0", {"input": "x"}, layer=True, call="input")],
        **{f: [Spelling("local_response_norm", "x, size, alpha=1e-4, beta=0.75, k=1.0", support="local_response_norm", read=False),
               template(f"{p}.layers.Lambda(lambda x: local_response_norm(x, {{size}}, {{alpha}}, {{beta}}, {{k}}))", layer=True, support="local_response_norm")]
           for f, p in KERAS.items()},
    },
    cases=[Case({"x": (2, 7, 3, 4)}, {"size": 5}), Case({"x": (2, 6, 3, 4)}, {"size": 2, "alpha": 0.1, "k": 2.0})],
))  # fmt: skip


def _normalize(x: Any, *, p: float = 2.0, axis: int = 1, epsilon: float = 1e-12) -> Any:
    return x / np.maximum((np.abs(x) ** p).sum(axis, keepdims=True) ** (1 / p), epsilon)


register(OpDef(
    "normalize", "x, *, p=2.0, axis=1, epsilon=1e-12", "Divides by the p-norm along an axis (at least ``epsilon``).", layout="axis", reference=_normalize,
    spellings={
        "torch": [Spelling("torch.nn.functional.normalize", "input, p=2.0, dim=1, eps=1e-12, out=None", {"input": "x", "dim": "axis", "eps": "epsilon"}, fixed={"out": None})],
        "tensorflow": [template("{x} / tf.maximum(tf.norm({x}, ord={p}, axis={axis}, keepdims=True), {epsilon})")],
        "keras": [template("{x} / keras.ops.maximum(keras.ops.norm({x}, ord={p}, axis={axis}, keepdims=True), {epsilon})")],
    },
    cases=[Case({"x": (3, 4, 5)}), Case({"x": (3, 4)}, {"p": 1.0, "axis": -1})],
))  # fmt: skip

for _n in (1, 2, 3):
    _batch(_n)
    _instance(_n)

keras_support("local_response_norm", '''
def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    """Divide by a power of the mean square over `size` neighbouring channels (the last axis)."""
    channels = x.shape[-1]
    squares = keras.ops.pad(x * x, [[0, 0]] * (len(x.shape) - 1) + [[size // 2, (size - 1) // 2]])
    total = sum(squares[..., i : i + channels] for i in range(size))
    return x / (k + alpha * total / size) ** beta
''')

keras_support("layer_norm", '''
def layer_norm(x, weight=None, bias=None, epsilon=1e-5):
    """Normalise over the last axis, then scale by `weight` and shift by `bias`."""
    mean = keras.ops.mean(x, axis=-1, keepdims=True)
    variance = keras.ops.mean((x - mean) ** 2, axis=-1, keepdims=True)
    x = (x - mean) / keras.ops.sqrt(variance + epsilon)
    x = x if weight is None else x * weight
    return x if bias is None else x + bias
''')
