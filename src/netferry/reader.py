"""Turns the source's syntax tree and the facts about it into a pivot program, through the vocabulary."""

from __future__ import annotations

import ast
import copy
import functools
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from netferry.narrowing import narrowed
from netferry.ops import registry
from netferry.ops.binding import Bound, CannotBind, bind, kind_holds
from netferry.ops.core import INFERRED, REQUIRED, OpDef, Spelling
from netferry.owned import owned
from netferry.pivot.copying import copied
from netferry.pivot.facts import Note, NoteSeverity, Site, Tensor
from netferry.pivot.nodes import Hole, LayerCall, Op, Reference, constant, is_literal, literal
from netferry.slicing import sliced

MISSING = object()
_ITERATING = frozenset({"len", "list", "tuple", "enumerate", "zip", "reversed", "iter", "map", "filter", "sum"})


class Conventions(Protocol):
    """What the reader must know about a source framework beyond its ops."""

    name: str
    libraries: frozenset[str]

    def path(self, value: Any) -> str | None:
        """The public path of a framework callable or class."""

    def layer_path(self, instance: Any) -> str | None:
        """The class path of a stock layer instance."""

    def is_module(self, value: Any) -> bool:
        """Whether a value is a network or layer instance."""

    def walk(self, network: Any) -> Iterable[Any]:
        """Every module of a network and the arrays it holds."""

    def call_parameters(self, network: Any) -> list[str]:
        """The names of the parameters of calling a network."""

    def is_container(self, path: str) -> bool:
        """Whether a class path is that of a container, which is called like any network."""

    def is_sequence(self, value: Any) -> bool:
        """Whether a value is a container that calls its layers one after the other."""

    def value(self, value: Any) -> ast.expr | None:
        """The neutral expression of a framework constant (a dtype, a number), or None."""

    def annotation(self, value: Any) -> str | None:
        """The neutral name of a framework type in an annotation: Tensor, Module, Sequential..."""

    def structure(self, reader: Reader, node: ast.Call, path: str) -> ast.expr | object | None:
        """Translate a call that concerns the network's structure; MISSING when it is none."""

    def applied(self, reader: Reader, node: ast.Call, path: str) -> ast.expr | object:
        """Translate the call of a stock layer that needs more than its operands; MISSING to go on."""

    def plain_call(self, reader: Reader, node: ast.Call, callees: Sequence[Any]) -> ast.expr | None:
        """Translate a call of the project's own code, or change its arguments, where some mean nothing elsewhere."""

    def members(self, reader: Reader, node: ast.expr) -> ast.expr | None:
        """The members of a container that is no list or dict elsewhere; None to go on."""

    def member(self, reader: Reader, owner: ast.expr, name: ast.expr) -> ast.expr | None:
        """``getattr(owner, name)`` of a container; None where it is nothing special."""

    def subscript(self, reader: Reader, node: ast.Subscript) -> ast.expr | None:
        """Translate reading an item; None to go on."""

    def declared(self, reader: Reader, node: ast.ClassDef) -> None:
        """Change a class that has been read, where it extends something else elsewhere."""

    def statement(self, reader: Reader, node: ast.stmt) -> list[ast.stmt] | None:
        """Translate a statement that needs more than its expressions; None to go on."""

    def attribute(self, reader: Reader, node: ast.Attribute, owners: Sequence[Any]) -> ast.expr | None:
        """Translate reading an attribute of a module or layer; None to go on."""

    def decided(self, reader: Reader, test: ast.expr) -> bool | None:
        """The answer to a question that has only one outside the source framework, or None."""

    def foreign(self, value: Any) -> bool:
        """Whether a class has no meaning outside the source framework."""

    def erased(self, value: Any) -> bool:
        """Whether a decorator or bare call has no meaning outside the source framework."""


@dataclass
class Counts:
    """What the summary tells."""

    observed: int = 0
    assumed: int = 0
    holes: list[Hole] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    indirect: dict[str, tuple[str | None, ...]] = field(default_factory=dict)
    """What variables that hold classes or functions were seen to call, by the text of the callee."""
    made: dict[str, set[str]] = field(default_factory=dict)
    """Attribute name -> the layer ops assigned to it anywhere."""
    owned: Mapping[int, bool] | None = None
    """Identity of a plain attribute that is state -> whether it is trained."""


class Reader(ast.NodeTransformer):
    """Reads one file's definitions; framework calls become op nodes."""

    def __init__(
        self, conventions: Conventions, facts: Any, file: Any, namespace: Mapping[str, Any], counts: Counts
    ) -> None:
        self.conventions = conventions
        self.facts = facts
        self.file = file
        self.namespace = namespace
        self.counts = counts
        self.class_name = ""
        self.bases: list[Any] = []
        """What the class being read extends, as far as it is known without running anything."""
        self.function: list[ast.AST] = []
        self.narrowed: dict[str, tuple[type, ...]] = {}
        """The classes of variables, by the ``isinstance`` tests around."""
        self._testing = 0
        """Inside an annotation or an ``isinstance`` test, a class stands for itself, not for its constructor."""

    # -- looking things up ---------------------------------------------------------------------------------------

    def site(self, node: ast.AST) -> Site:
        """The place and the observed events of a node."""
        number = getattr(node, "nf_id", -1)
        events = self.facts.by_node.get(number, ())
        file, line = self.file.place(getattr(node, "lineno", 0))
        return Site(file, line, getattr(node, "col_offset", 0) + 1, number, events, assumed=not events)

    def static(self, node: ast.AST) -> Any:
        """The object that a dotted name denotes in the module, without running anything; MISSING if unknown."""
        if isinstance(node, ast.Name):
            return self.namespace.get(node.id, MISSING) if not self._is_local(node.id) else MISSING
        if isinstance(node, ast.Attribute):
            owner = self.static(node.value)
            if owner is MISSING:
                return MISSING
            try:
                return getattr(owner, node.attr, MISSING)
            except Exception:  # noqa: BLE001 - attributes may be computed, by any code
                return MISSING
        return MISSING

    def _is_local(self, name: str) -> bool:
        return any(name in local_names(f) for f in self.function)

    def values(self, node: ast.AST) -> list[Any]:
        """The values observed at an expression."""
        found: list[Any] = self.facts.values.get(getattr(node, "nf_id", -1), [])
        return found

    def callees(self, node: ast.Call) -> list[Any]:
        """What a call was observed to call."""
        found: list[Any] = self.facts.callees.get(getattr(node, "nf_id", -1), [])
        return found

    def note(self, node: ast.AST, message: str, code: str = "NF036", severity: NoteSeverity = "info") -> None:
        """Note a change that does not concern what the network computes."""
        self.counts.notes.append(Note(message, self.site(node), code, severity))

    def hole(self, node: ast.expr, reason: str, hint: str = "") -> Hole:
        """Mark a call as untranslatable."""
        made = Hole(node, reason, hint, self.site(node))
        self.counts.holes.append(made)
        return ast.copy_location(made, node)

    # -- calls ---------------------------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "issubclass") and len(node.args) == 2:
            node.args = [self.visit(node.args[0]), self.test(node.args[1])]
            return node
        if isinstance(node.func, ast.Name) and node.func.id in _ITERATING and self.static(node.func) is MISSING:
            node.args = [self._members(a) for a in node.args]
            node.keywords = [self.visit(k) for k in node.keywords]
            return node
        if isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) == 2:
            member = self.conventions.member(self, *node.args)
            if member is not None:
                return ast.copy_location(member, node)
        callees = self.facts.callees.get(getattr(node, "nf_id", -1), [])
        if not callees:
            return self._unobserved(node)
        paths = list(dict.fromkeys(self._path(c) for c in callees))
        if paths == [None]:
            plain = self.conventions.plain_call(self, node, callees)
            if plain is not None:
                return ast.copy_location(plain, node)
            self._mark_partial(node, callees)
            node.nf_plain = self._plain_arguments(node, callees)  # type: ignore[attr-defined]
            self.generic_visit(node)
            return node
        if None in paths or len(paths) > 1:
            return self._mixed(node, paths)
        return self._translate(node, str(paths[0]), callees)

    def test(self, node: ast.expr) -> ast.expr:
        """Read an annotation or the classes of an ``isinstance`` test."""
        self._testing += 1
        made: ast.expr = self.visit(node)
        self._testing -= 1
        return made

    def _members(self, node: ast.expr) -> ast.expr:
        """Read an expression that is iterated or indexed: a sequential container stands for its layers there."""
        held = self.conventions.members(self, node)
        if held is not None:
            return held
        seen = self.values(node)
        made: ast.expr = self.visit(node)
        if seen and all(self.conventions.is_sequence(v) for v in seen):
            return Op("sequence_of", {"module": made}, site=self.site(node))
        return made

    def visit_For(self, node: ast.For) -> ast.AST:
        node.target = self.visit(node.target)
        node.iter = self._members(node.iter)
        node.body = _flat(self.visit(s) for s in node.body)
        node.orelse = _flat(self.visit(s) for s in node.orelse)
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        outer = self.narrowed
        inner = outer | narrowed(node.test, self.static)
        node.test = self.visit(node.test)
        self.narrowed = inner
        node.body = _flat(self.visit(s) for s in node.body)
        self.narrowed = outer
        node.orelse = _flat(self.visit(s) for s in node.orelse)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        node.target = self.visit(node.target)
        node.iter = self._members(node.iter)
        node.ifs = [self.visit(i) for i in node.ifs]
        return node

    def visit_Starred(self, node: ast.Starred) -> ast.AST:
        node.value = self._members(node.value)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        node.left = self.visit(node.left)
        pairs = zip(node.ops, node.comparators, strict=True)
        node.comparators = [self._members(c) if isinstance(o, ast.In | ast.NotIn) else self.visit(c) for o, c in pairs]
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if not isinstance(node.ctx, ast.Load):
            node.value = self.conventions.members(self, node.value) or self.visit(node.value)
            node.slice = self.visit(node.slice)
            return node
        item = self.conventions.subscript(self, node)
        if item is not None:
            return ast.copy_location(item, node)
        node.value = self._members(node.value)
        node.slice = self.visit(node.slice)
        if isinstance(node.value, Op) and node.value.name == "sequence_of" and isinstance(node.slice, ast.Slice):
            return ast.copy_location(Op("sequential", {"layers": node}, layer=True, site=self.site(node)), node)
        return ast.copy_location(sliced(node), node)

    def _path(self, callee: Any) -> str | None:
        return self.conventions.layer_path(callee) or self.conventions.path(callee)

    def _plain_arguments(self, node: ast.Call, callees: Sequence[Any]) -> dict[int, str]:
        """Positional arguments of a network's call that are no tensors, with their parameters' names."""
        if not all(self.conventions.is_module(c) for c in callees) or any(
            isinstance(a, ast.Starred) for a in node.args
        ):
            return {}
        names = self.conventions.call_parameters(callees[0])
        found: dict[int, str] = {}
        for index, (argument, name) in enumerate(zip(node.args, names, strict=False)):
            seen = self.values(argument)
            given = isinstance(argument, ast.Constant) and argument.value is not None
            if given or (seen and all(_is_plain(v) for v in seen)):
                found[index] = name
        return found

    def _translate(self, node: ast.Call, path: str, callees: Sequence[Any]) -> ast.AST:
        instance = bool(callees) and self.conventions.is_module(callees[0])
        if instance and self.conventions.is_container(path):
            self.generic_visit(node)
            return node
        made = self.conventions.applied(self, node, path) if instance else self.conventions.structure(self, node, path)
        if made is not MISSING:
            return made  # type: ignore[return-value]
        candidates = registry.find(path)
        if not candidates:
            shown = ast.unparse(node.func) if "._" in path else path
            return self.hole(
                node, f"{shown} is not in the vocabulary", "declare the op, or rewrite the call with known ones"
            )
        errors: list[str] = []
        for op, spelling in candidates:
            try:
                made = self._layer_call(node, op, spelling) if instance else self._op(node, op, spelling, callees)
            except CannotBind as error:
                errors.append(str(error))
                continue
            self.counts.observed += 1
            return ast.copy_location(made, node)
        return self.hole(node, f"{path}: {errors[0]}")

    def _op(self, node: ast.Call, op: OpDef, spelling: Spelling, callees: Sequence[Any]) -> ast.expr:
        direct = self._is_direct(node, callees)
        is_partial = any(isinstance(c, functools.partial) for c in callees)
        complete = direct or _is_base_call(node)
        args, keywords = self.expand(node, spelling)
        if spelling.kind == "method":
            if not isinstance(node.func, ast.Attribute):
                raise CannotBind("a tensor method called through a variable")
            args = [node.func.value, *args]
        sequence = any(p.variadic and not p.keyword_only for p in spelling.parsed.parameters) and self._single_sequence(
            node, spelling, args
        )
        bound = bind(op, spelling, args, keywords, partial=not complete or is_partial, variadic_is_sequence=sequence)
        if not spelling.layer:
            self._check_operands(op, spelling, bound, node)
        made = Op(
            op.name,
            {k: self.visit(v) for k, v in bound.operands.items()},
            {k: self.visit(v) for k, v in bound.attributes.items()},
            layer=spelling.layer,
            site=self.site(node),
            indirect=None if direct or spelling.kind == "method" else self.visit(node.func),
        )
        made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
        made.nf_given = () if direct else _given(spelling, args, keywords)  # type: ignore[attr-defined]
        made.inplace = spelling.inplace  # type: ignore[attr-defined]
        return made

    def _check_operands(self, op: OpDef, spelling: Spelling, bound: Bound, node: ast.Call) -> None:
        """Overloads are told apart by what was given: ``max(x, dim)`` and ``max(x, y)``."""
        self._check_kinds(spelling, bound)
        overloaded = len({other.name for other, _ in registry.find(spelling.path)}) > 1
        for parameter in op.operands:
            given = bound.operands.get(parameter.name)
            if given is None:
                if parameter.default is not None:
                    raise CannotBind(f"{parameter.name} is missing")
                continue
            if isinstance(given, ast.Constant) and isinstance(given.value, int) and overloaded:
                raise CannotBind(f"{parameter.name} is a number, not a tensor")
        if not overloaded:
            return
        for name, value in bound.attributes.items():
            if "tensor" not in spelling.kinds.values() and any(isinstance(v, Tensor) for v in self.values(value)):
                raise CannotBind(f"{name} is a tensor")
        for name, value in bound.operands.items():
            seen = self.values(value)
            if (
                seen
                and name != op.operands[0].name
                and all(isinstance(v, int) and not isinstance(v, bool) for v in seen)
            ):
                raise CannotBind(f"{name} is a number, not a tensor")

    def _check_kinds(self, spelling: Spelling, bound: Bound) -> None:
        for argument, kind in spelling.kinds.items():
            conversion = spelling.conversion(argument)
            name = conversion.attribute if conversion else argument
            given = bound.operands.get(name, bound.attributes.get(name))
            if given is None:
                continue
            seen = self.values(given)
            if not seen and is_literal(given):
                seen = [literal(given)]
            elif not seen and self.static(given) is not MISSING:
                seen = [self.static(given)]
            elif not seen and isinstance(given, ast.Tuple | ast.List):
                seen = [()]
            if not all(kind_holds(kind, value) for value in seen):
                raise CannotBind(f"{argument} is not a {kind}")

    def expand(self, node: ast.Call, spelling: Spelling) -> tuple[list[ast.expr], list[ast.keyword]]:
        """The call's arguments with starred ones resolved from what was observed."""
        variadic = any(p.variadic and not p.keyword_only for p in spelling.parsed.parameters)
        args: list[ast.expr] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred) and not variadic:
                args.extend(self._spread(argument))
            elif isinstance(argument, ast.Starred) and self._holds_a_sequence(argument):
                args.append(ast.Subscript(argument.value, ast.Constant(0), ast.Load()))
            else:
                args.append(argument)
        keywords: list[ast.keyword] = []
        for keyword in node.keywords:
            keywords.extend([keyword] if keyword.arg is not None else self._named(keyword, spelling))
        return args, keywords

    def _named(self, keyword: ast.keyword, spelling: Spelling) -> list[ast.keyword]:
        """What ``**options`` was seen to hold, by name; what is not always there takes the source's default."""
        seen = [v for v in self.values(keyword) if isinstance(v, Mapping)]
        found: list[ast.keyword] = []
        for name in dict.fromkeys(n for v in seen for n in v):
            options = copied(keyword.value)
            value: ast.expr = ast.Subscript(options, ast.Constant(name), ast.Load())
            if not all(name in v for v in seen):
                parameter = next((p for p in spelling.parsed.parameters if p.name == name), None)
                if parameter is None or parameter.default in (REQUIRED, INFERRED):
                    raise CannotBind(
                        f"{name!r} is in some of the ** arguments only, and {spelling.path} has no default"
                    )
                get = ast.Attribute(options, "get", ast.Load())
                value = ast.Call(get, [ast.Constant(name), constant(parameter.default)], [])
            found.append(ast.keyword(arg=name, value=value))
        return found

    def _spread(self, argument: ast.Starred) -> list[ast.expr]:
        lengths = {len(v) for v in self.values(argument) if isinstance(v, tuple)}
        if len(lengths) != 1:
            raise CannotBind("a starred argument whose length differs from call to call")
        return [ast.Subscript(argument.value, ast.Constant(i), ast.Load()) for i in range(lengths.pop())]

    def _holds_a_sequence(self, argument: ast.Starred) -> bool:
        """Whether ``*args`` is one sequence: ``x.view(*args)`` of ``view((2, 3))``."""
        seen = self.values(argument)
        return bool(seen) and all(isinstance(v, tuple) and len(v) == 1 and isinstance(v[0], list | tuple) for v in seen)

    def _single_sequence(self, node: ast.Call, spelling: Spelling, args: Sequence[ast.expr]) -> bool:
        """Whether the one argument given for ``*shape`` is itself a sequence: ``view(shape)``."""
        first = next(i for i, p in enumerate(spelling.parsed.parameters) if p.variadic and not p.keyword_only)
        rest = args[first:]
        if len(rest) != 1 or isinstance(rest[0], ast.Starred):
            return False
        if isinstance(node.args[-1], ast.Starred) and rest[0] is not node.args[-1]:
            return True
        if isinstance(rest[0], ast.Tuple | ast.List):
            return True
        seen = self.values(rest[0])
        return bool(seen) and all(isinstance(v, tuple | list) for v in seen)

    def _layer_call(self, node: ast.Call, op: OpDef, spelling: Spelling) -> ast.expr:
        bound = _bind_call(op, spelling, node)
        operands = {k: self.visit(v) for k, v in bound.items()}
        made = LayerCall(op.name, self.visit(node.func), operands, self.site(node))
        made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
        return made

    def _is_direct(self, node: ast.Call, callees: Sequence[Any]) -> bool:
        """Whether the callee is written out, not handed in through a variable."""
        if not callees or self._is_lookup(node.func):
            return True
        if isinstance(node.func, ast.Attribute) and not isinstance(callees[0], type):
            path = self.conventions.path(callees[0]) or ""
            if path.rpartition(".")[2] == node.func.attr:
                return True
        named = self.static(node.func)
        return named is not MISSING and all(named is c for c in callees)

    def _is_lookup(self, function: ast.expr) -> bool:
        """``getattr(nn, name)``: what was found there is written out (and stands for that one name)."""
        if not (
            isinstance(function, ast.Call) and isinstance(function.func, ast.Name) and function.func.id == "getattr"
        ):
            return False
        owner = self.static(function.args[0])
        return isinstance(owner, types.ModuleType) and owner.__name__.split(".")[0] in self.conventions.libraries

    def _mixed(self, node: ast.Call, paths: Sequence[str | None]) -> ast.AST:
        """A call that reaches different callables in turn, through a variable."""
        callees = self.callees(node)
        if callees and all(self.conventions.is_module(c) for c in callees):
            return self._layers_in_turn(node, paths)
        alternatives: list[Op] = []
        for path in paths:
            if path is None:
                continue
            found = self._alternative(node, path)
            if found is None:
                return self.hole(node, f"the callee is now {path}, now something else, and their arguments differ")
            alternatives.append(found)
        self.generic_visit(node)
        if None in paths:
            # A class of the user's is among them: its arguments stay, and stock ones are adapted where they are named.
            node.nf_alternatives = alternatives  # type: ignore[attr-defined]
            return node
        first = alternatives[0]
        first.alternatives = alternatives[1:]  # type: ignore[attr-defined]
        self.counts.observed += 1
        return ast.copy_location(first, node)

    def _mark_partial(self, node: ast.Call, callees: Sequence[Any]) -> None:
        """``partial(nn.LayerNorm, eps=1e-6)`` gives a stock class some of its arguments."""
        if not node.args or any(c is not functools.partial for c in callees):
            return
        seen = self.values(node.args[0]) or [v for v in [self.static(node.args[0])] if v is not MISSING]
        paths = list(dict.fromkeys(self._path(v) for v in seen))
        call = ast.copy_location(ast.Call(node.args[0], node.args[1:], node.keywords), node)
        found = [self._alternative(call, path) for path in paths if path is not None]
        if found and None not in found:
            node.nf_partial = found  # type: ignore[attr-defined]
            node.nf_partial_mixed = None in paths  # type: ignore[attr-defined]

    def _layers_in_turn(self, node: ast.Call, paths: Sequence[str | None]) -> ast.AST:
        """A call of different layers in turn: ``for layer in self.layers: x = layer(x)``."""
        for path in paths:
            if path is None or self.conventions.is_container(path):
                continue
            if not any(s.layer and len(s.parsed_call.names) >= len(node.args) for _, s in registry.find(path)):
                return self.hole(node, f"{path} is among the layers called here in turn, which is not known so")
        node.nf_plain = self._plain_arguments(node, self.callees(node))  # type: ignore[attr-defined]
        self.generic_visit(node)
        self.counts.observed += 1
        return node

    def _alternative(self, node: ast.Call, path: str) -> Op | None:
        for op, spelling in registry.find(path):
            try:
                args, keywords = self.expand(node, spelling)
                bound = bind(op, spelling, args, keywords, partial=True)
            except CannotBind:
                continue
            made = Op(
                op.name,
                {k: self.visit(copied(v)) for k, v in bound.operands.items()},
                {k: self.visit(copied(v)) for k, v in bound.attributes.items()},
                layer=spelling.layer,
                site=self.site(node),
                indirect=self.visit(copied(node.func)),
            )
            made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
            made.nf_given = _given(spelling, args, keywords)  # type: ignore[attr-defined]
            return made
        return None

    def _unobserved(self, node: ast.Call) -> ast.AST:
        """A call that the run did not reach: read by the names alone."""
        named = self.static(node.func)
        if named is MISSING and _is_base_call(node) and len(self.bases) == 1 and isinstance(self.bases[0], type):
            named = self.bases[0].__init__  # type: ignore[misc]
        if named is not MISSING:
            path = self.conventions.path(named)
            if path is None:
                self._mark_partial(node, [named])
                self.generic_visit(node)
                return node
            return self._assumed(node, path, [named])
        known = self.counts.indirect.get(ast.unparse(node.func))
        if known is not None:
            return self._like_elsewhere(node, known)
        if isinstance(node.func, ast.Attribute):
            guessed = self.conventions.guess_method(self, node)  # type: ignore[attr-defined]
            if guessed:
                return self._assumed(node, guessed, [])
        self.generic_visit(node)
        return node

    def _like_elsewhere(self, node: ast.Call, paths: Sequence[str | None]) -> ast.AST:
        """An unobserved ``norm_layer(width)``: what the same name calls where it was observed."""
        if None in paths:
            self.generic_visit(node)
            return node
        made = self._mixed(node, paths)
        self.counts.observed -= isinstance(made, Op)
        self.counts.assumed += isinstance(made, Op)
        return made

    def _assumed(self, node: ast.Call, path: str, callees: Sequence[Any]) -> ast.AST:
        before = self.counts.observed
        made = self._translate(node, path, callees)
        self.counts.assumed += self.counts.observed - before
        self.counts.observed = before
        return made

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        answer = self.conventions.decided(self, node.test)
        if answer is not None:
            return self.visit(node.body if answer else node.orelse)  # type: ignore[no-any-return]
        self.generic_visit(node)
        return node

    # -- names and attributes ------------------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if not isinstance(node.ctx, ast.Load):
            return node
        return self._reference(node) or node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if not isinstance(node.ctx, ast.Load):
            node.value = self.visit(node.value)
            return node
        found = self._tensor_attribute(node) or self._reference(node)
        if found is not None:
            return found
        found = self.conventions.attribute(self, node, self.values(node.value))
        if found is not None:
            return ast.copy_location(found, node)
        node.value = self.visit(node.value)
        return node

    def _tensor_attribute(self, node: ast.Attribute) -> ast.expr | None:
        events = self.facts.by_node.get(getattr(node, "nf_id", -1), ())
        if not events and not self.conventions.guess_attribute(self, node):  # type: ignore[attr-defined]
            return None
        for op, spelling in registry.find(self.conventions.tensor_path(node.attr)):  # type: ignore[attr-defined]
            bound = bind(op, spelling, [node.value], [])
            made = Op(
                op.name, {k: self.visit(v) for k, v in bound.operands.items()}, bound.attributes, site=self.site(node)
            )
            made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
            return ast.copy_location(made, node)
        return None

    def _reference(self, node: ast.expr) -> ast.expr | None:
        """A framework class, function or constant used as a value."""
        seen = self.values(node)
        value = seen[0] if seen else self.static(node)
        if value is MISSING or isinstance(value, Tensor):
            return None
        plain = self.conventions.value(value)
        if plain is not None and isinstance(node, ast.Attribute) and self.static(node) is not MISSING:
            return plain
        if self.static(node) is MISSING or not callable(value):
            return None
        if self._testing and self.conventions.foreign(value):
            return Reference("typing.Any", "Any", self.site(node))
        path = self.conventions.path(value)
        if path is None:
            return None
        kind = self.conventions.annotation(value) or ("test" if self._testing else "")
        made = Reference(path, kind, self.site(node))
        return ast.copy_location(made, node)

    # -- statements ----------------------------------------------------------------------------------------------

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.stmt):
            made = self.conventions.statement(self, node)
            if made is not None:
                return made
        return super().visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """``x.add_(y)``: a tensor that is changed in place is a new one of the same name elsewhere."""
        self.generic_visit(node)
        owner: ast.expr | None = node.value
        while isinstance(owner, Op) and getattr(owner, "inplace", False) and not owner.name.startswith("init_"):
            owner = next(iter(k.value for k in owner.operands), None)
        if owner is node.value:
            return node
        if not isinstance(owner, ast.Name | ast.Attribute):
            node.value = self.hole(
                node.value, "a part of a tensor is changed in place", "assign to it: x[i] = x[i] + y"
            )
            return node
        target = copied(owner)
        target.ctx = ast.Store()
        return _replace_statement(ast.Assign([target], node.value), node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        target = node.target
        events = self.facts.by_node.get(getattr(node, "nf_id", -1), ())
        if isinstance(target, ast.Subscript) and events:
            old = ast.Subscript(copy.deepcopy(target.value), copy.deepcopy(target.slice), ast.Load())
            value = ast.BinOp(old, node.op, node.value)
            return self._update(node, target, value)
        self.generic_visit(node)
        return node

    def _update(self, node: ast.stmt, target: ast.Subscript, value: ast.expr) -> ast.AST:
        """``x[index] = value`` on a tensor makes a new tensor elsewhere."""
        owner = target.value
        if not isinstance(owner, ast.Name | ast.Attribute):
            value = self.hole(
                ast.Subscript(owner, target.slice, ast.Load()), "a tensor that has no name is written into"
            )
            return _replace_statement(ast.Expr(value), node)
        number = getattr(node, "nf_id", -1)
        events = self.facts.by_node.get(number, ())
        key = events[0].args[1] if events else None
        masked = isinstance(key, Tensor) and key.dtype == "bool"
        load = copy.copy(owner)
        load.ctx = ast.Load()
        index = self.visit(target.slice)
        if not masked:
            index = ast.Subscript(ast.Attribute(ast.Name("np", ast.Load()), "s_", ast.Load()), index, ast.Load())
        operands = {"x": self.visit(load), "index": index, "value": self.visit(value)}
        made = Op("mask_update" if masked else "index_update", operands, site=self.site(node))
        made.nf_id = number  # type: ignore[attr-defined]
        self.counts.observed += 1
        return _replace_statement(ast.Assign([owner], made), node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        target = node.targets[0]
        if isinstance(target, ast.Subscript) and self.facts.by_node.get(getattr(node, "nf_id", -1)):
            return self._update(node, target, node.value)
        trained = self._trained(node.value) if isinstance(target, ast.Attribute) else None
        self.generic_visit(node)
        if trained is not None and getattr(node.value, "name", "") not in ("parameter", "buffer"):
            node.value = Op("parameter" if trained else "buffer", {"x": node.value}, site=self.site(node.value))
        if isinstance(target, ast.Attribute) and isinstance(node.value, Op) and node.value.layer:
            self.counts.made.setdefault(target.attr, set()).add(node.value.name)
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Name) and target.id == node.value.id:
            return []  # type: ignore[return-value]
        return node

    def _trained(self, value: ast.expr) -> bool | None:
        """Whether what becomes an attribute is trained; None where it is no state."""
        seen = self.values(value)
        if not seen or not all(isinstance(v, Tensor) for v in seen):
            return None
        if self.counts.owned is None:
            self.counts.owned = owned(self.facts, list(self.conventions.walk(self.facts.network)))
        found = {self.counts.owned.get(v.identity) for v in seen}
        return found.pop() if len(found) == 1 else None

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        outer = self.class_name, self.bases
        self.class_name, self.bases = node.name, [self.static(base) for base in node.bases]
        self.generic_visit(node)
        for base in node.bases:
            if isinstance(base, Reference) and not base.kind:
                base.kind = "base"
        self.conventions.declared(self, node)
        self.class_name, self.bases = outer
        return node

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.decorator_list = [
            self.visit(d)
            for d in node.decorator_list
            if not self.conventions.erased(self.static(d.func if isinstance(d, ast.Call) else d))
        ]
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg) and argument.annotation is not None:
                argument.annotation = self.test(argument.annotation)
        node.args.defaults = [self.visit(d) for d in node.args.defaults]
        node.args.kw_defaults = [self.visit(d) if d is not None else None for d in node.args.kw_defaults]
        if node.returns is not None:
            node.returns = self.test(node.returns)
        self.function.append(node)
        node.body = _flat(self.visit(s) for s in node.body)
        self.function.pop()
        return node

    visit_FunctionDef = _function  # noqa: N815
    visit_AsyncFunctionDef = _function  # noqa: N815

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = self.test(node.annotation)
        node.target = self.visit(node.target)
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node


def _is_base_call(node: ast.Call) -> bool:
    """``super().__init__(...)``: the base class is written out elsewhere."""
    return isinstance(node.func, ast.Attribute) and node.func.attr == "__init__"


def _given(spelling: Spelling, args: Sequence[ast.expr], keywords: Sequence[ast.keyword]) -> tuple[str, ...]:
    """The names of the parameters that a call passes."""
    positional = [p.name for p in spelling.parsed.parameters if not p.keyword_only]
    return (*positional[: len(args)], *(k.arg for k in keywords if k.arg))


def _is_plain(value: Any) -> bool:
    """Whether a value is plain data: no tensor, nor anything that may hold one."""
    if isinstance(value, list | tuple):
        return all(_is_plain(v) for v in value)
    return isinstance(value, bool | int | float | str)


def _replace_statement(made: ast.stmt, original: ast.stmt) -> ast.stmt:
    made.nf_replaces = original  # type: ignore[attr-defined]
    return ast.copy_location(made, original)


def _flat(made: Iterable[Any]) -> list[ast.stmt]:
    found: list[ast.stmt] = []
    for item in made:
        found.extend(item if isinstance(item, list) else [item] if item is not None else [])
    return found


@functools.lru_cache(maxsize=4096)
def local_names(function: ast.AST) -> frozenset[str]:
    """The names that a function binds, those of functions within included."""
    names: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
    return frozenset(names)


def _bind_call(op: OpDef, spelling: Spelling, node: ast.Call) -> dict[str, ast.expr]:
    """Bind the arguments of calling a layer's instance."""
    names = spelling.parsed_call.names
    if any(isinstance(a, ast.Starred) for a in node.args) or len(node.args) > len(names):
        raise CannotBind("arguments of the layer's call are not known")
    bound = dict(zip(names, node.args, strict=False))
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg not in names:
            raise CannotBind(f"unknown argument {keyword.arg!r} of the layer's call")
        bound[keyword.arg] = keyword.value
    conversions = ((spelling.conversion(name), value) for name, value in bound.items())
    return {conversion.attribute: value for conversion, value in conversions if conversion is not None}
