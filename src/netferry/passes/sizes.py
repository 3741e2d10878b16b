"""Sizes made explicit: what one framework learns from the data and another wants to be told.

A size that every run of a site agrees in is a constant; where runs differ, it is what a neighbour is given, or an
argument threaded from the callers; where neither says it, it stays open.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from netferry.ops import registry
from netferry.ops.core import INFERRED
from netferry.pivot.copying import copied
from netferry.pivot.facts import Event, Tensor
from netferry.pivot.nodes import Op, constant
from netferry.pivot.program import Definition, Program

_CHANNELS = frozenset({"in_channels", "num_features", "num_channels"})
_LAST = frozenset({"in_features", "input_size", "normalized_shape"})
_OUTPUTS = ("out_channels", "out_features", "hidden_size")
"""Attributes that say how many channels a layer gives: what the next one may take."""


_SCOPES = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.If, ast.While)


@dataclass(frozen=True)
class _Sample:
    """A size as seen once, and the calls within which the site that needs it was run (the site's own last)."""

    value: Any
    chain: tuple[Any, ...]


def fill(program: Program, *, channels_last: bool) -> int:
    """Give every layer the sizes that it was seen to be called with; the number of those that stay open."""
    return _Filler(program, channels_last).run()


class _Filler:
    def __init__(self, program: Program, channels_last: bool) -> None:
        self.program = program
        self.recording = program.facts
        self.channels_last = channels_last
        self.scopes: dict[int, list[ast.AST]] = {}
        self.calls: dict[int, ast.Call] = {}
        self.threaded: dict[tuple[int, str], list[tuple[str, dict[int, Any]]]] = {}
        self.handed: dict[tuple[int, tuple[Any, ...]], str] = {}
        """Loop and sizes in it -> the variable that hands them on."""
        self.first: dict[int, Event] = {}
        for event in self.recording.events:
            if event.instance is not None:
                self.first.setdefault(event.instance, event)

    def run(self) -> int:
        """Every layer op of the program; nested ones before those around them."""
        found: list[tuple[Op, list[ast.AST]]] = []
        for tree in [*(d.node for d in self.program.definitions), self.program.construction]:
            for node, scopes in _scoped(tree, []):
                number = getattr(node, "nf_id", -1)
                if isinstance(node, ast.Call):
                    self.calls[number] = node
                    self.scopes[number] = scopes
                elif isinstance(node, Op) and (node.layer or node.name == "input_size"):
                    found.append((node, scopes))
        self._shapes()
        made = list(self.recording.constructed.values())
        # Sites that run more often first: what others need in some of the runs is among what these are told.
        found.sort(key=lambda item: -made.count(getattr(item[0], "nf_id", -1)))
        left = sum(self._fill(node, scopes) for node, scopes in found)
        placed: list[Definition] = []
        for definition in self.program.definitions:
            before = getattr(definition.node, "nf_before", [])
            placed += [Definition((n.targets[0].id,), n, definition.module) for n in before]
            definition.node = _Put().visit(definition.node)
            placed.append(definition)
        self.program.definitions[:] = placed
        return left

    def _shapes(self) -> None:
        """``Dense(x.shape[-1])``: sizes of tensors that layers are made with, at once or through a name."""
        for tree in [d.node for d in self.program.definitions]:
            nodes = list(_scoped(tree, []))
            given = [
                k.value for n, _ in nodes if isinstance(n, Op) and n.layer for k in n.attributes
            ] + [a for n, _ in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) for a in _given(n)]  # fmt: skip
            inside = {id(n) for g in given for n in ast.walk(g)}
            names = {n.id for g in given for n in ast.walk(g) if isinstance(n, ast.Name)}
            for node, _ in nodes:
                match node:
                    case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in names:
                        inside |= {id(n) for n in ast.walk(value)}
            for node, scopes in nodes:
                if id(node) in inside and _is_size(node):
                    self._input_size(node, scopes)

    def _fill(self, node: Op, scopes: list[ast.AST]) -> int:
        if node.name == "input_size":
            return self._input_size(node, scopes)
        missing = [
            p.name for p in registry.get(node.name).attributes
            if p.default is INFERRED and node.attribute(p.name) is None and p.name in _CHANNELS | _LAST | {"dimensions"}
        ]  # fmt: skip
        left = 0
        for name in missing:
            samples = [s for s in self._samples(getattr(node, "nf_id", -1), name) if s.value is not None]
            made = self.resolve(samples, scopes, name) if samples else None
            if made is not None:
                node.attributes.append(ast.keyword(name, made))
            left += made is None and bool(samples)
        return left

    def _samples(self, site: int, name: str) -> Iterator[_Sample]:
        for identity, made_at in self.recording.constructed.items():
            if made_at == site and identity in self.first:
                value = self._size(self.first[identity], name)
                yield _Sample(value, self.recording.chains.get(identity, ()))

    def _size(self, event: Event, name: str) -> Any:
        given = next((a for a in (*event.args, *event.kwargs.values()) if isinstance(a, Tensor)), None)
        if given is None or len(given.shape) < 2:
            return None
        if name == "dimensions":
            return max(len(given.shape) - 2, 1)
        at = -1 if name in _LAST or self.channels_last else 1
        return given.shape[at]

    def _input_size(self, node: Any, scopes: list[ast.AST]) -> int:
        values = self.recording.values.get(getattr(node, "nf_id", -1), [])
        if not values:
            return 1
        chains = self.recording.within.get(getattr(node, "nf_id", -1), [])
        samples = [_Sample(v, c) for v, c in zip(values, chains, strict=False)]
        made = self.resolve(samples, scopes, "in_features") or constant(values[0])
        node.nf_value = made
        return 0

    # -- one size as an expression -------------------------------------------------------------------------------

    def resolve(self, samples: Sequence[_Sample], scopes: list[ast.AST], name: str) -> ast.expr | None:
        """An expression that has every sample's value where the site is run; None where there is none."""
        if len({s.value for s in samples}) == 1:
            return constant(samples[0].value)
        function = _function(scopes)
        outer = function or next((n for n in scopes if isinstance(n, ast.For)), None)
        made = self._neighbour(samples, outer, scopes) if outer is not None else None
        made = made or self._running(samples, scopes, name)
        if made is None and function is not None:
            made = self._argument(samples, scopes, function, name)
        return made

    def _running(self, samples: Sequence[_Sample], scopes: list[ast.AST], name: str) -> ast.expr | None:
        """In a loop, what a layer of the round before was told to give: a variable that each round hands on."""
        loop = scopes[-1] if scopes and isinstance(scopes[-1], ast.For) else None
        if loop is None:
            return None
        rounds: dict[int, list[_Sample]] = {}
        for sample in samples:
            caller = self._caller(sample)
            rounds.setdefault(caller[0] if caller else 0, []).append(sample)
        values = [s.value for s in samples]
        known = self.handed.get((id(loop), tuple(values)))
        if known is not None:
            return ast.Name(known, ast.Load())
        for given in _candidates(loop):
            seen = self.recording.values.get(getattr(given, "nf_id", -1), [])
            if len(seen) == len(samples) and _hands_on(seen, list(rounds.values())):
                firsts = [group[0] for group in rounds.values()]
                start = self.resolve(firsts, scopes[:-1], name)
                return None if start is None else self._hand_on(loop, scopes, name, start, copied(given), values)
        later = {s.value for group in rounds.values() for s in group[1:]}
        if len(later) == 1:
            start = self.resolve([group[0] for group in rounds.values()], scopes[:-1], name)
            return None if start is None else self._hand_on(loop, scopes, name, start, constant(later.pop()), values)
        return None

    def _hand_on(
        self, loop: ast.For, scopes: list[ast.AST], name: str, start: ast.expr, given: ast.expr, values: list[Any]
    ) -> ast.expr:
        around = _function(scopes) or loop
        taken = {n.id for n in ast.walk(around) if isinstance(n, ast.Name)} | {
            a.arg for a in ast.walk(around) if isinstance(a, ast.arg)
        }
        variable, number = name, 1
        while variable in taken:
            number += 1
            variable = f"{name}{number}"
        self.handed[id(loop), tuple(values)] = variable
        before = getattr(loop, "nf_before", [])
        loop.nf_before = [*before, ast.Assign([ast.Name(variable, ast.Store())], start)]  # type: ignore[attr-defined]
        loop.body = [*loop.body, ast.Assign([ast.Name(variable, ast.Store())], given)]
        return ast.Name(variable, ast.Load())

    def _neighbour(self, samples: Sequence[_Sample], function: ast.AST, scopes: list[ast.AST]) -> ast.expr | None:
        """What another layer of the same function was told to give, if it always was this size."""
        loops = [n.target for n in scopes if isinstance(n, ast.For)]
        mine = {id(n) for t in loops for n in ast.walk(t)}
        stored = {
            n.id for n in ast.walk(function)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) and id(n) not in mine
        }  # fmt: skip
        for given in _candidates(function):
            names = {n.id for n in ast.walk(given) if isinstance(n, ast.Name)}
            if not names or names & stored:
                continue
            seen = self.recording.values.get(getattr(given, "nf_id", -1), [])
            if len(seen) == len(samples) and all(v == s.value for v, s in zip(seen, samples, strict=True)):
                return copied(given)  # type: ignore[no-any-return]
        return None

    def _argument(
        self, samples: Sequence[_Sample], scopes: list[ast.AST], function: ast.FunctionDef, name: str
    ) -> ast.expr | None:
        """A parameter of the function around the site, given by all its callers."""
        callers = [self._caller(s) for s in samples]
        known = [c for c in callers if c is not None]
        if len(known) != len(samples):
            return None
        by_serial: dict[int, Any] = {}
        for serial, outer in known:
            if by_serial.setdefault(serial, outer.value) != outer.value:
                return None
        for parameter, before in self.threaded.get((id(function), name), []):
            if by_serial.items() <= before.items():
                return ast.Name(parameter, ast.Load())
        given: dict[int, ast.expr] = {}
        for site in {outer.chain[-1].node for _, outer in known}:
            call = self.calls.get(site)
            if call is None or any(isinstance(a, ast.Starred) for a in call.args):
                return None
            seen = {s: o for s, o in known if o.chain[-1].node == site}
            made = self.resolve(list(seen.values()), self.scopes[site], name)
            if made is None:
                return None
            given[site] = made
        return self._thread(function, name, by_serial, given)

    def _thread(
        self, function: ast.FunctionDef, name: str, by_serial: dict[int, Any], given: dict[int, ast.expr]
    ) -> ast.expr:
        taken = {a.arg for a in ast.walk(function) if isinstance(a, ast.arg)} | {
            n.id for n in ast.walk(function) if isinstance(n, ast.Name)
        }
        parameter, number = name, 1
        while parameter in taken:
            number += 1
            parameter = f"{name}{number}"
        self.threaded.setdefault((id(function), name), []).append((parameter, by_serial))
        arguments = function.args
        at = 1 if arguments.args and arguments.args[0].arg == "self" else 0
        at += len(self.threaded[id(function), name]) - 1
        function.args = ast.arguments(
            arguments.posonlyargs, [*arguments.args[:at], ast.arg(parameter), *arguments.args[at:]], arguments.vararg,
            arguments.kwonlyargs, arguments.kw_defaults, arguments.kwarg, arguments.defaults,
        )  # fmt: skip
        for site, value in given.items():
            call = self.calls[site]
            behind = len(self.threaded[id(function), name]) - 1
            call.args = [*call.args[:behind], value, *call.args[behind:]]
        return ast.Name(parameter, ast.Load())

    def _caller(self, sample: _Sample) -> tuple[int, _Sample] | None:
        """The call that runs the body around a site, as a sample of that call's own site."""
        *outer, own = sample.chain
        for index in range(len(outer) - 1, -1, -1):
            link = outer[index]
            if link.body == own.body:
                continue
            if link.instance:  # A layer that makes its parts when first called got its arguments when it was made.
                chain = self.recording.chains.get(link.instance)
                return (link.instance, _Sample(sample.value, chain)) if chain else None
            return link.serial, _Sample(sample.value, tuple(outer[: index + 1]))
        return None


class _Put(ast.NodeTransformer):
    """Sizes of inputs where they are asked for."""

    def visit_Op(self, node: Op) -> ast.AST:
        self.generic_visit(node)
        value = getattr(node, "nf_value", None)
        return node if value is None else ast.copy_location(value, node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        value = getattr(node, "nf_value", None)
        return self.generic_visit(node) if value is None else ast.copy_location(value, node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for name in ("body", "orelse"):
            statements = getattr(node, name, None)
            if isinstance(statements, list) and any(hasattr(s, "nf_before") for s in statements):
                setattr(node, name, [m for s in statements for m in (*getattr(s, "nf_before", ()), s)])
        return super().generic_visit(node)


def _candidates(around: ast.AST) -> Iterator[ast.expr]:
    """What a function or loop tells its layers to give, then the other arguments of the calls in it."""
    inside = [n for s in getattr(around, "body", ()) for n in ast.walk(s)]
    for node in inside:
        if isinstance(node, Op) and node.layer:
            yield from (g for wanted in _OUTPUTS if (g := node.attribute(wanted)) is not None)
    for node in inside:
        if isinstance(node, ast.Call):
            given = [*node.args, *(k.value for k in node.keywords)]
            yield from (g for g in given if isinstance(g, ast.Name | ast.BinOp))


def _hands_on(seen: Sequence[Any], rounds: Sequence[Sequence[_Sample]]) -> bool:
    """Whether every round but the first needs what the round before had."""
    at = 0
    for group in rounds:
        mine = seen[at : at + len(group)]
        at += len(group)
        if any(not isinstance(v, int) or v != s.value for v, s in zip(mine, group[1:], strict=False)):
            return False
    return True


def _given(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(k.value for k in call.keywords)]


def _is_size(node: ast.AST) -> bool:
    """Whether it reads one size of a tensor."""
    if not isinstance(node, ast.Subscript) or not hasattr(node, "nf_id"):
        return False
    return any(isinstance(n, Op) and n.name == "shape" for n in ast.walk(node.value))


def _scoped(node: ast.AST, scopes: list[ast.AST]) -> Iterator[tuple[ast.AST, list[ast.AST]]]:
    """Every node below, inner ones first, with the functions and classes around it."""
    inner = [*scopes, node] if isinstance(node, _SCOPES) else scopes
    for child in ast.iter_child_nodes(node):
        yield from _scoped(child, inner)
    yield node, scopes


def _function(scopes: list[ast.AST]) -> ast.FunctionDef | None:
    """The function around a site: one that callers can be told to give more arguments."""
    scopes = [s for s in scopes if not isinstance(s, ast.For | ast.If | ast.While)]
    if not scopes or not isinstance(scopes[-1], ast.FunctionDef):
        return None
    outer = scopes[:-1]
    is_method = bool(outer) and isinstance(outer[-1], ast.ClassDef)
    if (is_method and scopes[-1].name == "__init__" and len(outer) == 1) or not outer:
        return scopes[-1]
    return None
