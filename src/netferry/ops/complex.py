"""Complex tensors, as rotary embeddings use them: pairs of reals in the last axis and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling
from netferry.ops.forms import keras, template, tensorflow, torch_attribute, torch_both, torch_function, torch_method
from netferry.ops.registry import register

_COMPLEX = np.array([[1.0 + 2.0j, -0.5 + 0.1j], [0.3 - 1.0j, 2.0 + 0.0j]])

_SINGLE = (2e-7, "Keras has complex64 only")

register(
    OpDef(
        "view_as_complex",
        "x",
        "Complex numbers of the real and imaginary parts in the last axis, which has size 2.",
        reference=lambda x: x[..., 0] + 1j * x[..., 1],
        spellings={
            "torch": [torch_function("view_as_complex")],
            "tensorflow": [template("tf.complex({x}[..., 0], {x}[..., 1])")],
            "keras": [keras("view_as_complex", "x")],
            "flax": [template("jax.lax.complex({x}[..., 0], {x}[..., 1])")],
        },
        cases=[Case({"x": (3, 4, 2)}, gradients=False)],
        tolerance=_SINGLE,
    )
)
register(
    OpDef(
        "view_as_real",
        "x",
        "Real and imaginary parts as a new last axis.",
        reference=lambda x: np.stack([x.real, x.imag], -1),
        spellings={
            "torch": [torch_function("view_as_real")],
            "tensorflow": [template("tf.stack([tf.math.real({x}), tf.math.imag({x})], axis=-1)")],
            "keras": [keras("view_as_real", "x")],
            "flax": [template("jax.numpy.stack([{x}.real, {x}.imag], axis=-1)")],
        },
        cases=[Case({"x": _COMPLEX}, gradients=False)],
    )
)
register(
    OpDef(
        "complex",
        "x, imag",
        "Complex numbers of real and imaginary parts.",
        layout="elementwise",
        reference=lambda x, imag: x + 1j * imag,
        spellings={
            "torch": [Spelling("torch.complex", "real, imag, *, out=None", maps={"real": "x"}, ignore=("out",))],
            "tensorflow": [tensorflow("complex", "real, imag, name=None", maps={"real": "x"})],
            "keras": [template("keras.ops.view_as_complex(keras.ops.stack([{x}, {imag}], axis=-1))")],
            "flax": [Spelling("jax.lax.complex", "x, y", maps={"y": "imag"})],
        },
        cases=[Case({"x": (3, 4), "imag": (3, 4)}, gradients=False)],
        tolerance=_SINGLE,
    )
)
register(
    OpDef(
        "polar",
        "x, angle",
        "Complex numbers of absolute values and angles.",
        layout="elementwise",
        reference=lambda x, angle: x * np.exp(1j * angle),
        spellings={
            "torch": [Spelling("torch.polar", "abs, angle, *, out=None", maps={"abs": "x"}, ignore=("out",))],
            "tensorflow": [template("tf.complex({x} * tf.cos({angle}), {x} * tf.sin({angle}))")],
            "keras": [
                template(
                    "keras.ops.view_as_complex(keras.ops.stack([{x} * keras.ops.cos({angle}), {x} * keras.ops.sin({angle})], axis=-1))"
                )
            ],
            "flax": [template("jax.lax.complex({x} * jax.numpy.cos({angle}), {x} * jax.numpy.sin({angle}))")],
        },
        cases=[Case({"x": (3, 4), "angle": (3, 4)}, gradients=False)],
        tolerance=_SINGLE,
    )
)


def _register_parts() -> None:
    """real and imag."""
    parts: dict[str, Callable[[Any], Any]] = {"real": np.real, "imag": np.imag}
    for name, reference in parts.items():
        register(
            OpDef(
                name,
                "x",
                f"The {name} part.",
                layout="elementwise",
                reference=reference,
                spellings={
                    "torch": [torch_attribute(name), torch_function(name, write=False)],
                    "tensorflow": [tensorflow(f"math.{name}", "input, name=None", maps={"input": "x"})],
                    "keras": [keras(name, "x")],
                    "flax": [template(f"{{x}}.{name}")],
                },
                cases=[Case({"x": _COMPLEX}, gradients=False)],
            )
        )


_register_parts()

register(
    OpDef(
        "conj",
        "x",
        "The complex conjugate.",
        layout="elementwise",
        reference=np.conj,
        spellings={
            "torch": [
                *torch_both("conj"),
                torch_method("conj_physical", write=False),
                torch_function("resolve_conj", write=False),
                torch_method("resolve_conj", write=False),
            ],
            "tensorflow": [tensorflow("math.conj", "x, name=None")],
            "keras": [keras("conj", "x")],
        },
        cases=[Case({"x": _COMPLEX}, gradients=False), Case({"x": (2, 3)})],
    )
)
