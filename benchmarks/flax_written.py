"""Networks written by hand in Flax NNX, that migrated ones of the same widths are timed beside."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

_Conv = partial(nnx.Conv, use_bias=False)
_Norm = partial(nnx.BatchNorm, momentum=0.9)


class Bottleneck(nnx.Module):  # type: ignore[misc]
    """Three convolutions around a shortcut; the middle one strides."""

    def __init__(self, in_features: int, features: int, stride: int, *, rngs: nnx.Rngs) -> None:
        out_features = 4 * features
        self.conv1 = _Conv(in_features, features, (1, 1), rngs=rngs)
        self.norm1 = _Norm(features, rngs=rngs)
        self.conv2 = _Conv(features, features, (3, 3), strides=stride, padding=1, rngs=rngs)
        self.norm2 = _Norm(features, rngs=rngs)
        self.conv3 = _Conv(features, out_features, (1, 1), rngs=rngs)
        self.norm3 = _Norm(out_features, rngs=rngs)
        if stride != 1 or in_features != out_features:
            conv = _Conv(in_features, out_features, (1, 1), strides=stride, rngs=rngs)
            self.shortcut = nnx.Sequential(conv, _Norm(out_features, rngs=rngs))
        else:
            self.shortcut = None

    def __call__(self, x: jax.Array) -> jax.Array:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        x = nnx.relu(self.norm1(self.conv1(x)))
        x = nnx.relu(self.norm2(self.conv2(x)))
        x = self.norm3(self.conv3(x))
        return nnx.relu(x + shortcut)


class ResNet50(nnx.Module):  # type: ignore[misc]
    """Sixteen bottlenecks in four stages."""

    def __init__(self, classes: int = 1000, *, rngs: nnx.Rngs) -> None:
        self.conv = _Conv(3, 64, (7, 7), strides=2, padding=3, rngs=rngs)
        self.norm = _Norm(64, rngs=rngs)
        self.blocks = nnx.List([])
        in_features = 64
        for stage, depth in enumerate((3, 4, 6, 3)):
            features = 64 * 2**stage
            for block in range(depth):
                stride = 2 if stage and not block else 1
                self.blocks.append(Bottleneck(in_features, features, stride, rngs=rngs))
                in_features = 4 * features
        self.head = nnx.Linear(in_features, classes, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.norm(self.conv(x)))
        x = nnx.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(axis=(1, 2)))


class EncoderBlock(nnx.Module):  # type: ignore[misc]
    """Attention and a perceptron, each behind a normalisation and with a shortcut."""

    def __init__(self, features: int, heads: int, hidden: int, *, rngs: nnx.Rngs) -> None:
        self.norm1 = nnx.LayerNorm(features, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(heads, features, decode=False, rngs=rngs)
        self.norm2 = nnx.LayerNorm(features, rngs=rngs)
        self.linear1 = nnx.Linear(features, hidden, rngs=rngs)
        self.linear2 = nnx.Linear(hidden, features, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.attention(self.norm1(x))
        y = nnx.gelu(self.linear1(self.norm2(x)), approximate=False)
        return x + self.linear2(y)


class VisionTransformer(nnx.Module):  # type: ignore[misc]
    """The base size, for patches of 16 x 16."""

    def __init__(self, classes: int = 1000, size: int = 224, features: int = 768, *, rngs: nnx.Rngs) -> None:
        self.patches = nnx.Conv(3, features, (16, 16), strides=16, padding="VALID", rngs=rngs)
        self.token = nnx.Param(jnp.zeros((1, 1, features)))
        self.positions = nnx.Param(0.02 * jax.random.normal(rngs.params(), (1, (size // 16) ** 2 + 1, features)))
        self.blocks = nnx.List([EncoderBlock(features, 12, 4 * features, rngs=rngs) for _ in range(12)])
        self.norm = nnx.LayerNorm(features, rngs=rngs)
        self.head = nnx.Linear(features, classes, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.patches(x)
        batch, _, _, features = x.shape
        token = jnp.broadcast_to(self.token[...], (batch, 1, features))
        x = jnp.concatenate([token, x.reshape(batch, -1, features)], axis=1)
        x = x + self.positions[...]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])
