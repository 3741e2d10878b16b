"""Keras and TensorFlow code carried to PyTorch: what is written, and that it computes the same."""

from pathlib import Path

import pytest

import netferry
from netferry.weights.checkpoints import convert_checkpoint

NETWORK_FILES = Path(__file__).parent / "keras_networks"
TOLERANCE = 1e-12


def migrated(name: str, inputs: list[str] | None = None) -> netferry.Migration:
    return netferry.migrate(NETWORK_FILES / f"{name}.py", to="torch", inputs=inputs)


def assert_equivalent(found: netferry.Migration) -> None:
    assert found.verification.status == "verified", found.verification.reason
    assert found.verification.max_rel_diff < TOLERANCE
    assert found.status == 0
    assert "netferry" not in found.code and "tensorflow" not in found.code and "keras" not in found.code


def test_sequential() -> None:
    found = migrated("cnn")
    assert_equivalent(found)
    assert "nn.Conv2d(3, 32, 3, padding=1)" in found.code
    assert "# half the size" in found.code or "Conv2dSame(32, 64, 3, stride=2)" in found.code


def test_functional_builders_become_modules() -> None:
    found = migrated("residual")
    assert_equivalent(found)
    assert "class ResidualBlock(nn.Module):" in found.code
    assert "class Resnet(nn.Module):" in found.code
    assert "def __init__(self, in_channels, filters, stride=1):" in found.code
    assert "x = x + shortcut" in found.code
    assert "Lazy" not in found.code


def test_subclassed() -> None:
    found = migrated("subclassed", ["2x33x31x3"])
    assert_equivalent(found)
    assert "class Projection(nn.Module):" in found.code
    assert "nn.ModuleList([" in found.code
    assert "training" not in found.code


def test_recurrent() -> None:
    assert_equivalent(migrated("lstm_text_classifier", ["2x30:int32:200"]))


@pytest.mark.parametrize(("saved", "converted"), [("net.keras", "net.pt"), ("net.weights.h5", "net.safetensors")])
def test_weights_files(saved: str, converted: str, tmp_path: Path) -> None:
    """What Keras has saved loads into the PyTorch network, which then computes the same."""
    import keras
    import numpy as np
    import torch
    from safetensors.torch import load_file

    found = migrated("cnn")
    found.weight_map.save(tmp_path / "map.json")
    names: dict[str, object] = {}
    exec((NETWORK_FILES / "cnn.py").read_text(), names)  # noqa: S102 - our own example
    source = names["model"]
    assert isinstance(source, keras.Model)
    (source.save if saved.endswith(".keras") else source.save_weights)(tmp_path / saved)
    convert_checkpoint(tmp_path / saved, tmp_path / "map.json", tmp_path / converted)
    target = found.build()
    path = tmp_path / converted
    target.load_state_dict(torch.load(path) if converted.endswith(".pt") else load_file(path), strict=False)
    x = np.random.default_rng(0).normal(size=(2, 32, 28, 3)).astype("float32")
    given = torch.from_numpy(*found.convert_inputs(x))
    np.testing.assert_allclose(target.eval()(given).detach(), source(x, training=False), atol=1e-6)


NETWORKS = {
    "a module-level graph with a loop": """
import keras
from keras import layers

inputs = keras.Input((16, 16, 3))
x = layers.Rescaling(1.0 / 255)(inputs)
x = layers.Conv2D(8, 3, strides=2, padding="same")(x)
previous = x
for size in [12, 16]:
    x = layers.Activation("relu")(x)
    x = layers.SeparableConv2D(size, 3, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    residual = layers.Conv2D(size, 1, strides=2, padding="same")(previous)
    x = layers.add([x, residual])
    previous = x
x = layers.Flatten()(x)
outputs = layers.Dense(4, activation="softmax")(x)
model = keras.Model(inputs, outputs)
""",
    "lists of tensors between functions": """
from tensorflow import keras
from tensorflow.keras import layers


def block(x, filters):
    x = layers.Conv2D(filters, 3, padding="same", kernel_regularizer="l2")(x)
    return layers.LeakyReLU(negative_slope=0.1)(x)


def encoder(inputs, base=8):
    skips = []
    x = inputs
    for i in range(2):
        x = block(x, base * 2**i)
        skips.append(x)
        x = layers.MaxPooling2D(2)(x)
    return x, skips


def unet():
    inputs = layers.Input((16, 16, 1))
    x, skips = encoder(inputs)
    for skip in reversed(skips):
        x = layers.UpSampling2D(2)(x)
        x = layers.Conv2DTranspose(8, 3, padding="same")(x)
        x = layers.concatenate([x, skip], axis=3)
        x = block(x, 8)
    return keras.Model(inputs=inputs, outputs=layers.Conv2D(2, 1, activation="sigmoid")(x))
""",
}


@pytest.mark.parametrize("name", NETWORKS)
def test_functional_networks(name: str, tmp_path: Path) -> None:
    file = tmp_path / "network.py"
    file.write_text(NETWORKS[name])
    assert_equivalent(netferry.migrate(file, to="torch", entry="unet" if "def unet" in NETWORKS[name] else None))


def test_weights_of_any_instance_transfer(tmp_path: Path) -> None:
    """Keras numbers unnamed layers for the whole program; the map holds for every instance."""
    import keras
    import numpy as np
    import torch

    file = tmp_path / "net.py"
    file.write_text(
        "from keras import Model, layers\n\n\ndef Net():\n    x = inputs = layers.Input((6,))\n"
        "    for width in (5, 4):\n        x = layers.Dense(width)(x)\n    return Model(inputs, layers.Dense(3)(x))\n"
    )
    found = netferry.migrate(file, to="torch", entry="Net", inputs=["2x6"], verify=False)
    names = dict[str, object]()
    exec(file.read_text(), names)  # noqa: S102 - the network written above
    build = names["Net"]
    assert callable(build)
    build()
    source, target = build(), found.build()
    assert source.layers[-1].name != "dense_2", "the names go on counting"
    assert not found.transfer(source, target).problems
    x = np.random.default_rng(0).normal(size=(2, 6)).astype("float32")
    expected = keras.ops.convert_to_numpy(source(x))
    assert np.allclose(expected, target(torch.tensor(x)).detach().numpy(), atol=1e-5)
