"""Channels-last layout: axes are renumbered, transposes vanish where they can, and stay where order can be seen."""

from __future__ import annotations

import functools
import inspect
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from netferry.migration import read
from netferry.passes.layout.edit import apply, leading_reads
from netferry.passes.layout.orders import Order
from netferry.passes.layout.solve import Fold, solve

LAST = (0, 2, 3, 1)

NETWORKS = {
    "shuffle": """
        conv = nn.Conv2d(6, 6, 3)
        out = nn.Conv2d(6, 4, 1)

        x = self.conv(x)
        b, c, h, w = x.shape
        x = x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)
        return self.out(x)
        """,
    "patches": """
        proj = nn.Conv2d(3, 8, 2, stride=2)
        norm = nn.LayerNorm(8)

        return self.norm(self.proj(x).flatten(2).transpose(1, 2))
        """,
    "patches by sizes": """
        proj = nn.Conv2d(3, 8, 2, stride=2)

        x = self.proj(x)
        n, c, h, w = x.shape
        return x.reshape(n, c, h * w).permute(0, 2, 1)
        """,
    "flatten": """
        conv = nn.Conv2d(3, 4, 3)
        fc = nn.Linear(4 * 4 * 5, 7)

        return self.fc(torch.flatten(torch.relu(self.conv(x)), 1))
        """,
    "flatten that is seen": """
        conv = nn.Conv2d(3, 4, 3)
        fc = nn.Linear(4 * 4 * 5, 7)

        x = torch.flatten(self.conv(x), 1)
        return self.fc(x), x
        """,
    "squeezed": """
        conv = nn.Conv2d(3, 4, 3)

        x = self.conv(x).mean(3, keepdim=True).squeeze(3).unsqueeze(-1)
        return x.squeeze(-1).amax(2)
        """,
    "joined": """
        a = nn.Conv2d(3, 4, 1)
        b = nn.Conv2d(3, 5, 1)

        y = torch.cat([self.a(x), self.b(x)], dim=1)
        return y * y.mean((2, 3), keepdim=True) + y[:, :1]
        """,
    "scaled": """
        conv = nn.Conv2d(3, 4, 1)
        scale = nn.Parameter(torch.ones(4, 1, 1))

        return self.conv(x) * self.scale
        """,
    "sequence": """
        fc = nn.Linear(7, 4)

        return self.fc(x).softmax(1)
        """,
    "shapes": """
        conv = nn.Conv2d(3, 4, 1)

        x = self.conv(x)
        return x / x.shape[1] + x.size(2) - x.size(-1)
        """,
    "noise for images and tokens": """
        conv = nn.Conv2d(3, 4, 3)

        def noisy(v):
            return v * torch.full([v.shape[0]] + [1] * (v.ndim - 1), 0.5)

        x = noisy(self.conv(x))
        return noisy(x.permute(0, 2, 3, 1).flatten(1, 2).unsqueeze(1))
        """,
}


@dataclass(frozen=True)
class Laid:
    """A network after the pass."""

    forward: str
    input: Order
    output: Order | None
    folds: tuple[Fold, ...]

    @property
    def transposes(self) -> list[str]:
        """Every transpose that is written, as ``perm``."""
        return re.findall(r"op\.transpose\(.*?perm=(\(.*?\))", self.forward)


@functools.cache
def laid(name: str, *, keep: bool = False, input: str = "2x3x6x7") -> Laid:
    """A network of :data:`NETWORKS`, laid out."""
    head, _, body = inspect.cleandoc(NETWORKS[name]).partition("\n\n")
    lines = ["import torch", "from torch import nn", "class Net(nn.Module):", "    def __init__(self):"]
    lines += ["        super().__init__()", *(f"        self.{line}" for line in head.splitlines())]
    lines += ["    def forward(self, x):", *(f"        {line}" for line in body.splitlines())]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "net.py"
        file.write_text("\n".join(lines) + "\n")
        reading = read(str(file), "Net", "Net()", [input])
    recording = reading.observation.recording
    found = solve(recording, keep_interface=keep, leading=leading_reads(reading.program))
    text = str(apply(reading.program.copy(), found))
    forward = text[text.index("def forward") : text.index("op.network(")]
    output: Any = recording.outputs
    return Laid(
        forward,
        found.order(recording.inputs[0]),
        None if isinstance(output, tuple) else found.order(output),
        tuple(found.weight_folds.values()),
    )


def test_a_channel_shuffle_stays_channels_last() -> None:
    made = laid("shuffle", input="2x6x7x8")
    assert "b, h, w, c = op.shape(x)" in made.forward
    assert "shape=(b, h, w, 2, c // 2)" in made.forward
    assert "shape=(b, h, w, c)" in made.forward
    assert made.transposes == ["(0, 1, 2, 4, 3)"]


@pytest.mark.parametrize("name", ["patches", "patches by sizes"])
def test_the_transpose_after_patches_vanishes(name: str) -> None:
    made = laid(name, input="2x3x6x10")
    assert (made.input, made.output) == (LAST, (0, 1, 2))
    assert made.transposes == []
    assert ("start_axis=1, end_axis=2" in made.forward) or ("shape=(n, h * w, c)" in made.forward)


def test_a_flatten_folds_into_the_next_weights() -> None:
    made = laid("flatten")
    assert made.transposes == []
    assert made.folds == (Fold(axis=1, sizes=(4, 4, 5), order=(1, 2, 0)),)


def test_a_flatten_that_is_seen_keeps_the_sources_sequence() -> None:
    made = laid("flatten that is seen")
    assert made.transposes == ["(0, 3, 1, 2)"]
    assert made.folds == ()


def test_squeezed_axes_are_renumbered() -> None:
    made = laid("squeezed")
    assert made.transposes == []
    assert "axes=2, keepdims=True" in made.forward
    assert made.forward.count("axis=2)") == 3
    assert "axes=1)" in made.forward
    assert made.output == (0, 1)


def test_concatenation_reduction_and_slices_follow_the_channels() -> None:
    made = laid("joined")
    assert made.transposes == []
    assert "axis=-1)" in made.forward and "axes=(1, 2), keepdims=True" in made.forward
    assert "y[..., :1]" in made.forward
    assert (made.input, made.output) == (LAST, LAST)


def test_a_parameter_that_broadcasts_is_turned() -> None:
    assert laid("scaled").transposes == ["(1, 2, 0)"]


def test_reads_of_sizes_are_renumbered() -> None:
    forward = laid("shapes").forward
    assert "op.shape(x)[-1] + op.size(x, axis=1) - op.size(x, axis=2)" in forward


def test_axes_of_size_one_read_the_same_in_every_order() -> None:
    made = laid("noise for images and tokens")
    assert made.transposes == []
    assert "op.shape(v)[0]" in made.forward
    assert (made.input, made.output) == (LAST, (0, 1, 2, 3))


def test_what_has_no_channels_is_left_alone() -> None:
    made = laid("sequence")
    assert (made.input, made.output) == ((0, 1, 2, 3), (0, 1, 2, 3))
    assert "axis=1)" in made.forward


def test_inputs_that_are_kept_are_transposed_inside() -> None:
    made = laid("joined", keep=True)
    assert made.input == (0, 1, 2, 3)
    assert set(made.transposes) == {"(0, 2, 3, 1)"}
