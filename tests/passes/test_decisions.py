"""Layers that functional code makes depending on the shapes of tensors: classes that are told beforehand."""

from pathlib import Path
from typing import Any

import netferry

_HEAD = """
from keras import layers, models
"""


def migrated(code: str, tmp_path: Path, inputs: str = "2x16x12x3") -> Any:
    file = tmp_path / "network.py"
    file.write_text(_HEAD + code)
    found = netferry.migrate(file, to="torch", entry="Net", inputs=[inputs])
    assert found.verification.status == "verified", (found.diagnostics, found.code)
    return found


_PROJECTED = """
def block(x, filters, stride=1):
    y = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)
    y = layers.BatchNormalization()(y)
    if x.shape[-1] != filters or stride != 1:
        x = layers.Conv2D(filters, 1, strides=stride, name="projection")(x)
    if x.shape != y.shape:
        raise ValueError("the shapes differ")
    return layers.ReLU()(layers.Add()([x, y]))


def Net(widths=(4, 6), depth=2):
    inputs = layers.Input((16, 12, 3))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    for i, width in enumerate(widths):
        for j in range(depth):
            x = block(x, width, 2 if i and not j else 1)
    return models.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))
"""


def test_channels_decide(tmp_path: Path) -> None:
    code = migrated(_PROJECTED, tmp_path).code
    assert "if in_channels != filters or stride != 1:" in code
    assert "if self.in_channels != self.filters or self.stride != 1:" in code
    assert "self.projection = nn.Conv2d(in_channels, filters, 1, stride=stride)" in code
    assert "NotImplementedError" not in code and "ValueError" not in code


_RATIO = """
def shortcut(x, y):
    from_shape = x.shape
    to_shape = y.shape
    stride = int(round(from_shape[1] / to_shape[1]))
    same_channels = from_shape[3] == to_shape[3]
    if stride > 1 or not same_channels:
        x = layers.Conv2D(to_shape[3], 1, strides=(stride, stride))(x)
    return layers.Add()([x, y])


def block(x, filters, strides=1):
    y = layers.Conv2D(filters, 3, strides=strides, padding="same", activation="relu")(x)
    return shortcut(x, layers.Conv2D(filters, 3, padding="same")(y))


def Net():
    inputs = layers.Input((16, 12, 3))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    for filters, strides in ((4, 1), (6, 2), (8, 2), (8, 1)):
        x = block(x, filters, strides)
    return models.Model(inputs, layers.Flatten()(x))
"""


def test_ratios_of_sizes_decide(tmp_path: Path) -> None:
    code = migrated(_RATIO, tmp_path).code
    assert "def __init__(self, stride, in_channels, in_channels2):" in code
    assert "if stride > 1 or not same_channels:" in code
    assert "nn.Conv2d(in_channels, in_channels2, 1, stride=(stride, stride))" in code
    assert "Shortcut(strides, in_channels, filters)" in code
    assert "from_shape" not in code, "only layers needed it"


_CELLS = """
def fit(previous, x, filters):
    if previous is None:
        previous = x
    elif previous.shape[1] != x.shape[1]:
        previous = layers.Conv2D(filters, 1, strides=2)(layers.ReLU()(previous))
    elif previous.shape[-1] != filters:
        previous = layers.Conv2D(filters, 1)(layers.ReLU()(previous))
    return previous


def cell(x, previous, filters, stride=1):
    fitted = fit(previous, x, filters)
    y = layers.Conv2D(filters, 3, strides=stride, padding="same")(x)
    z = layers.Conv2D(filters, 3, strides=stride, padding="same")(fitted)
    return layers.Concatenate()([y, z]), x


def Net(cells=3):
    inputs = layers.Input((16, 12, 3))
    x = layers.Conv2D(5, 3, padding="same")(inputs)
    previous = None
    x, previous = cell(x, previous, 4, 2)
    for _ in range(cells):
        x, previous = cell(x, previous, 6)
    return models.Model(inputs, layers.GlobalAveragePooling2D()(x))
"""


def test_missing_tensors_and_their_sizes_decide(tmp_path: Path) -> None:
    code = migrated(_CELLS, tmp_path).code
    assert "*, no_previous=False, resized=False):" in code
    assert "if self.no_previous:\n            previous = x" in code
    assert "elif self.resized:" in code and "elif self.in_channels != self.filters:" in code
    assert "no_previous=True)" in code and "resized=resized)" in code
    assert "previous = None\n        x, previous = self.cell(x, previous)" in code
    assert "previous.shape" not in code
