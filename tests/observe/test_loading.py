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


def test_modules_that_are_loaded_but_not_read_may_miss_packages_too(tmp_path: Path) -> None:
    data = "import nn_not_there as nt\n\n\ndef show():\n    return nt.draw()\n\n\nSIZES = {'width': 4}\n"
    body = HEAD + "from .data import SIZES\n" + NETWORK.replace("4, 3", 'SIZES["width"], 3')
    made = package(
        tmp_path, __init__="", extra="from nn_not_there import b\n", data="from . import extra\n" + data, blocks=body
    )
    result = netferry.migrate(made / "blocks.py", entry="Net", to="keras", inputs=["2x4"], verify=False)
    assert not result.diagnostics or all(d.severity == "info" for d in result.diagnostics)


def test_what_lies_in_a_folder_above_is_found_by_its_name(tmp_path: Path) -> None:
    made = package(tmp_path, blocks=HEAD + NETWORK)
    task = made / "tasks" / "adding"
    task.mkdir(parents=True)
    (task / "model.py").write_text(HEAD + "from networks.blocks import Net\n\n\ndef build():\n    return Net()\n")
    result = netferry.migrate(task / "model.py", entry="build", to="keras", inputs=["2x4"], verify=False)
    assert "layers.Dense(3)" in result.code


def test_relative_imports_make_a_folder_a_package(tmp_path: Path) -> None:
    made = package(tmp_path, blocks=HEAD + NETWORK, top="from .blocks import Net\n\n\ndef build():\n    return Net()\n")
    result = netferry.migrate(made / "top.py", entry="build", to="keras", inputs=["2x4"], verify=False)
    assert "layers.Dense(3)" in result.code
