"""Stock classes and functions that are handed around, from PyTorch source to code that runs."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

import netferry
from netferry.migration import Migration

HEAD = """
import functools
import torch
from torch import nn
import torch.nn.functional as F
"""

NETWORKS = {
    "defaults differ": """
        class Net(nn.Module):
            def __init__(self, norm_layer=nn.BatchNorm2d, act=nn.LeakyReLU):
                super().__init__()
                self.conv = nn.Conv2d(3, 4, 3, bias=False)
                self.norm = norm_layer(4)
                self.act = act()

            def forward(self, x):
                return self.act(self.norm(self.conv(x)))
    """,
    "a partial as a default": """
        class Net(nn.Module):
            def __init__(self, norm_layer=functools.partial(nn.LayerNorm, eps=1e-3)):
                super().__init__()
                self.first, self.second = norm_layer(6), norm_layer(6, eps=1e-6)

            def forward(self, x):
                return self.second(torch.relu(self.first(x)))
    """,
    "classes of which one is the user's": """
        class Scale(nn.Module):
            def __init__(self, channels, factor=2.0):
                super().__init__()
                self.weight = nn.Parameter(torch.ones(channels) * factor)

            def forward(self, x):
                return x * self.weight[:, None, None]

        class Block(nn.Module):
            def __init__(self, norm):
                super().__init__()
                self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), norm(3)

            def forward(self, x):
                return self.norm(self.conv(x))

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.blocks = nn.Sequential(Block(Scale), Block(nn.BatchNorm2d), Block(functools.partial(Scale, factor=3.0)))

            def forward(self, x):
                return self.blocks(x)
    """,
    "a convolution that pads": """
        class Block(nn.Module):
            def __init__(self, conv_layer, stride):
                super().__init__()
                self.conv = conv_layer(3, 3, 3, stride=stride, padding=1, bias=False)

            def forward(self, x):
                return self.conv(x)

        class Net(nn.Module):
            def __init__(self, conv_layer=nn.Conv2d):
                super().__init__()
                self.first, self.second = Block(conv_layer, 1), Block(conv_layer, 2)

            def forward(self, x):
                return self.second(self.first(x))
    """,
    "told apart by identity": """
        class Net(nn.Module):
            def __init__(self, norm_layer=nn.InstanceNorm2d):
                super().__init__()
                self.conv = nn.Conv2d(3, 4, 3, bias=norm_layer == nn.InstanceNorm2d)
                self.norm = norm_layer(4)

            def forward(self, x):
                return self.norm(self.conv(x))
    """,
    "functions from a table": """
        ACTIVATIONS = {"gelu": F.gelu, "swish": F.silu, "relu": nn.ReLU()}

        class Net(nn.Module):
            def __init__(self, act="gelu"):
                super().__init__()
                self.fc, self.act = nn.Linear(6, 5), ACTIVATIONS[act]

            def forward(self, x):
                return self.act(self.fc(x))
    """,
    "options that differ from call to call": """
        class Conv(nn.Module):
            def __init__(self, inputs, outputs, **options):
                super().__init__()
                self.conv = nn.Conv2d(inputs, outputs, bias=False, **options)

            def forward(self, x):
                return self.conv(x)

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.first = Conv(3, 4, kernel_size=3, padding=1)
                self.second = Conv(4, 5, kernel_size=(1, 3), stride=2)

            def forward(self, x):
                return self.second(self.first(x))
    """,
    "a class that extends a convolution": """
        class Same(nn.Conv2d):
            def __init__(self, inputs, outputs, stride=1):
                super().__init__(inputs, outputs, kernel_size=3, stride=stride, padding=1)

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.second = Same(3, 4), Same(4, 5, stride=2)

            def forward(self, x):
                return self.second(self.first(x))
    """,
}


def migrated(folder: Path, name: str, to: str = "keras") -> Migration:
    """The network of that name, migrated and verified."""
    source = folder / "net.py"
    source.write_text(HEAD + textwrap.dedent(NETWORKS[name]))
    shape = "2x5x6" if "fc" in NETWORKS[name] or "LayerNorm" in NETWORKS[name] else "2x3x7x9"
    return netferry.migrate(source, entry="Net", to=to, call="Net()", inputs=[shape])


@pytest.mark.parametrize("name", NETWORKS)
def test_verified(tmp_path: Path, name: str) -> None:
    migration = migrated(tmp_path, name)
    assert migration.verification is not None
    assert (migration.verification.status, migration.verification.reason) == ("verified", "")
    assert "NotImplementedError" not in migration.code


def test_the_targets_own_class_is_handed_around(tmp_path: Path) -> None:
    code = migrated(tmp_path, "a convolution that pads").code
    assert "conv_layer=keras.layers.Conv2D" in code or "conv_layer=layers.Conv2D" in code
    assert "def conv2d(" not in code


def test_an_adapter_takes_what_the_users_class_takes(tmp_path: Path) -> None:
    code = migrated(tmp_path, "classes of which one is the user's").code
    assert "def batch_norm(num_features):" in code
    assert "norm(3)" in code


def test_identity_still_tells_classes_apart(tmp_path: Path) -> None:
    code = migrated(tmp_path, "told apart by identity").code
    assert "use_bias=norm_layer == instance_norm" in code
