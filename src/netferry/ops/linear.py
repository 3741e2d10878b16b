"""Dense layers, embeddings, and the layer forms of flattening."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops.core import Case, Ints, OpDef, Spelling
from netferry.ops.forms import supported, template
from netferry.ops.jax_forms import nnx_layer, nnx_support
from netferry.ops.layer_forms import functional, keras_layer, on_keras, support_layer, torch_layer
from netferry.ops.registry import register
from netferry.ops.shared import keras_support

Array = np.ndarray[Any, Any]


def _linear(x: Array, *, weight: Array, bias: Array | None = None, **attributes: Any) -> Array:
    return x @ weight.T + (0 if bias is None else bias)


register(
    OpDef(
        "linear",
        "x, *, in_features=..., out_features, use_bias=True",
        "A dense layer over the last axis.",
        layout="last",
        reference=_linear,
        params={"weight": "O I", "bias": "O"},
        optional={"bias": "use_bias"},
        spellings={
            "torch": [
                torch_layer(
                    "Linear",
                    "in_features, out_features, bias=True",
                    typed=True,
                    maps={"bias": "use_bias"},
                    params={"weight": "weight: O I", "bias": "bias: O"},
                    positional=2,
                ),
                torch_layer(
                    "LazyLinear",
                    "out_features, bias=True",
                    typed=True,
                    maps={"bias": "use_bias"},
                    params={"weight": "weight: O I", "bias": "bias: O"},
                    write=False,
                ),
            ],
            **on_keras(
                lambda package: [
                    keras_layer(
                        package,
                        "Dense",
                        "units, activation=None, use_bias=True, kernel_initializer='glorot_uniform', bias_initializer='zeros'",
                        maps={"units": "out_features"},
                        ignore=("kernel_initializer", "bias_initializer"),
                        params={"kernel": "weight: I O", "bias": "bias: O"},
                    )
                ]
            ),
            "flax": [
                nnx_layer(
                    "Linear",
                    "in_features, out_features, *, use_bias=True",
                    params={"kernel": "weight: I O", "bias": "bias: O"},
                    positional=2,
                )
            ],
        },
        cases=[
            Case({"x": (2, 3)}, {"in_features": 3, "out_features": 4}),
            Case({"x": (2, 5, 3)}, {"in_features": 3, "out_features": 4, "use_bias": False}),
            Case({"x": (2, 6, 5, 3)}, {"in_features": 3, "out_features": 4}),
        ],
    )
)
register(
    OpDef(
        "functional_linear",
        "x, weight, bias=None",
        "The product with a transposed weight matrix, and a bias.",
        layout="last",
        reference=lambda x, weight, bias=None: x @ weight.T + (0 if bias is None else bias),
        spellings={
            "torch": [functional("linear", "weight, bias=None")],
            "tensorflow": [template("tf.matmul({x}, {weight}, transpose_b=True)")],
            "keras": [template("keras.ops.matmul({x}, keras.ops.transpose({weight}))")],
            "flax": [template("{x} @ {weight}.T")],
        },
        cases=[
            Case({"x": (2, 3), "weight": (4, 3)}),
            Case({"x": (2, 5, 3), "weight": (4, 3), "bias": (4,)}),
        ],
    )
)

_BILINEAR = '''
class Bilinear(keras.layers.Layer):
    """A bilinear map of two inputs: x1 · W · x2 + b."""

    def __init__(self, units, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.use_bias = use_bias

    def build(self, x1_shape, x2_shape):
        self.kernel = self.add_weight(shape=(self.units, x1_shape[-1], x2_shape[-1]), name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias") if self.use_bias else None

    def call(self, x1, x2):
        x = keras.ops.einsum("...i,oij,...j->...o", x1, self.kernel, x2)
        return x if self.bias is None else x + self.bias
'''
_FLAX_BILINEAR = '''
class Bilinear(flax.nnx.Module):
    """A bilinear map of two inputs: x1 · W · x2 + b."""

    def __init__(self, in1_features, in2_features, out_features, use_bias=True, *, rngs):
        shape = (out_features, in1_features, in2_features)
        self.kernel = flax.nnx.Param(flax.nnx.initializers.lecun_normal(-1, 0)(rngs.params(), shape))
        self.bias = flax.nnx.Param(jax.numpy.zeros(out_features)) if use_bias else None

    def __call__(self, x1, x2):
        x = jax.numpy.einsum("...i,oij,...j->...o", x1, self.kernel[...], x2)
        return x if self.bias is None else x + self.bias[...]
'''
keras_support("Bilinear", _BILINEAR, flax=_FLAX_BILINEAR)


def _bilinear(x: Array, y: Array, *, weight: Array, bias: Array | None = None, **attributes: Any) -> Array:
    made: Array = np.einsum("...i,oij,...j->...o", x, weight, y)
    return made if bias is None else made + bias


_BILINEAR_LAYER = Spelling(
    "Bilinear",
    "units, use_bias=True",
    maps={"units": "out_features", "x1": "x", "x2": "y"},
    call="x1, x2",
    params={"kernel": "weight: O I J", "bias": "bias: O"},
    support="Bilinear",
    layer=True,
    read=False,
)
register(
    OpDef(
        "bilinear",
        "x, y, *, in1_features=..., in2_features=..., out_features, use_bias=True",
        "A bilinear map of the last axes of two inputs.",
        layout="opaque",
        reference=_bilinear,
        params={"weight": "O I J", "bias": "O"},
        optional={"bias": "use_bias"},
        spellings={
            "torch": [
                torch_layer(
                    "Bilinear",
                    "in1_features, in2_features, out_features, bias=True",
                    typed=True,
                    maps={"input1": "x", "input2": "y", "bias": "use_bias"},
                    call="input1, input2",
                    params={"weight": "weight: O I J", "bias": "bias: O"},
                    positional=3,
                )
            ],
            "tensorflow": [_BILINEAR_LAYER],
            "keras": [_BILINEAR_LAYER],
            "flax": [
                nnx_support(
                    "Bilinear",
                    "in1_features, in2_features, out_features, use_bias=True",
                    maps={"x1": "x", "x2": "y"},
                    call="x1, x2",
                    params={"kernel": "weight: O I J", "bias": "bias: O"},
                    positional=3,
                )
            ],
        },
        cases=[
            Case({"x": (2, 3), "y": (2, 5)}, {"in1_features": 3, "in2_features": 5, "out_features": 4}),
            Case(
                {"x": (2, 6, 3), "y": (2, 6, 5)},
                {"in1_features": 3, "in2_features": 5, "out_features": 4, "use_bias": False},
            ),
        ],
    )
)

_PADDED_EMBEDDING = '''
class PaddedEmbedding(keras.layers.Embedding):
    """An embedding whose row ``padding_idx`` starts at zero and is not trained."""

    def __init__(self, input_dim, output_dim, padding_idx, **kwargs):
        super().__init__(input_dim, output_dim, **kwargs)
        self.padding_idx = padding_idx % input_dim

    def build(self, input_shape=None):
        super().build(input_shape)
        rows = keras.ops.arange(self.input_dim)[:, None]
        table = keras.ops.convert_to_tensor(self.embeddings)
        self.embeddings.assign(keras.ops.where(rows == self.padding_idx, keras.ops.zeros_like(table), table))

    def call(self, inputs):
        x = super().call(inputs)
        return keras.ops.where((inputs == self.padding_idx)[..., None], keras.ops.stop_gradient(x), x)
'''
_FLAX_PADDED = '''
class PaddedEmbedding(flax.nnx.Embed):
    """An embedding whose row ``padding_idx`` starts at zero and is not trained."""

    def __init__(self, num_embeddings, features, padding_idx, *, rngs):
        super().__init__(num_embeddings, features, rngs=rngs)
        self.padding_idx = padding_idx % num_embeddings
        self.embedding[...] = self.embedding[...].at[self.padding_idx].set(0)

    def __call__(self, inputs):
        x = super().__call__(inputs)
        return jax.numpy.where((inputs == self.padding_idx)[..., None], jax.lax.stop_gradient(x), x)
'''
keras_support("PaddedEmbedding", _PADDED_EMBEDDING, flax=_FLAX_PADDED)
_EMBEDDING_PARAMS = {"embeddings": "weight: N D"}


def _reversible(package: str) -> Spelling:
    """Keras's embedding that can also be asked which row a vector is; read where nobody asks."""
    return keras_layer(
        package,
        "ReversibleEmbedding",
        "input_dim, output_dim, tie_weights=True, embeddings_initializer='uniform', embeddings_regularizer=None, "
        "embeddings_constraint=None, mask_zero=False, reverse_dtype=None, logit_soft_cap=None",
        maps={"input_dim": "num_embeddings", "output_dim": "embedding_dim"},
        ignore=(
            "embeddings_initializer",
            "embeddings_regularizer",
            "embeddings_constraint",
            "reverse_dtype",
            "logit_soft_cap",
        ),
        fixed={"tie_weights": True, "mask_zero": False},
        params=_EMBEDDING_PARAMS,
        write=False,
    )


_PADDED = support_layer(
    "PaddedEmbedding",
    "input_dim, output_dim, padding_idx",
    maps={"input_dim": "num_embeddings", "output_dim": "embedding_dim"},
    params=_EMBEDDING_PARAMS,
    positional=2,
)
_EMBEDDING_OPTIONS = "padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False"
_EMBEDDING_IGNORED = ("norm_type", "sparse")
_EMBEDDING_FIXED = {"max_norm": None, "scale_grad_by_freq": False}
register(
    OpDef(
        "embedding",
        "x, *, num_embeddings, embedding_dim, padding_idx=None",
        "Rows of a table by index; the row padding_idx is not trained.",
        layout="opaque",
        reference=lambda x, *, weight, **attributes: weight[x],
        params={"weight": "N D"},
        spellings={
            "torch": [
                torch_layer(
                    "Embedding",
                    f"num_embeddings, embedding_dim, {_EMBEDDING_OPTIONS}, _weight=None, _freeze=False",
                    typed=True,
                    ignore=(*_EMBEDDING_IGNORED, "_weight", "_freeze"),
                    fixed=_EMBEDDING_FIXED,
                    params={"weight": "weight: N D"},
                    positional=2,
                )
            ],
            **on_keras(
                lambda package: [
                    keras_layer(
                        package,
                        "Embedding",
                        "input_dim, output_dim, embeddings_initializer='uniform'",
                        maps={"input_dim": "num_embeddings", "output_dim": "embedding_dim"},
                        ignore=("embeddings_initializer",),
                        params=_EMBEDDING_PARAMS,
                        when={"padding_idx": None},
                        positional=2,
                    ),
                    _PADDED,
                    _reversible(package),
                ]
            ),
            "flax": [
                nnx_layer(
                    "Embed",
                    "num_embeddings, features",
                    maps={"features": "embedding_dim"},
                    params={"embedding": "weight: N D"},
                    when={"padding_idx": None},
                    positional=2,
                ),
                nnx_support(
                    "PaddedEmbedding",
                    "num_embeddings, features, padding_idx",
                    maps={"features": "embedding_dim", "inputs": "x"},
                    call="inputs",
                    params={"embedding": "weight: N D"},
                    positional=2,
                ),
            ],
        },
        cases=[
            Case({"x": Ints((2, 5), 7)}, {"num_embeddings": 7, "embedding_dim": 3}),
            Case({"x": Ints((2, 5), 7)}, {"num_embeddings": 7, "embedding_dim": 3, "padding_idx": 2}),
            Case({"x": Ints((4,), 7)}, {"num_embeddings": 7, "embedding_dim": 3, "padding_idx": -1}),
        ],
    )
)
keras_support(
    "padded_embedding",
    '''
def padded_embedding(x, weight, padding_idx):
    """Rows of a table by index; no gradient reaches the row ``padding_idx``."""
    rows = keras.ops.take(weight, x, axis=0)
    frozen = (x == padding_idx % weight.shape[0])[..., None]
    return keras.ops.where(frozen, keras.ops.stop_gradient(rows), rows)
''',
)
_PADDED_FUNCTION = supported("padded_embedding", "x, weight, padding_idx", positional=3)
register(
    OpDef(
        "functional_embedding",
        "x, weight, *, padding_idx=None",
        "Rows of a table by index; no gradient reaches the row padding_idx.",
        layout="opaque",
        reference=lambda x, weight, padding_idx=None: weight[x],
        spellings={
            "torch": [
                functional(
                    "embedding", f"weight, {_EMBEDDING_OPTIONS}", ignore=_EMBEDDING_IGNORED, fixed=_EMBEDDING_FIXED
                )
            ],
            "tensorflow": [template("tf.gather({weight}, {x})", when={"padding_idx": None}), _PADDED_FUNCTION],
            "keras": [template("keras.ops.take({weight}, {x}, axis=0)", when={"padding_idx": None}), _PADDED_FUNCTION],
        },
        cases=[
            Case({"x": Ints((2, 5), 7), "weight": (7, 3)}),
            Case({"x": Ints((2, 5), 7), "weight": (7, 3)}, {"padding_idx": -2}),
        ],
    )
)
