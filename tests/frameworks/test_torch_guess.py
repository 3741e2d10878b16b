"""Inputs guessed from how a file tries its network out, from comments, and from the first layer."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from netferry.frameworks.torch import guess  # noqa: E402
from netferry.project import load  # noqa: E402
from netferry.project.candidates import Entry  # noqa: E402

NET = "import torch\nfrom torch import nn\nclass Net(nn.Module):\n    pass\n"


def first(tmp_path: Path, text: str) -> tuple[list[str], str] | None:
    path = tmp_path / "net.py"
    path.write_text(NET + textwrap.dedent(text))
    found = next(guess.from_file(Entry("Net", "Net()", load(path).main)), None)
    return found and ([str(spec) for spec in found.inputs], found.reason)


@pytest.mark.parametrize(
    ("text", "inputs"),
    [
        ("x = torch.randn(1, 3, 32, 32)\nnet = Net()\nnet(x)", ["1x3x32x32 float32"]),
        ("def test():\n    n = 4\n    net = Net().eval()\n    net(torch.rand((n, 3 * 2))).size()", ["4x6 float32"]),
        ("if __name__ == '__main__':\n    m = Net()\n    m(torch.randint(0, 50, (2, 7)))", ["2x7 int64 below 50"]),
        ("x = torch.zeros(2, 5).to('cpu')\nm = Net()\nm = m.to('cpu')\nm(x, mask=torch.ones(2, 5).long())",
         ["2x5 float32", "mask=2x5 int64 below 2"]),
    ],
)  # fmt: skip
def test_tensors_that_the_file_hands_over(tmp_path: Path, text: str, inputs: list[str]) -> None:
    found = first(tmp_path, text)
    assert found is not None
    assert found[0] == inputs
    assert found[1].startswith("line ")


def test_what_is_not_understood_is_not_guessed(tmp_path: Path) -> None:
    assert first(tmp_path, "net = Net()\nfor x in loader:\n    net(x)") is None


def test_shapes_in_comments(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text("class Net:\n    def forward(self, x):  # x: (N, 3, 20, 24)\n        return x\n")
    found = next(guess.from_file(Entry("Net", "Net()", load(path).main)))
    assert str(found.inputs[0]) == "2x3x20x24 float32"


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: torch.nn.Conv2d(5, 2, 3), "2x5x32x32 float32"),
        (lambda: torch.nn.Embedding(30, 4), "2x7 int64 below 30"),
        (lambda: torch.nn.LSTM(6, 3, batch_first=True), "2x5x6 float32"),
        (lambda: torch.nn.Linear(6, 3), "2x6 float32"),
    ],
)
def test_the_first_layer_tells_the_shape(layer: object, shape: str) -> None:
    network = torch.nn.Sequential(torch.nn.Dropout(), layer())  # type: ignore[operator]
    found = next(guess.from_network(network))
    assert str(found.inputs[0]) == shape
    assert "1: " in found.reason


def test_initialisers_that_draw_again_need_no_numbers(tmp_path: Path) -> None:
    """``trunc_normal_`` asks whether all numbers are within bounds, which shapes alone do not tell."""
    path = tmp_path / "net.py"
    path.write_text(
        "from torch import nn\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.conv = nn.Conv2d(3, 512, 16)\n        nn.init.trunc_normal_(self.conv.weight, std=0.02)\n"
        "    def forward(self, x):\n        return self.conv(x)\n"
    )
    found, _ = guess.inputs(load(path), "Net", "Net()")
    assert [str(spec) for spec in found] == ["2x3x32x32 float32"]
