"""Checkpoints of TensorFlow and the variables of a SavedModel become weights of the target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch

import netferry
from netferry.diagnostics import NetferryError
from netferry.weights.checkpoints import convert_checkpoint

_SUBCLASSED = """
import keras
from keras import layers


class Block(layers.Layer):
    def __init__(self, width):
        super().__init__()
        self.fc = layers.Dense(width, activation="relu")
        self.norm = layers.BatchNormalization()

    def call(self, x):
        return self.norm(self.fc(x))


class Net(keras.Model):
    def __init__(self, width=6):
        super().__init__()
        self.first = Block(width)
        self.head = keras.Sequential([layers.Dense(4), layers.Dense(2)])

    def call(self, x):
        return self.head(self.first(x))
"""
_FUNCTIONAL = """
import keras
from keras import layers


def Net():
    inputs = keras.Input((5,))
    x = layers.Dense(4, activation="relu")(inputs)
    x = layers.BatchNormalization()(x)
    return keras.Model(inputs, layers.Dense(2, name="scores")(x))
"""


def prepared(code: str, folder: Path) -> tuple[netferry.Migration, Any]:
    """The migration of a network and an instance of it with random state."""
    (folder / "net.py").write_text(code)
    found = netferry.migrate(folder / "net.py", entry="Net", to="torch", inputs=["2x5"])
    assert found.verification.status == "verified", found.verification.reason
    found.weight_map.save(folder / "map.json")
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own snippet
    source = names["Net"]()
    source(tf.zeros((1, 5)))
    random = np.random.default_rng(1)
    for variable in source.variables:
        variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return found, source


def assert_same(found: netferry.Migration, source: Any, file: Path) -> None:
    target = found.build()
    target.load_state_dict(torch.load(file), strict=False)
    x = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    expected = np.asarray(source(x, training=False))
    np.testing.assert_allclose(target.eval()(torch.from_numpy(x)).detach(), expected, rtol=1e-4)


@pytest.mark.parametrize("code", [_SUBCLASSED, _FUNCTIONAL], ids=["subclassed", "functional"])
def test_checkpoints_and_saved_models(code: str, tmp_path: Path) -> None:
    found, source = prepared(code, tmp_path)
    tf.train.Checkpoint(model=source).write(str(tmp_path / "ckpt"))
    source.export(str(tmp_path / "saved"), verbose=False)
    for given in ("ckpt", "ckpt.index", "saved"):
        convert_checkpoint(tmp_path / given, tmp_path / "map.json", tmp_path / "net.pt")
        assert_same(found, source, tmp_path / "net.pt")


def test_layers_counted_as_older_files_do(tmp_path: Path) -> None:
    """Keras 2 called the layers of a graph ``layer_with_weights-0``, ``-1``, ... in its checkpoints."""
    found, source = prepared(_FUNCTIONAL, tmp_path)
    held = [layer for layer in source.layers if layer.weights]
    root = tf.train.Checkpoint()
    for number, layer in enumerate(held):
        node = tf.train.Checkpoint(**{w.name: tf.Variable(w.numpy()) for w in layer.weights})
        setattr(root, f"layer_with_weights-{number}", node)
    root.write(str(tmp_path / "weights"))
    convert_checkpoint(tmp_path / "weights", tmp_path / "map.json", tmp_path / "net.pt")
    assert_same(found, source, tmp_path / "net.pt")


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    prepared(_SUBCLASSED, tmp_path)
    names: dict[str, Any] = {}
    exec(_SUBCLASSED, names)  # noqa: S102 - our own snippet
    wide = names["Net"](width=9)
    wide(tf.zeros((1, 5)))
    tf.train.Checkpoint(model=wide).write(str(tmp_path / "wide"))
    with pytest.raises(NetferryError) as caught:
        convert_checkpoint(tmp_path / "wide", tmp_path / "map.json", tmp_path / "net.pt")
    assert caught.value.diagnostic.code == "NF061"
    assert "first.fc.kernel" in caught.value.diagnostic.message and "(5, 9)" in caught.value.diagnostic.message
    tf.train.Checkpoint(other=tf.Variable(1.0)).write(str(tmp_path / "other"))
    with pytest.raises(NetferryError) as caught:
        convert_checkpoint(tmp_path / "other", tmp_path / "map.json", tmp_path / "net.pt")
    assert "lacks" in caught.value.diagnostic.message
    assert not (tmp_path / "net.pt").exists()


def test_a_list_of_arrays_without_them(tmp_path: Path) -> None:
    tf.train.Checkpoint(a=tf.Variable(1.0)).write(str(tmp_path / "ckpt"))
    next(tmp_path.glob("ckpt.data-*")).unlink()
    (tmp_path / "map.json").write_text(
        '{"schema": "netferry.weights", "version": 1, "source": "", "target": "", "arrays": []}'
    )
    with pytest.raises(NetferryError) as caught:
        convert_checkpoint(tmp_path / "ckpt", tmp_path / "map.json", tmp_path / "net.pt")
    assert caught.value.diagnostic.code == "NF060" and "ckpt.data" in caught.value.diagnostic.message
