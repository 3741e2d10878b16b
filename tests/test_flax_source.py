"""Flax networks, NNX and Linen, to other frameworks: what comes out, and that it computes the same."""

from __future__ import annotations

from pathlib import Path

import pytest

import netferry

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Flax warns of `.value`, which people write.

NNX = "import jax\nimport jax.numpy as jnp\nfrom functools import partial\nfrom flax import nnx\n\n\n"
LINEN = "import jax\nimport jax.numpy as jnp\nfrom functools import partial\nfrom typing import Any, Sequence\nimport flax.linen as nn\n\n\n"
CNN = '''class Block(nnx.Module):
    """A convolution, scaled by channel."""

    def __init__(self, din: int, dout: int, *, rngs: nnx.Rngs):
        self.conv = nnx.Conv(din, dout, kernel_size=(3, 3), use_bias=False, rngs=rngs)
        self.bn = nnx.BatchNorm(dout, rngs=rngs)
        self.scale = nnx.Param(jnp.ones((dout,)))

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        x = self.bn(self.conv(x), use_running_average=not train)
        return nnx.relu(x) * self.scale.value


class Net(nnx.Module):
    def __init__(self, classes: int = 5, *, rngs: nnx.Rngs):
        # the stem halves the image
        self.stem = nnx.Conv(3, 4, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)), rngs=rngs)
        self.blocks = nnx.List([Block(4, 4, rngs=rngs), Block(4, 6, rngs=rngs)])
        self.pool = partial(nnx.max_pool, window_shape=(2, 2), strides=(2, 2))
        self.dropout = nnx.Dropout(0.1, rngs=rngs)
        self.head = nnx.Sequential(nnx.Linear(6 * 4 * 3, 8, rngs=rngs), nnx.gelu, nnx.Linear(8, classes, rngs=rngs))

    def __call__(self, x, *, train: bool = False):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x, train=train)
        x = self.pool(x)
        x = x.reshape(x.shape[0], -1)
        return self.head(self.dropout(x, deterministic=not train))
'''
ATTENTION = """class Net(nnx.Module):
    def __init__(self, width=8, *, rngs: nnx.Rngs):
        self.embed = nnx.Embed(11, width, rngs=rngs)
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.attend = nnx.MultiHeadAttention(2, width, decode=False, rngs=rngs)
        self.seen = nnx.Variable(jnp.zeros(()))

    def __call__(self, tokens):
        x = self.embed(tokens)
        mask = nnx.make_causal_mask(tokens)
        x = x + self.attend(self.norm(x), mask=mask) / jnp.sqrt(4.0)
        x = x.at[:, 0].set(1.0)
        return self.embed.attend(x)
"""
COMPACT = """class Block(nn.Module):
    features: int
    strides: int = 1
    norm: Any = nn.BatchNorm

    @nn.compact
    def __call__(self, x, train: bool):
        residual = x
        y = nn.Conv(self.features, (3, 3), strides=(self.strides, self.strides), use_bias=False)(x)
        y = self.norm(use_running_average=not train, momentum=0.9)(y)
        if residual.shape != y.shape:
            residual = nn.Conv(self.features, (1, 1), (self.strides, self.strides), name="proj")(residual)
        return nn.relu(residual + y)


class Net(nn.Module):
    stages: Sequence[int]
    classes: int = 5
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, train: bool = True):
        for i, n in enumerate(self.stages):
            x = Block(n, strides=1 if i < 2 else 2)(x, train)
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        x = (x * scale).mean(axis=(1, 2))
        x = nn.Dense(2 * x.shape[-1], dtype=self.dtype, name="hidden")(x)
        x = nn.Dropout(0.2, deterministic=not train)(nn.gelu(x))
        return nn.log_softmax(nn.Dense(self.classes)(x))
"""
SETUP = """class Coder(nn.Module):
    width: int
    out: int = 3

    def setup(self):
        self.fc1 = nn.Dense(self.width)
        self.fc2 = nn.Dense(self.out)

    def __call__(self, x):
        return self.fc2(nn.tanh(self.fc1(x)))


class Net(nn.Module):
    def setup(self):
        self.encoder = Coder(7, 4)
        self.decoder = Coder(5, out=6)

    def __call__(self, x, z_rng):
        z = self.encoder(x)
        z = z + jax.random.normal(z_rng, z.shape)
        return nn.sigmoid(self.decoder(z))
"""


def migrated(
    folder: Path, source: str, target: str, call: str, inputs: list[str], *, verify: bool = True
) -> netferry.Migration:
    """The network of a file migrated to ``target``."""
    file = folder / "net.py"
    file.write_text(source)
    return netferry.migrate(file, entry="Net", to=target, call=call, inputs=inputs, verify=verify)


@pytest.mark.parametrize("target", ["torch", "keras"])
def test_convolutions_of_nnx(tmp_path: Path, target: str) -> None:
    found = migrated(tmp_path, NNX + CNN, target, "Net(rngs=nnx.Rngs(0))", ["2x16x12x3"])
    assert found.verification is not None
    assert found.verification.passed, found.verification.reason
    for leftover in ("rngs", "deterministic", "train:", "train=", "jax", ".value"):
        assert leftover not in found.code
    assert "# the stem halves the image" in found.code
    assert '"""A convolution, scaled by channel."""' in found.code


def test_torch_code_of_nnx_is_idiomatic(tmp_path: Path) -> None:
    code = migrated(tmp_path, NNX + CNN, "torch", "Net(rngs=nnx.Rngs(0))", ["2x16x12x3"], verify=False).code
    assert "nn.Conv2d(3, 4, (3, 3), stride=(2, 2), padding=1)" in code
    assert "F.relu(x) * self.scale[:, None, None]" in code
    assert "nn.ModuleList([Block(4, 4), Block(4, 6)])" in code
    assert "super().__init__()" in code
    assert 'nn.GELU("tanh")' in code
    assert "permute" in code or "x.reshape(x.shape[0], -1)" in code


@pytest.mark.parametrize("target", ["torch", "keras"])
def test_attention_and_updates_of_nnx(tmp_path: Path, target: str) -> None:
    found = migrated(tmp_path, NNX + ATTENTION, target, "Net(rngs=nnx.Rngs(0))", ["2x5:int32:11"])
    assert found.verification is not None
    assert found.verification.passed, found.verification.reason
    assert "math.sqrt(4.0)" in found.code


@pytest.mark.parametrize("target", ["torch", "keras"])
def test_compact_modules_of_linen(tmp_path: Path, target: str) -> None:
    found = migrated(tmp_path, LINEN + COMPACT, target, "Net((4, 4, 6))", ["2x8x12x3"])
    assert found.verification is not None
    assert found.verification.passed, found.verification.reason
    assert "self.hidden = " in found.code
    assert "self.proj = " in found.code
    for leftover in ("jnp", "train:", "train=", "dtype=self"):
        assert leftover not in found.code


def test_sizes_decide_in_constructors(tmp_path: Path) -> None:
    """Whether a layer is made follows from sizes that only the run shows."""
    code = migrated(tmp_path, LINEN + COMPACT, "torch", "Net((4, 4, 6))", ["2x8x12x3"], verify=False).code
    made = code[code.index("class Block") : code.index("class Net")]
    assert "if in_features != features:\n            self.proj = " in made or "if in_channels != features:\n" in made
    assert " = n\n" in code


@pytest.mark.parametrize("target", ["torch", "keras"])
def test_setup_and_random_numbers_of_linen(tmp_path: Path, target: str) -> None:
    found = migrated(tmp_path, LINEN + SETUP, target, "Net()", ["3x6"])
    assert found.verification is not None
    assert found.verification.passed, found.verification.reason
    assert "rng" not in found.code


def test_the_call_is_found_with_its_generators(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(NNX + CNN)
    found = netferry.migrate(file, to="torch", entry="Net", inputs=["2x16x12x3"], verify=False)
    assert found.summary["entry"] == "Net(rngs=nnx.Rngs(0))"


def test_what_nobody_else_has_is_named(tmp_path: Path) -> None:
    """Layers stacked by a transformation have no equivalent: a diagnostic, no wrong code."""
    source = NNX + (
        "class Net(nnx.Module):\n"
        "    def __init__(self, *, rngs: nnx.Rngs):\n"
        "        @nnx.split_rngs(splits=3)\n"
        "        @nnx.vmap(axis_size=3)\n"
        "        def make(rngs: nnx.Rngs):\n"
        "            return nnx.Linear(4, 4, rngs=rngs)\n\n"
        "        self.layers = make(rngs)\n\n"
        "    def __call__(self, x):\n"
        "        return x @ self.layers.kernel[0]\n"
    )
    found = migrated(tmp_path, source, "torch", "Net(rngs=nnx.Rngs(0))", ["2x4"], verify=False)
    assert any("vmap" in d.message for d in found.diagnostics)
    assert "raise NotImplementedError" in found.code
