"""Ops that read a tensor's shape."""

from __future__ import annotations

import math

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling
from netferry.ops.forms import keras, template, tensorflow, torch_attribute, torch_method
from netferry.ops.registry import register

register(
    OpDef(
        "shape",
        "x",
        "The sizes of all axes.",
        layout="shape",
        reference=lambda x: np.array(x.shape),
        spellings={
            "torch": [torch_attribute("shape"), torch_method("size", write=False)],
            # Sizes that are known are numbers; the number of samples, which ``fit`` leaves open, is a tensor.
            "tensorflow": [
                template("tf.keras.ops.shape({x})"),
                tensorflow(
                    "shape", "input, out_type=None, name=None", maps={"input": "x"}, ignore=("out_type",), write=False
                ),
                Spelling("tf.Tensor.shape", "self", maps={"self": "x"}, kind="attribute", write=False),
                Spelling("tf.Tensor.get_shape", "self", maps={"self": "x"}, kind="method", write=False),
            ],
            "keras": [keras("shape", "x")],
            "flax": [template("{x}.shape")],
        },
        cases=[Case({"x": (2, 3, 4)}, gradients=False)],
    )
)
register(
    OpDef(
        "size",
        "x, *, axis",
        "The size of one axis.",
        layout="size",
        reference=lambda x, axis: np.array(x.shape[axis]),
        spellings={
            "torch": [torch_method("size", "dim", maps={"dim": "axis"}, positional=2)],
            "tensorflow": [
                template("{x}.shape[-1]", when={"axis": -1}),
                template("tf.shape({x})[0]", when={"axis": 0}),
                template("tf.keras.ops.shape({x})[{axis}]"),
            ],
            "keras": [template("{x}.shape[-1]", when={"axis": -1}), template("keras.ops.shape({x})[{axis}]")],
        },
        cases=[
            Case({"x": (2, 3, 4)}, {"axis": 1}, gradients=False),
            Case({"x": (2, 3, 4)}, {"axis": -1}, gradients=False),
        ],
    )
)
register(
    OpDef(
        "rank",
        "x",
        "The number of axes.",
        layout="elementwise",
        reference=lambda x: np.array(x.ndim),
        spellings={
            "torch": [
                torch_method("dim"),
                torch_method("ndimension", write=False),
                torch_attribute("ndim", write=False),
            ],
            "tensorflow": [template("len({x}.shape)")],
            "keras": [template("len({x}.shape)"), keras("ndim", "x", write=False)],
        },
        cases=[Case({"x": (2, 3, 4)}, gradients=False)],
    )
)
register(
    OpDef(
        "numel",
        "x",
        "The number of elements.",
        layout="elementwise",
        reference=lambda x: np.array(math.prod(x.shape)),
        spellings={
            "torch": [
                torch_method("numel"),
                Spelling("torch.numel", "self", maps={"self": "x"}, write=False),
                torch_method("nelement", write=False),
            ],
            "tensorflow": [template("math.prod({x}.shape)")],
            "keras": [template("math.prod(keras.ops.shape({x}))")],
        },
        cases=[Case({"x": (2, 3, 4)}, gradients=False)],
    )
)
