"""What practitioners write in Keras and TensorFlow, old and new, carried to PyTorch: each computes the same there."""

from __future__ import annotations

from pathlib import Path

import pytest

import netferry
from netferry.verify.compare import TOLERANCE
from tests.test_keras_styles import KERAS, TENSORFLOW, Style

_OLD = """
from tensorflow.keras import backend as K
from tensorflow.keras.layers import *
from tensorflow.keras.models import Model, Sequential
import tensorflow as tf
"""
HABITS = {
    "dropout made in every call": Style(
        TENSORFLOW + """
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.fc = layers.Dense(6)

    def call(self, x):
        return layers.Dropout(0.3)(self.fc(x))
""", "Net()", "4x5", ("F.dropout(", "training=self.training"), ("nn.Dropout",),
    ),
    "a class around a stock layer": Style(
        TENSORFLOW + """
class Norm(layers.BatchNormalization):
    def __init__(self, momentum=0.9, data_format="channels_last", **kwargs):
        axis = 1 if data_format == "channels_first" else -1
        super(Norm, self).__init__(axis=axis, momentum=momentum, epsilon=1e-4, **kwargs)


class Net(keras.Model):
    def __init__(self, **kwargs):
        super(Net, self).__init__(**kwargs)
        self.conv = layers.Conv2D(4, 3, name="block/conv")
        self.norm = Norm(name="block/norm")
        self.last = layers.Conv2D(6, 3)
        self.last_norm = Norm(momentum=0.5)

    def call(self, x, training=None):
        return self.last_norm(self.last(self.norm(self.conv(x), training=training)), training=training)
""", "Net()", "2x8x7x3", ("class Norm(nn.BatchNorm2d):", "Norm(4)", "Norm(6, momentum=0.5)"),
    ),
    "a helper that is told no width": Style(
        KERAS + """
def norm(x):
    return layers.ReLU()(layers.BatchNormalization()(x))


def net(width=8):
    inputs = keras.Input((9, 7, 3))
    x = norm(layers.Conv2D(width, 3)(inputs))
    x = norm(layers.DepthwiseConv2D(3, padding="same")(x))
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))
""", "net(6)", "2x9x7x3", ("nn.BatchNorm2d(in_channels,", "Norm(width)"), ("Norm(6)", "BatchNorm2d(6"),
    ),
    "layers and names of Keras 2": Style(
        _OLD + """
class Blocks(Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = []

    def add(self, layer):
        layer._name = "{}/{}".format(self.name, layer._name)
        self.blocks.append(layer)

    def call(self, x, training=None):
        for block in self.blocks:
            x = block(x, training)
        return x


class Block(Layer):
    def __init__(self, width, **kwargs):
        self.width = width
        super().__init__(**kwargs)
        self.fc = Dense(width)

    def call(self, x, training):
        return tf.nn.relu(self.fc(x))


def make():
    made = Blocks(name="net")
    made.add(Block(6))
    made.add(Block(5))
    return made
""", "make()", "3x4", lacks=("_name",),
    ),
    "what build makes": Style(
        TENSORFLOW + """
class Scale(layers.Layer):
    def __init__(self, units, initializer=tf.constant_initializer(0.2), **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.initializer = initializer

    def build(self, input_shape, other=None):
        input_shape = tf.TensorShape(input_shape)
        assert len(input_shape) == 2
        size = tf.compat.dimension_value(input_shape[-1])
        if other is None:
            self.kernel = self.add_weight("kernel", (size, self.units), initializer=self.initializer)
        self.input_spec = layers.InputSpec(ndim=2, axes={-1: size})

    def call(self, x):
        return tf.matmul(x, self.kernel)
""", "Scale(4)", "3x5", lacks=("input_spec", "assert", "other"),
    ),
    "a graph made by its own class": Style(
        KERAS + """
class Net(keras.Model):
    def __init__(self, depth=2, width=4, **kwargs):
        self.norm = layers.LayerNormalization()
        inputs = keras.Input((8, 7, 3))
        x = layers.Conv2D(width, 3, activation="relu")(inputs)
        for _ in range(depth):
            x = layers.Conv2D(width, 3, padding="same")(x)
            x = layers.ReLU()(x)
        x = self.norm(layers.GlobalAveragePooling2D()(x))
        super().__init__(inputs=inputs, outputs=x, **kwargs)
        self.depth = depth

    def get_config(self):
        return {"depth": self.depth}
""", "Net()", "2x8x7x3", ("class Net(nn.Module):", "def forward(self, inputs):", "nn.ModuleList()"),
    ),
    "convolutions with kernels of one's own": Style(
        TENSORFLOW + """
class Net(tf.Module):
    def __init__(self):
        super().__init__()
        start = tf.initializers.RandomNormal(stddev=0.1)
        self.weights = {"one": tf.Variable(start([5, 5, 2, 4])), "two": tf.Variable(start([3, 3, 4, 6]))}
        self.biases = [tf.Variable(tf.zeros([4]))]

    def __call__(self, x):
        x = tf.nn.conv2d(x, self.weights["one"], strides=[1, 1, 1, 1], padding="SAME")
        x = tf.nn.relu(tf.nn.bias_add(x, self.biases[0]))
        x = tf.nn.max_pool2d(x, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")
        return tf.nn.conv2d(x, self.weights["two"], strides=2, padding="SAME")
""", "Net()", "2x9x8x2", ("nn.ParameterDict(", "nn.ParameterList(", "same_conv2d("),
    ),
    "layers shared by name in a function": Style(
        _OLD + """
def attend(x, ratio=2):
    channels = x.shape[-1]
    first = Dense(channels // ratio, activation="relu")
    second = Dense(channels)
    mean = second(first(Reshape((1, 1, channels))(GlobalAveragePooling2D()(x))))
    peak = second(first(Reshape((1, 1, channels))(GlobalMaxPooling2D()(x))))
    return multiply([x, Activation("sigmoid")(Add()([mean, peak]))])


def make():
    inputs = Input((8, 7, 3))
    x = attend(Conv2D(4, 3)(inputs))
    return Model(inputs, attend(Conv2D(6, 3)(x)))
""", "make()", "2x8x7x3", ("class Attend(nn.Module):", "self.first = nn.Sequential("),
    ),
    "a chain inside a function": Style(
        _OLD + """
def make(size=5):
    model = Sequential()
    model.add(Dense(3 * 2 * 4, activation="relu", input_dim=size))
    model.add(Reshape((3, 2, 4)))
    model.add(UpSampling2D(interpolation="bilinear"))
    model.add(Conv2DTranspose(3, 4, strides=2, padding="same"))
    model.add(LeakyReLU(alpha=0.2))
    noise = Input((size,))
    return Model(noise, model(noise))
""", "make()", "2x5", ("nn.LeakyReLU(0.2)", "self.model.append("),
    ),
    "images: patches, sizes, channels as places": Style(
        TENSORFLOW + """
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.slopes = layers.PReLU(shared_axes=[1, 2])
        self.pads = [[0, 0], [1, 2], [0, 1], [0, 0]]

    def call(self, x):
        small = tf.nn.depth_to_space(x, 2)
        same = tf.image.resize(small, tf.shape(x)[1:3], method="nearest")
        patches = tf.image.extract_patches(
            images=x, sizes=[1, 2, 2, 1], strides=[1, 2, 2, 1], rates=[1, 1, 1, 1], padding="VALID"
        )
        wide = tf.image.resize(patches, (x.shape[1], x.shape[2]))
        return tf.pad(self.slopes(tf.concat([same, wide], -1)), self.pads)
""", "Net()", "2x6x4x8", ("def depth_to_space(", "def extract_patches(", "nn.PReLU(34"),
    ),
    "attention without heads": Style(
        KERAS + """
query, value = keras.Input((4, 6)), keras.Input((5, 6))
dot = layers.Attention(use_scale=True)([query, value])
added = layers.AdditiveAttention()([query, value])
model = keras.Model([query, value], layers.Concatenate()([dot, added]))
""", inputs="2x4x6;2x5x6", has=("class DotAttention(", "class AdditiveAttention("),
    ),
    "cells, in layers and by hand": Style(
        TENSORFLOW + """
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.rnn = layers.RNN(layers.GRUCell(5), return_sequences=True)
        self.cell = layers.LSTMCell(4)

    def call(self, x):
        x = self.rnn(x)
        states = self.cell.get_initial_state(batch_size=2)
        for step in tf.unstack(x, axis=1):
            output, states = self.cell(step, states)
        return output, states
""", "Net()", "2x7x3", ("class LSTMStep(nn.LSTMCell):", "GRU("),
    ),
    "masks that nobody reads": Style(
        KERAS + """
model = keras.Sequential([keras.Input((5,), dtype="int32"), layers.Embedding(9, 4, mask_zero=True), layers.Flatten()])
""", lacks=("mask_zero",),
    ),
    "names of the axes' order": Style(
        TENSORFLOW + """
def axis_of(data_format):
    return 1 if data_format == "channels_first" else -1


class Gate(layers.Layer):
    def __init__(self, data_format="channels_last", **kwargs):
        super().__init__(**kwargs)
        self.data_format = data_format
        self.pool = layers.GlobalAvgPool2D(data_format=data_format)
        self.fc = layers.Dense(3)
        self.method = tf.image.ResizeMethod.BILINEAR

    def call(self, x):
        gate = tf.nn.sigmoid(self.fc(self.pool(x)))
        gate = tf.broadcast_to(tf.expand_dims(tf.expand_dims(gate, 1), 2), shape=x.shape)
        height, width = x.get_shape().as_list()[1:3]
        most = tf.reduce_max(x * gate, axis=axis_of(self.data_format), keepdims=True)
        return tf.image.resize(most, (2 * height, 2 * width), method=self.method)
""", "Gate()", "2x4x5x3",
    ),
    "a custom layer as Keras 2 wrote it": Style(
        """
import keras
import keras.backend as K
from keras import activations, regularizers
from keras.engine.topology import Layer
from keras.layers.core import Dense
from keras.optimizers import Adam


class Scores(Layer):
    def __init__(self, units, activation=None, attention=None, kernel_regularizer=None, **kwargs):
        super(Scores, self).__init__(**kwargs)
        self.units = units
        self.activation = activations.get(activation)
        self.attention = activations.get(attention)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)

    def build(self, input_shape):
        self.kernel = self.add_weight("kernel", (input_shape[-1], self.units), regularizer=self.kernel_regularizer)
        self.bias = self.add_weight("bias", (self.units,), initializer="zeros")

    def call(self, x):
        x = self.activation(K.bias_add(K.dot(x, self.kernel), self.bias))
        scores = K.batch_dot(x, x, axes=2) / K.sqrt(K.cast(K.shape(x)[-1], K.floatx()))
        return K.batch_dot(self.attention(scores), x)


def net():
    model = keras.Sequential([Scores(6, "tanh", "softmax"), Scores(5), Dense(3)])
    model.compile(Adam(lr=1e-3, decay=1e-6), "mse")
    return model
""", "net()", "2x3x4", ('{"tanh": F.tanh, None: nn.Identity()}[activation]', "torch.matmul(x, x.transpose(-2, -1))"),
        ("NotImplementedError", "regularizers"),
    ),
    "the flag among other keywords": Style(
        TENSORFLOW + """
class Block(layers.Layer):
    def __init__(self):
        super().__init__()
        self.fc = layers.Dense(4)

    def call(self, x, y, **kwargs):
        if kwargs["training"]:
            x = x * 2.0
        return self.fc(x, **kwargs) + y


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.block = Block()

    def call(self, x, y, **kwargs):
        return tf.transpose(self.block(x, y, **kwargs))
""", "Net()", "2x4;2x4", ("if self.training:", ".T"), ("kwargs",),
    ),
    "widths that callers give": Style(
        TENSORFLOW + """
class Mix(layers.Layer):
    def __init__(self, width):
        super().__init__()
        self.query = layers.Dense(width)
        self.key = layers.Dense(width)

    def call(self, x, y):
        return self.query(x) * self.key(y)


class Block(layers.Layer):
    def __init__(self, width, hidden, rate=0.1):
        super().__init__()
        self.mix = Mix(width)
        self.up, self.down = layers.Dense(hidden), layers.Dense(width)
        self.norm = layers.LayerNormalization()
        self.drop = layers.Dropout(rate)

    def call(self, x, training, y):
        x = self.norm(x + self.drop(self.mix(x, y), training=training))
        return x + self.down(self.up(x))


class Net(keras.Model):
    def __init__(self, depth, width, hidden, words):
        super().__init__()
        self.embedding = layers.Embedding(words, width)
        self.blocks = [Block(width, hidden) for _ in range(depth)]

    def call(self, x, training):
        y = x = self.embedding(x)
        for block in self.blocks:
            x = block(x, training, y)
        return x
""", "Net(2, 6, 8, 9)", "2x5:int32:9",
        ("self.query = nn.Linear(width, width)", "nn.Linear(width, hidden)", "nn.LayerNorm(width,", "block(x, y)"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HABITS)
def test_habit(name: str, tmp_path: Path) -> None:
    habit = HABITS[name]
    file = tmp_path / "network.py"
    file.write_text(habit.source)
    found = netferry.migrate(
        file, to="torch", entry=habit.call.partition("(")[0], call=habit.call,
        inputs=habit.inputs.split(";") if habit.inputs else None,
    )  # fmt: skip
    assert found.verification.status == "verified", found.verification.reason
    for text in habit.has:
        assert text in found.code
    for text in habit.lacks:
        assert text not in found.code


def test_masks_that_are_read_are_told(tmp_path: Path) -> None:
    file = tmp_path / "network.py"
    file.write_text(KERAS + "model = keras.Sequential([layers.Embedding(9, 4, mask_zero=True), layers.LSTM(3)])\n")
    found = netferry.migrate(file, to="torch", entry="model", call="model", inputs=["2x5:int32:9"])
    assert [d.code for d in found.diagnostics if d.severity == "error"] == ["NF030"]
    assert "reaches LSTM" in next(d.message for d in found.diagnostics if d.severity == "error")


def test_variables_of_a_file_are_told(tmp_path: Path) -> None:
    file = tmp_path / "network.py"
    file.write_text(TENSORFLOW + "w = tf.Variable(tf.ones((4, 3)))\ndef net(x):\n    return tf.matmul(x, w)\n")
    found = netferry.migrate(file, to="torch", entry="net", call="net", inputs=["2x4"])
    assert "belongs to no network" in next(d.message for d in found.diagnostics if d.severity == "error")


_TABLE = """
import numpy as np


class Net(layers.Layer):
    def __init__(self, width=6):
        super().__init__()
        self.width = width
        self.fc = layers.Dense(width)
        angles = np.arange(5, dtype=np.float32)[:, None] / np.power(100, np.arange(width, dtype="float32") / width)
        self.table = np.zeros((5, width))
        self.table[:] = np.sin(angles)

    def call(self, x):
        x = self.fc(x) * tf.sqrt(tf.cast(self.width, tf.float32))
        return x + self.table
"""


def test_what_numpy_computes_in_float32_is_the_same_on_both_sides(tmp_path: Path) -> None:
    file = tmp_path / "network.py"
    file.write_text(TENSORFLOW + _TABLE)
    found = netferry.migrate(file, entry="Net", to="torch", inputs=["2x5x4"])
    assert found.verification is not None
    assert found.verification.status == "verified"
    assert found.verification.tolerance == TOLERANCE
    assert found.verification.max_rel_diff < 1e-14
