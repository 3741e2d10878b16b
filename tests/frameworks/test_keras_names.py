"""Names that Keras gives, and those that generated code must give itself."""

from __future__ import annotations

from pathlib import Path

import pytest

import netferry
from netferry.frameworks.keras import names

SOURCE = """
import torch
from torch import nn


class _Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc = nn.Linear(width, width)

    def forward(self, x):
        return torch.relu(self.fc(x))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(_Block(6), _Block(6))

    def forward(self, x):
        return self.blocks(x)
"""


@pytest.mark.parametrize(("name", "made"), [("DenseLayer", "dense_layer"), ("ASPPHead", "aspp_head")])
def test_snake_case(name: str, made: str) -> None:
    assert names.snake_case(name) == made


def test_instances_of_private_classes_have_names_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(SOURCE)
    migration = netferry.migrate(tmp_path / "net.py", to="keras", entry="Net", call="Net()", inputs=["2x6"])
    assert migration.verification is not None
    assert migration.verification.status == "verified", migration.verification.reason
    assert "get_uid('block')" in migration.code
