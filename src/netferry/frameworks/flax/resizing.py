"""``jax.image.resize``: the whole shape of the result is given; elsewhere only its spatial sizes are."""

from __future__ import annotations

import ast
from typing import Final

from netferry.conventions import MISSING
from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import Op, constant, is_literal, literal
from netferry.reader import Reader

_METHODS: Final = {
    "nearest": "nearest",
    "linear": "linear",
    "bilinear": "linear",
    "trilinear": "linear",
    "triangle": "linear",
}
_LINEAR: Final = {3: "linear", 4: "bilinear", 5: "trilinear"}


def resized(reader: Reader, node: ast.Call) -> ast.expr | object:
    """Interpolation of images to a size; where they become smaller, JAX filters, which is another operation."""
    given = dict(zip(("image", "shape", "method"), node.args, strict=False)) | {
        k.arg or "": k.value for k in node.keywords
    }
    if not {"image", "shape", "method"} <= given.keys() or not is_literal(given["method"]):
        return MISSING
    method = _METHODS.get(str(literal(given["method"])))
    events = reader.facts.by_node.get(getattr(node, "nf_id", -1), ())
    pairs = [(e.args[0] if e.args else e.kwargs.get("image"), e.result) for e in events]
    shapes = [(b.shape, a.shape) for b, a in pairs if isinstance(b, Tensor) and isinstance(a, Tensor)]
    ranks = {len(before) for before, _ in shapes}
    if method is None or len(ranks) != 1 or not all(_grows(*pair, method) for pair in shapes):
        return reader.hole(
            node, "an image is resized in a way that others do not know", "make it larger by a whole factor"
        )
    rank = ranks.pop()
    size = _spatial(given["shape"], rank)
    mode = "nearest" if method == "nearest" else _LINEAR[rank]
    attributes = {"size": reader.visit(size), "mode": constant(mode)}
    made = Op("interpolate", {"x": reader.visit(given["image"])}, attributes, site=reader.site(node))
    made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    reader.counts.observed += 1
    return ast.copy_location(made, node)


def _grows(before: tuple[int, ...], after: tuple[int, ...], method: str) -> bool:
    """Whether all spatial axes grow (for the nearest neighbour by whole factors), batch and channels staying as they are."""
    if len(before) not in _LINEAR or before[0] != after[0] or before[-1] != after[-1]:
        return False
    pairs = list(zip(before[1:-1], after[1:-1], strict=True))
    return all(a % b == 0 if method == "nearest" else a >= b for b, a in pairs)


def _spatial(shape: ast.expr, rank: int) -> ast.expr:
    """The sizes between batch and channels."""
    if isinstance(shape, ast.Tuple | ast.List) and len(shape.elts) == rank:
        return ast.Tuple(shape.elts[1:-1], ast.Load())
    return ast.Subscript(shape, ast.Slice(constant(1), constant(-1)), ast.Load())
