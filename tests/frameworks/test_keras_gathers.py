"""Indexing with tensors becomes a gather that every backend has, with the axes where the source has them."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import pytest

import netferry

SOURCE = """import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(9, 3))
        self.register_buffer("index", torch.tensor([[0, 3, 8], [1, 2, 4]]))
        self.register_buffer("keep", torch.tensor([True, False, True, True, False, False]))

    def forward(self, x, ids, pos):
        rows = torch.arange(x.shape[0])
        bias = self.table[self.index]
        first = x[rows, ids.argmax(dim=-1)]
        apart = x[rows, :, pos]
        along = x[:, pos]
        last = x[..., pos]
        masked = x[:, self.keep]
        numbered = x[0, :, pos]
        behind = x[:, ids, pos[:, None]]
        listed = x[:, [0, 2, 5]]
        sliced = x[rows, 2:, pos]
        fixed = x[rows, -1]
        return bias, first, apart, along, last, masked, numbered, behind, listed, sliced, fixed
"""


@functools.cache
def migrated(to: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "net.py"
        file.write_text(SOURCE)
        return netferry.migrate(file, entry="Net", to=to, inputs=["4x6x5", "4x6:int64:6", "4:int64:5"])


@pytest.mark.parametrize("target", ["keras", "tensorflow"])
def test_indexing_with_tensors(target: str) -> None:
    assert migrated(target).verify().status == "verified"


@pytest.mark.parametrize(
    "line",
    [
        "bias = ops.take(self.table, self.index, axis=0)",
        "first = take_at(x, rows, ops.argmax(ids, axis=-1))",
        "apart = take_at(ops.transpose(x, (0, 2, 1)), rows, pos)",
        "along = ops.take(x, pos, axis=1)",
        "last = ops.take(x, pos, axis=-1)",
        "numbered = ops.take(x[0], pos, axis=-1)",
        "fixed = ops.take(x[:, -1], rows, axis=0)",
    ],
)
def test_gathers_are_short(line: str) -> None:
    assert line in migrated("keras").code
