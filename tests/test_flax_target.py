"""PyTorch networks to Flax NNX: what comes out, and that it computes the same."""

from __future__ import annotations

from pathlib import Path

import pytest

import netferry

HEAD = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n\n\n"
BLOCK = """class Block(nn.Module):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)) + self.shortcut(x))


def stage(inputs, outputs, count):
    return nn.Sequential(*[Block(inputs if i == 0 else outputs, outputs, 1 + (i == 0)) for i in range(count)])


class Net(nn.Module):
    def __init__(self, norm=nn.BatchNorm1d):
        super().__init__()
        self.stages = nn.ModuleList([stage(3, 4, 2), stage(4, 6, 1)])
        self.norm = norm(6)
        self.drop = nn.Dropout(0.3)
        self.fc = nn.Linear(6, 5)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, nn.BatchNorm2d):
                nn.init.constant_(m.weight, 1)

    def forward(self, x):
        for s in self.stages:
            x = s(x)
        return self.fc(self.drop(self.norm(x.mean((2, 3)))))
"""
TIED = """class Net(nn.Module):
    def __init__(self, vocab=17, dim=6):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.position = nn.Parameter(torch.zeros(1, 9, dim))
        self.register_buffer("mask", torch.tril(torch.ones(9, 9)))
        self.head = nn.Linear(dim, vocab, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        b, t = tokens.shape
        x = self.embed(tokens) + self.position[:, :t]
        scores = (x @ x.transpose(1, 2)).masked_fill(self.mask[:t, :t] == 0, float("-inf"))
        x = F.dropout(F.softmax(scores, dim=-1) @ x, 0.1, self.training)
        return self.head(x)
"""


def migrated(folder: Path, body: str, given: str) -> netferry.Migration:
    file = folder / "net.py"
    file.write_text(HEAD + body)
    made = netferry.migrate(file, entry="Net", to="flax", inputs=[given])
    assert made.verification is not None
    assert made.verification.passed, made.verification.reason
    return made


def test_a_residual_network(tmp_path: Path) -> None:
    code = migrated(tmp_path, BLOCK, "2x3x8x12").code
    assert (
        "class Block(nnx.Module):" in code
        and "def __init__(self, inputs, outputs, stride=1, *, rngs: nnx.Rngs):" in code
    )
    assert "super().__init__()" not in code, "nnx.Module has no constructor that needs calling"
    assert "for _, m in nnx.iter_modules(self):" in code
    assert "m.kernel[...] = " in code and "m.scale[...] = jnp.ones(m.scale.shape)" in code
    assert "Block(inputs if i == 0 else outputs, outputs, 1 + (i == 0), rngs=rngs)" in code
    assert "        else:\n            self.shortcut = " in code, (
        "NNX settles what an attribute is when it is first set"
    )
    assert "transpose" not in code and "netferry" not in code


def test_tied_and_own_parameters(tmp_path: Path) -> None:
    made = migrated(tmp_path, TIED, "2x7:int64:17")
    assert "self.position = nnx.Param(jnp.zeros((1, 9, dim)))" in made.code
    assert "self.position[...][:, :t]" in made.code and "self.mask = nnx.Variable(" in made.code
    assert "self.rngs = rngs" in made.code, "a call that drops numbers needs random state"


def test_what_needs_no_random_state_takes_none(tmp_path: Path) -> None:
    body = "class Scale(nn.Module):\n    def forward(self, x):\n        return 2 * x\n\n\n"
    body += "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.scale = Scale()\n"
    body += "        self.fc = nn.Linear(3, 4)\n\n    def forward(self, x):\n        return self.fc(self.scale(x))\n"
    code = migrated(tmp_path, body, "2x3").code
    assert "self.scale = Scale()" in code and "nnx.Linear(3, 4, rngs=rngs)" in code


@pytest.mark.parametrize("name", ["cifar10_cnn", "residual"])
def test_the_result_is_one_compiled_program(name: str, tmp_path: Path) -> None:
    from flax import nnx

    if name == "residual":
        made, shape = migrated(tmp_path, BLOCK, "2x3x8x12"), (2, 8, 12, 3)
    else:
        source = Path(__file__).parents[1] / "examples/torch/cifar10_cnn.py"
        made, shape = netferry.migrate(source, to="flax", verify=False), (2, 32, 32, 3)
    import numpy as np

    network, x = made.build(), np.random.default_rng(0).normal(size=shape).astype("float32")
    network.eval()
    traced: list[int] = []

    @nnx.jit
    def call(network: object, x: object) -> object:
        traced.append(1)
        return network(x)  # type: ignore[operator]

    first, second = call(network, x), call(network, x)
    np.testing.assert_allclose(np.asarray(first), np.asarray(network(x)), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(first), np.asarray(second))
    assert len(traced) == 1, "no second compilation"
