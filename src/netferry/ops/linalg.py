"""Products, norms and factorisations of matrices and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from netferry.ops.core import Case, Conversion, OpDef, Spelling, Support
from netferry.ops.forms import keras, supported, template, tensorflow, torch_both, torch_method
from netferry.ops.jax_forms import jax_call
from netferry.ops.registry import register, register_support

_TF_MATMUL = (
    "a, b, transpose_a=False, transpose_b=False, adjoint_a=False, adjoint_b=False, a_is_sparse=False, "
    "b_is_sparse=False, output_type=None, grad_a=False, grad_b=False, name=None"
)
_TF_FLAGS = dict.fromkeys(
    ("transpose_a", "transpose_b", "adjoint_a", "adjoint_b", "a_is_sparse", "b_is_sparse", "grad_a", "grad_b"), False
)


def _binary(name: str, second: str, *, prefer: str = "none", out: bool = True) -> list[Spelling]:
    return torch_both(name, second, out=out, prefer=prefer, maps={second: "other"})


register(
    OpDef(
        "matmul",
        "x, other",
        "The matrix product over the last two axes, batched over the others; a one-dimensional operand is a vector.",
        layout="matmul",
        reference=lambda x, other: x @ other,
        spellings={
            "torch": [
                *_binary("matmul", "other", prefer="function"),
                *_binary("mm", "mat2"),
                *_binary("bmm", "mat2"),
                torch_method("__matmul__", "other", write=False),
                Spelling("torch.spmm", "input, mat2", maps={"input": "x", "mat2": "other"}, write=False),
            ],
            "tensorflow": [
                tensorflow(
                    "matmul", _TF_MATMUL, maps={"a": "x", "b": "other"}, fixed={**_TF_FLAGS, "output_type": None}
                ),
                Spelling(
                    "tf.linalg.matmul",
                    _TF_MATMUL,
                    maps={"a": "x", "b": "other"},
                    fixed={**_TF_FLAGS, "output_type": None},
                    ignore=("name",),
                    write=False,
                ),
            ],
            "keras": [keras("matmul", "x1, x2", maps={"x1": "x", "x2": "other"})],
        },
        cases=[
            Case({"x": (2, 3), "other": (3, 4)}),
            Case({"x": (5, 2, 3), "other": (5, 3, 4)}),
            Case({"x": (5, 2, 3), "other": (3, 4)}),
            Case({"x": (6, 1, 2, 3), "other": (5, 3, 4)}),
        ],
    )
)
register(
    OpDef(
        "matvec",
        "x, other",
        "Matrices times a vector.",
        layout="opaque",
        reference=lambda x, other: x @ other,
        spellings={
            "torch": _binary("mv", "vec", prefer="function"),
            "tensorflow": [
                tensorflow(
                    "linalg.matvec",
                    "a, b, transpose_a=False, adjoint_a=False, a_is_sparse=False, b_is_sparse=False, name=None",
                    maps={"a": "x", "b": "other"},
                    fixed=dict.fromkeys(("transpose_a", "adjoint_a", "a_is_sparse", "b_is_sparse"), False),
                )
            ],
            "keras": [keras("matmul", "x1, x2", maps={"x1": "x", "x2": "other"}, read=False)],
        },
        cases=[Case({"x": (2, 3), "other": (3,)})],
    )
)
register(
    OpDef(
        "dot",
        "x, other",
        "The inner product of two vectors.",
        layout="opaque",
        reference=np.dot,
        spellings={
            "torch": _binary("dot", "tensor", prefer="function"),
            "tensorflow": [template("tf.tensordot({x}, {other}, axes=1)")],
            "keras": [keras("dot", "x1, x2", maps={"x1": "x", "x2": "other"})],
        },
        cases=[Case({"x": (3,), "other": (3,)})],
    )
)
register(
    OpDef(
        "inner",
        "x, other",
        "Sums of products over the last axis of both.",
        layout="opaque",
        reference=np.inner,
        spellings={
            "torch": _binary("inner", "other", prefer="function"),
            "tensorflow": [template("tf.tensordot({x}, {other}, axes=[[-1], [-1]])")],
            "keras": [keras("inner", "x1, x2", maps={"x1": "x", "x2": "other"})],
        },
        cases=[Case({"x": (2, 3), "other": (4, 3)}), Case({"x": (3,), "other": (3,)})],
    )
)
register(
    OpDef(
        "outer",
        "x, other",
        "All products of the elements of two vectors.",
        layout="opaque",
        reference=np.outer,
        spellings={
            "torch": [*_binary("outer", "vec2", prefer="function"), *_binary("ger", "vec2")],
            "tensorflow": [template("tf.tensordot({x}, {other}, axes=0)")],
            "keras": [keras("outer", "x1, x2", maps={"x1": "x", "x2": "other"})],
        },
        cases=[Case({"x": (2,), "other": (3,)})],
    )
)


def _register_fused() -> None:
    """addmm and its relatives: beta * x + alpha * (a @ b)."""
    for name, first, second, shapes in (
        ("addmm", "mat1", "mat2", ((2, 4), (2, 3), (3, 4))),
        ("baddbmm", "batch1", "batch2", ((5, 2, 4), (5, 2, 3), (5, 3, 4))),
        ("addmv", "mat", "vec", ((2,), (2, 3), (3,))),
    ):
        plain = {"beta": 1, "alpha": 1}
        product = "linalg.matvec" if name == "addmv" else "matmul"
        texts = {"tensorflow": f"tf.{product}({{a}}, {{b}})", "keras": "keras.ops.matmul({a}, {b})"}
        register(
            OpDef(
                name,
                "x, a, b, *, beta=1, alpha=1",
                "beta * x + alpha * (a @ b).",
                reference=lambda x, a, b, beta=1, alpha=1: beta * x + alpha * (a @ b),
                spellings={
                    "torch": torch_both(
                        name, f"{first}, {second}, *, beta=1, alpha=1", out=True, maps={first: "a", second: "b"}
                    ),
                    **{
                        framework: [
                            template("{x} + " + text, when=plain),
                            template("{beta} * {x} + {alpha} * " + text),
                        ]
                        for framework, text in texts.items()
                    },
                },
                cases=[
                    Case(dict(zip(("x", "a", "b"), shapes, strict=True))),
                    Case(dict(zip(("x", "a", "b"), shapes, strict=True)), {"beta": 0.5, "alpha": 2.0}),
                ],
            )
        )


_register_fused()
register(
    OpDef(
        "einsum",
        "xs, *, equation",
        "Einstein's summation over the axes named in the equation.",
        layout="einsum",
        reference=lambda xs, equation: np.einsum(equation, *xs),
        spellings={
            "torch": [Spelling("torch.einsum", "equation, *operands", maps={"operands": "xs"})],
            "tensorflow": [Spelling("tf.einsum", "equation, *inputs", maps={"inputs": "xs"})],
            "keras": [keras("einsum", "subscripts, *operands", maps={"subscripts": "equation", "operands": "xs"})],
        },
        cases=[
            Case({"xs": [(2, 3), (3, 4)]}, {"equation": "ij,jk->ik"}),
            Case({"xs": [(2, 5, 3), (2, 4, 3)]}, {"equation": "bqd,bkd->bqk"}),
            Case({"xs": [(2, 5, 3), (3, 4)]}, {"equation": "...d,de->...e"}),
            Case({"xs": [(2, 3, 4)]}, {"equation": "abc -> cab"}),
        ],
    )
)
register(
    OpDef(
        "tensordot",
        "x, other, *, axes=2",
        "Sums of products over several axes.",
        layout="opaque",
        reference=lambda x, other, axes=2: np.tensordot(x, other, axes),
        spellings={
            "torch": [
                Spelling(
                    "torch.tensordot",
                    "a, b, dims=2, out=None",
                    maps={"a": "x", "b": "other", "dims": "axes"},
                    ignore=("out",),
                )
            ],
            "tensorflow": [tensorflow("tensordot", "a, b, axes, name=None", maps={"a": "x", "b": "other"})],
            "keras": [keras("tensordot", "x1, x2, axes=2", maps={"x1": "x", "x2": "other"})],
        },
        cases=[
            Case({"x": (2, 3, 4), "other": (3, 4, 5)}),
            Case({"x": (2, 3, 4), "other": (4, 5)}, {"axes": 1}),
            Case({"x": (2, 3, 4), "other": (3, 5, 2)}, {"axes": ([0, 1], [2, 0])}),
        ],
    )
)


def _vector_norm(x: Any, ord: float = 2, axes: int | Sequence[int] | None = None, keepdims: bool = False) -> Any:
    axis = tuple(axes) if isinstance(axes, Sequence) else axes
    if ord == float("inf"):
        return np.abs(x).max(axis, keepdims=keepdims)
    return (np.abs(x) ** ord).sum(axis, keepdims=keepdims) ** (1 / ord)


def _up_to_two(axes: Any) -> bool:
    return axes is None or isinstance(axes, int) or len(axes) <= 2


def _norms(framework: str, prefix: str) -> list[Spelling]:
    """``norm`` where the target's has the same meaning, else the sum of powers."""
    reduce = "reduce_" if framework == "tensorflow" else ""
    options = "axis={axes}, keepdims={keepdims}"
    return [
        # Keras on JAX computes its norm in float32 whatever the input.
        *(
            []
            if framework == "keras"
            else [
                template("tf.norm({x})", when={"ord": 2, "axes": None, "keepdims": False}),
                template("tf.norm({x}, axis={axes})", when={"ord": 2, "axes": _up_to_two, "keepdims": False}),
                template(f"tf.norm({{x}}, {options})", when={"ord": 2, "axes": _up_to_two}),
            ]
        ),
        template(f"{prefix}.{reduce}max({prefix}.abs({{x}}), {options})", when={"ord": float("inf")}),
        template(f"{prefix}.{reduce}sum({prefix}.abs({{x}}), {options})", when={"ord": 1}),
        template(f"{prefix}.sqrt({prefix}.{reduce}sum({prefix}.square({{x}}), {options}))", when={"ord": 2}),
        template(f"{prefix}.{reduce}sum({prefix}.abs({{x}}) ** {{ord}}, {options}) ** (1 / {{ord}})"),
    ]


_DIFFERENCES = "{x}[..., :, None, :] - {other}[..., None, :, :]"
_NORM = {"dim": "axes", "keepdim": "keepdims"}

register(
    OpDef(
        "vector_norm",
        "x, *, ord=2, axes=None, keepdims=False",
        "The p-norm over axes, or over all elements.",
        layout="reduce",
        reference=_vector_norm,
        spellings={
            "torch": [
                Spelling(
                    "torch.linalg.vector_norm",
                    "x, ord=2, dim=None, keepdim=False, *, dtype=None, out=None",
                    maps=_NORM,
                    fixed={"dtype": None},
                    ignore=("out",),
                ),
                *torch_both(
                    "norm",
                    "p='fro', dim=None, keepdim=False",
                    prefer="none",
                    maps={**_NORM, "p": Conversion("ord", "2 if {} == 'fro' else {}", "{}")},
                ),
                Spelling(
                    "torch.linalg.norm",
                    "A, ord=None, dim=None, keepdim=False, *, out=None, dtype=None",
                    maps={"A": "x", **_NORM},
                    fixed={"ord": None, "dtype": None},
                    ignore=("out",),
                    write=False,
                ),
                Spelling(
                    "torch.linalg.norm",
                    "A, ord, dim, keepdim=False, *, out=None, dtype=None",
                    maps={"A": "x", **_NORM},
                    fixed={"dtype": None},
                    kinds={"dim": "int"},
                    ignore=("out",),
                    write=False,
                ),
            ],
            **{
                framework: _norms(framework, prefix)
                for framework, prefix in (("tensorflow", "tf"), ("keras", "keras.ops"))
            },
            "flax": [
                jax_call(
                    "jax.numpy.linalg.vector_norm", "x, *, axis=None, keepdims=False, ord=2", maps={"axis": "axes"}
                )
            ],
        },
        cases=[
            Case({"x": (2, 3)}),
            Case({"x": (2, 3, 4)}, {"axes": -1}),
            Case({"x": (2, 3, 4)}, {"axes": (1, 2), "keepdims": True}),
            Case({"x": (2, 3, 4, 5)}, {"axes": (1, 2, 3)}),
            Case({"x": (2, 3, 4)}, {"axes": 1, "ord": 1}),
            Case({"x": (2, 3, 4)}, {"axes": (0, 1), "ord": 3}),
            Case({"x": (2, 3)}, {"ord": float("inf")}),
        ],
    )
)
register(
    OpDef(
        "pairwise_distance_matrix",
        "x, other, *, ord=2",
        "The p-distances between all rows of x and all rows of other.",
        reference=lambda x, other, ord=2: _vector_norm(x[..., :, None, :] - other[..., None, :, :], ord, -1),
        spellings={
            "torch": [
                Spelling(
                    "torch.cdist",
                    "x1, x2, p=2.0, compute_mode='use_mm_for_euclid_dist_if_necessary'",
                    maps={"x1": "x", "x2": "other", "p": "ord"},
                    ignore=("compute_mode",),
                )
            ],
            **{
                framework: [
                    template(
                        f"{prefix}.sqrt({prefix}.{reduce}sum({prefix}.square({_DIFFERENCES}), axis=-1))",
                        when={"ord": 2},
                    ),
                    template(
                        f"{prefix}.{reduce}sum({prefix}.abs({_DIFFERENCES}) ** {{ord}}, axis=-1) ** (1 / {{ord}})"
                    ),
                ]
                for framework, prefix, reduce in (("tensorflow", "tf", "reduce_"), ("keras", "keras.ops", ""))
            },
        },
        cases=[Case({"x": (5, 2, 3), "other": (5, 4, 3)}), Case({"x": (2, 3), "other": (4, 3)}, {"ord": 1})],
    )
)
register(
    OpDef(
        "cross",
        "x, other, *, axis=-1",
        "The vector product along an axis of size 3.",
        reference=lambda x, other, axis=-1: np.cross(x, other, axis=axis),
        spellings={
            "torch": [
                Spelling(
                    "torch.linalg.cross",
                    "input, other, *, dim=-1, out=None",
                    maps={"input": "x", "dim": "axis"},
                    ignore=("out",),
                ),
                *torch_both("cross", "other, dim", prefer="none", maps={"dim": "axis"}),
            ],
            "tensorflow": [
                template("tf.linalg.cross({x}, {other})", when={"axis": -1}),
                template(
                    "tf.roll({x}, -1, {axis}) * tf.roll({other}, -2, {axis}) - tf.roll({x}, -2, {axis}) * tf.roll({other}, -1, {axis})"
                ),
            ],
            "keras": [
                keras(
                    "cross",
                    "x1, x2, axisa=-1, axisb=-1, axisc=-1, axis=None",
                    maps={"x1": "x", "x2": "other"},
                    fixed={"axisa": -1, "axisb": -1, "axisc": -1},
                )
            ],
        },
        cases=[Case({"x": (2, 3), "other": (2, 3)}), Case({"x": (3, 4), "other": (3, 4)}, {"axis": 0})],
    )
)
register_support(
    Support(
        "kron",
        {
            "tensorflow": '''
def kron(a, b):
    """Kronecker product of two matrices."""
    (m, n), (p, q) = a.shape, b.shape
    return tf.reshape(tf.einsum("mn,pq->mpnq", a, b), (m * p, n * q))
'''
        },
    )
)
register(
    OpDef(
        "kron",
        "x, other",
        "The Kronecker product of two matrices.",
        reference=np.kron,
        spellings={
            "torch": _binary("kron", "other", prefer="function"),
            "tensorflow": [supported("kron", "a, b", maps={"a": "x", "b": "other"})],
            "keras": [keras("kron", "x1, x2", maps={"x1": "x", "x2": "other"})],
        },
        cases=[Case({"x": (2, 3), "other": (4, 5)})],
    )
)


_TF_MATRIX_SIGNATURES = {"inverse": "input, adjoint=False, name=None", "trace": "x, name=None"}


def _register_matrix_functions() -> None:
    """Functions of square matrices that every framework has under its own name."""
    for name, np_function, torch_names, tf_name, keras_name in (
        ("inverse", np.linalg.inv, ("linalg.inv", "inverse"), "linalg.inv", "inv"),
        ("determinant", np.linalg.det, ("linalg.det", "det"), "linalg.det", "det"),
        ("trace", np.trace, ("trace",), "linalg.trace", "trace"),
    ):
        matrix = np.array([[2.0, 0.5, 0.1], [0.3, 1.5, -0.2], [0.0, 0.7, 3.0]])
        torch_spellings = [
            Spelling(
                f"torch.{path}",
                "A, *, out=None" if path.startswith("linalg") else "input",
                maps={"A": "x", "input": "x"},
                ignore=("out",),
                write=path == torch_names[0],
            )
            for path in torch_names
        ]
        keras_signature = "x, offset=0, axis1=0, axis2=1" if name == "trace" else "x"
        register(
            OpDef(
                name,
                "x",
                f"The {name} of a square matrix.",
                reference=np_function,
                spellings={
                    "torch": torch_spellings,
                    "tensorflow": [
                        tensorflow(
                            tf_name,
                            _TF_MATRIX_SIGNATURES.get(name, "input, name=None"),
                            maps={"input": "x"},
                            fixed={"adjoint": False} if name == "inverse" else {},
                        )
                    ],
                    "keras": [
                        keras(
                            keras_name,
                            keras_signature,
                            fixed={"offset": 0, "axis1": 0, "axis2": 1} if name == "trace" else {},
                        )
                    ],
                },
                cases=[Case({"x": matrix})],
            )
        )


_register_matrix_functions()
