"""Calls of JAX and NNX that need more than their signature."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from flax import linen as nn
from flax import nnx

from netferry.callables import source_defaults
from netferry.conventions import MISSING
from netferry.frameworks.flax import (
    attention,
    initialising,
    linen_calls,
    methods,
    numbers,
    padding,
    resizing,
    variables,
)
from netferry.ops import registry
from netferry.ops.binding import CannotBind
from netferry.ops.lowering import dotted
from netferry.pivot.copying import copied
from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import LayerAttribute, Op, Reference, is_literal, literal
from netferry.reader import Reader
from netferry.walking import walk

Rule = Callable[[Reader, ast.Call], "ast.expr | object"]

_OF_MODE = frozenset({"rngs", "rng", "deterministic", "use_running_average", "out_sharding"})


def structure(reader: Reader, node: ast.Call, path: str) -> ast.expr | object:
    """Translate a call that is no layer's; MISSING where its signature says it all."""
    settle_types(reader, node)
    _drop_defaults(reader, node, path)
    rule = _RULES.get(path)
    if rule is not None:
        return rule(reader, node)
    if path.endswith(".__init__") and path not in _RULES:
        return _extended(reader, node, path.removesuffix(".__init__"))
    if path.startswith(_PLACEMENT):
        return _argument(reader, node) if path.endswith(("_constraint", "device_put")) else _none(reader, node)
    if (begun := initialising.applied(reader, node)) is not MISSING:
        return begun
    if methods.is_drawn(reader, node):
        node.args = [ast.copy_location(ast.Constant(None), node), *node.args]
    if (number := numbers.computed(reader, node, path)) is not None:
        return number
    if path.startswith("flax.struct.") and path.endswith(".replace") and isinstance(node.func, ast.Attribute):
        reader.generic_visit(node)
        return ast.Call(dotted("dataclasses.replace"), [node.func.value, *node.args], node.keywords)
    if path.startswith("jax.Array.at."):
        return _updated(reader, node, path.rpartition(".")[2])
    if path.startswith("flax.nnx.Variable.") and path.rpartition(".")[2] in variables.READING:
        assert isinstance(node.func, ast.Attribute)
        return reader.visit(node.func.value)  # type: ignore[no-any-return]
    if path.startswith("flax.linen."):
        methods.label(reader, node)
    if any(spelling.layer for _, spelling in registry.find(path)):
        return padding.padded(reader, node, path)
    return padding.pooled(reader, node, path)


def _drop_defaults(reader: Reader, node: ast.Call, path: str) -> None:
    """Arguments that others do not have say nothing where they always had the value that they have by default."""
    owner = path.removesuffix(".__init__")
    library, _, name = owner.rpartition(".")
    kind = getattr({"flax.nnx": nnx, "flax.linen": nn}.get(library), name, None)
    known = {n for _, s in registry.find(owner) if s.layer for n in s.parsed.names}
    if not known or not isinstance(kind, type):
        return
    defaults = {p.name: p.default for p in inspect.signature(kind).parameters.values()}
    node.keywords = [
        k for k in node.keywords if k.arg is None or k.arg in known or not _is_default(reader, k, defaults)
    ]


def _is_default(reader: Reader, given: ast.keyword, defaults: Mapping[str, Any]) -> bool:
    seen = [literal(given.value)] if is_literal(given.value) else reader.values(given.value)
    return bool(seen) and all(v is defaults.get(str(given.arg), MISSING) for v in seen)


def settle_types(reader: Reader, node: ast.Call) -> None:
    """Types that variables hold, by their names, where they always were the same."""
    node.args = [_type_name(reader, a) for a in node.args]
    for keyword in node.keywords:
        keyword.value = _type_name(reader, keyword.value)


def _type_name(reader: Reader, node: ast.expr) -> ast.expr:
    seen = [] if isinstance(node, ast.Constant) else reader.values(node)
    names = {value.value for v in seen if isinstance(value := reader.conventions.value(v), ast.Constant)}
    is_type = bool(seen) and all(not isinstance(v, float) for v in seen)
    if is_type and len(names) == 1 and all(reader.conventions.value(v) is not None for v in seen):
        return ast.copy_location(ast.Constant(names.pop()), node)
    return node


def strip_call(node: ast.Call, path: str) -> None:
    """Stock layers ask for the mode and for random numbers themselves elsewhere."""
    node.keywords = [k for k in node.keywords if k.arg not in _OF_MODE and not str(k.arg).endswith("_sharding")]
    attention.complete(node, path)


def _updated(reader: Reader, node: ast.Call, name: str) -> ast.expr | object:
    """``x.at[index].set(value)``: a copy with some elements replaced."""
    operator = {"set": None, "add": ast.Add(), "multiply": ast.Mult(), "mul": ast.Mult(), "divide": ast.Div()}
    match node:
        case ast.Call(
            func=ast.Attribute(value=ast.Subscript(value=ast.Attribute(value=owner, attr="at"), slice=index)),
            args=[value],
        ) if name in operator:
            pass
        case _:
            return MISSING
    made = reader.visit(value)
    inner = operator[name]
    x, place = reader.visit(owner), reader.visit(index)
    if inner is not None:
        made = ast.BinOp(ast.Subscript(copied(x), copied(place), ast.Load()), inner, made)
    whole = ast.Subscript(ast.Attribute(ast.Name("np", ast.Load()), "s_", ast.Load()), place, ast.Load())
    found = Op("index_update", {"x": x, "index": whole, "value": made}, site=reader.site(node))
    found.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    reader.counts.observed += 1
    return ast.copy_location(found, node)


def _sequential(reader: Reader, node: ast.Call) -> ast.expr | object:
    """Layers and functions in turn: functions are layers where nothing else may be."""
    if len(node.args) == 1 and isinstance(node.args[0], ast.List | ast.Tuple):  # Linen's takes a list.
        node.args = node.args[0].elts
    elif len(node.args) == 1 and any(isinstance(v, list | tuple) for v in reader.values(node.args[0])):
        node.args = [ast.Starred(node.args[0], ast.Load())]
    members: list[ast.expr] = [member(reader, a) for a in node.args]
    listing: ast.expr = ast.List(members, ast.Load())
    if len(members) == 1 and isinstance(members[0], ast.Starred):
        listing = members[0].value
    if isinstance(node.func, ast.Attribute) and node.func.attr == "__init__":
        return ast.Call(reader.visit(node.func), [listing], [])
    made = Op("sequential", {"layers": listing}, layer=True, site=reader.site(node))
    made.nf_source = True  # type: ignore[attr-defined]
    return made


def member(reader: Reader, node: ast.expr) -> ast.expr:
    """A member of a sequence."""
    if isinstance(node, ast.Starred):
        inner = node.value
        if isinstance(inner, ast.List | ast.Tuple):
            inner.elts = [member(reader, e) for e in inner.elts]
            return ast.Starred(inner, ast.Load())
        return ast.Starred(reader.visit(inner), ast.Load())
    made = reader.visit(node)
    if isinstance(made, Reference):
        for op, spelling in registry.find(made.path):
            if not spelling.layer and len(op.operands) == 1 and _has_layer(op.name):
                return Op(op.name, {}, source_defaults(op, spelling), layer=True, site=reader.site(node))
    if isinstance(made, ast.Lambda) and (layer := _only_layer(made)) is not None:
        return layer
    if isinstance(made, Reference | ast.Lambda):
        return Op("function_layer", {}, {"function": made}, layer=True, site=reader.site(node))
    return made  # type: ignore[no-any-return]


def _only_layer(function: ast.Lambda) -> Op | None:
    """The layer that stands for a function which only applies one op to what it is given."""
    body, names = function.body, [a.arg for a in function.args.args]
    if not isinstance(body, Op) or body.layer or body.indirect is not None or len(names) != 1:
        return None
    operand = body.operand("x")
    if len(body.operands) != 1 or not isinstance(operand, ast.Name) or operand.id != names[0]:
        return None
    made = Op(body.name, {}, {str(k.arg): k.value for k in body.attributes}, layer=True, site=body.site)
    if body.name == "reshape" and _keeps_first(body.attribute("shape")):
        made = Op("flatten", {}, {"start_axis": ast.Constant(1)}, layer=True, site=body.site)
    elif not _has_layer(body.name) or any(
        isinstance(n, ast.Name) and n.id in names for k in body.attributes for n in walk(k)
    ):
        return None
    made.nf_id = getattr(body, "nf_id", -1)  # type: ignore[attr-defined]
    return made


def _keeps_first(shape: ast.expr | None) -> bool:
    """Whether a shape is ``(x.shape[0], -1)``: all axes but the first become one."""
    match shape:
        case ast.Tuple(elts=[ast.Subscript(value=Op(name="shape"), slice=ast.Constant(value=0)), rest]):
            return ast.unparse(rest) == "-1"
    return False


def _has_layer(name: str) -> bool:
    """Whether an op has a form as a layer anywhere."""
    return any(s.layer for spellings in registry.get(name).spellings.values() for s in spellings)


def _held(kind: str) -> Rule:
    def rule(reader: Reader, node: ast.Call) -> ast.expr | object:
        empty: ast.expr = ast.List([], ast.Load()) if kind == "module_list" else ast.Dict([], [])
        given = reader.visit(node.args[0]) if node.args else empty
        if kind == "module_dict" and node.keywords:
            given = ast.Dict(
                [ast.Constant(k.arg) for k in node.keywords], [reader.visit(k.value) for k in node.keywords]
            )
        if isinstance(given, ast.GeneratorExp):
            given = ast.ListComp(given.elt, given.generators)
        return Op(kind, {"modules": given}, layer=True, site=reader.site(node))

    return rule


def _variable(*, trained: bool) -> Rule:
    def rule(reader: Reader, node: ast.Call) -> ast.expr | object:
        return variables.made(reader, node, trained=trained) or MISSING

    return rule


def _argument(reader: Reader, node: ast.Call) -> ast.expr | object:
    """What only marks its argument."""
    return reader.visit(node.args[0]) if node.args else MISSING


def _attend(reader: Reader, node: ast.Call) -> ast.expr | object:
    """``embedding.attend(x)``: the product with its transposed matrix."""
    if not isinstance(node.func, ast.Attribute) or len(node.args) != 1:
        return MISSING
    weight = LayerAttribute(reader.visit(node.func.value), "weight", ("embedding",), reader.site(node))
    made = Op("functional_linear", {"x": reader.visit(node.args[0]), "weight": weight}, site=reader.site(node))
    made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    reader.counts.observed += 1
    return made


def _scalar(name: str) -> Rule:
    """``jnp.float32(x)``: a cast, or a number."""

    def rule(reader: Reader, node: ast.Call) -> ast.expr | object:
        if len(node.args) != 1:
            return MISSING
        seen = reader.values(node.args[0])
        data = is_literal(node.args[0]) or (bool(seen) and all(isinstance(v, bool | int | float) for v in seen))
        value, dtype = reader.visit(node.args[0]), ast.Constant(name)
        if data:
            return Op("tensor", {}, {"data": value, "dtype": dtype}, site=reader.site(node))
        return Op("cast", {"x": value}, {"dtype": dtype}, site=reader.site(node))

    return rule


_PLACEMENT = (
    "jax.P", "jax.sharding.", "jax._src.partition_spec.", "jax.lax.with_sharding_constraint", "jax._src.pjit.",
    "flax.nnx.with_partitioning", "jax.device_put", "jax._src.api.device_put", "flax.nnx.get_partition_spec",
)  # fmt: skip
"""What only says on which devices things are."""


def _extended(reader: Reader, node: ast.Call, path: str) -> ast.expr | object:
    """``super().__init__(...)`` of a class that extends a stock layer."""
    node.keywords = [k for k in node.keywords if k.arg not in _OF_MODE]
    for op, spelling in registry.find(path):
        if spelling.layer:
            try:
                made = reader.calls.op(node, op, spelling, [nnx.Module])
            except CannotBind as error:
                return reader.hole(node, f"{path}: {error}")
            made.complete = True  # type: ignore[attr-defined]
            reader.counts.observed += 1
            return made
    return MISSING


def _array(reader: Reader, node: ast.Call) -> ast.expr | object:
    """``jnp.asarray(x, dtype)`` of what is an array already: a cast, if anything."""
    seen = reader.values(node.args[0]) if node.args else []
    if not seen or not all(isinstance(v, Tensor) for v in seen):
        return MISSING
    dtype = node.args[1] if len(node.args) > 1 else next((k.value for k in node.keywords if k.arg == "dtype"), None)
    if dtype is None or (isinstance(dtype, ast.Constant) and dtype.value is None):
        return reader.visit(node.args[0])  # type: ignore[no-any-return]
    return Op("cast", {"x": reader.visit(node.args[0])}, {"dtype": reader.visit(dtype)}, site=reader.site(node))


def _none(reader: Reader, node: ast.Call) -> ast.expr | object:
    return ast.copy_location(ast.Constant(None), node)


def _base(reader: Reader, node: ast.Call) -> ast.expr | object:
    return ast.copy_location(ast.Call(reader.visit(node.func), [], []), node)


def _append(reader: Reader, node: ast.Call) -> ast.expr | object:
    """Lists of modules grow as Python's do."""
    reader.generic_visit(node)
    return node


def _of_same_shape(reader: Reader, shape: ast.expr) -> ast.expr | None:
    """The tensor whose whole shape an expression reads."""
    match shape:
        case ast.Attribute(value=owner, attr="shape") if seen := reader.values(owner):
            return reader.visit(copied(owner)) if all(isinstance(v, Tensor) for v in seen) else None
    return None


def _like(op: str, position: int) -> Rule:
    """``jax.random.normal(key, x.shape)``: as many numbers as a tensor has."""

    def rule(reader: Reader, node: ast.Call) -> ast.expr | object:
        given = node.args[position] if len(node.args) > position else None
        same = _of_same_shape(reader, given) if given is not None else None
        dtype = [k for k in node.keywords if k.arg != "dtype"] or len(node.args) > position + 2
        if same is None or dtype:
            return MISSING
        made = Op(op, {"x": same}, site=reader.site(node))
        made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
        reader.counts.observed += 1
        return made

    return rule


def _drawn(reader: Reader, node: ast.Call) -> ast.expr | object:
    """``jax.random.bernoulli(key, p, shape)``: numbers below the probability."""
    given = dict(zip(("key", "p", "shape"), node.args, strict=False)) | {str(k.arg): k.value for k in node.keywords}
    if given.get("shape") is None:
        return MISSING
    same = _of_same_shape(reader, given["shape"])
    if same is not None:
        draw = Op("rand_like", {"x": same}, site=reader.site(node))
    else:
        draw = Op("rand", {}, {"shape": reader.visit(given["shape"])}, site=reader.site(node))
    draw.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    reader.counts.observed += 1
    return ast.Compare(draw, [ast.Lt()], [reader.visit(given["p"]) if "p" in given else ast.Constant(0.5)])


_TYPES = "float16 float32 float64 bfloat16 int8 int16 int32 int64 uint8 uint32 bool_ bool"
_RULES: dict[str, Rule] = {
    "flax.linen.Module.param": linen_calls.parameter,
    "flax.linen.Module.variable": linen_calls.variable,
    "flax.linen.Module.sow": _none,
    "flax.linen.Module.is_initializing": linen_calls.false,
    "flax.linen.Module.is_mutable_collection": linen_calls.false,
    "flax.linen.module.merge_param": linen_calls.merged,
    "flax.linen.merge_param": linen_calls.merged,
    "flax.linen.Embed.attend": _attend,
    "flax.linen.Sequential": _sequential,
    **{f"flax.linen.{kind}": attention.sized_alone for kind in attention.LINEN},
    "flax.nnx.Sequential": _sequential,
    "flax.nnx.Sequential.__init__": _sequential,
    "flax.nnx.List": _held("module_list"),
    "flax.nnx.Dict": _held("module_dict"),
    "flax.nnx.Param": _variable(trained=True),
    **{f"flax.nnx.{kind}": _variable(trained=False) for kind in ("Variable", "BatchStat", "Cache", "Intermediate")},
    **{f"flax.nnx.List.{name}": _append for name in ("append", "extend", "insert")},
    **{f"flax.nnx.Dict.{name}": _append for name in ("items", "keys", "values", "get")},
    **{f"jax.random.{name}": _none for name in ("PRNGKey", "key", "split", "fold_in", "clone")},
    "jax.random.bernoulli": _drawn,
    "jax.random.normal": _like("randn_like", 1),
    "jax.random.uniform": _like("rand_like", 1),
    "jax.numpy.asarray": _array,
    "jax.numpy.array": _array,
    "flax.nnx.data": _argument,
    "flax.nnx.static": _argument,
    "flax.nnx.Embed.attend": _attend,
    attention.PATH: attention.sized,
    **{f"flax.{library}.make_attention_mask": attention.pair_mask for library in ("nnx", "linen")},
    **{f"flax.{library}.dot_product_attention": attention.product for library in ("nnx", "linen")},
    "jax.nn.dot_product_attention": attention.product,
    "jax.image.resize": resizing.resized,
    "flax.nnx.Module.__init__": _base,
    "flax.nnx.Module.sow": _none,
    **{f"jax.numpy.{name}": _scalar(name.rstrip("_")) for name in _TYPES.split()},
}
