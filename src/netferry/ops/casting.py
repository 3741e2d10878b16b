"""Ops that change a tensor's type, place or graph membership but not its values, and ops that leave the framework."""

from __future__ import annotations

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling
from netferry.ops.forms import (
    keras,
    template,
    tensorflow,
    torch_attribute,
    torch_both,
    torch_function,
    torch_method,
)
from netferry.ops.layer_forms import keras_layer, torch_layer
from netferry.ops.registry import register

_TRANSFER = "non_blocking=False, copy=False, *, memory_format=None"
_TRANSFER_NAMES = ("device", "non_blocking", "copy", "memory_format")
_CASTING_METHODS = {
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "bfloat16": "bfloat16",
    "long": "int64",
    "int": "int32",
    "short": "int16",
    "char": "int8",
    "byte": "uint8",
    "bool": "bool",
}

register(
    OpDef(
        "cast_like",
        "x, *, like",
        "x in the type of another tensor.",
        layout="elementwise",
        spellings={
            "torch": [
                torch_method("type_as", "other", maps={"other": "like"}),
                torch_method(
                    "to",
                    f"other, {_TRANSFER}",
                    maps={"other": "like"},
                    ignore=_TRANSFER_NAMES,
                    kinds={"other": "tensor"},
                    write=False,
                ),
            ],
            "tensorflow": [template("tf.cast({x}, {like}.dtype)")],
            "keras": [template("keras.ops.cast({x}, {like}.dtype)")],
        },
    )
)
register(
    OpDef(
        "cast",
        "x, *, dtype",
        "x in another type.",
        layout="elementwise",
        reference=lambda x, dtype: x.astype(np.float64 if dtype.startswith("float") else dtype),
        spellings={
            "torch": [
                torch_method(
                    "to", f"dtype, {_TRANSFER}", ignore=_TRANSFER_NAMES, kinds={"dtype": "dtype"}, positional=2
                ),
                torch_method(
                    "to",
                    f"device, dtype, {_TRANSFER}",
                    ignore=_TRANSFER_NAMES,
                    kinds={"dtype": "dtype"},
                    write=False,
                ),
                torch_method(
                    "type",
                    "dtype, non_blocking=False",
                    ignore=("non_blocking",),
                    kinds={"dtype": "dtype"},
                    write=False,
                ),
                *(
                    torch_method(
                        name, "memory_format=None", ignore=("memory_format",), implies={"dtype": dtype}, write=False
                    )
                    for name, dtype in _CASTING_METHODS.items()
                ),
            ],
            "tensorflow": [tensorflow("cast", "x, dtype, name=None", positional=2)],
            "keras": [keras("cast", "x, dtype", positional=2)],
        },
        cases=[
            Case({"x": (2, 3)}, {"dtype": "float64"}),
            Case({"x": np.array([[-1.5, 0.0, 2.7]])}, {"dtype": "int32"}, gradients=False),
            Case({"x": np.array([[-1.5, 0.0, 2.7]])}, {"dtype": "bool"}, gradients=False),
        ],
    )
)


register(
    OpDef(
        "identity",
        "x",
        "x itself: copies, memory order and devices have no meaning for the result.",
        layout="elementwise",
        reference=lambda x: x,
        spellings={
            "torch": [
                *torch_both("clone", "*, memory_format=None", prefer="method", ignore=("memory_format",)),
                torch_method(
                    "to",
                    f"device=None, dtype=None, {_TRANSFER}",
                    ignore=_TRANSFER_NAMES,
                    fixed={"dtype": None},
                    write=False,
                ),
                torch_method("contiguous", "memory_format=None", ignore=("memory_format",), write=False),
                torch_method("cpu", "memory_format=None", ignore=_TRANSFER_NAMES, write=False),
                torch_method(
                    "cuda", "device=None, non_blocking=False, memory_format=None", ignore=_TRANSFER_NAMES, write=False
                ),
                torch_method("pin_memory", "device=None", ignore=("device",), write=False),
                torch_method(
                    "requires_grad_", "mode=True, *, requires_grad=True", ignore=("mode", "requires_grad"), write=False
                ),
                torch_layer("Identity", "*args", ignore=("args",)),
                torch_method("resolve_conj", write=False),
                torch_method("resolve_neg", write=False),
            ],
            "tensorflow": [
                keras_layer("tf.keras", "Identity"),
                template("{x}"),
                tensorflow("identity", "input, name=None", maps={"input": "x"}, write=False),
            ],
            "keras": [
                keras_layer("keras", "Identity"),
                template("{x}"),
                keras("copy", "x", write=False),
                Spelling("keras.activations.linear", "x", write=False),
            ],
        },
        cases=[Case({"x": (2, 3)})],
    )
)
register(
    OpDef(
        "stop_gradient",
        "x",
        "x as a constant for differentiation.",
        layout="elementwise",
        reference=lambda x: x,
        spellings={
            "torch": [
                torch_method("detach"),
                torch_function("detach", write=False),
                torch_method("detach_", inplace=True, write=False),
                torch_attribute("data", write=False),
            ],
            "tensorflow": [tensorflow("stop_gradient", "input, name=None", maps={"input": "x"})],
            "keras": [keras("stop_gradient", "variable", maps={"variable": "x"})],
        },
        cases=[Case({"x": (2, 3)}, gradients=False)],
    )
)


def _register_reads() -> None:
    """Attributes of a tensor that are no tensors."""
    for name, doc, attribute, tf_text, keras_text in (
        ("dtype_of", "The type of the elements.", "dtype", "{x}.dtype", "{x}.dtype"),
        (
            "device_of",
            "Where the tensor lies; targets that place tensors themselves have none.",
            "device",
            "None",
            "None",
        ),
        ("is_cuda", "Whether the tensor lies on a CUDA device.", "is_cuda", "False", "False"),
    ):
        register(
            OpDef(
                name,
                "x",
                doc,
                layout="elementwise",
                spellings={
                    "torch": [torch_attribute(attribute)],
                    "tensorflow": [template(tf_text)],
                    "keras": [template(keras_text)],
                },
            )
        )


_register_reads()


def _register_exports() -> None:
    """Values that leave the framework."""
    for name, doc, parameters, suffix in (
        ("item", "The only element as a Python number.", "", ".item()"),
        ("tolist", "The elements as nested Python lists.", "", ".tolist()"),
        ("numpy", "The tensor as a NumPy array.", "*, force=False", ""),
    ):
        register(
            OpDef(
                name,
                "x",
                doc,
                layout="opaque",
                spellings={
                    "torch": [torch_method(name, parameters, ignore=("force",))],
                    "tensorflow": [template("{x}.numpy()" + suffix)],
                    "keras": [template("keras.ops.convert_to_numpy({x})" + suffix)],
                    "flax": [template("{x}" + suffix if suffix else "np.asarray({x})")],
                },
            )
        )


_register_exports()


def _register_limits() -> None:
    """The range and precision of a type, as NumPy's object."""
    for name in ("finfo", "iinfo"):
        register(
            OpDef(
                name,
                "*, dtype",
                "The limits of a type: min, max, eps and so on.",
                layout="none",
                spellings={
                    "torch": [Spelling(f"torch.{name}", "type", maps={"type": "dtype"}, positional=1)],
                    "tensorflow": [template(f"np.{name}(tf.as_dtype({{dtype}}).as_numpy_dtype)")],
                    "keras": [template(f"np.{name}(keras.backend.standardize_dtype({{dtype}}))")],
                    "flax": [template(f"jax.numpy.{name}({{dtype}})")],
                },
            )
        )


_register_limits()
register(
    OpDef(
        "default_dtype",
        "",
        "The type of floating-point tensors made without one.",
        layout="none",
        spellings={
            "torch": [Spelling("torch.get_default_dtype", "")],
            "tensorflow": [template("tf.as_dtype(tf.keras.config.floatx())")],
            "keras": [Spelling("keras.config.floatx", "")],
            "flax": [template("jax.numpy.result_type(float)")],
        },
    )
)
register(
    OpDef(
        "is_tensor",
        "value",
        "Whether a value is a tensor.",
        layout="none",
        spellings={
            "torch": [Spelling("torch.is_tensor", "obj", maps={"obj": "value"})],
            "tensorflow": [Spelling("tf.is_tensor", "x", maps={"x": "value"})],
            "keras": [keras("is_tensor", "x", maps={"x": "value"})],
            "flax": [template("isinstance({value}, jax.Array)")],
        },
    )
)
