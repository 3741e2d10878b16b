"""Small PyTorch networks, their Keras twins (right ones, and with one fault each), and the weight maps between them."""

from __future__ import annotations

from typing import Any

import keras
import torch
from torch import nn

from netferry.weights.map import Entry, WeightMap
from netferry.weights.rearrange import Recipe

CONV = (2, 3, 1, 0)
DENSE = (1, 0)
FAULTS = ("padding", "layout", "epsilon", "slope", "frozen", "statistics", "momentum", "training")


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.bn = nn.BatchNorm2d(width)
        self.act = nn.LeakyReLU(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.bn(self.conv(x)))


class Source(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(3), Block(3)])
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        for block in self.blocks:
            x = block(x)
        return {"features": x, "logits": self.head(self.drop(x.mean((2, 3))))}


class KerasBlock(keras.layers.Layer):
    def __init__(self, width: int, fault: str) -> None:
        super().__init__()
        same = fault == "padding"
        self.pad = keras.layers.ZeroPadding2D(0 if same else 1)
        self.conv = keras.layers.Conv2D(width, 3, strides=2, padding="same" if same else "valid")
        self.conv.trainable = fault != "frozen"
        self.bn = keras.layers.BatchNormalization(
            epsilon=1e-3 if fault == "epsilon" else 1e-5, momentum=0.99 if fault == "momentum" else 0.9
        )
        self.act = keras.layers.LeakyReLU(0.3 if fault == "slope" else 0.1)
        self.fault = fault

    def call(self, x: Any) -> Any:
        training = {"training": False} if self.fault == "training" else {}
        return self.act(self.bn(self.conv(self.pad(x)), **training))


class Target(keras.Model):
    def __init__(self, fault: str = "", bias: bool = True) -> None:
        super().__init__()
        self.blocks = [KerasBlock(3, ""), KerasBlock(3, fault)]
        self.drop = keras.layers.Dropout(0.5)
        self.head = keras.layers.Dense(4, use_bias=bias)

    def call(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return {"features": x, "logits": self.head(self.drop(keras.ops.mean(x, axis=(1, 2))))}


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.norm = nn.LayerNorm(6)
        self.lm_head = nn.Linear(6, 11, bias=False)
        self.lm_head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.lm_head(self.norm(self.embed(tokens)))


class KerasTied(keras.Model):
    def __init__(self, tied: bool = True) -> None:
        super().__init__()
        self.embed = keras.layers.Embedding(11, 6)
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5)
        self.lm_head = None if tied else keras.layers.Dense(11, use_bias=False)

    def call(self, tokens: Any) -> Any:
        x = self.norm(self.embed(tokens))
        if self.lm_head is not None:
            return self.lm_head(x)
        return keras.ops.matmul(x, keras.ops.transpose(self.embed.embeddings))


def entry(source: str, target: str, axes: tuple[int, ...] = (), kind: Any = "parameter") -> Entry:
    """One array moved, its axes transposed."""
    steps = ({"op": "transpose", "axes": list(axes)},) if axes else ()
    return Entry(target, Recipe(((source, steps),)), kind == "parameter", kind)


def weight_map(fault: str = "", bias: bool = True) -> WeightMap:
    """From :class:`Source` to :class:`Target`."""
    entries = []
    for i in (0, 1):
        axes = (3, 2, 1, 0) if fault == "layout" and i else CONV
        entries += [
            entry(f"blocks.{i}.conv.weight", f"blocks.{i}.conv.kernel", axes),
            entry(f"blocks.{i}.conv.bias", f"blocks.{i}.conv.bias"),
            entry(f"blocks.{i}.bn.weight", f"blocks.{i}.bn.gamma"),
            entry(f"blocks.{i}.bn.bias", f"blocks.{i}.bn.beta"),
        ]
        if fault != "statistics":
            entries += [
                entry(f"blocks.{i}.bn.running_mean", f"blocks.{i}.bn.moving_mean", kind="buffer"),
                entry(f"blocks.{i}.bn.running_var", f"blocks.{i}.bn.moving_variance", kind="buffer"),
            ]
    entries.append(entry("head.weight", "head.kernel", DENSE))
    if bias:
        entries.append(entry("head.bias", "head.bias"))
    return WeightMap(entries, "torch", "keras")


def tied_map(tied: bool = True) -> WeightMap:
    """From :class:`Tied` to :class:`KerasTied`."""
    entries = [entry("embed.weight", "embed.embeddings"), entry("norm.weight", "norm.gamma")]
    entries.append(entry("norm.bias", "norm.beta"))
    if not tied:
        entries.append(entry("lm_head.weight", "lm_head.kernel", DENSE))
    return WeightMap(entries, "torch", "keras")
