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
_SINGLE_TWICE = (2e-6, "Keras has complex64 only, also between the transforms of two axes")
_DOCS = {
    "fft": "The discrete Fourier transform along an axis, of the first n places or with zeros up to n.",
    "ifft": "The inverse of the discrete Fourier transform along an axis.",
    "rfft": "The first half of the Fourier transform of real numbers along an axis.",
    "irfft": "The n real numbers whose Fourier transform along an axis begins so.",
    "fft2": "The Fourier transform over two axes.",
    "ifft2": "The inverse Fourier transform over two axes.",
    "rfft2": "The half of the Fourier transform of real numbers over two axes that tells the other.",
    "irfft2": "The real numbers whose Fourier transform over two axes has this half.",
}
_POWERS = '{None: 0, "backward": 0, "ortho": 0.5, "forward": 1}[norm]'
"""Of n, what a forward transform is divided by; an inverse one, which divides by n itself, is multiplied by it."""
_KERAS = {
    "fft": "real, imag = keras.ops.fft((keras.ops.real(x), keras.ops.imag(x)))\n",
    "ifft": "real, imag = keras.ops.fft((keras.ops.real(x) / n, -keras.ops.imag(x) / n))\n",
    "rfft": "real, imag = keras.ops.rfft(x, n)\n",
}
"""How Keras spells a transform of the last axis: from pairs of real and imaginary parts to such."""


def _keras_code(name: str) -> str:
    head = f'def {name}(x, n=None, axis=-1, norm=None):\n    """{_DOCS[name]}"""\n    x = keras.ops.moveaxis(x, axis, -1)\n'
    if name == "irfft":
        return f"""{head}    n = n or 2 * (x.shape[-1] - 1)
    x = keras.ops.irfft((keras.ops.real(x), keras.ops.imag(x)), n) * n ** {_POWERS}
    return keras.ops.moveaxis(x, -1, axis)
"""
    fitted = "" if name == "rfft" else "    x = fitted(x, n)\n"
    scale = "*" if name == "ifft" else "/"
    return f"""{head}    n = n or x.shape[-1]
{fitted}    {_KERAS[name]}    parts = keras.ops.stack([real, {"-imag" if name == "ifft" else "imag"}], axis=-1) {scale} n ** {_POWERS}
    return keras.ops.moveaxis(keras.ops.view_as_complex(parts), -1, axis)
"""


def _tensorflow_code(name: str) -> str:
    scale = "*" if name.startswith("i") else "/"
    whole = "2 * (x.shape[-1] - 1)" if name == "irfft" else "x.shape[-1]"
    call = f"tf.signal.{name}(x, [n])" if "r" in name else f"tf.signal.{name}(fitted(x, n))"
    widen = "    x = x if x.dtype.is_complex else tf.complex(x, tf.zeros_like(x))\n" if "r" not in name else ""
    return f'''def {name}(x, n=None, axis=-1, norm=None):
    """{_DOCS[name]}"""
    x = tf.experimental.numpy.moveaxis(x, axis, -1)
{widen}    n = n or {whole}
    x = {call} {scale} n ** {_POWERS}
    return tf.experimental.numpy.moveaxis(x, -1, axis)
'''


def _over_two(name: str) -> str:
    """A transform over two axes, as two along one: the halved axis is the last one."""
    line = name.removesuffix("2")
    other = line.replace("r", "")
    first, second = (("rfft", "fft"), (1, 0)) if name == "rfft2" else ((other, line), (0, 1))
    sizes = [f"s and s[{axis}]" for axis in second]
    return f'''def {name}(x, s=None, axes=(-2, -1), norm=None):
    """{_DOCS[name]}"""
    x = {first[0]}(x, {sizes[0]}, axes[{second[0]}], norm)
    return {first[1]}(x, {sizes[1]}, axes[{second[1]}], norm)
'''


register_support(Support("fitted", {
    framework: f'''
def fitted(x, n):
    """The first `n` places of the last axis, with zeros after them where there are fewer."""
    x = x[..., :n]
    return {pad}(x, [[0, 0]] * (len(x.shape) - 1) + [[0, n - x.shape[-1]]])
''' for framework, pad in (("keras", "keras.ops.pad"), ("tensorflow", "tf.pad"))
}))  # fmt: skip


def _torch(name: str, rest: str, **maps: Any) -> Spelling:
    return Spelling(
        f"torch.fft.{name}", f"input, {rest}, norm=None, *, out=None", ignore=("out",), maps={"input": "x", **maps}
    )


def _register_along(name: str, reference: Callable[..., Any]) -> None:
    requires = ("fitted",) if "r" not in name else ()
    register_support(Support(name, {"keras": _keras_code(name), "tensorflow": _tensorflow_code(name)}, requires))
    signature = "n=None, axis=-1, norm=None"
    own = [Case({"x": _COMPLEX}, gradients=False), Case({"x": _COMPLEX}, {"norm": "ortho", "n": 4}, gradients=False)]
    real = [
        Case({"x": (3, 5)}, gradients=False),
        Case({"x": (3, 4, 2)}, {"axis": 1}, gradients=False),
        Case({"x": (3, 5)}, {"n": 4, "norm": "ortho"}, gradients=False),
        Case({"x": (3, 5)}, {"n": 7, "norm": "forward"}, gradients=False),
    ]
    register(
        OpDef(
            name, f"x, *, {signature}", _DOCS[name], layout="axis", reference=reference,
            spellings={
                "torch": [_torch(name, "n=None, dim=-1", dim="axis")],
                "tensorflow": [supported(name, f"x, {signature}")],
                "keras": [supported(name, f"x, {signature}")],
                "flax": [jax_call(f"jax.numpy.fft.{name}", f"a, {signature}", maps={"a": "x"})],
            },
            cases={"rfft": real, "irfft": own}.get(name, [*real, *own]),
            tolerance=_SINGLE,
        )
    )  # fmt: skip


def _register_over(name: str, reference: Callable[..., Any]) -> None:
    line = name.removesuffix("2")
    code = _over_two(name)
    register_support(Support(name, {"keras": code, "tensorflow": code}, tuple({line, line.replace("r", "")})))
    signature = "s=None, axes=(-2, -1), norm=None"
    own = [
        Case({"x": _COMPLEX}, gradients=False),
        Case({"x": _COMPLEX}, {"s": (2, 5), "norm": "ortho"}, gradients=False),
    ]
    real = [
        Case({"x": (2, 3, 5)}, gradients=False),
        Case({"x": (2, 4, 5, 3)}, {"axes": (1, 2), "norm": "ortho"}, gradients=False),
    ]
    register(
        OpDef(
            name, f"x, *, {signature}", _DOCS[name], reference=reference,
            spellings={
                "torch": [_torch(name, "s=None, dim=(-2, -1)", dim="axes")],
                "tensorflow": [supported(name, f"x, {signature}")],
                "keras": [supported(name, f"x, {signature}")],
                "flax": [jax_call(f"jax.numpy.fft.{name}", f"a, {signature}", maps={"a": "x"})],
            },
            cases={"rfft2": real, "irfft2": own}.get(name, [*real, *own]),
            tolerance=_SINGLE_TWICE,
        )
    )  # fmt: skip


for _name in ("fft", "ifft", "rfft", "irfft"):
    _register_along(_name, getattr(np.fft, _name))
for _name in ("fft2", "ifft2", "rfft2", "irfft2"):
    _register_over(_name, getattr(np.fft, _name))
