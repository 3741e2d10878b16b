"""Source files made up for measurements: a network of about so many lines, and one of so many parameters."""

from __future__ import annotations

_HEAD = '''"""A synthetic network: {blocks} blocks of three kinds, one after the other."""

import torch
import torch.nn as nn
import torch.nn.functional as F

'''

_BLOCKS = (
    '''
class Residual{n}(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, channels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # the shortcut is the identity: nothing changes size here
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(self.dropout(out)))
        return F.relu(out + x)

''',
    '''
class Squeeze{n}(nn.Module):
    """Channels weighted by what the whole image shows."""

    def __init__(self, channels: int, reduction: int = 2) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, channels // reduction)
        self.fc2 = nn.Linear(channels // reduction, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        scale = x.mean(dim=(2, 3))
        scale = torch.sigmoid(self.fc2(F.gelu(self.fc1(scale))))
        return x * scale.view(b, c, 1, 1)

''',
    '''
class Attention{n}(nn.Module):
    """Self-attention between all pixels."""

    def __init__(self, channels: int, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        qkv = self.qkv(tokens).reshape(b, h * w, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        weights = F.softmax(q @ k.transpose(-2, -1) / (c // self.heads) ** 0.5, dim=-1)
        tokens = (weights @ v).transpose(1, 2).reshape(b, h * w, c)
        return x + self.out(tokens).transpose(1, 2).reshape(b, c, h, w)

''',
)
_NAMES = ("Residual", "Squeeze", "Attention")

_NETWORK = '''
class Net(nn.Module):
    """All blocks between a stem and a linear layer."""

    def __init__(self, channels: int = 8, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, channels, kernel_size=3, padding=1)
{construct}
        self.head = nn.Linear(channels, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x))
{apply}
        return self.head(x.mean(dim=(2, 3)))
'''

WIDE = '''"""A network whose size is an argument."""

import torch.nn as nn
import torch.nn.functional as F


class Wide(nn.Module):
    def __init__(self, width: int, depth: int = 15) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.head(x)
'''
"""``Wide(8192)`` has a billion parameters."""


def network(lines: int) -> str:
    """A PyTorch file of at least ``lines`` lines whose network is ``Net``.

    >>> 1000 <= len(network(1000).splitlines()) < 1030
    True
    """
    blocks: list[str] = []
    text = ""
    while text.count("\n") < lines:
        n = len(blocks)
        blocks.append(_BLOCKS[n % len(_BLOCKS)].replace("{n}", str(n)))
        text = _assemble(blocks)
    return text


def _assemble(blocks: list[str]) -> str:
    names = [f"{_NAMES[n % len(_NAMES)]}{n}" for n in range(len(blocks))]
    construct = "\n".join(f"        self.block{n} = {name}(channels)" for n, name in enumerate(names))
    apply = "\n".join(f"        x = self.block{n}(x)" for n in range(len(blocks)))
    head = _HEAD.replace("{blocks}", str(len(blocks)))
    return head + "".join(blocks) + _NETWORK.replace("{construct}", construct).replace("{apply}", apply)
