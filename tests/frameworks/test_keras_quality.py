"""Generated Keras code reads as written by hand, and still computes the same."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netferry
from netferry.supports import Supports

HEAD = "from functools import partial\nfrom typing import Optional\n\nimport torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n\n"
TARGETS = ("keras", "tensorflow")


@functools.cache
def migrated(body: str, to: str, *inputs: str, verify: bool = True) -> Any:
    """The migration of a file with the class ``Net``."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "net.py"
        file.write_text(HEAD + body)
        return netferry.migrate(file, entry="Net", to=to, inputs=list(inputs), verify=verify)


ATTENTION = """class Net(nn.Module):
    def __init__(self, width=8, heads=2):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, dropout=0.1, batch_first=True)
        self.cross = nn.MultiheadAttention(width, num_heads=4, bias=False, batch_first=True)

    def forward(self, x, y):
        mask = torch.ones(x.size(1), x.size(1), dtype=torch.bool).triu(1)
        a, weights = self.attention(x, x, x, attn_mask=mask)
        return self.cross(a, y, y, need_weights=False)[0]
"""


@pytest.mark.parametrize("to", TARGETS)
def test_attention_is_the_target_s_own_layer(to: str) -> None:
    made = migrated(ATTENTION, to, "2x5x8", "2x3x8")
    assert "layers.MultiHeadAttention(heads, width // heads, dropout=0.1)" in made.code
    assert "self.cross = " in made.code and "return self.cross(a, y)" in made.code
    assert "def " in made.code and "class Multihead" not in made.code
    assert made.verification.passed, made.verification.reason


def test_attention_whose_weights_are_used_keeps_its_arguments() -> None:
    made = migrated(ATTENTION.replace("return self", "return weights, self"), "keras", "2x5x8", "2x3x8")
    assert "class MultiheadAttention" in made.code
    assert made.verification.passed, made.verification.reason


RECTIFIED = """class Net(nn.Module):
    def __init__(self, act=nn.ReLU):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.relu = ACT
        self.pool = nn.MaxPool2d(3, 2, padding=1)

    def forward(self, x):
        x = self.relu(self.conv(x))
        return self.pool(x)
"""


def test_padding_before_pooling_is_zeros_only_behind_a_rectifier() -> None:
    direct = migrated(RECTIFIED.replace("ACT", "nn.ReLU()"), "keras", "2x3x9x12")
    assert "ZeroPadding2D" in direct.code and "inf" not in direct.code
    assert direct.verification.passed
    for other in ("act()", "nn.Tanh()"):
        assert 'float("-inf")' in migrated(RECTIFIED.replace("ACT", other), "keras", "2x3x9x12", verify=False).code


def _trained(made: Any, *shapes: tuple[int, ...]) -> Any:
    """The generated network after ``fit`` on batches of unknown size."""
    network = made.build()
    network.compile("sgd", "mse")
    inputs = [np.random.default_rng(0).normal(size=(5, *shape)).astype("float32") for shape in shapes]
    outputs = network(*inputs)
    fresh = made.build()
    fresh.compile("sgd", "mse")
    fresh.fit(inputs[0], np.zeros(outputs.shape, "float32"), batch_size=2, verbose=0)
    return fresh


FLATTENING = {
    "flatten": ("torch.flatten(self.conv(x), 1)", ""),
    "view": ("x.view(x.size(0), -1)", "x = self.conv(x)"),
    "named": ("x.reshape(b, -1)", "x = self.conv(x)\n        b, c, h, w = x.shape"),
    "kept": ("x.reshape(x.shape[0], -1)", "x = self.conv(x)"),
}


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("kind", FLATTENING)
def test_a_layer_behind_a_flatten_can_be_built_by_fit(kind: str, to: str) -> None:
    expression, before = FLATTENING[kind]
    body = f"""class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4 * 3 * 2, 6)

    def forward(self, x):
        {before or "pass"}
        x = {expression}
        return self.head(x)
"""
    made = migrated(body, to, "2x3x5x4")
    assert made.verification.passed, made.verification.reason
    _trained(made, (5, 4, 3))


LEFTOVERS = """class Net(nn.Module):
    def __init__(self, weights: Optional[nn.Linear] = None):
        super().__init__()
        width = 3
        self.bound = 0.5
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(width, 4, 1)
        if weights is not None:
            self.load_state_dict(weights)

    def make(self, width: int) -> nn.Conv2d:
        return nn.Conv2d(width, 3, 3, padding=2)

    def forward(self, x):
        device = x.device
        scale = torch.full((1,), self.first.out_channels / self.first.in_channels, device=device)
        unused = 3
        return self.second(x) + self.first(x) * scale + torch.zeros(4, device=device)[None, :, None, None]
"""


def test_nothing_is_left_over() -> None:
    made = migrated(LEFTOVERS, "keras", "2x3x5x4")
    assert "device" not in made.code and "width = 3" not in made.code
    assert "unused = 3" in made.code, "what the source did not use either is its own"
    assert "self.first.filters / 3" in made.code
    assert "def make(self, width: int) -> keras.Sequential:" in made.code
    assert "# self.load_state_dict(weights)" in made.code and "raise NotImplementedError" in made.code
    assert [d.code for d in made.diagnostics] == ["NF037"] and made.status == 0


INITIAL = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.position = nn.Parameter(torch.empty(1, 4).normal_(std=0.02))
        nn.init.constant_(self.first.bias, 0)
        nn.init.trunc_normal_(self.first.weight, std=1 / 300)

    def forward(self, x):
        return self.first(x) + self.position
"""


def test_initial_values_in_few_words() -> None:
    made = migrated(INITIAL, "keras", "2x3")
    assert "self.first.bias_initializer = keras.initializers.Zeros()" in made.code
    assert "RandomNormal(stddev=1 / 300)" in made.code
    assert "keras.random.normal((1, 4), 0.0, 0.02)" in made.code
    assert made.verification.passed


CLASHING = """class ConstantPadding(nn.Module):
    def forward(self, x):
        max_pool = x * 2
        return F.max_pool2d(max_pool, 2, ceil_mode=True)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.doubled = ConstantPadding()
        self.pool = nn.MaxPool2d(3, 2, padding=1)

    def forward(self, x):
        return self.pool(self.doubled(x))
"""


@pytest.mark.parametrize("to", TARGETS)
def test_definitions_of_the_file_keep_their_names(to: str) -> None:
    made = migrated(CLASHING, to, "2x3x7x9")
    assert "class ConstantPadding_(" in made.code and "ConstantPadding_(1, " in made.code
    assert "def max_pool_(" in made.code and "return max_pool_(max_pool, 2, ceil_mode=True)" in made.code
    assert made.verification.passed, made.verification.reason


SAVED = {
    "AdaptiveAveragePooling": {"output_size": (2, 3)},
    "MaxPooling": {"kernel_size": 2, "ceil_mode": True},
    "ConstantPadding": {"padding": 1, "value": 0.5},
    "PixelShuffle": {"factor": 2},
}


@pytest.mark.parametrize("name", SAVED)
def test_layers_that_files_carry_can_be_saved(name: str) -> None:
    import keras

    supports = Supports("keras", ())
    supports.need(name)
    scope: dict[str, Any] = {"keras": keras}
    exec("\n".join(supports.code()), scope)  # noqa: S102 - our own support code
    made = scope[name](**SAVED[name])
    again = scope[name].from_config(made.get_config())
    x = np.arange(2 * 5 * 7 * 4, dtype="float32").reshape(2, 5, 7, 4)
    np.testing.assert_array_equal(made(x), again(x))


DERIVED = """class Base(nn.Module):
    def __init__(self, width):
        super(Base, self).__init__()
        self.layers = nn.Sequential(nn.Linear(3, width), nn.ReLU())

    def forward(self, x):
        return self.layers(x)


class Net(Base):
    def __init__(self):
        super().__init__(4)

    def forward(self, x):
        return super().forward(x) + self.layers[0].bias
"""


def test_the_network_s_own_base_becomes_a_model() -> None:
    made = migrated(DERIVED, "keras", "2x3")
    assert "class Base(keras.Model):" in made.code and "class Net(Base):" in made.code
    assert made.verification.passed, made.verification.reason
    _trained(made, (3,))


CHAINS = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.both = nn.GRU(8, 4, num_layers=2, batch_first=True, bidirectional=True)
        self.deep = nn.LSTM(8, 4, num_layers=2, batch_first=True, dropout=0.5)
        self.wide = nn.LSTM(8, 4, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        _, h = self.both(x)
        h = torch.cat((h[-2, :, :], h[-1, :, :]), dim=1)
        out, (hidden, cell) = self.deep(x)
        hidden = hidden[-1]
        steps, _ = self.wide(x)
        return self.fc(h), hidden, self.fc(steps[:, -1])
"""


@pytest.mark.parametrize("to", ["keras", "tensorflow"])
def test_stacked_recurrences_are_layers_one_after_another(to: str) -> None:
    made = migrated(CHAINS, to, "2x5x8")
    assert made.status == 0, made.verification.reason
    assert "Stacked" not in made.code and made.code.count("Bidirectional(") == 3
    assert "h = self.both(x)" in made.code and "steps[:, -1]" in made.code


STATEFUL = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.deep = nn.LSTM(8, 4, num_layers=2, batch_first=True)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        out, (hidden, cell) = self.deep(x)
        return self.fc(out) + self.fc(hidden[0])[:, None]
"""


def test_states_that_are_read_keep_the_stack() -> None:
    made = migrated(STATEFUL, "keras", "2x5x8")
    assert made.status == 0 and "StackedLSTM(4, num_layers=2" in made.code
