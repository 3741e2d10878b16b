"""Keras code and whole models carried to Flax NNX, and how their layers start: what is written, and that it computes the same."""

from pathlib import Path
from typing import Any

import pytest

import netferry

TOLERANCE = 1e-12

LAYERS = """
import keras
from keras import layers


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.mean = layers.AveragePooling2D(3, 2, padding="same")
        self.top = layers.MaxPooling2D((3, 2), padding="same")
        self.cut = layers.Cropping2D(((1, 0), (0, 2)))
        self.separate = layers.SeparableConv2D(6, 3, strides=2, padding="same", depth_multiplier=2)
        self.around = layers.ZeroPadding2D(((1, 2), (0, 3)))
        self.norm = layers.BatchNormalization(scale=False)
        self.drop = layers.Dropout(0.3, noise_shape=(None, 1, 1, 1))

    def call(self, x):
        y = self.mean(x)
        x = self.drop(self.norm(self.separate(x)))
        x = layers.Maximum()([x, x * 0.5])
        x = layers.Average()([x, x * 0.3])
        return self.top(x), self.cut(y), self.around(y)
"""
BUILT = """
import keras
from keras import layers


def up(x, filters, padding):
    return layers.Conv2DTranspose(filters, 3, strides=2, padding=padding)(x)


def block(x, filters, activated=False):
    shortcut = layers.Conv2D(filters, 1, kernel_initializer="he_normal")(x)
    shortcut = layers.BatchNormalization(gamma_initializer="zeros")(shortcut)
    branch3x3 = up(x, filters, "same")
    branch3x3 = layers.Conv2D(filters, 3, strides=2, padding="same")(branch3x3)
    return layers.add([branch3x3, shortcut])


def network(stack, normalised=False):
    inputs = keras.Input((12, 10, 3))
    x = stack(inputs)
    if normalised:
        x = layers.BatchNormalization()(x)
        x = layers.Conv2D(5, 3)(x)
    x = layers.GlobalAveragePooling2D()(x)
    start = keras.initializers.TruncatedNormal(stddev=0.02)
    x = layers.Dense(4, kernel_initializer=start, bias_initializer=keras.initializers.Constant(0.1))(x)
    return keras.Model(inputs, x)


def make():
    def stack(x):
        x = block(x, 8)
        return block(x, 6)

    return network(stack)
"""


def migrated(text: str, folder: Path, to: str, **options: Any) -> netferry.Migration:
    file = folder / "source.py"
    file.write_text(text)
    made = netferry.migrate(file, to=to, **options)
    assert made.verification.status == "verified", made.verification.reason
    assert made.verification.max_rel_diff < TOLERANCE
    assert not made.diagnostics or all(d.severity == "info" for d in made.diagnostics)
    return made


def test_layers_that_only_keras_has(tmp_path: Path) -> None:
    code = migrated(LAYERS, tmp_path, "flax", entry="Net", inputs=["2x13x11x3"]).code
    assert "partial(jnp.pad, pad_width=((0, 0), (1, 2), (0, 3), (0, 0)))" in code
    assert "lambda x: x[:, 1:, :-2]" in code
    assert "SeparableConv(3, 6, (3, 3), strides=2, multiplier=2, rngs=rngs)" in code
    assert "use_scale=False" in code and "broadcast_dims=(1, 2, 3)" in code
    assert "count_include_pad=False" in code
    assert "jnp.maximum(x, x * 0.5)" in code and "(x + (x * 0.3)) / 2" in code


@pytest.fixture(scope="module", params=["flax", "torch"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> netferry.Migration:
    return migrated(BUILT, tmp_path_factory.mktemp("built"), request.param, entry="make")


def test_builders_become_modules_with_the_names_of_their_results(built: netferry.Migration) -> None:
    assert "self.shortcut_conv = " in built.code and "self.shortcut_bn = " in built.code
    assert "self.branch3x3 = Up(" in built.code and "self.branch3x3_conv = " in built.code


def test_layers_that_the_run_did_not_reach_have_the_sizes_of_what_would_come(built: netferry.Migration) -> None:
    norm, conv = (
        ("nnx.BatchNorm(6, ", "nnx.Conv(6, 5, ") if "nnx.Module" in built.code else ("BatchNorm2d(6, ", "Conv2d(6, 5, ")
    )
    assert norm in built.code and conv in built.code


def test_parameters_start_as_the_source_says(built: netferry.Migration) -> None:
    if "nnx.Module" in built.code:
        assert 'kernel_init=nnx.initializers.variance_scaling(2.0, "fan_in", "normal")' in built.code
        assert "scale_init=nnx.initializers.zeros_init()" in built.code
        assert "bias_init=nnx.initializers.constant(0.1)" in built.code
    else:
        assert 'nn.init.kaiming_normal_(self.shortcut_conv.weight, nonlinearity="relu")' in built.code
        assert "nn.init.zeros_(self.shortcut_bn.weight)" in built.code
        assert "nn.init.trunc_normal_(self.fc.weight, std=0.02, a=-0.04, b=0.04)" in built.code


def test_a_whole_model(tmp_path: Path) -> None:
    import keras

    inputs = keras.Input((9, 8, 3))
    x = inputs
    for filters in (4, 6, 4, 6):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x))).save(tmp_path / "net.keras")
    found = netferry.migrate(tmp_path / "net.keras", to="flax")
    assert found.verification.status == "verified", found.verification.reason
    assert "class " in found.code and "(nnx.Module):" in found.code


def test_averages_that_count_what_they_pad(tmp_path: Path) -> None:
    text = """
from flax import nnx


class Net(nnx.Module):
    def __init__(self, *, rngs):
        self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)

    def __call__(self, x):
        return nnx.avg_pool(self.conv(x), (3, 3), strides=STRIDES, padding="SAME")
"""
    options: dict[str, Any] = {"entry": "Net", "call": "Net(rngs=nnx.Rngs(0))", "inputs": ["2x12x11x3"]}
    assert "padding=1" in migrated(text.replace("STRIDES", "(1, 1)"), tmp_path, "torch", **options).code
    (tmp_path / "source.py").write_text(text.replace("STRIDES", "(2, 2)"))
    refused = netferry.migrate(tmp_path / "source.py", to="torch", **options)
    assert "NF030" in {d.code for d in refused.diagnostics}


def test_a_sequence_that_a_class_extends(tmp_path: Path) -> None:
    text = """
from torch import nn


class Perceptron(nn.Sequential):
    def __init__(self, width):
        layers = [nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 4)]
        super().__init__(*layers)
"""
    code = migrated(text, tmp_path, "flax", call="Perceptron(6)", inputs=["2x4"]).code
    assert "super().__init__(*layers)" in code


HEADS = """
import keras
from keras import layers, ops


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.up = layers.UpSampling2D((2, 3), interpolation="bilinear")
        self.slopes = layers.PReLU(shared_axes=[1, 2])
        self.twice = layers.Lambda(lambda t: t * 2 + 1)
        self.own = layers.MultiHeadAttention(num_heads=3, key_dim=4)
        self.other = layers.MultiHeadAttention(num_heads=3, key_dim=5)

    def call(self, x):
        x = self.slopes(layers.UpSampling2D(2)(x))
        x = self.twice(self.up(x))
        mean, variance = ops.moments(x, axes=[1, 2])
        t = ops.reshape(x, (ops.shape(x)[0], -1, 12))
        t = t + self.own(t, t, use_causal_mask=True)
        return t + self.other(t, t[:, :6, :7]), mean, variance
"""


def test_attention_and_enlarging(tmp_path: Path) -> None:
    (tmp_path / "source.py").write_text(HEADS)
    made = netferry.migrate(tmp_path / "source.py", to="flax", entry="Net", inputs=["2x4x3x4"])
    assert made.verification.status == "verified", made.verification.reason
    assert "3, 12, qkv_features=12, decode=False, rngs=rngs" in " ".join(made.code.split())
    assert "in_kv_features=7" in made.code
    assert "self.own(t, mask=nnx.make_causal_mask(t[..., 0]))" in made.code
    assert ".repeat(2, axis=1).repeat(2, axis=2)" in made.code
    assert "self.twice = lambda t: t * 2 + 1" in made.code


@pytest.mark.parametrize("to", ["flax", "torch"])
def test_a_factor_for_every_channel(to: str, tmp_path: Path) -> None:
    text = """
import keras
from keras import layers


def make():
    inputs = keras.Input((8, 6, 3))
    x = layers.Rescaling([0.3, 0.7, 1.1], offset=[-0.4, -0.3, -0.2])(inputs)
    return keras.Model(inputs, layers.Conv2D(4, 3)(x))
"""
    code = migrated(text, tmp_path, to, entry="make").code
    assert ("jnp.array([0.3, 0.7, 1.1])" if to == "flax" else "rescale_channels(inputs, [0.3, 0.7, 1.1]") in code
