"""Definitions that netferry's own files carry are read as the ops they stand for."""

import ast
from pathlib import Path

import netferry
from netferry.ops import registry
from netferry.ops.carried import recognised

_USE = """

class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.rnn = StackedGRU(6, num_layers=2, batch_first=True)

    def call(self, x):
        output, state = self.rnn(x)
        return output, state
"""


def carried() -> str:
    return "import keras\n\n" + registry.support("StackedGRU").code["keras"]


def test_a_definition_is_known_by_what_it_says() -> None:
    code = carried()
    assert recognised(ast.parse(code), "keras") == {"StackedGRU": "keras:StackedGRU"}
    shorter = code.replace("import keras", "import keras\nfrom keras import layers, ops").replace(
        "keras.layers.", "layers."
    )
    assert recognised(ast.parse(shorter.replace("keras.ops.", "ops.")), "keras") == {"StackedGRU": "keras:StackedGRU"}
    assert recognised(ast.parse(code.replace("directions = 2", "directions = 3")), "keras") == {}
    assert recognised(ast.parse(code), "tensorflow") == {}


def test_it_comes_back_as_the_layer_it_stands_for(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(carried() + _USE)
    found = netferry.migrate(file, entry="Net", to="torch", inputs=["2x5x3"])
    assert found.status == 0
    assert "nn.GRU(3, 6, num_layers=2, batch_first=True)" in found.code
    assert "class StackedGRU" not in found.code
