"""What the sizes pass looks at: the places where sizes are needed, what is around them, and what was seen there."""

from __future__ import annotations

import ast
import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netferry.ops import registry
from netferry.ops.core import INFERRED
from netferry.passes.provenance import OUTPUTS, Chain, Terms
from netferry.pivot.copying import copied
from netferry.pivot.facts import Event, Tensor
from netferry.pivot.nodes import Hole, Op, constant
from netferry.walking import Transformer, walk

_POSITIONS = {"query": 0, "value": 1, "key": 2}
_SCOPES = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.If, ast.While)
Scopes = list[ast.AST]


@dataclass(frozen=True)
class Sample:
    """A size as seen once, the calls within which it was (the site's own last), and the layers it comes from."""

    value: Any
    chain: Chain
    terms: Terms = ()


class Put(Transformer):
    """Sizes of inputs where they are asked for."""

    def visit(self, node: ast.AST) -> Any:
        value = getattr(node, "nf_value", None)
        return super().visit(node) if value is None else ast.copy_location(value, node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        self.generic_visit(node)
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name(id=other)) if hasattr(node, "nf_size"):
                return None if name == other else node
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for name in ("body", "orelse"):
            statements = getattr(node, name, None)
            if isinstance(statements, list) and any(hasattr(s, "nf_before") for s in statements):
                setattr(node, name, [m for s in statements for m in (*getattr(s, "nf_before", ()), s)])
        return super().generic_visit(node)


def free_name(name: str, around: ast.AST) -> str:
    """The name, or one like it that nothing there has."""
    taken = {n.id for n in walk(around) if isinstance(n, ast.Name)} | {
        a.arg for a in walk(around) if isinstance(a, ast.arg)
    }
    made, number = name, 1
    while made in taken:
        number += 1
        made = f"{name}{number}"
    return made


def operand_size(event: Event, names: Sequence[str]) -> int | None:
    """The last size of the first of these operands that was given."""
    for name in names:
        at = _POSITIONS[name]
        found = event.kwargs.get(name, event.args[at] if at < len(event.args) else None)
        if isinstance(found, Tensor):
            return found.shape[-1]
    return None


def outermost_loop(scopes: Scopes) -> tuple[int, ast.For | None]:
    """The loop whose rounds, and those of loops and branches within, a site is in; and how deep it lies."""
    inner = list(itertools.takewhile(lambda s: isinstance(s, ast.For | ast.If), reversed(scopes)))
    loops = [s for s in inner if isinstance(s, ast.For)]
    return (scopes.index(loops[-1]), loops[-1]) if loops else (-1, None)


def block_of(scope: ast.AST, site: int) -> list[ast.stmt]:
    """The statements of a loop or a branch among which a layer is made."""
    blocks = [getattr(scope, "body", []), getattr(scope, "orelse", [])]
    return next(b for b in blocks if any(getattr(n, "nf_id", -1) == site for s in b for n in walk(s)))


def candidates(around: ast.AST) -> Iterator[ast.expr]:
    """What a function or loop tells its layers to give, then the other arguments of the calls in it."""
    inside = [n for s in getattr(around, "body", ()) for n in walk(s)]
    for node in inside:
        if isinstance(node, Op) and node.layer:
            yield from (g for wanted in OUTPUTS if (g := node.attribute(wanted)) is not None)
    for node in inside:
        if isinstance(node, ast.Call):
            given = [*node.args, *(k.value for k in node.keywords)]
            yield from (g for g in given if isinstance(g, ast.Name | ast.BinOp))
    parameters = {a.arg for a in walk(around) if isinstance(a, ast.arg)}
    yield from (n for n in inside if isinstance(n, ast.Name) and n.id in parameters)


def changing(function: ast.AST, mine: set[int], line: int) -> set[str]:
    """The names that a loop of the function binds, or that it binds from a line on."""
    loops = {
        id(n) for s in walk(function) if isinstance(s, ast.For) and s is not function for n in walk(s)
    } - mine  # fmt: skip
    return {
        n.id for n in walk(function)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) and id(n) not in mine
        and (id(n) in loops or getattr(n, "lineno", 0) >= line or isinstance(function, ast.For))
    }  # fmt: skip


def hands_on(seen: Sequence[Any], rounds: Sequence[Sequence[Sample]]) -> bool:
    """Whether every round but the first needs what the round before had."""
    at = 0
    for group in rounds:
        mine = seen[at : at + len(group)]
        at += len(group)
        if any(not isinstance(v, int) or v != s.value for v, s in zip(mine, group[1:], strict=False)):
            return False
    return True


def given_to(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(k.value for k in call.keywords)]


def in_words(made: ast.expr | None, values: Sequence[Any], node: ast.expr) -> ast.expr:
    """What stands for a size: its words; else the number, where all runs agree in it, which no one number is otherwise."""
    if made is not None or len(set(values)) == 1:
        return made or constant(values[0])
    site = next((n.site for n in walk(node) if isinstance(n, Op) and n.site is not None), None)
    seen = ", ".join(str(v) for v in dict.fromkeys(values))
    reason = f"the size of a tensor that is {seen} in turn is needed where the tensor is not at hand yet"
    return Hole(copied(node), reason, "hand the size on as an argument", site)


def is_size(node: ast.AST) -> bool:
    """Whether it reads one size of a tensor."""
    if not isinstance(node, ast.Subscript) or not hasattr(node, "nf_id"):
        return False
    shape = getattr(node, "nf_shape", node.value)
    return any(isinstance(n, Op) and n.name == "shape" for n in walk(shape))


def own_sizes(given: Iterable[ast.expr]) -> set[int]:
    """The sizes that functions among what is given read of their own arguments."""
    functions = [n for g in given for n in walk(g) if isinstance(n, ast.Lambda)]
    return {
        id(n)
        for f in functions
        for n in walk(f.body)
        if is_size(n) and {m.id for m in walk(n) if isinstance(m, ast.Name)} & {a.arg for a in f.args.args}
    }


def scoped(node: ast.AST, scopes: Scopes) -> Iterator[tuple[ast.AST, Scopes]]:
    """Every node below, inner ones first, with the functions and classes around it."""
    inner = [*scopes, node] if isinstance(node, _SCOPES) else scopes
    for child in ast.iter_child_nodes(node):
        yield from scoped(child, inner)
    yield node, scopes


def function_around(scopes: Scopes) -> ast.FunctionDef | None:
    """The function around a site: one that callers can be told to give more arguments."""
    scopes = [s for s in scopes if not isinstance(s, ast.For | ast.If | ast.While)]
    if not scopes or not isinstance(scopes[-1], ast.FunctionDef):
        return None
    outer = scopes[:-1]
    is_method = bool(outer) and isinstance(outer[-1], ast.ClassDef)
    if (is_method and scopes[-1].name == "__init__" and len(outer) == 1) or not outer:
        return scopes[-1]
    return None


def turns_of(rounds: Mapping[int, Sequence[Sample]], serials: Sequence[int]) -> list[list[Sample | None]]:
    """The samples of every call's rounds of a loop; None for a round that did not need the size.

    ``serials``: the numbers of all calls made at the site, in order.
    """
    found: list[list[Sample | None]] = []
    for caller, following in itertools.pairwise([*sorted(rounds), sys.maxsize]):
        mine = {s.chain[-1].serial: s for s in rounds[caller]}
        times = [s for s in serials if caller <= s < following]
        found.append([mine.get(s) for s in times] if mine.keys() <= set(times) else list(rounds[caller]))
    return found


def one_behind(
    handed: Mapping[tuple[int, str], list[list[Any]]], turns: list[list[Sample | None]], loop: ast.For
) -> ast.expr | None:
    """A variable that the rounds of a loop hand on and that had in each round what the next one needs."""
    for (at, name), known in handed.items():
        if at != id(loop) or [len(g) for g in known] != [len(g) for g in turns]:
            continue
        pairs = [(b, s) for g, h in zip(known, turns, strict=True) for b, s in zip(g, h[1:], strict=False) if s]
        if len({s.value for _, s in pairs}) > 1 and all(before == s.value for before, s in pairs):
            return ast.Name(name, ast.Load())
    return None


def bound_by(node: ast.stmt) -> set[str]:
    """The names that a plain assignment binds."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
    return {t.id for t in targets if isinstance(t, ast.Name)}


def lacks_dimensions(op: str) -> bool:
    """Whether a layer must be told over how many axes it works."""
    return any(p.name == "dimensions" and p.default is INFERRED for p in registry.get(op).attributes)
