"""Sizes made explicit: what one framework learns from the data and another wants to be told.

A size is what the layers that gave the channels were told, in the words of the function that needs it; else a number
that every run of a site agrees in, a variable that the rounds of a loop hand on, or an argument threaded from the callers.
"""

from __future__ import annotations

import ast
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from netferry.ops import registry
from netferry.ops.core import INFERRED
from netferry.passes import decisions
from netferry.passes.layout.bound import layer_attributes
from netferry.passes.provenance import Chain, Provenance, Terms, constructor, runner, tensors
from netferry.passes.size_sites import (
    Put,
    Sample,
    Scopes,
    block_of,
    bound_by,
    candidates,
    changing,
    free_name,
    function_around,
    given_to,
    hands_on,
    in_words,
    is_size,
    lacks_dimensions,
    one_behind,
    operand_size,
    outermost_loop,
    own_sizes,
    scoped,
    turns_of,
)
from netferry.passes.size_words import Words
from netferry.passes.told import Told
from netferry.pivot.copying import copied
from netferry.pivot.facts import Event, Tensor
from netferry.pivot.nodes import Op, Reference, constant
from netferry.pivot.program import Definition, Program
from netferry.walking import walk

_CHANNELS = frozenset({"in_channels", "num_features", "num_channels"})
_LAST = frozenset({"in_features", "input_size", "normalized_shape"})
_OPERANDS = {"query_size": ("query",), "value_size": ("value", "query"), "key_size": ("key", "value", "query")}
"""Last sizes of operands by name, or of those that stand for them where they are not given."""
_KNOWN = _CHANNELS | _LAST | _OPERANDS.keys() | {"dimensions"}
_SHORT = {"num_features": "in_channels", "num_channels": "in_channels", "normalized_shape": "in_channels"}
"""What arguments and variables that hand sizes on are called."""


def fill(program: Program, *, channels_last: bool) -> int:
    """Give every layer the sizes that it was seen to be called with; the number of those that stay open."""
    return _Filler(program, channels_last).run()


def settle(program: Program, *, channels_last: bool) -> None:
    """Say the sizes of tensors that constructors ask for, where layers learn all others by themselves."""
    filler = _Filler(program, channels_last)
    filler.only_marked = True
    filler.run()


class _Filler:
    only_marked = False

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
        self.sources: dict[tuple[int, str], dict[int, Terms]] = {}
        """Function and new parameter -> the layers whose channels it counts in each call."""
        self.handed: dict[tuple[int, tuple[Any, ...]], str] = {}
        """Loop and sizes in it -> the variable that hands them on."""
        self.rounds: dict[tuple[int, str], list[list[Any]]] = {}
        """Loop and variable that its rounds hand on -> what it was in every round, for each call of the function around."""
        self.truths: set[int] = set()
        """The sites of decisions that are truths: an argument each, even where all runs agreed."""
        self.first: dict[int, Event] = {}
        for event in self.recording.events:
            if event.instance is not None:
                self.first.setdefault(event.instance, event)

    # -- which sizes ---------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Every layer op of the program; nested ones before those around them."""
        found = self._collect()
        if self.only_marked:
            found = []
        self.dimensions = {self._size(e, "dimensions") for e in self.first.values() if self._is_spatial(e)}
        trees = [d.node for d in self.program.definitions]
        self.told = Told(trees)
        self.words = Words(self.provenance, self._told, self._caller, self._called)
        decided = [] if self.only_marked else decisions.find(trees, self.recording, self._is_channels)
        self._shapes()
        if len(self.dimensions) == 1:
            self._handed_dimensions(constant(next(iter(self.dimensions))))
        made = list(self.recording.constructed.values())
        # Sites that run more often first: what others need in some of the runs is among what these are told.
        jobs = [(made.count(getattr(n, "nf_id", -1)), functools.partial(self._fill, n, s)) for n, s in found]
        jobs += [(len(self.recording.values[d.node.nf_id]), functools.partial(self._decide, d)) for d in decided]  # type: ignore[attr-defined]
        left = sum(job() for _, job in sorted(jobs, key=lambda item: -item[0]))
        placed: list[Definition] = []
        for definition in self.program.definitions:
            before = getattr(definition.node, "nf_before", [])
            placed += [Definition((n.targets[0].id,), n, definition.module) for n in before]
            definition.node = Put().visit(definition.node)
            placed.append(definition)
        self.program.definitions[:] = placed
        return left

    def _handed_dimensions(self, dimensions: ast.expr) -> None:
        """Layers that code hands around as classes are for the data that all of their kind are called with."""
        for node in (n for d in self.program.definitions for n in walk(d.node)):
            for op in getattr(node, "nf_partial", ()):
                if lacks_dimensions(op.name) and op.attribute("dimensions") is None:
                    op.attributes.append(ast.keyword("dimensions", dimensions))
            if isinstance(node, Reference) and any(lacks_dimensions(op.name) for op, _ in registry.find(node.path)):
                node.attributes = {"dimensions": dimensions}

    def _collect(self) -> list[tuple[Op, Scopes]]:
        found: list[tuple[Op, Scopes]] = []
        twice: set[str] = set()
        for tree in [*(d.node for d in self.program.definitions), self.program.construction]:
            for node, scopes in scoped(tree, []):
                number = getattr(node, "nf_id", -1)
                self.lines.setdefault(number, getattr(node, "lineno", 0))
                if isinstance(node, ast.Call):
                    self.calls[number] = node
                    self.scopes[number] = scopes
                elif isinstance(node, ast.ClassDef) and (init := constructor(node)) is not None:
                    twice |= {node.name} & self.provenance.functions.keys()
                    self.provenance.functions[node.name] = init
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
            nodes = list(scoped(tree, []))
            given = [] if self.only_marked else [
                k.value for n, _ in nodes if isinstance(n, Op) and n.layer for k in n.attributes
            ] + [a for n, _ in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) for a in given_to(n)]  # fmt: skip
            inside = {id(n) for g in given for n in walk(g)} - own_sizes(given)
            names = {n.id for g in given for n in walk(g) if isinstance(n, ast.Name)}
            for node, scopes in nodes:
                match node:
                    case ast.Assign([ast.Name(id=name)], value) if name in names and not self._data(value):
                        inside |= {id(n) for n in walk(value)}
                        if is_size(value):
                            self._input_size(value, scopes, name)
                            node.nf_size = True  # type: ignore[attr-defined]
            for node, scopes in nodes:
                wanted = id(node) in inside or hasattr(node, "nf_sized")
                if wanted and is_size(node) and not hasattr(node, "nf_value") and not hasattr(node, "nf_decided"):
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
            made = self.resolve(samples, scopes, name, site) if samples else self.told.size(node, name)
            if made is None and not samples:
                axis = -1 if name in _LAST or self.channels_last else 1
                made = self.told.seen(node, name, axis, self.recording.values)
            if made is not None:
                node.attributes.append(ast.keyword(name, made))
                if any(isinstance(s.value, tuple) for s in samples):  # The sizes say which axes they are of.
                    node.attributes = [k for k in node.attributes if k.arg != "axes"]
            left += made is None and bool(samples)
        return left

    def _is_spatial(self, event: Event) -> bool:
        return event.path.rpartition(".")[2].startswith("BatchNorm") and self._size(event, "dimensions") is not None

    def _samples(self, site: int, name: str) -> Iterator[Sample]:
        for identity, made_at in self.recording.constructed.items():
            if made_at == site and identity in self.first:
                event = self.first[identity]
                terms = () if name == "dimensions" else self._terms(event)
                yield Sample(self._size(event, name), self.recording.chains.get(identity, ()), terms)
        for identity, (made_at, chain, _) in self.recording.based.items():
            if made_at == site and identity in self.first:
                event = self.first[identity]
                yield Sample(self._size(event, name), chain, () if name == "dimensions" else self._terms(event))

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
            return operand_size(event, _OPERANDS[name])
        given = next(tensors([*event.args, *event.kwargs.values()]), None)
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
            if hasattr(node, "nf_sized"):  # No run came here: whoever does must say the size.
                node.nf_value = constant(None)
            return 1
        chains = self.recording.within.get(site, [])
        samples = [Sample(v, c, t) for v, c, t in zip(values, chains, self._read(node, len(values)), strict=False)]
        made = self.resolve(samples, scopes, name or "in_features", site, exact=bool(name)) if samples else None
        node.nf_value = in_words(made, values, node)
        return 0

    def _decide(self, decision: decisions.Decision) -> int:
        """Say what a decision depends on; what cannot be said stays as it is, for the next pass to tell of."""
        node, site = decision.node, getattr(decision.node, "nf_id", -1)
        values = self.recording.values[site]
        if hasattr(node, "nf_value"):
            return 0
        chains, terms = self.recording.within.get(site, []), self._read(node, len(values))
        samples = [Sample(v, c, t) for v, c, t in zip(values, chains, terms, strict=False)]
        if type(values[0]) is bool:
            self.truths.add(site)
        made = self.resolve(samples, decision.scopes, decision.name, site, exact=decision.exact)
        if made is not None:
            node.nf_value = made  # type: ignore[attr-defined]
        return made is None

    def _tensors_read(self, node: Any) -> list[Tensor]:
        """The tensors of which a read of a size told the size, each time."""
        shape = getattr(node, "nf_shape", node)
        operand = next((n.operand("x") for n in walk(shape) if isinstance(n, Op) and n.name == "shape"), None)
        seen = self.recording.values.get(getattr(operand, "nf_id", -1), [])
        return seen if all(isinstance(v, Tensor) for v in seen) else []

    def _read(self, node: Any, count: int) -> list[Terms]:
        """The layers whose channels a read of a size counts, each time."""
        seen = self._tensors_read(node)
        if len(seen) != count or isinstance(node, ast.Compare):
            return [()] * count
        return [self.provenance.terms.get(v.identity, ()) for v in seen]

    def _is_channels(self, node: ast.expr) -> bool:
        """Whether a read of a size was one of channels."""
        values = self.recording.values.get(getattr(node, "nf_id", -1), [])
        shapes = [t.shape for t in self._tensors_read(node)]
        if len(shapes) != len(values) or any(len(s) < 2 for s in shapes):
            return False
        others = [s[1:-1] if self.channels_last else s[2:] for s in shapes]
        return all(v == s[-1 if self.channels_last else 1] for v, s in zip(values, shapes, strict=True)) and any(
            v not in rest for v, rest in zip(values, others, strict=True)
        )

    # -- one size as an expression -------------------------------------------------------------------------------

    def resolve(
        self, samples: Sequence[Sample], scopes: Scopes, name: str, site: int, *, exact: bool = False
    ) -> ast.expr | None:
        """An expression that has every sample's value where the site is run; None where there is none."""
        if name == "dimensions":
            return constant(samples[0].value) if len({s.value for s in samples}) == 1 else None
        made = self._told(samples, site)
        if made is not None:
            return made
        function = function_around(scopes)
        is_inner = function is not None and function.name != self.program.entry
        for known in (self._same, self.words.given):
            if function is not None and (made := known(samples, function)) is not None:
                return made
        if len({s.value for s in samples}) == 1 and not (site in self.truths and is_inner):
            varies = function is not None and is_inner and self.words.vary(samples, self._sites(function))
            made = self._argument(samples, function, name, exact=exact) if function is not None and varies else None
            return made or constant(samples[0].value)
        inner = next((n for n in reversed(scopes) if isinstance(n, ast.FunctionDef)), None)
        outer = function or inner or next((n for n in scopes if isinstance(n, ast.For)), None)
        plain = outer is not None and type(samples[0].value) is not bool
        made = self._neighbour(samples, outer, scopes, site) if outer is not None and plain else None
        made = made or self._running(samples, scopes, name, site)
        if made is None and function is not None:
            made = self._argument(samples, function, name, exact=exact)
        return made

    def _told(self, samples: Sequence[Sample], site: int, *, earlier: bool = False) -> ast.expr | None:
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

    def _running(self, samples: Sequence[Sample], scopes: Scopes, name: str, site: int) -> ast.expr | None:
        """In a loop, what a layer of the round before was told to give: a variable that each round hands on."""
        depth, loop = outermost_loop(scopes)
        if loop is None:
            return None
        rounds: dict[int, list[Sample]] = {}
        for sample in samples:
            caller = self._caller(sample)
            rounds.setdefault(caller[0] if caller else 0, []).append(sample)
        values = [s.value for s in samples]
        known = self.handed.get((id(loop), tuple(map(repr, values))))
        if known is not None:
            return ast.Name(known, ast.Load())
        groups = list(rounds.values())
        turns = turns_of(rounds, sorted(self.recording.calls.get(site, ())))
        is_whole = sum(map(len, turns)) == len(samples)
        behind = one_behind(self.rounds, turns, loop)
        step = (self._step(groups, loop, samples, site) if is_whole else None) or behind
        if step is None:
            return None
        first = [group[0] for group in turns]
        start = self.resolve(first, scopes[:depth], name, site) if all(first) else constant(None)  # type: ignore[arg-type]
        if start is None:
            return None
        around, block = function_around(scopes) or loop, block_of(scopes[-1], site)
        made = self._hand_on(loop, block, around, name, start, step, values)
        self.rounds[id(loop), made.id] = [[s and s.value for s in group] for group in turns]
        return made

    def _step(
        self, groups: list[list[Sample]], loop: ast.For, samples: Sequence[Sample], site: int
    ) -> ast.expr | tuple[ast.expr] | None:
        """What the next round gets, or (in a tuple) how much more than this one."""
        later = [s for group in groups for s in group[1:]]
        told = self._told(later, site, earlier=True) if later else None
        if told is not None:
            return told
        grown = self._growth(groups, site)
        if grown is not None:
            return (grown,)
        for given in () if type(samples[0].value) is bool else candidates(loop):
            seen = self.recording.values.get(getattr(given, "nf_id", -1), [])
            if len(seen) == len(samples) and hands_on(seen, groups):
                return copied(given)  # type: ignore[no-any-return]
        values = {s.value for s in later}
        return constant(values.pop()) if len(values) == 1 else None

    def _growth(self, groups: list[list[Sample]], site: int) -> ast.expr | None:
        """What every round adds to the channels of the round before."""
        more: list[Sample] = []
        for group in groups:
            for before, after in itertools.pairwise(group):
                n, rest = len(before.terms), after.terms
                if not n or (rest[:n] != before.terms and rest[-n:] != before.terms):
                    return None
                added = rest[n:] if rest[:n] == before.terms else rest[:-n]
                more.append(Sample(after.value - before.value, after.chain, added))
        return self._told(more, site, earlier=True) if more else None

    def _hand_on(
        self, loop: ast.For, block: list[ast.stmt], around: ast.AST, name: str, start: ast.expr,
        step: ast.expr | tuple[ast.expr], values: list[Any],
    ) -> ast.Name:  # fmt: skip
        if isinstance(start, ast.Name) and self._is_mine(start.id, around):
            variable = start.id
        else:
            variable = free_name(_SHORT.get(name, name), around)
            before = getattr(loop, "nf_before", [])
            loop.nf_before = [*before, ast.Assign([ast.Name(variable, ast.Store())], start)]  # type: ignore[attr-defined]
        self.handed[id(loop), tuple(map(repr, values))] = variable
        target = ast.Name(variable, ast.Store())
        update: ast.stmt = (
            ast.AugAssign(target, ast.Add(), step[0]) if isinstance(step, tuple) else ast.Assign([target], step)
        )
        read = step.id if isinstance(step, ast.Name) else ""
        at = next((i for i, s in enumerate(block) if read in self.handed.values() and read in bound_by(s)), len(block))
        block.insert(at, update)
        return ast.Name(variable, ast.Load())

    def _is_mine(self, name: str, function: ast.AST) -> bool:
        """Whether a parameter was added for this use alone; from now on it is a variable."""
        added = self.threaded.get(id(function), [])
        used = any(isinstance(n, ast.Name) and n.id == name for n in walk(function))
        found = next((i for i, (n, _) in enumerate(added) if n == name and not used), None)
        if found is not None:
            added[found] = (name, {})
        return found is not None

    def _neighbour(self, samples: Sequence[Sample], function: ast.AST, scopes: Scopes, site: int) -> ast.expr | None:
        """What a layer or call of the same function was given, if it always was this size."""
        mine = {id(n) for s in scopes if isinstance(s, ast.For) for n in walk(s.target)}
        functions = [s for s in scopes if isinstance(s, ast.FunctionDef)]
        numbers = [self.recording.given.get(self._serial(s.chain), {}) for s in samples]
        for name in (a.arg for f in reversed(functions) for a in f.args.args):
            if all(n.get(name) == s.value for n, s in zip(numbers, samples, strict=True)) and not any(
                name in changing(f, mine, 0) for f in functions
            ):
                return ast.Name(name, ast.Load())
        computed = self._computed(samples, functions, site)
        if computed is not None:
            return computed
        for given in candidates(function):
            names = {n.id for n in walk(given) if isinstance(n, ast.Name)}
            if hasattr(given, "nf_decided") or not names or names & changing(function, mine, self.lines.get(site, 0)):
                continue
            if any(hasattr(n, "nf_sized") for n in walk(given)):
                continue
            if self._agrees(getattr(given, "nf_id", -1), samples):
                return copied(given)  # type: ignore[no-any-return]
        return None

    def _computed(self, samples: Sequence[Sample], functions: list[ast.FunctionDef], site: int) -> ast.expr | None:
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
                        if agree and name not in changing(function, set(), node.lineno + 1):
                            return ast.Name(name, ast.Load())
        return None

    def _agrees(self, node: int, samples: Sequence[Sample]) -> bool:
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
        self, samples: Sequence[Sample], function: ast.FunctionDef, name: str, *, exact: bool
    ) -> ast.expr | None:
        """A parameter of the function around the site, given by all its callers."""
        known = [c for s in samples if (c := self._caller(s)) is not None]
        if len(known) != len(samples):
            return None
        by_serial: dict[int, Any] = {}
        for serial, outer in known:
            if by_serial.setdefault(serial, outer.value) != outer.value:
                return None
        for parameter, before in self.threaded.get(id(function), []):
            same = {type(v) for v in before.values()} == {type(v) for v in by_serial.values()}
            if before and same and by_serial.items() <= before.items():
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
        made = self._thread(function, name, by_serial, given, exact=exact)
        self.sources[id(function), made.id] = {serial: outer.terms for serial, outer in known}
        return made

    def _same(self, samples: Sequence[Sample], function: ast.FunctionDef) -> ast.expr | None:
        """A parameter that counts the channels of the same layers in every call."""
        callers = [self._caller(s) for s in samples]
        known = {c[0]: c[1].terms for c in callers if c is not None}
        if not all(callers) or not all(known.values()):
            return None
        found = (name for name, _ in self.threaded.get(id(function), []))
        made = next((n for n in found if known.items() <= self.sources.get((id(function), n), {}).items()), None)
        return None if made is None else ast.Name(made, ast.Load())

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
    ) -> ast.Name:  # fmt: skip
        parameter = name if exact else free_name(_SHORT.get(name, name), function)
        if all(type(v) is bool for v in by_serial.values()):
            return self._thread_truth(function, parameter, by_serial, given)
        mine = self.threaded.setdefault(id(function), [])
        arguments = function.args
        behind = sum(any(a.arg == n for a in arguments.args) for n, _ in mine)
        at = behind + (1 if arguments.args and arguments.args[0].arg == "self" else 0)
        mine.append((parameter, by_serial))
        function.args = ast.arguments(
            arguments.posonlyargs, [*arguments.args[:at], ast.arg(parameter), *arguments.args[at:]], arguments.vararg,
            arguments.kwonlyargs, arguments.kw_defaults, arguments.kwarg, arguments.defaults,
        )  # fmt: skip
        self.provenance.takes_more(function, self._called(function))
        for site, value in given.items():
            self.calls[site].args.insert(behind, value)
        return ast.Name(parameter, ast.Load())

    def _thread_truth(
        self, function: ast.FunctionDef, name: str, by_serial: dict[int, Any], given: dict[int, ast.expr]
    ) -> ast.Name:  # fmt: skip
        """A flag that callers set where it is so."""
        self.threaded.setdefault(id(function), []).append((name, by_serial))
        function.args.kwonlyargs = [*function.args.kwonlyargs, ast.arg(name)]
        function.args.kw_defaults = [*function.args.kw_defaults, constant(False)]
        for site, value in given.items():
            if not isinstance(value, ast.Constant) or value.value:
                self.calls[site].keywords = [*self.calls[site].keywords, ast.keyword(name, value)]
        return ast.Name(name, ast.Load())

    def _caller(self, sample: Sample) -> tuple[int, Sample] | None:
        """The call that runs the body around a site, as a sample of that call's own site."""
        at = runner(sample.chain)
        if at < 0:
            return None
        link = sample.chain[at]
        if link.instance:  # A layer that makes its parts when first called got its arguments when it was made.
            chain = self.recording.chains.get(link.instance)
            return (link.instance, Sample(sample.value, chain, sample.terms)) if chain else None
        return link.serial, Sample(sample.value, tuple(sample.chain[: at + 1]), sample.terms)
