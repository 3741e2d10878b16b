"""What PyTorch code leaves unsaid: axes taken from the rank, shortcuts that are functions, gains by a name handed in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import netferry

NETWORK = """import torch
import torch.nn.functional as F
from torch import nn


class Shortcut(nn.Module):
    def __init__(self, before, after, gain="tanh"):
        super().__init__()
        self.conv = nn.Conv2d(before, after, 1)
        nn.init.xavier_uniform_(self.conv.weight, gain=nn.init.calculate_gain(gain))
        if before != after:
            self.shortcut = nn.Conv2d(before, after, 1, bias=False)
        else:
            self.shortcut = lambda x: x

    def forward(self, x):
        return self.conv(x) + self.shortcut(x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(Shortcut(3, 4), Shortcut(4, 4), nn.LogSoftmax())

    def forward(self, x):
        y = self.body(x)
        return y, F.softmax(y.mean((2, 3)))
"""


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
def test_what_is_left_unsaid_is_written_out(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(NETWORK)
    made: Any = netferry.migrate(file, entry="Net", to="keras", inputs=["2x3x6x5"])
    assert made.status == 0, [str(d) for d in made.diagnostics]
    assert 'layers.Activation("log_softmax")' in made.code and "axis=1)" in made.code
    assert "self.shortcut = lambda x: x" in made.code and ".get(gain, 1.0)" in made.code
    assert "len(x.shape)" not in made.code
