"""Files that import what is not there, and packages that cannot be loaded as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

import netferry

HEAD = "import torch\nfrom torch import nn\n"
NETWORK = """

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 3)

    def forward(self, x):
        return self.a(x)
"""
OTHER = """

class Other(Base):
    def __init__(self):
        super().__init__()
        self.b = nn_not_there.layers.Thing(3)
"""


def package(folder: Path, **files: str) -> Path:
    made = folder / "networks"
    made.mkdir()
    for name, text in files.items():
        (made / f"{name}.py").write_text(text)
    return made


def test_an_import_that_is_missing_and_not_used_does_no_harm(tmp_path: Path) -> None:
    missing = "import nn_not_there.layers\nfrom nn_not_there import Base\n"
    made = package(
        tmp_path, __init__="", blocks=HEAD + missing + NETWORK + OTHER, top="from networks.blocks import Net\n"
    )
    result = netferry.migrate(made / "top.py", entry="Net", to="keras", inputs=["2x4"])
    assert result.status == 0 and "nn_not_there" not in result.code


def test_an_import_that_is_missing_and_used_is_named(tmp_path: Path) -> None:
    file = package(
        tmp_path, __init__="", blocks=HEAD + "from nn_not_there import Thing\n" + NETWORK.replace("nn.Linear", "Thing")
    )
    with pytest.raises(netferry.NetferryError) as error:
        netferry.migrate(file / "blocks.py", entry="Net", to="keras", inputs=["2x4"])
    assert "nn_not_there" in str(error.value) and "Install nn_not_there" in str(error.value)


def test_a_module_loads_where_its_package_does_not(tmp_path: Path) -> None:
    made = package(tmp_path, __init__="raise RuntimeError('no')\n", blocks=HEAD + NETWORK)
    result = netferry.migrate(made / "blocks.py", entry="Net", to="keras", inputs=["2x4"])
    assert result.status == 0


def test_a_starred_function_hides_the_module_of_its_name(tmp_path: Path) -> None:
    file = package(
        tmp_path, __init__="from .thing import *\n", thing=HEAD + NETWORK + "\n\ndef thing():\n    return Net()\n",
        top="from networks import thing\n\n\ndef build():\n    return thing()\n",
    )  # fmt: skip
    result = netferry.migrate(file / "top.py", entry="build", to="keras", inputs=["2x4"])
    assert result.status == 0 and "def thing()" in result.code
