"""Bad input ends in a code of its own, with its place and what to do, and never in a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import netferry
from netferry.diagnostics import NetferryError

HEAD = "import torch\nfrom torch import nn\n"
NET = """class {name}(nn.Module):
    def __init__(self{parameters}):
        super().__init__()
        self.layer = nn.Linear(3, 4){more}

    def forward(self, {inputs}):
        return {result}
"""


def net(
    name: str = "Net", parameters: str = "", more: str = "", inputs: str = "x", result: str = "self.layer(x)"
) -> str:
    """A small network, with one thing changed."""
    return NET.format(name=name, parameters=parameters, more=more, inputs=inputs, result=result)


CASES: dict[str, tuple[str, dict[str, Any], int]] = {
    "NF002": ("class Net(:\n    pass\n", {}, 1),
    "NF003": ('print "hello"\n', {}, 1),
    "NF010": (HEAD + "def f(x):\n    return x\n", {}, 0),
    "NF011": (HEAD + net("One") + net("Other"), {}, 3),
    "NF012": (HEAD + net(), {"entry": "Nope"}, 0),
    "NF013": (HEAD + net(inputs="graph, table", result="graph.edges(table)"), {"inputs": None}, 3),
    "NF014": (HEAD + net(parameters=", config"), {}, 3),
    "NF015": ("class Net:\n    pass\n", {}, 0),
    "NF020": (HEAD + net(more="; raise ValueError('no')"), {}, 6),
    "NF021": (HEAD + net(result="self.layer(x) @ torch.zeros(7, 7)"), {}, 9),
    "NF022": (HEAD + "import a_module_that_nobody_has\n" + net(more="; a_module_that_nobody_has.go()"), {}, 3),
    "NF064": (HEAD + net(), {"call": "Net("}, 0),
}


@pytest.mark.parametrize("code", CASES)
def test_every_kind_has_its_code_and_place(code: str, tmp_path: Path) -> None:
    text, options, line = CASES[code]
    file = tmp_path / "net.py"
    file.write_text(text)
    with pytest.raises(NetferryError) as raised:
        netferry.migrate(file, to="keras", **({"inputs": ["2x3"]} | options))
    found = raised.value.diagnostic
    assert (found.code, found.line) == (code, line)
    assert found.message and found.hint
    assert Path(found.file) == file or code == "NF064"


def test_a_missing_file() -> None:
    with pytest.raises(NetferryError) as raised:
        netferry.migrate("there_is_no_such_file.py", to="keras")
    assert raised.value.diagnostic.code == "NF001"


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(CASES["NF022"][0])
    with pytest.raises(NetferryError) as raised:
        netferry.migrate(file, to="keras", inputs=["2x3"])
    assert "Install a_module_that_nobody_has" in raised.value.diagnostic.hint


def test_an_unknown_operation_is_marked_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(HEAD + net(result="torch.special.zeta(self.layer(x), torch.ones(4))"))
    made = netferry.migrate(file, to="keras", inputs=["2x3"])
    assert [(d.code, d.line) for d in made.diagnostics] == [("NF030", 9)]
    assert "torch.special.zeta" in made.diagnostics[0].message
    assert "raise NotImplementedError" in made.code and made.status == 1
