"""Small networks go the whole way; what cannot go is named where it stands."""

from __future__ import annotations

import ast
import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netferry

HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n\n"

RESIDUAL = (
    HEAD
    + '''class Block(nn.Module):
    """Adds to what it gets."""

    def __init__(self, width, norm=nn.BatchNorm2d):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = norm(width)

    def forward(self, x):
        # the shortcut
        return x + F.relu(self.norm(self.conv(x)))


class Net(nn.Module):
    def __init__(self, depth=2):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2)
        self.blocks = nn.ModuleList([Block(4) for _ in range(depth)])
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))
'''
)

GROUPED = (
    HEAD
    + """class Net(nn.Module):
    def __init__(self, width=6):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 1)
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.shrink = nn.Conv2d(width, width, 3, stride=2, padding=1, groups=width)
        self.grouped = nn.Conv2d(width, 2 * width, 3, groups=3)
        self.multiplied = nn.Conv2d(2 * width, 4 * width, 1, groups=2 * width)

    def forward(self, x):
        return self.multiplied(self.grouped(self.shrink(self.depthwise(self.stem(x)))))
"""
)

ATTENTION = (
    HEAD
    + """class Net(nn.Module):
    def __init__(self, width=6, heads=2):
        super().__init__()
        self.heads = heads
        self.embed = nn.Embedding(11, width)
        self.qkv = nn.Linear(width, 3 * width)
        self.norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(0.1)

    def forward(self, tokens):
        x = self.embed(tokens)
        b, t, c = x.shape
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (y.view(b, t, self.heads, c // self.heads).transpose(1, 2) for y in (q, k, v))
        scores = (q @ k.transpose(-2, -1)) / (c // self.heads) ** 0.5
        scores = scores.masked_fill(torch.ones(t, t).tril() == 0, float("-inf"))
        y = (self.drop(scores.softmax(-1)) @ v).transpose(1, 2).reshape(b, t, c)
        return self.norm(x + y) @ self.embed.weight.t()
"""
)

FLATTENED = (
    HEAD
    + """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2, padding=1))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(4 * 3 * 4, 5))

    def forward(self, x):
        return F.log_softmax(self.classifier(self.features(x)), dim=1)
"""
)

RECURRENT = (
    HEAD
    + """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 3, batch_first=True, bidirectional=True)
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, x):
        y, (h, _) = self.lstm(x)
        return y[:, -1] * self.scale, torch.cat([h[0], h[1]], dim=1)
"""
)

NETWORKS = {
    "residual": (RESIDUAL, "2x3x9x12"),
    "grouped": (GROUPED, "2x3x14x12"),
    "attention": (ATTENTION, "2x5:int64:11"),
    "flattened": (FLATTENED, "2x3x6x8"),
    "recurrent": (RECURRENT, "2x5x4"),
}

UNKNOWN = (
    HEAD
    + """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        x = self.fc(x)
        return torch.special.zeta(x.abs() + 1.5, torch.ones_like(x))
"""
)


@functools.cache
def migrated(source: str, input: str, to: str, *, verify: bool = True) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "net.py"
        file.write_text(source)
        return netferry.migrate(file, to=to, entry="Net", call="Net()", inputs=[input], verify=verify)


every_network = pytest.mark.parametrize("name", NETWORKS)
every_target = pytest.mark.parametrize("to", ["keras", "tensorflow"])


@every_target
@every_network
def test_the_result_is_verified(name: str, to: str) -> None:
    made = migrated(*NETWORKS[name], to)
    verdict = made.verification
    assert (verdict.status, verdict.reason) == ("verified", "")
    assert verdict.max_rel_diff < 1e-12
    assert verdict.gradients < 1e-11
    assert made.status == 0
    assert [d for d in made.diagnostics if d.severity != "info"] == []


@every_target
@every_network
def test_only_the_target_is_imported(name: str, to: str) -> None:
    made = migrated(*NETWORKS[name], to)
    assert "netferry" not in made.code
    assert "torch" not in made.code
    roots = set()
    for node in ast.walk(ast.parse(made.code)):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add((node.module or "").split(".")[0])
    assert roots <= {to, "functools", "math", "numpy"}


@every_target
def test_names_comments_and_structure_stay(to: str) -> None:
    code = migrated(*NETWORKS["residual"], to).code
    for kept in ('"""Adds to what it gets."""', "# the shortcut", "for block in self.blocks:", "for _ in range(depth)"):
        assert kept in code
    assert [a.arg for a in ast.walk(ast.parse(code)) if isinstance(a, ast.arg)][:3] == ["self", "width", "norm"]
    assert "def forward" not in code


def test_every_array_of_the_source_has_its_place() -> None:
    made = migrated(*NETWORKS["residual"], "keras")
    names = {name for entry in made.weight_map.entries for name, _ in entry.recipe.inputs}
    state = made.reading.observation.recording.network.state_dict()
    assert names == {n for n in state if not n.endswith("num_batches_tracked")}


def test_inputs_and_outputs_change_their_layout() -> None:
    made = migrated(*NETWORKS["flattened"], "keras")
    x = np.zeros((2, 3, 6, 8), "float32")
    (given,) = made.convert_inputs(x)
    assert given.shape == (2, 6, 8, 3)
    assert made.build()(given).shape == (2, 5)


@every_target
def test_an_unknown_operation_is_a_hole_at_its_line(to: str) -> None:
    made = migrated(UNKNOWN, "2x4", to)
    holes = [d for d in made.diagnostics if d.code == "NF030"]
    line = 1 + next(i for i, text in enumerate(UNKNOWN.splitlines()) if "zeta" in text)
    assert [(Path(d.file).name, d.line, d.severity) for d in holes] == [("net.py", line, "error")]
    assert "zeta" in holes[0].message
    assert "raise NotImplementedError" in made.code
    assert made.status == 1
    assert made.verification is None
    compile(made.code, "<migrated>", "exec")


def test_without_verification_nothing_is_claimed() -> None:
    made = migrated(*NETWORKS["recurrent"], "keras", verify=False)
    assert made.verification is None
    assert made.status == 1
    assert made.code == migrated(*NETWORKS["recurrent"], "keras").code


def test_a_network_that_raises_is_an_error_at_its_line(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(FLATTENED)
    with pytest.raises(netferry.NetferryError) as caught:
        netferry.migrate(file, to="keras", entry="Net", call="Net()", inputs=["2x5x6x8"], verify=False)
    assert caught.value.diagnostic.code == "NF021"
    assert caught.value.status == 2


STATE = (
    HEAD
    + """class Net(nn.Module):
    def __init__(self, width=5):
        super().__init__()
        self.mix = torch.rand(width, width) * 0.5
        self.scale = torch.ones(width, requires_grad=True)
        self.shift = torch.linspace(0, 1, width)
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        return self.head(x @ self.mix * self.scale + self.shift)
"""
)


def test_random_and_trained_plain_tensors_are_state(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(STATE)
    made = netferry.migrate(tmp_path / "net.py", to="keras", inputs=["4x5"])
    assert made.verify().status == "verified"
    lines = [ast.unparse(s) for s in ast.walk(ast.parse(made.code)) if isinstance(s, ast.Assign)]
    assert "self.mix = keras.Variable(keras.random.uniform((width, width)) * 0.5, trainable=False)" in lines
    assert any(line.startswith("self.scale = keras.Variable(") and "trainable=True" in line for line in lines)
    assert any(line.startswith("self.shift = ops.linspace(") for line in lines)


def _calls(code: str) -> list[str]:
    """The calls in a text, however its lines are broken."""
    return [ast.unparse(n) for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Call)]


TRAINING = (
    HEAD
    + """numpy = lambda x, *args, **kwargs: x.detach().numpy(*args, **kwargs)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.LazyLinear(3)
        self.net.weight.data.normal_(0, 0.01)

    def forward(self, x):
        return self.net(x)

    def show(self, x):
        return numpy(x)

    def configure_optimizers(self):
        adam = torch.optim.Adam(self.parameters(), lr=2e-4, betas=(0.5, 0.999))
        return adam, torch.optim.SGD(self.parameters(), 0.1, momentum=0.9)
"""
)


def test_what_training_needs_does_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(TRAINING)
    made = netferry.migrate(tmp_path / "net.py", to="keras", inputs=["4x5"])
    assert made.verify().status == "verified"
    body = made.code.partition("def numpy(x, *args, **kwargs):\n")[2].splitlines()
    assert body[0].strip().startswith("# numpy = lambda")
    assert body[1].strip().startswith("raise NotImplementedError(")
    assert "keras.optimizers.SGD(learning_rate=0.1, momentum=0.9)" in made.code
    adam = "keras.optimizers.Adam(learning_rate=0.0002, beta_1=0.5, beta_2=0.999, epsilon=1e-08)"
    assert adam in _calls(made.code)


def test_the_framework_is_found_in_what_the_file_imports(tmp_path: Path) -> None:
    parts = "import torch.nn as nn\n\n\nclass Part(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    parts += "        self.fc = nn.Linear(3, 4)\n\n    def forward(self, x):\n        return self.fc(x)\n"
    package = tmp_path / "parts"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "blocks.py").write_text(parts)
    whole = "from .blocks import *\n\n\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    (package / "net.py").write_text(
        whole + "        self.part = Part()\n\n    def forward(self, x):\n        return self.part(x)\n"
    )
    made = netferry.migrate(package / "net.py", entry="Net", to="keras", inputs=["2x3"])
    assert made.verification is not None and made.verification.passed


def test_a_network_that_the_file_makes_itself(tmp_path: Path) -> None:
    file = tmp_path / "script.py"
    file.write_text(
        "import torch\nfrom torch import nn\n\n"
        "model = nn.Sequential(\n    # few channels\n    nn.Conv2d(3, 4, 3),\n    nn.ReLU(),  # cheap\n"
        "    nn.Flatten(),\n    nn.Linear(4 * 4 * 4, 5),\n)\n\n"
        'if __name__ == "__main__":\n    print(model(torch.randn(1, 3, 6, 6)))\n'
    )
    found = netferry.migrate(file, to="keras", inputs=["2x3x6x6"])
    assert found.status == 0
    assert "model = keras.Sequential(" in found.code
    assert "# few channels" in found.code and "# cheap" in found.code
    first, second = found.build(), found.build()
    assert first is not second
