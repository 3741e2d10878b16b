"""How people write networks in Linen and NNX: factories, lists of modules, functions among layers, old and new names."""

from __future__ import annotations

from pathlib import Path

import pytest

import netferry

HEAD = (
    "import jax\nimport jax.numpy as jnp\nfrom functools import partial\nfrom typing import Any\n"
    "from flax import linen as nn\nfrom flax import nnx\n\n\n"
)
FACTORIES = """class Block(nn.Module):
    filters: int
    conv: Any
    act: Any = nn.relu
    strides: tuple = (1, 1)

    @nn.compact
    def __call__(self, x, train: bool):
        y = self.conv(self.filters, (3, 3), self.strides)(x)
        y = self.act(nn.BatchNorm(use_running_average=not train)(y))
        return y + self.conv(self.filters, (1, 1), self.strides)(x)


class Net(nn.Module):
    conv: Any = nn.Conv

    @nn.compact
    def __call__(self, x, train: bool = False):
        conv = partial(self.conv, use_bias=False)
        x = conv(4, (5, 5), padding=[(2, 2), (2, 2)])(x)
        x = Block(6, conv=conv, strides=(2, 2))(x, train)
        return jnp.mean(x, axis=(1, 2))
"""
FUNCTIONS = """class Net(nn.Module):
    def setup(self):
        layers = [nn.Conv(4, (3, 3))]
        layers.append(nn.relu)
        self.net = nn.Sequential([
            *layers,
            lambda x: nn.avg_pool(x, window_shape=(2, 2), strides=(2, 2)),
            lambda x: x.reshape((x.shape[0], -1)),
            nn.Dense(5),
        ])
        self.heads = [nn.Dense(n) for n in (3, 4)]

    def __call__(self, x):
        self.sow("intermediates", "features", x)
        x = self.net(x)
        for head in self.heads:
            x = head(x)
        return x
"""
TRANSPOSED = """class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.ConvTranspose(6, (3, 3), strides=(2, 2))(x)
        x = nn.ConvTranspose(4, (2, 2), strides=(2, 2), padding="VALID", transpose_kernel=True)(x)
        return jnp.std(x, axis=-1)
"""
SIZES = """class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        y = jax.lax.dynamic_slice_in_dim(x, 1, 3, axis=1)
        n, length, width = y.shape
        start = self.param("start", nn.initializers.zeros, (1, 1, width))
        y = jnp.concatenate([jnp.tile(start, [n, 1, 1]), y], axis=1)
        return nn.Dense(width)(y)
"""


def migrated(folder: Path, text: str, to: str, shape: str) -> netferry.Migration:
    """The network of ``text``, whose class is called ``Net``."""
    file = folder / "net.py"
    file.write_text(HEAD + text)
    return netferry.migrate(file, entry="Net", to=to, call="Net()", inputs=[shape])


@pytest.mark.parametrize("to", ["torch", "keras"])
@pytest.mark.parametrize(
    ("text", "shape"), [(FACTORIES, "2x9x8x3"), (FUNCTIONS, "2x8x6x3"), (TRANSPOSED, "2x5x4x3"), (SIZES, "2x5x6")]
)
def test_networks_are_verified(tmp_path, text, to, shape):
    made = migrated(tmp_path, text, to, shape)
    assert made.verification.status == "verified", made.verification.reason


def test_an_activation_that_is_handed_in_stays_so(tmp_path):
    code = migrated(tmp_path, FACTORIES, "torch", "2x9x8x3").code
    assert "self.act(self.bn(y))" in code
    assert 'conv: Any = partial(AutoPadConv2d, padding="same")' in code


def test_functions_among_layers_are_layers(tmp_path):
    code = migrated(tmp_path, FUNCTIONS, "torch", "2x8x6x3").code
    assert "nn.AvgPool2d((2, 2), stride=(2, 2))" in code
    assert "nn.Flatten()" in code
    assert "layers.append(nn.ReLU())" in code
    assert "self.heads = nn.ModuleList(" in code
    assert "None" not in code
