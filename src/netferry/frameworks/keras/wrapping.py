"""Layers around layers, and layers that only belong to training."""

from __future__ import annotations

import ast
from typing import Any

import keras

from netferry.conventions import MISSING
from netferry.ops import registry
from netferry.pivot.nodes import Op, constant
from netferry.reader import Reader
from netferry.walking import walk

_BY_STEP = frozenset({"last", "elementwise", "dropout"})
"""What ops that treat every step of a sequence alike by themselves do with axes."""
_IMAGES = ("conv", "pool", "norm", "upsample", "pad", "crop")


def at_every_step(reader: Reader, node: ast.Call) -> ast.expr | object:
    """``TimeDistributed(Dense(8))`` is the dense layer itself, which takes sequences; others are wrapped."""
    given = node.args[0] if node.args else next((k.value for k in node.keywords if k.arg == "layer"), None)
    made = reader.visit(given) if given is not None else None
    if not isinstance(made, Op):
        return MISSING
    if _goes_by_step(made):
        return made
    seen = [v for v in reader.values(node) if isinstance(v, keras.layers.TimeDistributed)]
    attributes: dict[str, ast.expr] = {"layer": made}
    if any(_rank(v) > 4 for v in seen) and _is_spatial(made):
        attributes["images"] = constant(True)
    wrapped = Op("time_distributed", {}, attributes, layer=True, site=reader.site(node))
    wrapped.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    reader.counts.observed += 1
    return wrapped


def _goes_by_step(op: Op) -> bool:
    """Whether an op, or each of a chain, works on the last axis or element by element."""
    if op.name != "sequential":
        return registry.get(op.name).layout in _BY_STEP
    listing = op.operand("layers")
    members = listing.elts if isinstance(listing, ast.List) else [None]
    return all(isinstance(m, Op) and _goes_by_step(m) for m in members)


def _is_spatial(op: Op) -> bool:
    """Whether an op, or the first of a chain, takes images."""
    listing = op.operand("layers") if op.name == "sequential" else None
    first = listing.elts[0] if isinstance(listing, ast.List) and listing.elts else op
    return isinstance(first, Op) and any(word in first.name for word in _IMAGES)


def _rank(layer: Any) -> int:
    """How many axes a layer was called with."""
    shape = (getattr(layer, "_build_shapes_dict", None) or {}).get("input_shape", ())
    return len(shape or ())


def is_augmentation(kind: Any) -> bool:
    """Whether a layer class changes images at random, in training alone."""
    return isinstance(kind, type) and kind in AUGMENTATIONS


AUGMENTATIONS = tuple(
    v for n, v in vars(keras.layers).items()
    if isinstance(v, type) and issubclass(v, keras.layers.Layer) and (n.startswith("Random") or n in ("AugMix", "CutMix", "MixUp"))
)  # fmt: skip


def left_out(reader: Reader, node: ast.Call, path: str) -> ast.expr:
    """A layer that augments images in training: elsewhere that belongs to the data."""
    name = path.rpartition(".")[2]
    reader.note(
        node,
        f"{name} is left out: it changes images in training, which belongs to the data pipeline",
        severity="warning",
    )
    made = Op("identity", {}, layer=True, site=reader.site(node))
    made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    return made


def without_inner_dropout(reader: Reader, node: ast.Call) -> None:
    """Rates of dropout that PyTorch's recurrent layers lack are left out, with a warning."""
    name = getattr(next(iter(reader.callees(node)), None), "__name__", "")
    if name.removesuffix("Cell") not in ("LSTM", "GRU", "SimpleRNN"):
        return
    left = [k for k in node.keywords if k.arg in ("dropout", "recurrent_dropout")]
    nonzero = [k.arg for k in left if not (isinstance(k.value, ast.Constant) and not k.value.value)]
    node.keywords = [k for k in node.keywords if k not in left]
    if nonzero:
        reader.note(
            node, f"{' and '.join(map(str, nonzero))} inside the recurrent layer is left out: add dropout between layers",
            severity="warning",
        )  # fmt: skip


def inlined(reader: Reader, node: ast.Call, made: ast.Call) -> Any:
    """``Lambda(f)(x)`` is ``f(x)``, and a lambda's own expression; MISSING where it takes more."""
    given = made.args[0] if made.args else next((k.value for k in made.keywords if k.arg == "function"), None)
    if given is None or any(k.arg in ("arguments", "mask") for k in made.keywords) or len(node.args) != 1:
        return MISSING
    operand = reader.visit(node.args[0])
    if not isinstance(given, ast.Lambda):
        return ast.copy_location(ast.Call(reader.visit(given), [operand], []), node)
    body = reader.visit(given).body
    names = [a.arg for a in given.args.args]
    if len(names) != 1 or not isinstance(operand, ast.Name):
        return ast.copy_location(ast.Call(given, [operand], []), node)
    for name in (n for n in walk(body) if isinstance(n, ast.Name) and n.id == names[0]):
        name.id = operand.id
    return body
