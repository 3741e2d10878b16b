"""Normalisation over batches, groups, single instances, neighbouring channels and vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling, Support, complement
from netferry.ops.forms import supported, template
from netferry.ops.jax_forms import nnx_layer
from netferry.ops.layer_forms import functional, keras_layer, on_keras, support_layer, torch_layer
from netferry.ops.registry import register, register_support
from netferry.ops.shared import keras_support

Array = np.ndarray[Any, Any]

STARTS = "beta_initializer='zeros', gamma_initializer='ones'"
IGNORED = ("beta_initializer", "gamma_initializer")
EPS = {"eps": "epsilon"}
_NO_GRADIENT = {"torch": "running statistics take no gradient"}
SCALE_AND_SHIFT = {"scale": "affine", "center": "use_bias"}
OWN = {"weight": "weight: C", "bias": "bias: C"}
KERAS_OWN = {"gamma": "weight: C", "beta": "bias: C"}
CHANNELS = {"weight": "C", "bias": "C"}
OPTIONAL = {"weight": "affine", "bias": "affine use_bias"}


def _channelwise(values: Array, x: Array) -> Array:
    return values.reshape(1, -1, *[1] * (x.ndim - 2))


def _affine(x: Array, weight: Array | None, bias: Array | None) -> Array:
    x = x if weight is None else x * _channelwise(weight, x)
    return x if bias is None else x + _channelwise(bias, x)


def standardised(x: Array, axes: Sequence[int], epsilon: float) -> Array:
    """Zero mean and unit variance over axes."""
    mean, variance = x.mean(tuple(axes), keepdims=True), x.var(tuple(axes), keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)  # type: ignore[no-any-return]


def _torch(name: str, signature: str, maps: Mapping[str, Any], **options: Any) -> Spelling:
    """A channel-wise layer; PyTorch lists ``bias`` behind ``dtype``."""
    return torch_layer(
        name,
        f"{signature}, device=None, dtype=None, *, bias=True",
        maps={**EPS, "bias": "use_bias", **maps},
        ignore=("device", "dtype", *options.pop("ignore", ())),
        params={**OWN, **options.pop("params", {})},
        **options,
    )


# -- batch normalisation ---------------------------------------------------------------------------------------------


def _batch_norm(
    x: Array, *, running_mean: Array, running_var: Array, weight: Array | None = None, bias: Array | None = None,
    epsilon: float = 1e-5, **unused: Any,
) -> Array:  # fmt: skip
    x = (x - _channelwise(running_mean, x)) / np.sqrt(_channelwise(running_var, x) + epsilon)
    return _affine(x, weight, bias)


def _batch_layers(package: str) -> list[Spelling]:
    statistics = {"moving_mean": "running_mean: C", "moving_variance": "running_var: C"}
    return [
        keras_layer(
            package,
            "BatchNormalization",
            f"axis=-1, momentum=0.99, epsilon=0.001, center=True, scale=True, {STARTS}, moving_mean_initializer='zeros', "
            "moving_variance_initializer='ones'",
            maps={"momentum": complement("momentum"), **SCALE_AND_SHIFT},
            ignore=(*IGNORED, "moving_mean_initializer", "moving_variance_initializer"),
            fixed={"axis": -1},
            params={**KERAS_OWN, **statistics},
            positional=0,
        )
    ]


_FLAX_SWITCHES = {"use_scale": "affine"}
FLAX_OWN = {"scale": "weight: C", "bias": "bias: C"}
"""The parameters of NNX's normalisations."""
_FLAX_STATISTICS = {"mean": "running_mean: C", "var": "running_var: C"}
_FLAX_GIVEN = "num_features, *, momentum=0.99, epsilon=1e-05, use_bias=True, use_scale=True"
_FLAX_BATCH = nnx_layer(
    "BatchNorm",
    _FLAX_GIVEN,
    maps={"momentum": complement("momentum"), **_FLAX_SWITCHES, "x": "x"},
    params={**FLAX_OWN, **_FLAX_STATISTICS},
    call="x",
)
_FLAX_SHIFTED = nnx_layer(
    "BatchNorm",
    _FLAX_GIVEN,
    maps={"momentum": complement("momentum"), "x": "x"},
    fixed={"use_scale": False, "use_bias": True},
    params={"bias": "bias: C", **_FLAX_STATISTICS},
    call="x",
)


def _shifted_torch(n: int) -> Spelling:
    """PyTorch's layer has a scale where it has a shift."""
    name = f"ShiftedBatchNorm{n}d"
    code = f'''
class {name}(torch.nn.BatchNorm{n}d):
    """Batch normalisation that learns a shift and no scale."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__(num_features, eps, momentum)
        self.weight = None
'''
    register_support(Support(name, {"torch": code}))
    return support_layer(
        name,
        "num_features, eps=1e-5, momentum=0.1",
        maps=EPS,
        implies={"dimensions": n},
        params={"bias": "bias: C", "running_mean": "running_mean: C", "running_var": "running_var: C"},
        positional=1,
    )


def _shifted_layers(package: str) -> list[Spelling]:
    return [
        keras_layer(
            package,
            "BatchNormalization",
            f"axis=-1, momentum=0.99, epsilon=0.001, center=True, scale=True, {STARTS}, moving_mean_initializer='zeros', "
            "moving_variance_initializer='ones'",
            maps={"momentum": complement("momentum")},
            ignore=(*IGNORED, "moving_mean_initializer", "moving_variance_initializer"),
            fixed={"axis": -1, "scale": False, "center": True},
            params={"beta": "bias: C", "moving_mean": "running_mean: C", "moving_variance": "running_var: C"},
            positional=0,
        )
    ]


def _register_shifted() -> None:
    """Before the layer with both, whose class Keras shares with it."""
    register(
        OpDef(
            "shifted_batch_norm",
            "x, *, num_features=..., epsilon=1e-5, momentum=0.1, dimensions=...",
            "Normalises channels by statistics of the batch in training, else by running ones, and shifts them.",
            layout="channels",
            reference=_batch_norm,
            params={"bias": "C", "running_mean": "C", "running_var": "C"},
            buffers=("running_mean", "running_var"),
            spellings={
                "torch": [_shifted_torch(n) for n in (2, 1, 3)],
                **on_keras(_shifted_layers),
                "flax": [_FLAX_SHIFTED],
            },
            cases=[
                Case({"x": (3, 4, 5, 2)}, {"num_features": 4, "dimensions": 2, "epsilon": 1e-3}),
                Case({"x": (3, 4)}, {"num_features": 4, "dimensions": 1, "momentum": 0.3}),
            ],
        )
    )


def _register_batch() -> None:
    rest = "eps=1e-05, momentum=0.1, affine=True, track_running_stats=True"
    statistics = {name: f"{name}: C" for name in ("running_mean", "running_var")}
    options: dict[str, Any] = {"fixed": {"track_running_stats": True}, "params": statistics, "maps": {}}
    torch = []
    for n in (2, 1, 3):
        torch.append(_torch(f"BatchNorm{n}d", f"num_features, {rest}", implies={"dimensions": n}, **options))
        torch.append(_torch(f"LazyBatchNorm{n}d", rest, write=False, implies={"dimensions": n}, **options))
    torch.append(
        _torch(
            "SyncBatchNorm",
            f"num_features, {rest}, process_group=None",
            ignore=("process_group",),
            write=False,
            **options,
        )
    )
    small = {"num_features": 4, "epsilon": 1e-3, "momentum": 0.3}
    register(
        OpDef(
            "batch_norm",
            "x, *, num_features=..., epsilon=1e-5, momentum=0.1, affine=True, use_bias=True, dimensions=...",
            "Normalises channels by statistics of the batch in training, else by running ones; momentum is the new one's share.",
            layout="channels",
            reference=_batch_norm,
            params={**CHANNELS, "running_mean": "C", "running_var": "C"},
            optional=OPTIONAL,
            buffers=("running_mean", "running_var"),
            spellings={"torch": torch, **on_keras(_batch_layers), "flax": [_FLAX_BATCH]},
            cases=[
                Case({"x": (3, 4, 5, 2)}, {"num_features": 4, "dimensions": 2}),
                Case({"x": (3, 4)}, {"num_features": 4, "dimensions": 1}),
                Case({"x": (3, 4, 5)}, {**small, "dimensions": 1}),
                Case({"x": (3, 4, 5, 2)}, {**small, "dimensions": 2, "affine": False}),
                Case({"x": (3, 4, 5, 2, 6)}, {**small, "dimensions": 3}),
            ],
        )
    )
    given = "running_mean, running_var, weight=None, bias=None"
    call = supported("batch_norm", f"x, {given}, training=False, momentum=0.1, epsilon=1e-5", positional=5)
    register(
        OpDef(
            "batch_norm_with",
            "x, running_mean=None, running_var=None, weight=None, bias=None, *, training=False, momentum=0.1, epsilon=1e-5",
            "Batch normalisation with given statistics, which training updates.",
            layout="channels",
            reference=lambda x, running_mean, running_var, weight=None, bias=None, **a: _batch_norm(
                x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias, **a
            ),
            spellings={
                "torch": [functional("batch_norm", f"{given}, training=False, momentum=0.1, eps=1e-05", maps=EPS)],
                "tensorflow": [call],
                "keras": [call],
            },
            cases=[
                Case(
                    {"x": (3, 4, 5, 2), "running_mean": (4,), "running_var": np.array([0.5, 1.0, 1.5, 2.0])},
                    gradients=False,
                    skip=_NO_GRADIENT,
                ),
                Case(
                    {
                        "x": (3, 4, 5),
                        "running_mean": (4,),
                        "running_var": np.array([0.5, 1.0, 1.5, 2.0]),
                        "weight": (4,),
                        "bias": (4,),
                    },
                    {"epsilon": 1e-3},
                    gradients=False,
                    skip=_NO_GRADIENT,
                ),
            ],
        )
    )


keras_support(
    "batch_norm",
    '''
def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, epsilon=1e-5):
    """Batch normalisation of channels-last data; training uses the batch's statistics and updates the running ones."""
    mean, variance = running_mean, running_var
    if training or running_mean is None:
        axes = tuple(range(len(x.shape) - 1))
        mean = keras.ops.mean(x, axis=axes)
        variance = keras.ops.mean(keras.ops.square(x - mean), axis=axes)
        if running_mean is not None:
            running_mean.assign((1 - momentum) * running_mean + momentum * mean)
            count = int(np.prod(x.shape[:-1]))
            unbiased = variance * (count / (count - 1))
            running_var.assign((1 - momentum) * running_var + momentum * unbiased)
    x = (x - mean) / keras.ops.sqrt(variance + epsilon)
    x = x if weight is None else x * weight
    return x if bias is None else x + bias
''',
)
_register_shifted()
_register_batch()

# -- groups and instances --------------------------------------------------------------------------------------------


def _group_norm(
    x: Array,
    *,
    groups: int,
    weight: Array | None = None,
    bias: Array | None = None,
    epsilon: float = 1e-5,
    **unused: Any,
) -> Array:
    parts = x.reshape(x.shape[0], groups, -1)
    return _affine(standardised(parts, (-1,), epsilon).reshape(x.shape), weight, bias)


def _group_layers(package: str) -> list[Spelling]:
    return [
        keras_layer(
            package,
            "GroupNormalization",
            f"groups=32, axis=-1, epsilon=0.001, center=True, scale=True, {STARTS}",
            maps=SCALE_AND_SHIFT,
            ignore=IGNORED,
            fixed={"axis": -1},
            params=KERAS_OWN,
        )
    ]


def _instance_layers(package: str) -> list[Spelling]:
    """Keras's groups of one channel."""
    return [
        Spelling(
            f"{package}.layers.GroupNormalization",
            f"groups=32, axis=-1, epsilon=0.001, center=True, scale=True, {STARTS}",
            maps={"inputs": "x", **SCALE_AND_SHIFT},
            ignore=IGNORED,
            fixed={"axis": -1, "groups": -1},
            call="inputs",
            params=KERAS_OWN,
            layer=True,
            read=False,
            positional=0,
        )
    ]


register(
    OpDef(
        "group_norm",
        "x, *, groups, num_channels=..., epsilon=1e-5, affine=True, use_bias=True",
        "Normalises groups of channels of every sample by themselves.",
        layout="channels",
        reference=_group_norm,
        params=CHANNELS,
        optional=OPTIONAL,
        spellings={
            "torch": [
                _torch(
                    "GroupNorm",
                    "num_groups, num_channels, eps=1e-05, affine=True",
                    {"num_groups": "groups"},
                    positional=2,
                )
            ],
            **on_keras(_group_layers),
            "flax": [
                nnx_layer(
                    "GroupNorm",
                    "num_features, num_groups=32, *, epsilon=1e-06, use_bias=True, use_scale=True",
                    maps={"num_features": "num_channels", "num_groups": "groups", **_FLAX_SWITCHES, "x": "x"},
                    params=FLAX_OWN,
                    call="x",
                    positional=2,
                )
            ],
        },
        cases=[
            Case({"x": (2, 6, 5, 3)}, {"groups": 3, "num_channels": 6}),
            Case({"x": (2, 6, 5)}, {"groups": 2, "num_channels": 6, "epsilon": 1e-3, "affine": False}),
            Case({"x": (2, 6)}, {"groups": 2, "num_channels": 6}),
        ],
    )
)
_instance_torch = []
for _n in (2, 1, 3):
    _rest = "eps=1e-05, momentum=0.1, affine=False, track_running_stats=False"
    _options: dict[str, Any] = {
        "maps": {},
        "ignore": ("momentum",),
        "fixed": {"track_running_stats": False},
        "implies": {"dimensions": _n},
    }
    _instance_torch.append(_torch(f"InstanceNorm{_n}d", f"num_features, {_rest}", **_options))
register(
    OpDef(
        "instance_norm",
        "x, *, num_features=..., epsilon=1e-5, affine=False, use_bias=True, dimensions=...",
        "Normalises every channel of every sample by itself.",
        layout="channels",
        reference=lambda x, **a: _group_norm(x, groups=x.shape[1], **a),
        params=CHANNELS,
        optional=OPTIONAL,
        spellings={
            "torch": _instance_torch,
            **on_keras(_instance_layers),
            "flax": [
                nnx_layer(
                    "InstanceNorm",
                    "num_features, *, epsilon=1e-06, use_bias=True, use_scale=True",
                    maps={**_FLAX_SWITCHES, "x": "x"},
                    params=FLAX_OWN,
                    call="x",
                )
            ],
        },
        cases=[
            Case({"x": (2, 3, 5)}, {"num_features": 3, "dimensions": 1}),
            Case({"x": (2, 3, 5, 4)}, {"num_features": 3, "dimensions": 2, "affine": True}),
            Case({"x": (2, 3, 5, 4, 2)}, {"num_features": 3, "dimensions": 3, "affine": True, "epsilon": 1e-3}),
        ],
    )
)
keras_support(
    "group_norm",
    '''
def group_norm(x, groups, weight=None, bias=None, epsilon=1e-5):
    """Normalise groups of channels of every sample (channels-last data)."""
    parts = keras.ops.reshape(x, (keras.ops.shape(x)[0], -1, groups, x.shape[-1] // groups))
    mean = keras.ops.mean(parts, axis=(1, 3), keepdims=True)
    variance = keras.ops.mean(keras.ops.square(parts - mean), axis=(1, 3), keepdims=True)
    x = keras.ops.reshape((parts - mean) / keras.ops.sqrt(variance + epsilon), keras.ops.shape(x))
    x = x if weight is None else x * weight
    return x if bias is None else x + bias
''',
)
_GIVEN = "weight=None, bias=None"
_group_call = supported("group_norm", f"x, groups, {_GIVEN}, epsilon=1e-5", positional=2)
_instance_call = template("group_norm({x}, {x}.shape[-1], {weight}, {bias}, {epsilon})", support="group_norm")
register(
    OpDef(
        "group_norm_with",
        f"x, {_GIVEN}, *, groups, epsilon=1e-5",
        "Group normalisation with a given scale and shift.",
        layout="channels",
        reference=lambda x, weight=None, bias=None, **a: _group_norm(x, weight=weight, bias=bias, **a),
        spellings={
            "torch": [
                functional(
                    "group_norm",
                    f"num_groups, {_GIVEN}, eps=1e-05",
                    maps={"num_groups": "groups", **EPS},
                    positional=2,
                )
            ],
            "tensorflow": [_group_call],
            "keras": [_group_call],
        },
        cases=[
            Case({"x": (2, 6, 5, 3)}, {"groups": 3}),
            Case({"x": (2, 6, 5), "weight": (6,), "bias": (6,)}, {"groups": 2, "epsilon": 1e-3}),
        ],
    )
)
register(
    OpDef(
        "instance_norm_with",
        f"x, {_GIVEN}, *, epsilon=1e-5",
        "Instance normalisation with a given scale and shift.",
        layout="channels",
        reference=lambda x, weight=None, bias=None, **a: _group_norm(
            x, groups=x.shape[1], weight=weight, bias=bias, **a
        ),
        spellings={
            "torch": [
                functional(
                    "instance_norm",
                    f"running_mean=None, running_var=None, {_GIVEN}, use_input_stats=True, momentum=0.1, eps=1e-05",
                    maps=EPS,
                    ignore=("momentum",),
                    fixed={"running_mean": None, "running_var": None, "use_input_stats": True},
                )
            ],
            "tensorflow": [_instance_call],
            "keras": [_instance_call],
        },
        cases=[Case({"x": (2, 3, 5, 4)}), Case({"x": (2, 3, 5), "weight": (3,), "bias": (3,)}, {"epsilon": 1e-3})],
    )
)

# -- channels and vectors --------------------------------------------------------------------------------------------


def _response(x: Array, *, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
    squares = np.pad(x**2, [(0, 0), (size // 2, (size - 1) // 2), *[(0, 0)] * (x.ndim - 2)])
    total = sum((squares[:, i : i + x.shape[1]] for i in range(size)), np.zeros(()))
    return x / (k + alpha * total / size) ** beta


keras_support(
    "local_response_norm",
    '''
def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    """Divide by a power of the mean square over ``size`` neighbouring channels (the last axis)."""
    channels = x.shape[-1]
    pads = [(0, 0)] * (len(x.shape) - 1) + [(size // 2, (size - 1) // 2)]
    squares = keras.ops.pad(keras.ops.square(x), pads)
    total = sum(squares[..., i : i + channels] for i in range(size))
    return x / (k + alpha * total / size) ** beta
''',
)
_RESPONSE = "size, alpha=0.0001, beta=0.75, k=1.0"
keras_support(
    "LocalResponseNorm",
    '''
class LocalResponseNorm(keras.layers.Layer):
    """Divides by a power of the mean square over neighbouring channels."""

    def __init__(self, size, alpha=1e-4, beta=0.75, k=1.0, **kwargs):
        super().__init__(**kwargs)
        self.arguments = size, alpha, beta, k

    def call(self, x):
        return local_response_norm(x, *self.arguments)
''',
    requires=("local_response_norm",),
)
_responses = [
    support_layer("LocalResponseNorm", _RESPONSE),
    supported("local_response_norm", f"x, {_RESPONSE}", positional=2),
]
# It sums where others take the mean: the reader multiplies ``alpha`` by how many channels there are.
_SUMMED = Spelling(
    "tf.nn.local_response_normalization",
    "input, depth_radius=5, bias=1.0, alpha=1.0, beta=0.5, name=None",
    maps={"input": "x", "bias": "k"},
    ignore=("depth_radius", "alpha", "name"),
    write=False,
)
register(
    OpDef(
        "local_response_norm",
        f"x, *, {_RESPONSE}",
        "Divides by a power of the mean square over neighbouring channels.",
        layout="channels",
        reference=_response,
        spellings={
            "torch": [
                torch_layer("LocalResponseNorm", _RESPONSE),
                functional("local_response_norm", _RESPONSE, positional=2),
            ],
            "tensorflow": [*_responses, _SUMMED],
            "keras": _responses,
        },
        cases=[
            Case({"x": (2, 7, 3, 4)}, {"size": 5, "alpha": 0.1}),
            Case({"x": (2, 6, 3)}, {"size": 2, "alpha": 0.5, "beta": 0.5, "k": 2.0}),
        ],
    )
)


def _normalize(x: Array, *, p: float = 2.0, axis: int = 1, epsilon: float = 1e-12) -> Array:
    norm = (np.abs(x) ** p).sum(axis, keepdims=True) ** (1 / p)
    return x / np.maximum(norm, epsilon)  # type: ignore[no-any-return]


keras_support(
    "normalize",
    '''
def normalize(x, p=2.0, axis=1, epsilon=1e-12):
    """Divide by the p-norm along an axis, which counts as at least ``epsilon``."""
    norm = keras.ops.sum(keras.ops.abs(x) ** p, axis=axis, keepdims=True) ** (1 / p)
    return x / keras.ops.maximum(norm, epsilon)
''',
)
_other_norms = supported("normalize", "x, p=2.0, axis=1, epsilon=1e-12")
register(
    OpDef(
        "normalize",
        "x, *, p=2.0, axis=1, epsilon=1e-12",
        "Divides by the p-norm along an axis, which counts as at least epsilon.",
        layout="axis",
        reference=_normalize,
        spellings={
            "torch": [
                functional(
                    "normalize", "p=2.0, dim=1, eps=1e-12, out=None", maps={"dim": "axis", **EPS}, fixed={"out": None}
                )
            ],
            "tensorflow": [
                # Its epsilon counts under the square.
                template("tf.math.l2_normalize({x}, axis={axis}, epsilon={epsilon} ** 2)", when={"p": 2.0}),
                _other_norms,
            ],
            "keras": [
                Spelling(
                    "keras.ops.normalize",
                    "x, axis=-1, order=2, epsilon=None",
                    fixed={"order": 2},
                    implies={"p": 2.0},
                    read=False,
                ),
                _other_norms,
            ],
        },
        cases=[
            Case({"x": (2, 3, 5)}),
            Case({"x": (2, 3, 5)}, {"axis": -1, "epsilon": 2.5}),
            Case({"x": (2, 3, 5)}, {"p": 1.0, "axis": 0}),
        ],
    )
)
