"""Sizes made explicit: what one framework learns from the data and another wants to be told.

A size is what the layers that gave the channels were told, in the words of the function that needs it; else a number
that every run of a site agrees in, a variable that the rounds of a loop hand on, or an argument threaded from the callers.
"""

from __future__ import annotations

import ast
import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from netferry.ops import registry
from netferry.ops.core import INFERRED
from netferry.passes.layout.bound import layer_attributes
from netferry.passes.provenance import OUTPUTS, Chain, Provenance, Terms, runner, tensors
from netferry.pivot.copying import copied
from netferry.pivot.facts import Event, Tensor
from netferry.pivot.nodes import Op, constant
from netferry.pivot.program import Definition, Program
from netferry.walking import Transformer, walk

_CHANNELS = frozenset({"in_channels", "num_features", "num_channels"})
_LAST = frozenset({"in_features", "input_size", "normalized_shape"})
_OPERANDS = {"query_size": ("query",), "value_size": ("value", "query"), "key_size": ("key", "value", "query")}
"""Last sizes of operands by name, or of those that stand for them where they are not given."""
_POSITIONS = {"query": 0, "value": 1, "key": 2}
_KNOWN = _CHANNELS | _LAST | _OPERANDS.keys() | {"dimensions"}
_SHORT = {"num_features": "in_channels", "num_channels": "in_channels", "normalized_shape": "in_channels"}
"""What arguments and variables that hand sizes on are called."""
_SCOPES = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.If, ast.While)
Scopes = list[ast.AST]


@dataclass(frozen=True)
class _Sample:
    """A size as seen once, the calls within which it was (the site's own last), and the layers it comes from."""

    value: Any
    chain: Chain
    terms: Terms = ()


def fill(program: Program, *, channels_last: bool) -> int:
    """Give every layer the sizes that it was seen to be called with; the number of those that stay open."""
    return _Filler(program, channels_last).run()


class _Filler:
    def __init__(self, program: Program, channels_last: bool) -> None:
        self.program = program
        self.recording = program.facts
        self.channels_last = channels_last
        self.provenance = Provenance(self.recording, channels_last)
        self.scopes = self.provenance.scopes
        self.calls = self.provenance.calls
        self.lines: dict[int, int] = {}
        self.threaded: dict[int, list[tuple[str, dict[int, Any]]]] = {}
        """Function -> its new parameters, and what each call gives for them."""
        self.handed: dict[tuple[int, tuple[Any, ...]], str] = {}
        """Loop and sizes in it -> the variable that hands them on."""
        self.first: dict[int, Event] = {}
        for event in self.recording.events:
            if event.instance is not None:
                self.first.setdefault(event.instance, event)

    # -- which sizes ---------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Every layer op of the program; nested ones before those around them."""
        found = self._collect()
        self.dimensions = {self._size(e, "dimensions") for e in self.first.values() if self._is_spatial(e)}
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

    def _collect(self) -> list[tuple[Op, Scopes]]:
        found: list[tuple[Op, Scopes]] = []
        twice: set[str] = set()
        for tree in [*(d.node for d in self.program.definitions), self.program.construction]:
            for node, scopes in _scoped(tree, []):
                number = getattr(node, "nf_id", -1)
                self.lines.setdefault(number, getattr(node, "lineno", 0))
                if isinstance(node, ast.Call):
                    self.calls[number] = node
                    self.scopes[number] = scopes
                elif isinstance(node, ast.FunctionDef):
                    twice |= {node.name} & self.provenance.functions.keys()
                    self.provenance.functions[node.name] = node
                elif isinstance(node, Op) and (node.layer or node.name == "input_size"):
                    found.append((node, scopes))
                    self.provenance.ops.setdefault(number, (node, scopes))
                    self.scopes.setdefault(number, scopes)
        for name in twice:
            del self.provenance.functions[name]
        return found

    def _shapes(self) -> None:
        """``Dense(x.shape[-1])``: sizes of tensors that layers are made with, at once or through a name."""
        for tree in [d.node for d in self.program.definitions]:
            nodes = list(_scoped(tree, []))
            given = [
                k.value for n, _ in nodes if isinstance(n, Op) and n.layer for k in n.attributes
            ] + [a for n, _ in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) for a in _given(n)]  # fmt: skip
            inside = {id(n) for g in given for n in walk(g)}
            names = {n.id for g in given for n in walk(g) if isinstance(n, ast.Name)}
            for node, scopes in nodes:
                match node:
                    case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in names and not self._data(
                        value
                    ):
                        inside |= {id(n) for n in walk(value)}
                        if _is_size(value):
                            self._input_size(value, scopes, name)
                            node.nf_size = True  # type: ignore[attr-defined]
            for node, scopes in nodes:
                if id(node) in inside and _is_size(node) and not hasattr(node, "nf_value"):
                    self._input_size(node, scopes)

    def _data(self, node: ast.expr) -> bool:
        """Whether an expression was seen to be a tensor, which is no size."""
        return any(isinstance(v, Tensor) for v in self.recording.values.get(getattr(node, "nf_id", -1), ()))

    def _fill(self, node: Op, scopes: Scopes) -> int:
        if node.name == "input_size":
            return self._input_size(node, scopes)
        missing = [
            p.name for p in registry.get(node.name).attributes
            if p.default is INFERRED and node.attribute(p.name) is None and p.name in _KNOWN
        ]  # fmt: skip
        left = 0
        site = getattr(node, "nf_id", -1)
        if "dimensions" in missing and len(self.dimensions) == 1 and site not in self.recording.constructed.values():
            # The run did not reach it: its neighbours tell for what data it is.
            node.attributes.append(ast.keyword("dimensions", constant(next(iter(self.dimensions)))))
            missing.remove("dimensions")
        for name in missing:
            samples = [s for s in self._samples(site, name) if s.value is not None]
            made = self.resolve(samples, scopes, name, site) if samples else None
            if made is not None:
                node.attributes.append(ast.keyword(name, made))
                if any(isinstance(s.value, tuple) for s in samples):  # The sizes say which axes they are of.
                    node.attributes = [k for k in node.attributes if k.arg != "axes"]
            left += made is None and bool(samples)
        return left

    def _is_spatial(self, event: Event) -> bool:
        return event.path.rpartition(".")[2].startswith("BatchNorm") and self._size(event, "dimensions") is not None

    def _samples(self, site: int, name: str) -> Iterator[_Sample]:
        for identity, made_at in self.recording.constructed.items():
            if made_at == site and identity in self.first:
                event = self.first[identity]
                terms = () if name == "dimensions" else self._terms(event)
                yield _Sample(self._size(event, name), self.recording.chains.get(identity, ()), terms)
        for identity, (made_at, chain, _) in self.recording.based.items():
            if made_at == site and identity in self.first:
                event = self.first[identity]
                yield _Sample(self._size(event, name), chain, () if name == "dimensions" else self._terms(event))

    def _axes(self, event: Event, rank: int) -> list[int]:
        """The trailing axes over which a layer normalises, where they are several."""
        found = self.attributes.get(event.instance or 0)
        axes = found[2].get("axes") if found else None
        places = sorted(a % rank for a in axes) if isinstance(axes, list | tuple) else []
        return places if len(places) > 1 and places == list(range(places[0], rank)) else []

    @functools.cached_property
    def attributes(self) -> dict[int, Any]:
        """What layers were made with."""
        return layer_attributes(self.recording)

    def _terms(self, event: Event) -> Terms:
        given = next(tensors([*event.args, *event.kwargs.values()]), None)
        return self.provenance.terms.get(given.identity, ()) if given is not None else ()

    def _size(self, event: Event, name: str) -> Any:
        if name in _OPERANDS:
            return _operand_size(event, _OPERANDS[name])
        given = next((a for a in (*event.args, *event.kwargs.values()) if isinstance(a, Tensor)), None)
        if given is None or len(given.shape) < 2:
            return None
        if name == "dimensions":
            return max(len(given.shape) - 2, 1)
        if name == "normalized_shape" and (axes := self._axes(event, len(given.shape))):
            return tuple(given.shape[a] for a in axes)
        at = -1 if name in _LAST or self.channels_last else 1
        return given.shape[at]

    def _input_size(self, node: Any, scopes: Scopes, name: str = "") -> int:
        site = getattr(node, "nf_id", -1)
        values = self.recording.values.get(site, [])
        if not values:
            return 1
        chains = self.recording.within.get(site, [])
        samples = [_Sample(v, c, t) for v, c, t in zip(values, chains, self._read(node, len(values)), strict=False)]
        made = self.resolve(samples, scopes, name or "in_features", site, exact=bool(name)) or constant(values[0])
        node.nf_value = made
        return 0

    def _read(self, node: Any, count: int) -> list[Terms]:
        """The layers whose channels a read of a size counts, each time."""
        operand = next((n.operand("x") for n in walk(node) if isinstance(n, Op) and n.name == "shape"), None)
        seen = self.recording.values.get(getattr(operand, "nf_id", -1), [])
        if len(seen) != count or not all(isinstance(v, Tensor) for v in seen):
            return [()] * count
        return [self.provenance.terms.get(v.identity, ()) for v in seen]

    # -- one size as an expression -------------------------------------------------------------------------------

    def resolve(
        self, samples: Sequence[_Sample], scopes: Scopes, name: str, site: int, *, exact: bool = False
    ) -> ast.expr | None:
        """An expression that has every sample's value where the site is run; None where there is none."""
        if name == "dimensions":
            return constant(samples[0].value) if len({s.value for s in samples}) == 1 else None
        made = self._told(samples, site)
        if made is not None:
            return made
        if len({s.value for s in samples}) == 1:
            return constant(samples[0].value)
        function = _function(scopes)
        inner = next((n for n in reversed(scopes) if isinstance(n, ast.FunctionDef)), None)
        outer = function or inner or next((n for n in scopes if isinstance(n, ast.For)), None)
        made = self._neighbour(samples, outer, scopes, site) if outer is not None else None
        made = made or self._running(samples, scopes, name, site)
        if made is None and function is not None:
            made = self._argument(samples, function, name, exact=exact)
        return made

    def _told(self, samples: Sequence[_Sample], site: int, *, earlier: bool = False) -> ast.expr | None:
        """What the layers that gave the channels were told, if it is the same words for all."""
        found: dict[str, ast.expr] = {}
        for sample in samples:
            made = self.provenance.expression(sample.terms, sample.chain, site, earlier=earlier)
            if made is None or (isinstance(made, ast.Constant) and made.value != sample.value):
                return None
            found[ast.unparse(made)] = made
            if len(found) > 1:
                return None
        return next(iter(found.values()), None)

    # -- rounds of loops -----------------------------------------------------------------------------------------

    def _running(self, samples: Sequence[_Sample], scopes: Scopes, name: str, site: int) -> ast.expr | None:
        """In a loop, what a layer of the round before was told to give: a variable that each round hands on."""
        depth = next((i for i, s in reversed(list(enumerate(scopes))) if not isinstance(s, ast.If)), -1)
        loop = scopes[depth] if depth >= 0 else None
        if not isinstance(loop, ast.For):
            return None
        rounds: dict[int, list[_Sample]] = {}
        for sample in samples:
            caller = self._caller(sample)
            rounds.setdefault(caller[0] if caller else 0, []).append(sample)
        values = [s.value for s in samples]
        known = self.handed.get((id(loop), tuple(values)))
        if known is not None:
            return ast.Name(known, ast.Load())
        groups = list(rounds.values())
        step = self._step(groups, loop, samples, site)
        if step is None:
            return None
        start = self.resolve([group[0] for group in groups], scopes[:depth], name, site)
        if start is None:
            return None
        return self._hand_on(loop, _block(scopes[-1], site), _function(scopes) or loop, name, start, step, values)

    def _step(
        self, groups: list[list[_Sample]], loop: ast.For, samples: Sequence[_Sample], site: int
    ) -> ast.expr | tuple[ast.expr] | None:
        """What the next round gets, or (in a tuple) how much more than this one."""
        later = [s for group in groups for s in group[1:]]
        told = self._told(later, site, earlier=True) if later else None
        if told is not None:
            return told
        grown = self._growth(groups, site)
        if grown is not None:
            return (grown,)
        for given in _candidates(loop):
            seen = self.recording.values.get(getattr(given, "nf_id", -1), [])
            if len(seen) == len(samples) and _hands_on(seen, groups):
                return copied(given)  # type: ignore[no-any-return]
        values = {s.value for s in later}
        return constant(values.pop()) if len(values) == 1 else None

    def _growth(self, groups: list[list[_Sample]], site: int) -> ast.expr | None:
        """What every round adds to the channels of the round before."""
        more: list[_Sample] = []
        for group in groups:
            for before, after in itertools.pairwise(group):
                n, rest = len(before.terms), after.terms
                if not n or (rest[:n] != before.terms and rest[-n:] != before.terms):
                    return None
                added = rest[n:] if rest[:n] == before.terms else rest[:-n]
                more.append(_Sample(after.value - before.value, after.chain, added))
        return self._told(more, site, earlier=True) if more else None

    def _hand_on(
        self, loop: ast.For, block: list[ast.stmt], around: ast.AST, name: str, start: ast.expr,
        step: ast.expr | tuple[ast.expr], values: list[Any],
    ) -> ast.expr:  # fmt: skip
        if isinstance(start, ast.Name) and self._is_mine(start.id, around):
            variable = start.id
        else:
            variable = _free(_SHORT.get(name, name), around)
            before = getattr(loop, "nf_before", [])
            loop.nf_before = [*before, ast.Assign([ast.Name(variable, ast.Store())], start)]  # type: ignore[attr-defined]
        self.handed[id(loop), tuple(values)] = variable
        target = ast.Name(variable, ast.Store())
        update: ast.stmt = (
            ast.AugAssign(target, ast.Add(), step[0]) if isinstance(step, tuple) else ast.Assign([target], step)
        )
        block.append(update)
        return ast.Name(variable, ast.Load())

    def _is_mine(self, name: str, function: ast.AST) -> bool:
        """Whether a parameter was added for this use alone; from now on it is a variable."""
        added = self.threaded.get(id(function), [])
        used = any(isinstance(n, ast.Name) and n.id == name for n in walk(function))
        found = next((i for i, (n, _) in enumerate(added) if n == name and not used), None)
        if found is not None:
            added[found] = (name, {})
        return found is not None

    def _neighbour(
        self, samples: Sequence[_Sample], function: ast.AST, scopes: Scopes, site: int
    ) -> ast.expr | None:  # fmt: skip
        """What a layer or call of the same function was given, if it always was this size."""
        mine = {id(n) for s in scopes if isinstance(s, ast.For) for n in walk(s.target)}
        functions = [s for s in scopes if isinstance(s, ast.FunctionDef)]
        numbers = [self.recording.given.get(self._serial(s.chain), {}) for s in samples]
        for name in (a.arg for f in reversed(functions) for a in f.args.args):
            if all(n.get(name) == s.value for n, s in zip(numbers, samples, strict=True)) and not any(
                name in _changing(f, mine, 0) for f in functions
            ):
                return ast.Name(name, ast.Load())
        computed = self._computed(samples, functions, site)
        if computed is not None:
            return computed
        for given in _candidates(function):
            names = {n.id for n in walk(given) if isinstance(n, ast.Name)}
            if not names or names & _changing(function, mine, self.lines.get(site, 0)):
                continue
            if self._agrees(getattr(given, "nf_id", -1), samples):
                return copied(given)  # type: ignore[no-any-return]
        return None

    def _computed(
        self, samples: Sequence[_Sample], functions: Sequence[ast.FunctionDef], site: int
    ) -> ast.expr | None:  # fmt: skip
        """A variable that is computed once before the site and had every sample's value."""
        serials = [self._serial(s.chain) for s in samples]
        made_by = [self.recording.made_by.get(s, s) for s in serials]
        for function in functions:
            for node in function.body:
                match node:
                    case ast.Assign(targets=[ast.Name(id=name)], value=value) if not isinstance(value, ast.Constant):
                        if node.lineno >= self.lines.get(site, 0):
                            continue
                        number = getattr(value, "nf_id", -1)
                        pairs = zip(
                            self.recording.within.get(number, []), self.recording.values.get(number, []), strict=False
                        )
                        known = {self._serial(chain): seen for chain, seen in pairs}
                        agree = known and any(
                            all(known.get(k) == s.value for k, s in zip(keys, samples, strict=True))
                            for keys in (serials, made_by)
                        )
                        if agree and name not in _changing(function, set(), node.lineno + 1):
                            return ast.Name(name, ast.Load())
        return None

    def _agrees(self, node: int, samples: Sequence[_Sample]) -> bool:
        """Whether an expression had the size of every sample: in the same call, or in turn."""
        seen = self.recording.values.get(node, [])
        if any(type(v) is not int for v in seen):
            return False
        chains = self.recording.within.get(node, [])
        serials = [self._serial(c) for c in chains]
        if len(seen) == len(chains) and len(set(serials)) == len(seen):
            by_serial = dict(zip(serials, seen, strict=True))
            return all(by_serial.get(self._serial(s.chain)) == s.value for s in samples)
        return len(seen) == len(samples) and all(v == s.value for v, s in zip(seen, samples, strict=True))

    def _serial(self, chain: Chain) -> int:
        return chain[at].serial if (at := runner(chain)) >= 0 else 0

    # -- arguments -----------------------------------------------------------------------------------------------

    def _argument(
        self, samples: Sequence[_Sample], function: ast.FunctionDef, name: str, *, exact: bool
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
        for parameter, before in self.threaded.get(id(function), []):
            if before and by_serial.items() <= before.items():
                return ast.Name(parameter, ast.Load())
        sites = self._sites(function)
        if any(outer.chain[-1].node not in sites for _, outer in known):
            return None
        given: dict[int, ast.expr] = {}
        for site in sites:
            seen = {s: o for s, o in known if o.chain[-1].node == site}
            made = self.resolve(list(seen.values()), self.scopes[site], name, site) if seen else constant(None)
            if made is None:
                return None
            given[site] = made
        return self._thread(function, name, by_serial, given, exact=exact)

    def _called(self, function: ast.FunctionDef) -> str:
        """The name by which a function is called: a constructor by that of its class."""
        if function.name != "__init__":
            return function.name
        owners = (n for d in self.program.definitions for n in walk(d.node) if isinstance(n, ast.ClassDef))
        return next((n.name for n in owners if function in n.body), function.name)

    def _sites(self, function: ast.FunctionDef) -> list[int]:
        """The calls of a function, where none of them may call another."""
        found: list[int] = []
        called = self._called(function)
        for site, call in self.calls.items():
            names = {getattr(c, "__name__", "") for c in self.recording.callees.get(site, ())}
            if called not in names:
                continue
            if len(names) > 1 or any(isinstance(a, ast.Starred) for a in call.args):
                return []
            found.append(site)
        return found

    def _thread(
        self, function: ast.FunctionDef, name: str, by_serial: dict[int, Any], given: dict[int, ast.expr], *, exact: bool
    ) -> ast.expr:  # fmt: skip
        parameter = name if exact else _free(_SHORT.get(name, name), function)
        mine = self.threaded.setdefault(id(function), [])
        arguments = function.args
        behind = len(mine)
        at = behind + (1 if arguments.args and arguments.args[0].arg == "self" else 0)
        mine.append((parameter, by_serial))
        function.args = ast.arguments(
            arguments.posonlyargs, [*arguments.args[:at], ast.arg(parameter), *arguments.args[at:]], arguments.vararg,
            arguments.kwonlyargs, arguments.kw_defaults, arguments.kwarg, arguments.defaults,
        )  # fmt: skip
        for site, value in given.items():
            call = self.calls[site]
            call.args = [*call.args[:behind], value, *call.args[behind:]]
        return ast.Name(parameter, ast.Load())

    def _caller(self, sample: _Sample) -> tuple[int, _Sample] | None:
        """The call that runs the body around a site, as a sample of that call's own site."""
        at = runner(sample.chain)
        if at < 0:
            return None
        link = sample.chain[at]
        if link.instance:  # A layer that makes its parts when first called got its arguments when it was made.
            chain = self.recording.chains.get(link.instance)
            return (link.instance, _Sample(sample.value, chain, sample.terms)) if chain else None
        return link.serial, _Sample(sample.value, tuple(sample.chain[: at + 1]), sample.terms)


class _Put(Transformer):
    """Sizes of inputs where they are asked for."""

    def visit_Op(self, node: Op) -> ast.AST:
        self.generic_visit(node)
        value = getattr(node, "nf_value", None)
        return node if value is None else ast.copy_location(value, node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        value = getattr(node, "nf_value", None)
        return self.generic_visit(node) if value is None else ast.copy_location(value, node)

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


def _free(name: str, around: ast.AST) -> str:
    """The name, or one like it that nothing there has."""
    taken = {n.id for n in walk(around) if isinstance(n, ast.Name)} | {
        a.arg for a in walk(around) if isinstance(a, ast.arg)
    }
    made, number = name, 1
    while made in taken:
        number += 1
        made = f"{name}{number}"
    return made


def _operand_size(event: Event, names: Sequence[str]) -> int | None:
    """The last size of the first of these operands that was given."""
    for name in names:
        at = _POSITIONS[name]
        found = event.kwargs.get(name, event.args[at] if at < len(event.args) else None)
        if isinstance(found, Tensor):
            return found.shape[-1]
    return None


def _block(scope: ast.AST, site: int) -> list[ast.stmt]:
    """The statements of a loop or a branch among which a layer is made."""
    blocks = [getattr(scope, "body", []), getattr(scope, "orelse", [])]
    return next(b for b in blocks if any(getattr(n, "nf_id", -1) == site for s in b for n in walk(s)))


def _candidates(around: ast.AST) -> Iterator[ast.expr]:
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


def _changing(function: ast.AST, mine: set[int], line: int) -> set[str]:
    """The names that a loop of the function binds, or that it binds from a line on."""
    loops = {
        id(n) for s in walk(function) if isinstance(s, ast.For) and s is not function for n in walk(s)
    } - mine  # fmt: skip
    return {
        n.id for n in walk(function)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) and id(n) not in mine
        and (id(n) in loops or getattr(n, "lineno", 0) >= line or isinstance(function, ast.For))
    }  # fmt: skip


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
    return any(isinstance(n, Op) and n.name == "shape" for n in walk(node.value))


def _scoped(node: ast.AST, scopes: Scopes) -> Iterator[tuple[ast.AST, Scopes]]:
    """Every node below, inner ones first, with the functions and classes around it."""
    inner = [*scopes, node] if isinstance(node, _SCOPES) else scopes
    for child in ast.iter_child_nodes(node):
        yield from _scoped(child, inner)
    yield node, scopes


def _function(scopes: Scopes) -> ast.FunctionDef | None:
    """The function around a site: one that callers can be told to give more arguments."""
    scopes = [s for s in scopes if not isinstance(s, ast.For | ast.If | ast.While)]
    if not scopes or not isinstance(scopes[-1], ast.FunctionDef):
        return None
    outer = scopes[:-1]
    is_method = bool(outer) and isinstance(outer[-1], ast.ClassDef)
    if (is_method and scopes[-1].name == "__init__" and len(outer) == 1) or not outer:
        return scopes[-1]
    return None
