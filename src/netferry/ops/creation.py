"""Ops that make tensors from sizes, numbers or Python data."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling
from netferry.ops.forms import Maps, keras, parameters, template, tensorflow, torch_inplace
from netferry.ops.registry import register

_OPTIONS = "layout=None, device=None, requires_grad=False"
_IGNORED = ("layout", "device", "requires_grad", "pin_memory", "memory_format", "out", "name", "copy", "generator")
# TensorFlow's functions make float32 whatever the default type is; a network must follow the default type.
_FLOATX = "tf.keras.config.floatx()"


def _torch(name: str, signature: str, *, maps: Maps | None = None, **options: Any) -> Spelling:
    return Spelling(f"torch.{name}", parameters(signature, _OPTIONS), maps=maps or {}, ignore=_IGNORED, **options)


def _torch_method(name: str, signature: str, *, maps: Maps | None = None, **options: Any) -> Spelling:
    return Spelling(
        f"torch.Tensor.{name}",
        parameters("self", signature, "dtype=None", _OPTIONS, "pin_memory=False"),
        maps={"self": "x", **(maps or {})},
        ignore=_IGNORED,
        kind="method",
        **options,
    )


def _default_float(call: str, otherwise: Spelling) -> list[Spelling]:
    """A TensorFlow creation that names the default floating-point type when none is asked for."""
    return [template(f"{call}, dtype={_FLOATX})", when={"dtype": None}), otherwise]


_CONSTANTS = {"zeros": 0.0, "ones": 1.0, "empty": 0.0}


def _constant_reference(name: str, reference: Any) -> dict[str, Any]:
    """What an op of a family of constants has to be compared with: nothing where its elements are arbitrary."""
    return {"stochastic": True} if name == "empty" else {"reference": reference}


def _register_constants() -> None:
    """zeros, ones and empty, alone and like another tensor."""
    for name, value in _CONSTANTS.items():
        written = "zeros" if name == "empty" else name
        register(
            OpDef(
                name,
                "*, shape, dtype=None",
                "Uninitialised elements, written as zeros." if name == "empty" else f"A tensor of {name}.",
                layout="create",
                **_constant_reference(name, lambda shape, dtype=None, value=value: np.full(shape, value, dtype)),
                spellings={
                    "torch": [
                        _torch(
                            name,
                            "size, *, out=None, dtype=None",
                            maps={"size": "shape"},
                            when={"shape": ()},
                            read=False,
                        ),
                        _torch(name, "*size, out=None, dtype=None", maps={"size": "shape"}),
                    ],
                    "tensorflow": _default_float(
                        f"tf.{written}({{shape}}",
                        tensorflow(written, "shape, dtype='float32', name=None, layout=None", read=name != "empty"),
                    ),
                    "keras": [keras(written, "shape, dtype=None", read=name != "empty")],
                },
                cases=[
                    Case({}, {"shape": (2, 3)}, gradients=False),
                    Case({}, {"shape": (2,), "dtype": "int64"}, gradients=False),
                ],
            )
        )
        register(
            OpDef(
                f"{name}_like",
                "x, *, dtype=None",
                f"{name} in the shape of x, and in its type unless another is given.",
                layout="elementwise",
                **_constant_reference(name, lambda x, dtype=None, value=value: np.full_like(x, value, dtype)),
                spellings={
                    "torch": [
                        _torch(
                            f"{name}_like",
                            "input, *, dtype=None, memory_format=None",
                            maps={"input": "x"},
                        ),
                        *([torch_inplace("zero_")] if name == "zeros" else []),
                    ],
                    "tensorflow": [
                        tensorflow(
                            f"{written}_like",
                            "input, dtype=None, name=None, layout=None",
                            maps={"input": "x"},
                            read=name != "empty",
                        )
                    ],
                    "keras": [keras(f"{written}_like", "x, dtype=None", read=name != "empty")],
                },
                cases=[
                    Case({"x": (2, 3)}, gradients=False),
                    Case({"x": (2, 3)}, {"dtype": "int32"}, gradients=False),
                ],
            )
        )
        register(
            OpDef(
                f"new_{name}",
                "x, *, shape, dtype=None",
                f"{name} of a shape, in the type of x unless another is given.",
                layout="create",
                **_constant_reference(
                    name, lambda x, shape, dtype=None, value=value: np.full(shape, value, dtype or x.dtype)
                ),
                spellings={
                    "torch": [_torch_method(f"new_{name}", "*size", maps={"size": "shape"})],
                    "tensorflow": [
                        template(f"tf.{written}({{shape}}, dtype={{x}}.dtype)", when={"dtype": None}),
                        template(f"tf.{written}({{shape}}, dtype={{dtype}})"),
                    ],
                    "keras": [
                        template(f"keras.ops.{written}({{shape}}, dtype={{x}}.dtype)", when={"dtype": None}),
                        template(f"keras.ops.{written}({{shape}}, dtype={{dtype}})"),
                    ],
                },
                cases=[
                    Case({"x": (2, 3)}, {"shape": (4,)}, gradients=False),
                    Case({"x": (2, 3)}, {"shape": (4, 2), "dtype": "int32"}, gradients=False),
                ],
            )
        )


_register_constants()
register(
    OpDef(
        "full",
        "*, shape, value, dtype=None",
        "A tensor of one value, in the type of the value unless another is given.",
        layout="create",
        reference=lambda shape, value, dtype=None: np.full(shape, value, dtype),
        spellings={
            "torch": [
                _torch(
                    "full",
                    "size, fill_value, *, out=None, dtype=None",
                    maps={"size": "shape", "fill_value": "value"},
                    positional=2,
                )
            ],
            "tensorflow": [
                template(
                    "tf.fill({shape}, tf.constant({value}, dtype={dtype}))", when={"dtype": lambda d: d is not None}
                ),
                template(
                    f"tf.fill({{shape}}, tf.constant({{value}}, dtype={_FLOATX}))",
                    when={"value": lambda v: isinstance(v, float), "dtype": None},
                ),
                template("tf.fill({shape}, {value})", when={"dtype": None}),
                template("tf.fill({shape}, tf.constant({value}, dtype={dtype}))"),
                tensorflow("fill", "dims, value, name=None, layout=None", maps={"dims": "shape"}, write=False),
            ],
            "keras": [keras("full", "shape, fill_value, dtype=None", maps={"fill_value": "value"}, positional=2)],
        },
        cases=[
            Case({}, {"shape": (2, 3), "value": 0.1}, gradients=False),
            Case({}, {"shape": (2, 3), "value": 7, "dtype": "int64"}, gradients=False),
            Case({}, {"shape": (2,), "value": True, "dtype": "bool"}, gradients=False),
            Case({}, {"shape": (2,), "value": float("-inf")}, gradients=False),
        ],
    )
)
register(
    OpDef(
        "full_like",
        "x, *, value, dtype=None",
        "One value in the shape of x, and in its type unless another is given.",
        layout="elementwise",
        reference=lambda x, value, dtype=None: np.full_like(x, value, dtype),
        spellings={
            "torch": [
                _torch(
                    "full_like",
                    "input, fill_value, *, dtype=None, memory_format=None",
                    maps={"input": "x", "fill_value": "value"},
                    positional=2,
                ),
                torch_inplace("fill_", "value"),
            ],
            "tensorflow": [
                template("tf.fill({x}.shape, tf.constant({value}, dtype={x}.dtype))", when={"dtype": None}),
                template("tf.fill({x}.shape, tf.constant({value}, dtype={dtype}))"),
            ],
            "keras": [keras("full_like", "x, fill_value, dtype=None", maps={"fill_value": "value"}, positional=2)],
        },
        cases=[
            Case({"x": (2, 3)}, {"value": -0.1}, gradients=False),
            Case({"x": (2, 3)}, {"value": 2, "dtype": "int32"}, gradients=False),
        ],
    )
)
register(
    OpDef(
        "new_full",
        "x, *, shape, value, dtype=None",
        "One value in a shape, in the type of x unless another is given.",
        layout="create",
        reference=lambda x, shape, value, dtype=None: np.full(shape, value, dtype or x.dtype),
        spellings={
            "torch": [
                _torch_method(
                    "new_full", "size, fill_value, *", maps={"size": "shape", "fill_value": "value"}, positional=3
                )
            ],
            "tensorflow": [
                template("tf.fill({shape}, tf.constant({value}, dtype={x}.dtype))", when={"dtype": None}),
                template("tf.fill({shape}, tf.constant({value}, dtype={dtype}))"),
            ],
            "keras": [
                template("keras.ops.full({shape}, {value}, dtype={x}.dtype)", when={"dtype": None}),
                template("keras.ops.full({shape}, {value}, dtype={dtype})"),
            ],
        },
        cases=[Case({"x": (2, 3)}, {"shape": (4,), "value": 2}, gradients=False)],
    )
)
register(
    OpDef(
        "eye",
        "*, rows, columns=None, dtype=None",
        "Ones on the main diagonal, zeros elsewhere.",
        layout="none",
        reference=lambda rows, columns=None, dtype=None: np.eye(rows, columns, dtype=dtype),
        spellings={
            "torch": [
                _torch("eye", "n, m, *, out=None, dtype=None", maps={"n": "rows", "m": "columns"}, write=False),
                _torch("eye", "n, *, out=None, dtype=None", maps={"n": "rows"}, when={"columns": None}),
                _torch(
                    "eye", "n, m, *, out=None, dtype=None", maps={"n": "rows", "m": "columns"}, read=False, positional=2
                ),
            ],
            "tensorflow": [
                template(f"tf.eye({{rows}}, dtype={_FLOATX})", when={"columns": None, "dtype": None}),
                template(f"tf.eye({{rows}}, {{columns}}, dtype={_FLOATX})", when={"dtype": None}),
                tensorflow(
                    "eye",
                    "num_rows, num_columns=None, batch_shape=None, dtype='float32', name=None",
                    maps={"num_rows": "rows", "num_columns": "columns"},
                    fixed={"batch_shape": None},
                    positional=2,
                ),
            ],
            "keras": [
                keras(
                    "eye",
                    "N, M=None, k=0, dtype=None",
                    maps={"N": "rows", "M": "columns"},
                    fixed={"k": 0},
                    positional=2,
                )
            ],
        },
        cases=[
            Case({}, {"rows": 3}, gradients=False),
            Case({}, {"rows": 3, "columns": 4, "dtype": "int32"}, gradients=False),
        ],
    )
)


def _arange(stop: Any, start: Any = 0, step: Any = 1, dtype: Any = None) -> Any:
    return np.arange(start, stop, step).astype(dtype)


_RANGE = {"start": "start", "end": "stop"}
register(
    OpDef(
        "arange",
        "*, start=0, stop, step=1, dtype=None",
        "start, start + step, … in front of stop; without dtype int64 for integers, else the default float.",
        layout="none",
        reference=_arange,
        spellings={
            "torch": [
                _torch("arange", "end, *, out=None, dtype=None", maps=_RANGE, when={"start": 0, "step": 1}),
                _torch("arange", "start, end, *, out=None, dtype=None", maps=_RANGE, when={"step": 1}, positional=2),
                _torch("arange", "start, end, step, *, out=None, dtype=None", maps=_RANGE, positional=3),
            ],
            "tensorflow": [
                tensorflow(
                    "range",
                    "start, limit=None, delta=1, dtype=None, name='range'",
                    maps={"start": "stop", "delta": "step"},
                    fixed={"limit": None},
                    when={"start": 0, "step": 1},
                ),
                tensorflow(
                    "range",
                    "start, limit, delta=1, dtype=None, name='range'",
                    maps={"limit": "stop", "delta": "step"},
                    positional=3,
                ),
            ],
            "keras": [
                keras(
                    "arange",
                    "start, stop=None, step=None, dtype=None",
                    maps={"start": "stop"},
                    fixed={"stop": None, "step": None},
                    when={"start": 0, "step": 1},
                ),
                keras(
                    "arange", "start, stop, step=None, dtype=None", fixed={"step": None}, when={"step": 1}, positional=2
                ),
                keras("arange", "start, stop, step, dtype=None", positional=3),
            ],
        },
        cases=[
            Case({}, {"stop": 5, "dtype": "int64"}, gradients=False),
            Case({}, {"start": 2, "stop": 7, "dtype": "int64"}, gradients=False),
            Case({}, {"start": 0, "stop": 7, "step": 2, "dtype": "float64"}, gradients=False),
            Case({}, {"start": 5, "stop": -3, "step": -3, "dtype": "float64"}, gradients=False),
        ],
    )
)
register(
    OpDef(
        "linspace",
        "*, start, stop, num, dtype=None",
        "num evenly spaced numbers from start to stop, both included.",
        layout="none",
        reference=lambda start, stop, num, dtype=None: np.linspace(start, stop, num, dtype=dtype),
        spellings={
            "torch": [
                _torch(
                    "linspace",
                    "start, end, steps, *, out=None, dtype=None",
                    maps={"end": "stop", "steps": "num"},
                    positional=3,
                )
            ],
            "tensorflow": [
                template(
                    f"tf.linspace(tf.constant({{start}}, dtype={_FLOATX}), {{stop}}, {{num}})", when={"dtype": None}
                ),
                template("tf.linspace(tf.constant({start}, dtype={dtype}), {stop}, {num})"),
                tensorflow(
                    "linspace", "start, stop, num, name=None, axis=0", fixed={"axis": 0}, positional=3, write=False
                ),
            ],
            "keras": [
                keras(
                    "linspace",
                    "start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0",
                    fixed={"endpoint": True, "retstep": False, "axis": 0},
                    positional=3,
                )
            ],
        },
        cases=[
            Case({}, {"start": 0, "stop": 0.3, "num": 5}, gradients=False),
            Case({}, {"start": -0.1, "stop": 2, "num": 4, "dtype": "float64"}, gradients=False),
        ],
    )
)
register(
    OpDef(
        "tensor",
        "*, data, dtype=None",
        "A tensor of Python or NumPy data.",
        layout="none",
        reference=lambda data, dtype=None: np.array(data, dtype),
        spellings={
            "torch": [
                Spelling(
                    "torch.tensor",
                    "data, dtype=None, device=None, requires_grad=False, pin_memory=False",
                    ignore=_IGNORED,
                ),
                Spelling("torch.as_tensor", "data, dtype=None, device=None", ignore=_IGNORED, write=False),
                Spelling(
                    "torch.asarray",
                    "obj, *, dtype=None, device=None, copy=None, requires_grad=None",
                    maps={"obj": "data"},
                    ignore=_IGNORED,
                    write=False,
                ),
                Spelling("torch.from_numpy", "ndarray", maps={"ndarray": "data"}, write=False),
            ],
            "tensorflow": [
                Spelling(
                    "tf.constant",
                    "value, dtype=None, shape=None, name='Const'",
                    maps={"value": "data"},
                    fixed={"shape": None},
                    ignore=("name",),
                ),
                Spelling(
                    "tf.convert_to_tensor",
                    "value, dtype=None, dtype_hint=None, name=None",
                    maps={"value": "data"},
                    ignore=("dtype_hint", "name"),
                    write=False,
                ),
            ],
            "keras": [
                keras(
                    "convert_to_tensor",
                    "x, dtype=None, sparse=None, ragged=None",
                    maps={"x": "data"},
                    ignore=("sparse", "ragged"),
                ),
                keras("array", "x, dtype=None", maps={"x": "data"}, write=False),
            ],
        },
        cases=[
            Case({}, {"data": [1, 2, 3], "dtype": "int64"}, gradients=False),
            Case({}, {"data": [[0.1, 2.0], [0.0, -1.0]], "dtype": "float64"}, gradients=False),
            Case({}, {"data": True}, gradients=False),
        ],
    )
)
register(
    OpDef(
        "new_tensor",
        "x, *, data, dtype=None",
        "A tensor of Python data in the type of x unless another is given.",
        layout="none",
        reference=lambda x, data, dtype=None: np.array(data, dtype or x.dtype),
        spellings={
            "torch": [
                Spelling(
                    "torch.Tensor.new_tensor",
                    "self, data, dtype=None, device=None, requires_grad=False, pin_memory=False",
                    maps={"self": "x"},
                    ignore=_IGNORED,
                    kind="method",
                    positional=2,
                )
            ],
            "tensorflow": [
                template("tf.constant({data}, dtype={x}.dtype)", when={"dtype": None}),
                template("tf.constant({data}, dtype={dtype})"),
            ],
            "keras": [
                template("keras.ops.convert_to_tensor({data}, dtype={x}.dtype)", when={"dtype": None}),
                template("keras.ops.convert_to_tensor({data}, dtype={dtype})"),
            ],
        },
        cases=[Case({"x": (2, 3)}, {"data": [0.1, 2.0]}, gradients=False)],
    )
)
