"""Fourier transforms; complex numbers in and out, as in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling, Support
from netferry.ops.forms import supported
from netferry.ops.jax_forms import jax_call
from netferry.ops.registry import register, register_support

_COMPLEX = np.array([[1.0 + 2.0j, -0.5 + 0.1j, 0.4 - 0.3j], [0.3 - 1.0j, 2.0 + 0.0j, -1.2 + 0.7j]])
_SINGLE = (4e-7, "Keras has complex64 only")
_KERAS = {
    "fft": "real, imag = keras.ops.fft((keras.ops.real(x), keras.ops.imag(x)))",
    "ifft": "real, imag = keras.ops.fft((keras.ops.real(x) / x.shape[-1], -keras.ops.imag(x) / x.shape[-1]))",
    "rfft": "real, imag = keras.ops.rfft(x)",
    "fft2": "real, imag = keras.ops.fft2((keras.ops.real(x), keras.ops.imag(x)))",
    "ifft2": "real, imag = keras.ops.ifft2((keras.ops.real(x), keras.ops.imag(x)))",
}
"""How Keras spells a transform of the last axis (or the last two): from pairs of real and imaginary parts to such."""
_DOCS = {
    "fft": "The discrete Fourier transform along an axis.",
    "ifft": "The inverse of the discrete Fourier transform along an axis.",
    "rfft": "The first half of the Fourier transform of real numbers along an axis.",
    "fft2": "The Fourier transform over the last two axes.",
    "ifft2": "The inverse Fourier transform over the last two axes.",
}
_TENSORFLOW = {"fft": "fft", "ifft": "ifft", "rfft": "rfft", "fft2": "fft2d", "ifft2": "ifft2d"}


def _keras_code(name: str) -> str:
    sign = "-imag" if name == "ifft" else "imag"
    made = f"keras.ops.view_as_complex(keras.ops.stack([real, {sign}], axis=-1))"
    if name.endswith("2"):
        return f'def {name}(x):\n    """{_DOCS[name]}"""\n    {_KERAS[name]}\n    return {made}\n'
    return f'''def {name}(x, axis=-1):
    """{_DOCS[name]}"""
    x = keras.ops.moveaxis(x, axis, -1)
    {_KERAS[name]}
    return keras.ops.moveaxis({made}, -1, axis)
'''


def _tensorflow_code(name: str) -> str:
    function = f"tf.signal.{_TENSORFLOW[name]}"
    pair = "" if name == "rfft" else "    if not x.dtype.is_complex:\n        x = tf.complex(x, tf.zeros_like(x))\n"
    if name.endswith("2"):
        return f'def {name}(x):\n    """{_DOCS[name]}"""\n{pair}    return {function}(x)\n'
    return f'''def {name}(x, axis=-1):
    """{_DOCS[name]}"""
    x = tf.experimental.numpy.moveaxis(x, axis, -1)
{pair}    return tf.experimental.numpy.moveaxis({function}(x), -1, axis)
'''


def _torch(name: str, rest: str, **options: Any) -> Spelling:
    return Spelling(
        f"torch.fft.{name}",
        f"input, {rest}, norm=None, *, out=None",
        ignore=("out",),
        fixed={"norm": None, **options.pop("fixed", {})},
        maps={"input": "x", "dim": "axis"},
        **options,
    )


def _register_transforms() -> None:
    """Transforms along one axis, and over the last two."""
    along: dict[str, Callable[..., Any]] = {"fft": np.fft.fft, "ifft": np.fft.ifft, "rfft": np.fft.rfft}
    for name, reference in along.items():
        register_support(Support(name, {"keras": _keras_code(name), "tensorflow": _tensorflow_code(name)}))
        cases = [Case({"x": (3, 5)}, gradients=False), Case({"x": (3, 4, 2)}, {"axis": 1}, gradients=False)]
        register(
            OpDef(
                name, "x, *, axis=-1", _DOCS[name], layout="axis",
                reference=lambda x, axis=-1, reference=reference: reference(x, axis=axis),
                spellings={
                    "torch": [_torch(name, "n=None, dim=-1", fixed={"n": None})],
                    "tensorflow": [supported(name, "x, axis=-1")],
                    "keras": [supported(name, "x, axis=-1")],
                    "flax": [jax_call(f"jax.numpy.fft.{name}", "a, n=None, axis=-1", maps={"a": "x"}, fixed={"n": None})],
                },
                cases=cases if name == "rfft" else [*cases, Case({"x": _COMPLEX}, gradients=False)],
                tolerance=_SINGLE,
            )
        )  # fmt: skip
    over: dict[str, Callable[[Any], Any]] = {"fft2": np.fft.fft2, "ifft2": np.fft.ifft2}
    for name, reference in over.items():
        register_support(Support(name, {"keras": _keras_code(name), "tensorflow": _tensorflow_code(name)}))
        register(
            OpDef(
                name, "x", _DOCS[name], reference=reference,
                spellings={
                    "torch": [_torch(name, "s=None, dim=(-2, -1)", fixed={"s": None, "dim": (-2, -1)})],
                    "tensorflow": [supported(name, "x")],
                    "keras": [supported(name, "x")],
                    "flax": [jax_call(f"jax.numpy.fft.{name}", "a", maps={"a": "x"})],
                },
                cases=[Case({"x": (2, 3, 5)}, gradients=False), Case({"x": _COMPLEX}, gradients=False)],
                tolerance=_SINGLE,
            )
        )  # fmt: skip


_register_transforms()
