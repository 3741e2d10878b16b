"""Networks that between them show every form of the pivot."""

from __future__ import annotations

from pathlib import Path

import netferry
from netferry.pivot.program import Program

RESIDUAL = '''"""A small residual network."""

import math

import torch
from torch import nn
import torch.nn.functional as F


# how wide
WIDTH = 8


def act(x: torch.Tensor, kind=nn.ReLU):
    # in place
    return x.relu_() if kind is nn.ReLU else F.gelu(x)


class Block(nn.Module):
    """Two convolutions."""

    def __init__(self, width, norm=nn.BatchNorm2d):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)  # same size
        self.norm = norm(width)
        self.scale = nn.Parameter(torch.ones(1, width, 1, 1))

    def forward(self, x):
        # the residual
        y = act(self.norm(self.conv(x)))
        y = y * self.scale
        return x + y


class Net(nn.Module):
    def __init__(self, classes=5):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, WIDTH, 3, stride=2),
            nn.ReLU(inplace=True),
        )
        self.blocks = nn.ModuleList([Block(WIDTH) for _ in range(2)])
        self.head = nn.Linear(WIDTH, classes, bias=False)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        values, _ = x.flatten(2).max(dim=-1)
        if values.shape[0] > 1000:
            values = torch.special.zeta(values, values)
        return self.head(values) / math.sqrt(
            WIDTH,  # a comment inside
        )
'''

ALTERNATING = """import torch
from torch import nn


class Own(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.width = width

    def forward(self, x):
        return x * 2


class Wide(nn.Conv2d):
    def __init__(self, width):
        super().__init__(width, width, 3)


class Net(nn.Module):
    def __init__(self, op=nn.Linear):
        super().__init__()
        self.first = op(6, 6)
        self.norms = nn.ModuleList([kind(6) for kind in (nn.LayerNorm, Own)])
        self.acts = nn.ModuleList([kind() for kind in (nn.ReLU, nn.Tanh)])
        self.wide = Wide(2)

    def forward(self, x):
        for norm, act in zip(self.norms, self.acts):
            x = act(norm(x))
        x = self.first(x) + self.first.weight.sum()
        return self.wide(x.view(x.size(0), 2, 6, 6))
"""

RECURRENT = """import torch
from torch import nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(11, 4)
        self.lstm = nn.LSTM(4, 4, bidirectional=True, batch_first=True)
        self.out = nn.Linear(8, 11)

    def forward(self, words):
        states, (h, c) = self.lstm(self.words(words))
        mask = torch.zeros_like(states)
        mask[:, 0] = 1
        return self.out(states * mask), h
"""

SOURCES = {
    "residual": (RESIDUAL, "Net()", ["2x3x9x9"]),
    "alternating": (ALTERNATING, "Net()", ["2x12x6"]),
    "recurrent": (RECURRENT, "Tagger()", ["2x7:int64:11"]),
}


def program(name: str, folder: Path) -> Program:
    """The pivot of one of the sources."""
    text, call, inputs = SOURCES[name]
    file = folder / f"{name}.py"
    file.write_text(text)
    return netferry.inspect(file, call=call, inputs=inputs)
