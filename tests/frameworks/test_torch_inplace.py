"""Activations in place: behind normalisations and residual sums, nowhere else."""

from pathlib import Path

import netferry

_CODE = """
from keras import layers, models


def Net():
    inputs = layers.Input((12, 8, 3))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    kept = layers.BatchNormalization(name="kept")(x)
    y = layers.ReLU(name="first")(kept)
    y = layers.Conv2D(4, 3, padding="same")(y)
    y = layers.BatchNormalization(name="second")(y)
    y = layers.ReLU(max_value=6.0)(y)
    z = layers.Conv2D(4, 3, padding="same")(y)
    z = layers.ReLU()(z)
    x = layers.Add()([z, kept])
    x = layers.ReLU()(x)
    return models.Model(inputs, layers.Flatten()(x))
"""


def test_only_what_nobody_else_reads_is_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "network.py"
    file.write_text(_CODE)
    found = netferry.migrate(file, to="torch", entry="Net", inputs=["2x12x8x3"])
    assert found.verification.status == "verified", found.diagnostics
    assert "F.relu(kept)" in found.code, "the sum reads it again"
    assert found.code.count("inplace=True") == 2
    assert "F.relu6(y, inplace=True)" in found.code and "F.relu(z, inplace" not in found.code
