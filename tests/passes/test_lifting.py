"""Functional graphs lifted to modules, and sizes made explicit: what the written code says."""

from pathlib import Path

import netferry

_HEAD = """
from tensorflow import keras
from tensorflow.keras import layers
"""


def written(code: str, tmp_path: Path, entry: str | None = None) -> str:
    file = tmp_path / "network.py"
    file.write_text(_HEAD + code)
    return netferry.migrate(file, to="torch", entry=entry, verify=False).code


def test_a_builder_becomes_a_class_with_its_arguments(tmp_path: Path) -> None:
    code = written(
        """
def build_net(classes=3):
    inputs = keras.Input((8,))
    x = layers.Dense(4, activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, layers.Dense(classes)(x))
""",
        tmp_path,
    )
    assert "class Net(nn.Module):\n    def __init__(self, classes=3):" in code
    assert "self.hidden = nn.Linear(8, 4)" in code
    assert "self.fc = nn.Linear(4, classes)" in code
    assert "def forward(self, inputs):\n        x = F.relu(self.hidden(inputs))\n        return self.fc(x)" in code


def test_loops_make_lists_and_hand_sizes_on(tmp_path: Path) -> None:
    code = written(
        """
def build_net(widths=(4, 6, 5)):
    inputs = keras.Input((8,))
    x = inputs
    for width in widths:
        x = layers.Dense(width)(x)
        x = layers.BatchNormalization()(x)
    return keras.Model(inputs, x)
""",
        tmp_path,
    )
    assert "in_features = 8" in code and "in_features = width" in code
    assert "self.fcs.append(nn.Linear(in_features, width))" in code
    assert "self.bns.append(nn.BatchNorm1d(width, eps=0.001, momentum=0.01))" in code
    assert "for fc, bn in zip(self.fcs, self.bns):" in code


def test_branches_stay_in_both_halves(tmp_path: Path) -> None:
    code = written(
        """
def build_net(deep=True):
    inputs = keras.Input((8,))
    x = layers.Dense(8)(inputs)
    if deep:
        x = layers.Dense(8)(x)
    return keras.Model(inputs, x)
""",
        tmp_path,
    )
    assert "        self.deep = deep\n" in code
    assert "        if deep:\n            self.fc2 = nn.Linear(8, 8)" in code
    assert "        if self.deep:\n            x = self.fc2(x)" in code


def test_helpers_get_the_sizes_that_differ(tmp_path: Path) -> None:
    code = written(
        """
def block(x, units):
    return layers.Dense(units)(x)


def build_net():
    inputs = keras.Input((8,))
    return keras.Model(inputs, block(block(inputs, 4), 5))
""",
        tmp_path,
        "build_net",
    )
    assert "class Block(nn.Module):\n    def __init__(self, in_features, units):" in code
    assert "Block(8, 4)" in code and "Block(4, 5)" in code


def test_builders_take_only_what_their_class_takes_and_say_so(tmp_path: Path) -> None:
    code = written(
        '''
def make_net(width, shape=None, title="net"):
    """Makes a network.

    Args:
        width: the number of units;
            at least one.
        shape: the shape of inputs.
        title: the name of the model.

    Returns:
        A model.
    """
    inputs = keras.Input(shape or (8,))
    return keras.Model(inputs, layers.Dense(width)(inputs), name=title)


def small_net(shape=None, title="small"):
    """A small network.

    Args:
        shape: the shape of inputs.
        title: the name of the model.
    """
    if shape is None:
        shape = (8,)
    return make_net(3, shape, title=title)
''',
        tmp_path,
        "small_net",
    )
    assert "def __init__(self, width):" in code
    assert "        width: the number of units;\n            at least one.\n\n    Returns:" in code
    assert "title" not in code and "shape" not in code
    assert "def small_net():" in code or "class SmallNet" in code
