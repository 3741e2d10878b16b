"""Networks without source: what is written for their graphs, and that it computes what they do."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers
from typer.testing import CliRunner

import netferry
from netferry.cli import app
from netferry.diagnostics import NetferryError
from netferry.frameworks.keras import whole
from netferry.graphs.names import common

TOLERANCE = 1e-12


def text_of(model: Any) -> str:
    """The code that is written for a live model."""
    return str(whole.of_object(model).source()[0])


def assert_rebuilt(model: Any) -> str:
    """The code builds a network of the same layers, connected alike."""
    text, entry = whole.of_object(model).source()
    names: dict[str, Any] = {}
    exec(text, names)  # noqa: S102 - our own generated code
    keras.utils.clear_session()
    rebuilt = names[entry]()
    assert [v.shape for v in rebuilt.variables] == [v.shape for v in model.variables]
    given = [np.random.default_rng(0).normal(size=(2, *t.shape[1:])).astype("float32") for t in model.inputs]
    given = given if len(given) > 1 else given[0]
    ordered = dict(zip(whole._layer_paths(rebuilt), whole._layer_paths(model), strict=True))
    assert len(ordered) == len({id(p) for p in ordered})
    rebuilt.set_weights(model.get_weights())
    for one, other in zip(keras.tree.flatten(rebuilt(given)), keras.tree.flatten(model(given)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    return str(text)


def assert_equivalent(found: netferry.Migration) -> None:
    assert found.verification.status == "verified", found.verification.reason
    assert found.verification.max_rel_diff < TOLERANCE
    assert "netferry" not in found.code and "keras" not in found.code


def bottleneck(x: Any, width: int, stride: int = 1, project: bool = False) -> Any:
    shortcut = layers.Conv2D(4 * width, 1, strides=stride)(x) if project else x
    y = layers.Conv2D(width, 1, strides=stride, use_bias=False)(x)
    y = layers.BatchNormalization()(y)
    y = layers.ReLU()(y)
    y = layers.Conv2D(4 * width, 1)(y)
    return layers.ReLU()(layers.Add()([shortcut, y]))


def residual() -> Any:
    inputs = keras.Input((16, 12, 3))
    x = layers.Conv2D(8, 3)(inputs)
    for width, blocks, stride in ((4, 3, 1), (6, 4, 2), (8, 3, 2)):
        x = bottleneck(x, width, stride, project=True)
        for _ in range(blocks):
            x = bottleneck(x, width)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x))


def test_blocks_and_stages_are_written_once() -> None:
    text = assert_rebuilt(residual())
    assert text.count("layers.Add()") == 2, "one block that projects and one that does not"
    assert "def residual_block(x, filters):" in text and "4 * filters" in text
    assert "def stage(x, filters, repeats, strides=1):" in text
    assert "for filters, repeats, strides in ((4, 3, 1), (6, 4, 2), (8, 3, 2)):" in text
    assert "conv2d_" not in text, "no counters"


def test_a_live_network_is_migrated_and_proved() -> None:
    found = netferry.migrate(residual(), to="torch")
    assert_equivalent(found)
    assert found.status == 0
    assert "class ResidualBlock(nn.Module):\n    def __init__(self, filters):" in found.code
    assert "nn.ModuleList()" in found.code and "class Stage(nn.Module):" in found.code
    assert found.summary["entry_reason"] == "read from the graph of its layers"


def test_repeated_layers_become_a_loop_over_their_sizes() -> None:
    inputs = keras.Input((32, 32, 3))
    x = inputs
    for width, count in ((4, 2), (6, 2), (8, 3)):
        for _ in range(count):
            x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    text = assert_rebuilt(keras.Model(inputs, layers.Flatten()(x)))
    assert "def down_block(x, filters, repeats):" in text
    assert "for filters, repeats in ((4, 2), (6, 2), (8, 3)):" in text


def test_names_come_from_the_labels_of_layers() -> None:
    inputs = keras.Input((9,), name="features")
    x = layers.Dense(8, name="stem")(inputs)
    for number in range(3):
        y = layers.Dense(8, activation="relu", name=f"mixer{number}_expand")(x)
        y = layers.Dense(8, name=f"mixer{number}_contract")(y)
        x = layers.Add(name=f"mixer{number}_sum")([x, y])
    text = assert_rebuilt(keras.Model(inputs, layers.Dense(2, name="scores")(x), name="mixer_net"))
    assert "def mixer_net():" in text and "features = keras.Input((9,)" in text
    assert "def mixer_block(x):" in text and 'name="stem"' in text and "expand" not in text
    assert "for _ in range(3):\n        x = mixer_block(x)" in text


def test_widths_follow_from_what_comes_in() -> None:
    inputs = keras.Input((8, 8, 4))
    x = inputs
    for width in (6, 10, 14):
        x = layers.Conv2D(6 * x.shape[-1], 1)(x)
        x = layers.BatchNormalization()(x)
        x = layers.DepthwiseConv2D(3, padding="same")(x)
        x = layers.Conv2D(width, 1)(x)
    text = assert_rebuilt(keras.Model(inputs, x))
    assert "in_channels = x.shape[-1]" in text and "6 * in_channels" in text
    assert "for filters in (6, 10, 14):" in text


def several() -> Any:
    image, size = keras.Input((12, 10, 3), name="image"), keras.Input((4,), name="size")
    x = layers.Flatten()(layers.Conv2D(5, 3, activation="relu")(image))
    y = layers.Dense(6, activation="tanh")(size)
    z = layers.Concatenate()([layers.Dense(6)(x), y])
    return keras.Model([image, size], [layers.Dense(2, name="box")(z), layers.Dense(3, name="kind")(z)])


def shared() -> Any:
    encoder = layers.Dense(6, name="encoder")
    one, two = keras.Input((5,)), keras.Input((5,))
    return keras.Model([one, two], layers.Dense(1)(keras.ops.abs(encoder(one) - encoder(two))))


def nested() -> Any:
    image = keras.Input((10, 9, 3))
    inner = keras.Model(image, layers.GlobalAveragePooling2D()(layers.Conv2D(7, 3)(image)), name="encoder")
    one, two = keras.Input((10, 9, 3)), keras.Input((10, 9, 3))
    head = keras.Sequential([layers.Dense(4, activation="relu"), layers.Dense(2)])
    return keras.Model([one, two], head(layers.subtract([inner(one), inner(two)])))


def nested_with_several_inputs() -> Any:
    one, two = keras.Input((5,)), keras.Input((4,))
    x = layers.Concatenate()([one, two])
    inner = keras.Model([one, two], [layers.Dense(3)(x), layers.Dense(2)(x)], name="two_heads")
    a, b = keras.Input((5,)), keras.Input((4,))
    return keras.Model([a, b], layers.Concatenate()([*inner([a, b]), *inner([a * 2, b])]))


def operators() -> Any:
    inputs = keras.Input((6, 8))
    x = layers.Dense(8)(inputs)
    y = keras.ops.mean(x * 2 + inputs[:, :, :8], axis=1)
    return keras.Model(inputs, [1.0 - y, keras.ops.reshape(x, (-1, 48)) ** 2])


def recurrent() -> Any:
    inputs = keras.Input((7, 4))
    x, state, _ = layers.LSTM(5, return_sequences=True, return_state=True)(inputs)
    y = layers.Bidirectional(layers.GRU(3))(x)
    return keras.Model(
        inputs,
        {"y": layers.Dense(2)(layers.Concatenate()([y, state])), "x": layers.TimeDistributed(layers.Dense(3))(x)},
    )


def attention() -> Any:
    x = inputs = keras.Input((6, 8))
    for _ in range(3):
        y = layers.MultiHeadAttention(2, 4)(layers.LayerNormalization()(x), x)
        x = layers.Add()([x, y])
    return keras.Model(inputs, x)


def sequence() -> Any:
    return keras.Sequential(
        [
            keras.Input((14, 12, 1)),
            layers.Conv2D(6, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


@pytest.mark.parametrize(
    "build", [several, shared, nested, nested_with_several_inputs, operators, recurrent, attention, sequence]
)
def test_graphs_of_all_kinds(build: Any, tmp_path: Path) -> None:
    """Several inputs and outputs, shared layers, networks in networks, operators: from a file, as from a live model."""
    build().save(tmp_path / "network.keras")
    assert_equivalent(netferry.migrate(tmp_path / "network.keras", to="torch"))


def test_shared_layers_and_networks_are_made_once() -> None:
    assert "encoder = layers.Dense(6" in text_of(shared()) and text_of(shared()).count("layers.Dense(6") == 1
    text = text_of(nested())
    assert "def build_encoder():" in text and "encoder = build_encoder()" in text
    assert text.count("layers.Conv2D") == 1


def test_options_that_are_as_always_go_without_saying() -> None:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, (3, 3), kernel_initializer="he_normal", kernel_regularizer=keras.regularizers.L2(1e-4))(inputs)
    x = layers.BatchNormalization(axis=3)(x)
    x = layers.AveragePooling2D(2, strides=2)(x)
    x = layers.Activation("relu")(x)
    text = assert_rebuilt(keras.Model(inputs, layers.ZeroPadding2D(((0, 1), (0, 1)))(x)))
    assert 'kernel_initializer="he_normal"' in text and "keras.regularizers.L2(l2=0.0001)" in text
    assert "layers.BatchNormalization()(x)" in text and "layers.AveragePooling2D(2)(x)" in text
    assert "layers.ZeroPadding2D(((0, 1), (0, 1)))(x)" in text


def test_weights_come_along(tmp_path: Path) -> None:
    model = sequence()
    for variable in model.variables:
        variable.assign(np.random.default_rng(3).uniform(0.5, 1.5, variable.shape))
    model.save(tmp_path / "net.keras")
    done = CliRunner().invoke(
        app, ["migrate", str(tmp_path / "net.keras"), "--to", "torch", "-o", str(tmp_path / "net.py")]
    )
    assert done.exit_code == 0, done.output
    names: dict[str, Any] = {}
    exec((tmp_path / "net.py").read_text(), names)  # noqa: S102 - our own generated code
    target = names["net"]()
    target.load_state_dict(torch.load(tmp_path / "net.pt"), strict=False)
    x = np.random.default_rng(0).normal(size=(2, 14, 12, 1)).astype("float32")
    found = target.eval()(torch.from_numpy(x.transpose(0, 3, 1, 2))).detach()
    np.testing.assert_allclose(found, model(x, training=False), rtol=1e-4)


def test_own_classes_are_read_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_gates.py").write_text(_GATE)
    monkeypatch.syspath_prepend(str(tmp_path))
    import own_gates

    inputs = keras.Input((5,))
    keras.Model(inputs, own_gates.Gate(5)(own_gates.Gate(5)(inputs))).save(tmp_path / "gates.keras")
    found = netferry.migrate(tmp_path / "gates.keras", to="torch")
    assert_equivalent(found)
    assert "class Gate(nn.Module):" in found.code and "Scales by itself." in found.code


_GATE = '''
import keras


class Gate(keras.layers.Layer):
    """Scales by itself."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.fc = keras.layers.Dense(units, activation="sigmoid")

    def build(self, shape):
        self.fc.build(shape)

    def call(self, x):
        return x * self.fc(x)

    def get_config(self):
        return super().get_config() | {"units": self.units}
'''


# -- what cannot be read -----------------------------------------------------------------------------------------------


def failure_of(source: Any) -> Any:
    with pytest.raises(NetferryError) as caught:
        netferry.migrate(source, to="torch")
    return caught.value.diagnostic


class _Unknown(layers.Layer):
    def call(self, x: Any) -> Any:
        return x


class _Subclassed(keras.Model):
    def call(self, x: Any) -> Any:
        return x


def test_functions_in_files_are_not_run(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((3,)), layers.Lambda(lambda x: x * 2, name="double")]).save(tmp_path / "net.keras")
    found = failure_of(tmp_path / "net.keras")
    assert found.code == "NF072" and "'double'" in found.message and found.file.endswith("net.keras")
    assert "source code" in found.hint


def test_classes_that_cannot_be_imported_are_named(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((3,)), _Unknown()]).save(tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["config.json"] = parts["config.json"].replace(__name__.encode(), b"nowhere_to_be_found")
    with zipfile.ZipFile(tmp_path / "moved.keras", "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    found = failure_of(tmp_path / "moved.keras")
    assert found.code == "NF071" and "_Unknown" in found.message


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [("broken.keras", b"no archive", "NF060"), ("broken.h5", b"no HDF5", "NF060"), ("gone.keras", None, "NF001")],
)
def test_broken_files_are_reported(name: str, content: bytes | None, code: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = CliRunner().invoke(
        app, ["migrate", str(tmp_path / name), "--to", "torch", "-o", str(tmp_path / "out.py"), "--json"]
    )
    assert done.exit_code == 2
    assert json.loads(done.stdout)["diagnostics"][0]["code"] == code
    assert not (tmp_path / "out.py").exists()


def test_what_has_no_graph_is_refused(tmp_path: Path) -> None:
    assert failure_of(_Subclassed()).code == "NF070"
    assert failure_of(object()).code == "NF070"
    sequence().save_weights(tmp_path / "alone.weights.h5")
    assert failure_of(tmp_path / "alone.weights.h5").code == "NF070"
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"")
    assert failure_of(tmp_path / "saved").code == "NF070"


# -- networks whose source cannot be migrated --------------------------------------------------------------------------

_DYNAMIC = """
import functools

import keras
from keras import layers


def make(kind, **options):
    return getattr(layers, kind)(**options)


def convolve(x, width):
    return make("Conv2D", filters=width, kernel_size=3, padding="same")(x)


def rectify(x, width):
    return make("ReLU")(x)


def Net():
    inputs = keras.Input((8, 9, 3))
    plan = [(convolve, 4), (rectify, 0), (convolve, 6), (rectify, 0)]
    x = functools.reduce(lambda h, step: step[0](h, step[1]), plan, inputs)
    x = eval("layers.GlobalAveragePooling2D()(x)")
    return keras.Model(inputs, layers.Dense(2)(x))
"""


def test_a_source_that_fails_is_read_from_its_graph_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "dynamic.py").write_text(_DYNAMIC)
    found = netferry.migrate(tmp_path / "dynamic.py", entry="Net", to="torch")
    assert_equivalent(found)
    note = next(d for d in found.diagnostics if d.code == "NF074")
    assert note.severity == "info" and "its source could not be migrated" in note.message
    assert "class Net(nn.Module):" in found.code


def test_common_beginnings_end_with_a_word() -> None:
    assert common(["conv2_block1_conv", "conv2_block1_bn"]) == "conv2_block1_"
    assert common(["block2a_conv", "block2b_conv"]) == "block2"
    assert common(["block1_conv", "block12_conv"]) == ""
    assert common(["alpha", "beta"]) == ""
