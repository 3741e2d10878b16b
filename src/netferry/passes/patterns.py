"""Rewrites rearrangements by patterns into reshape, transpose, reduce and tile, which every target has."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from netferry.ops.lowering import CannotWrite, dotted, is_simple
from netferry.ops.patterns import Algebra, BadPattern, Step, einsum_equation, expand_rearrange
from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import Op, constant, is_literal, literal
from netferry.walking import walk

_BATCH_COST = 100
"""The batch axis is the one whose size is best left to be inferred."""


def expanded(node: Op, lambda_layer: str = "") -> ast.expr:
    """The steps for a ``rearrange``, ``rearrange_reduce`` or ``rearrange_repeat`` node.

    A layer becomes ``lambda_layer`` around a function of its input.

    Raises:
        CannotWrite: the pattern is no literal, or says too little.
    """
    if not node.layer:
        x = node.operand("x")
        if x is None:
            raise CannotWrite(f"{node.name} lacks its tensor")
        return _chain(node, x)
    if not lambda_layer:
        raise CannotWrite(f"{node.name} as a layer has no equivalent")
    sizes = node.attribute("sizes")
    # Bound as defaults: the function runs later, when a loop's variable has moved on.
    names = list(
        dict.fromkeys(n.id for n in walk(sizes or constant(None)) if isinstance(n, ast.Name) and n.id != "self")
    )
    defaults: list[ast.expr] = [ast.Name(name, ast.Load()) for name in names]
    parameters = ast.arguments([], [ast.arg(name) for name in ("x", *names)], None, [], [], None, defaults)
    return ast.Call(dotted(lambda_layer), [ast.Lambda(parameters, _chain(node, ast.Name("x", ast.Load())))], [])


def named_einsum(node: Op) -> ast.expr:
    """``einsum`` with an equation of letters for a pattern of names."""
    pattern = node.attribute("pattern")
    if not is_literal(pattern):
        raise CannotWrite("the pattern must be a literal to be translated")
    xs = ast.List([k.value for k in node.operands], ast.Load())
    return Op("einsum", {"xs": xs}, {"equation": constant(einsum_equation(literal(pattern)))}, site=node.site)


def _chain(node: Op, x: ast.expr) -> ast.expr:
    name: ast.expr = x if is_simple(x) else ast.Name("x_value", ast.Load())
    steps = _steps(node, name)
    reads_shape = any(_reads_shape(size) for step in steps for size in step.sizes)
    made = x if name is x or not reads_shape else ast.NamedExpr(ast.Name("x_value", ast.Store()), x)
    for step in steps:
        made = _apply(step, made, node)
    return made


def _steps(node: Op, x: ast.expr) -> list[Step[ast.expr]]:
    pattern, sizes = node.attribute("pattern"), node.attribute("sizes")
    if not is_literal(pattern):
        raise CannotWrite("the pattern must be a literal to be translated")
    given: dict[str, ast.expr] = {}
    if isinstance(sizes, ast.Dict):
        given = {literal(key): value for key, value in zip(sizes.keys, sizes.values, strict=True)}
    algebra = Algebra[ast.expr](
        literal=constant,
        axis=lambda axis: Op("size", {"x": x}, {"axis": constant(axis)}),
        product=_product,
        quotient=_quotient,
        cost=_cost,
    )
    try:
        return expand_rearrange(literal(pattern), given, algebra, _rank(node))
    except BadPattern as error:
        raise CannotWrite(str(error)) from None


def _rank(node: Op) -> int | None:
    ranks = {
        len(event.args[0].shape)
        for event in (node.site.events if node.site else ())
        if event.args and isinstance(event.args[0], Tensor)
    }
    if node.layer and not ranks:  # What a container calls is known by where it was made.
        ranks = getattr(node, "nf_ranks", set())
    return ranks.pop() if len(ranks) == 1 else None


def _apply(step: Step[ast.expr], x: ast.expr, node: Op) -> ast.expr:
    match step.kind:
        case "reshape":
            return Op("reshape", {"x": x}, {"shape": ast.Tuple(list(step.sizes), ast.Load())})
        case "transpose":
            return Op("transpose", {"x": x}, {"perm": constant(step.axes)})
        case "unsqueeze":
            return Op("unsqueeze", {"x": x}, {"axis": constant(step.axes[0])})
        case "tile":
            attributes = {"repeats": ast.Tuple(list(step.sizes), ast.Load()), "rank": constant(len(step.sizes))}
            return Op("tile", {"x": x}, attributes)
    reduction = node.attribute("reduction")
    if not is_literal(reduction):
        raise CannotWrite("the reduction must be a literal to be translated")
    keep = {"keepdims": constant(True)} if step.keep else {}
    return Op(f"reduce_{literal(reduction)}", {"x": x}, {"axes": constant(step.axes), **keep})


def _product(sizes: Sequence[ast.expr]) -> ast.expr:
    known = 1
    others: list[ast.expr] = []
    for size in sizes:
        if is_literal(size):
            known *= literal(size)
        else:
            others.append(size)
    if known != 1 or not others:
        others.append(constant(known))
    made = others[0]
    for other in others[1:]:
        made = ast.BinOp(made, ast.Mult(), other)
    return made


def _quotient(one: ast.expr, other: ast.expr) -> ast.expr:
    if is_literal(other) and literal(other) == 1:
        return one
    if is_literal(one) and is_literal(other):
        return constant(literal(one) // literal(other))
    return ast.BinOp(one, ast.FloorDiv(), other)


def _cost(size: ast.expr) -> int:
    if isinstance(size, Op):
        return _BATCH_COST if literal(size.attribute("axis")) == 0 else 1
    if isinstance(size, ast.BinOp):
        return _cost(size.left) + _cost(size.right) + 1
    return 0


def _reads_shape(size: ast.expr) -> bool:
    return any(isinstance(part, Op) for part in walk(size))
