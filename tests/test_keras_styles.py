"""TensorFlow and Keras code of many styles carried to PyTorch: what each needs, and that it computes the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

import netferry
from benchmarks import corpus_call

TOLERANCE = 1e-12


@dataclass(frozen=True)
class Style:
    """A network's source, how it is made and called, and what is to be in the PyTorch code or not."""

    source: str
    call: str = "model"
    inputs: str = ""
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    warnings: int = 0


KERAS = "import keras\nfrom keras import layers, ops\n"
TENSORFLOW = "import tensorflow as tf\nfrom tensorflow import keras\nfrom tensorflow.keras import layers\n"
STYLES = {
    "tf.Module with variables": Style(
        TENSORFLOW + """
class Net(tf.Module):
    def __init__(self):
        super().__init__()
        self.w = tf.Variable(tf.random.normal([5, 3], stddev=0.1))
        self.b = tf.Variable(0.5)

    @tf.function
    def __call__(self, x):
        return tf.matmul(x, self.w) + self.b
""", "Net()", "4x5", ("nn.Parameter(torch.normal(0.0, 0.1, ", "nn.Parameter(torch.tensor(0.5))"),
    ),
    "variables made in the first call": Style(
        TENSORFLOW + """
class Dense(tf.Module):
    def __init__(self, size):
        self.size = size
        self.built = False

    def __call__(self, x):
        if not self.built:
            self.w = tf.Variable(tf.random.normal([x.shape[-1], self.size]))
            self.built = True
        return tf.matmul(x, self.w)


class Net(tf.Module):
    def __init__(self):
        super().__init__()
        self.steps = [Dense(4), Dense(3)]

    def __call__(self, x):
        for step in self.steps:
            x = step(x)
        return x
""", "Net()", "2x5", ("super().__init__()", "nn.ModuleList("), ("built",),
    ),
    "a flag of another name, positional names, no change in place": Style(
        TENSORFLOW + """
class Net(keras.Model):
    def __init__(self):
        super().__init__("net")
        self.d = layers.Dense(6)
        self.bn = layers.BatchNormalization()

    def call(self, x, is_training=False):
        y = self.bn(self.d(x), training=is_training)
        total = y
        total += tf.nn.relu(y)
        if is_training:
            total = total * 2.0
        return total * y
""", "Net()", "4x5", ("if self.training:", "total = total + F.relu(y)"), ("is_training",),
    ),
    "attention and sizes of shapes": Style(
        TENSORFLOW + """
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.heads = layers.MultiHeadAttention(num_heads=2, key_dim=3)
        self.norm = layers.LayerNormalization([1, 2])

    def call(self, x):
        x = self.norm(x + self.heads(x, x, use_causal_mask=True))
        scores = tf.matmul(x, x, transpose_b=True) / tf.sqrt(tf.cast(tf.shape(x)[-1], tf.float32))
        return tf.matmul(tf.nn.softmax(scores), x)[:, tf.newaxis]
""", "Net()", "2x5x6", ("x.transpose(-2, -1)", "nn.LayerNorm((5, 6)"),
    ),
    "both directions and every step": Style(
        KERAS + """
x = inputs = keras.Input((7, 4))
x = layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode="sum")(x)
x = layers.Bidirectional(layers.GRU(5, return_sequences=True))(x)
x = layers.TimeDistributed(layers.Dense(6, activation="relu"))(x)
x = layers.Conv1D(4, 3, dilation_rate=2, padding="causal")(x)
model = keras.Model(inputs, layers.Lambda(lambda t: ops.mean(t, axis=1))(x))
""", has=("class BidirectionalLSTM(nn.LSTM):", "CausalConv1d(", "nn.Linear(10, 6)", "torch.mean(x, "),
        lacks=("TimeDistributed", "Lambda"),
    ),
    "images at every step": Style(
        KERAS + """
model = keras.Sequential([
    keras.Input((3, 8, 9, 2)),
    layers.TimeDistributed(layers.Conv2D(4, 3, activation="relu")),
    layers.TimeDistributed(layers.Flatten()),
    layers.LSTM(5),
])
""", has=("class TimeDistributed(nn.Module):",),
    ),
    "custom layers in a graph": Style(
        KERAS + """
class Scale(layers.Layer):
    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

    def call(self, x):
        return ops.relu(x * self.scale)


inputs = keras.Input((9, 8, 3))
x = layers.Conv2D(4, 3)(inputs)
x = Scale()(x)
x = layers.Conv2D(5, 3)(x)
x = Scale()(x)
model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
""", has=("Scale(4)", "Scale(5)"),
    ),
    "initialisers and functions of the old backend": Style(
        TENSORFLOW + """
from tensorflow.keras import backend as K

start = tf.random_normal_initializer(0.0, 0.02)
inputs = keras.Input((6,))
mean = layers.Dense(4, kernel_initializer=start)(inputs)
spread = layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.1))(inputs)
model = keras.Model(inputs, layers.Lambda(lambda t: t[0] + K.exp(0.5 * t[1]))([mean, spread]))
""", lacks=("start",),
    ),
    "augmentation is left out with a warning": Style(
        KERAS + """
model = keras.Sequential([keras.Input((8, 9, 3)), layers.RandomFlip("horizontal"), layers.Conv2D(4, 3)])
""", warnings=1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STYLES)
def test_style(name: str, tmp_path: Path) -> None:
    style = STYLES[name]
    file = tmp_path / "network.py"
    file.write_text(style.source)
    found = netferry.migrate(
        file, to="torch", entry=style.call.partition("(")[0], call=style.call, inputs=[style.inputs] if style.inputs else None
    )  # fmt: skip
    assert found.verification.status == "verified", found.verification.reason
    assert found.verification.max_rel_diff < TOLERANCE
    assert sum(d.severity == "warning" for d in found.diagnostics) == style.warnings
    for text in style.has:
        assert text in found.code
    for text in style.lacks:
        assert text not in found.code


def test_calls_of_manifests() -> None:
    given = [{"shape": [2, 3]}, {"shape": [4, 2, 5]}]
    assert corpus_call.inputs("model(*[tf.constant(a) for a in inputs], training=False)", given) == given
    nested = corpus_call.inputs("model(tf.constant(inputs[0]), [inputs[1].transpose(1, 0, 2), None])[0]", given)
    assert nested == [{"shape": [2, 3]}, {"list": [{"shape": [2, 4, 5]}, {"value": None}]}]
    with pytest.raises(ValueError, match="not a plain call"):
        corpus_call.inputs("(lambda m: model.decode(m))(model.encode(x))", given)


def test_what_a_manifest_applies_is_read():
    given = [{"shape": [2, 3]}]
    applied = "(v := model.init(key, x)) and 0 or model.apply(v, *[jnp.asarray(a) for a in inputs], mutable=False)"
    assert corpus_call.inputs(applied, given) == given
    assert corpus_call.inputs("model(jnp.asarray(x), nnx.Rngs(0))", given) == given
