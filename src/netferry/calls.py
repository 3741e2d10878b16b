"""Reads calls: each callable that was seen is looked up in the vocabulary, and its arguments bound by its signature."""

from __future__ import annotations

import ast
import functools
import types
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netferry.conventions import MISSING
from netferry.ops import registry
from netferry.ops.binding import Bound, CannotBind, bind, kind_holds, of_rank
from netferry.ops.core import INFERRED, REQUIRED, OpDef, Spelling
from netferry.pivot.copying import copied
from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import LayerCall, Op, constant, is_literal, literal

if TYPE_CHECKING:
    from netferry.pivot.facts import Event
    from netferry.reader import Reader

_NOTHING: Mapping[str, Any] = types.MappingProxyType({})


class Calls:
    """Turns the calls of one file into ops."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def read(self, node: ast.Call) -> ast.AST:
        """The op that a call is, or the call itself where it is none of the framework's."""
        answer = self.reader.conventions.decided(self.reader, node)
        if answer is not None:
            return ast.copy_location(ast.Constant(answer), node)
        callees = self.reader.callees(node)
        if not callees:
            return self._unobserved(node)
        paths = list(dict.fromkeys(self._path(c) for c in callees))
        if paths == [None]:
            if all(map(self.reader.is_left_out, callees)):
                hint = "copy its definition into the source"
                return self.reader.hole(node, f"{ast.unparse(node.func)} is not read along with the source", hint)
            plain = self.reader.conventions.plain_call(self.reader, node, callees)
            if plain is not None:
                return ast.copy_location(plain, node)
            self._mark_partial(node, callees)
            node.nf_plain = self._plain_arguments(node, callees)  # type: ignore[attr-defined]
            self.reader.generic_visit(node)
            return node
        if None in paths or len(paths) > 1:
            return self._mixed(node, paths)
        return self.translate(node, str(paths[0]), callees)

    def _path(self, callee: Any) -> str | None:
        return self.reader.conventions.layer_path(callee) or self.reader.conventions.path(callee)

    def _plain_arguments(self, node: ast.Call, callees: Sequence[Any]) -> dict[int, str]:
        """Positional arguments of a network's call that are no tensors, with their parameters' names."""
        if not all(self.reader.conventions.is_module(c) for c in callees) or any(
            isinstance(a, ast.Starred) for a in node.args
        ):
            return {}
        names = self.reader.conventions.call_parameters(callees[0])
        found: dict[int, str] = {}
        for index, (argument, name) in enumerate(zip(node.args, names, strict=False)):
            seen = self.reader.values(argument)
            given = isinstance(argument, ast.Constant) and argument.value is not None
            if given or (seen and all(_is_plain(v) for v in seen)):
                found[index] = name
        return found

    def translate(self, node: ast.Call, path: str, callees: Sequence[Any]) -> ast.AST:
        """Read a call of the framework callable of a path."""
        instance = bool(callees) and self.reader.conventions.is_module(callees[0])
        if instance and self.reader.conventions.is_container(path):
            self.reader.generic_visit(node)
            return node
        made = (
            self.reader.conventions.applied(self.reader, node, path)
            if instance
            else self.reader.conventions.structure(self.reader, node, path)
        )
        if made is not MISSING:
            return made  # type: ignore[return-value]
        candidates = of_rank(registry.find(path), self._rank(node))
        if not candidates:
            shown = ast.unparse(node.func) if "._" in path else path
            return self.reader.hole(
                node, f"{shown} is not in the vocabulary", "declare the op, or rewrite the call with known ones"
            )
        errors: list[str] = []
        for op, spelling in candidates:
            try:
                if instance and not _is_of(callees[0], spelling):
                    continue
                made = self._layer_call(node, op, spelling) if instance else self.op(node, op, spelling, callees)
            except CannotBind as error:
                errors.append(str(error))
                continue
            self.reader.counts.observed += 1
            return ast.copy_location(made, node)
        return self.reader.hole(node, f"{path}: {errors[0]}")

    def _rank(self, node: ast.Call) -> int | None:
        """How many axes the first operand has in every call seen (of a layer made here: its calls); None if not known."""
        site = self.reader.site(node)
        calls = [c for e in site.events for c in self._calls_of.get(id(e.result), (e,))]
        seen = {len(v.shape) for c in calls for v in c.args[:1] if isinstance(v, Tensor)}
        return seen.pop() if len(seen) == 1 else None

    @functools.cached_property
    def _calls_of(self) -> dict[int, list[Event]]:
        """What was called of the layers that calls made, by the layer."""
        found: dict[int, list[Event]] = {}
        for event in self.reader.facts.events:
            if event.instance is not None:
                found.setdefault(event.instance, []).append(event)
        return found

    def op(self, node: ast.Call, op: OpDef, spelling: Spelling, callees: Sequence[Any]) -> ast.expr:
        """Bind a call to an op by one of its spellings; CannotBind where they do not fit."""
        direct = self.is_direct(node, callees)
        is_partial = any(isinstance(c, functools.partial) for c in callees)
        complete = direct or _is_base_call(node)
        args, keywords = self.expand(node, spelling)
        if spelling.kind == "method":
            if not isinstance(node.func, ast.Attribute):
                raise CannotBind("a tensor method called through a variable")
            args = [node.func.value, *args]
        args, keywords = self._settled(node, spelling, args, keywords)
        sequence = any(p.variadic and not p.keyword_only for p in spelling.parsed.parameters) and self._single_sequence(
            node, spelling, args
        )
        bound = bind(op, spelling, args, keywords, partial=not complete or is_partial, variadic_is_sequence=sequence)
        if spelling.layer:
            self._check_kinds(spelling, bound, _held(callees))
        else:
            self._check_operands(op, spelling, bound, node, _held(callees))
        self._listed(op, bound)
        made = Op(
            op.name,
            {k: self.reader.visit(v) for k, v in bound.operands.items()},
            {k: self.reader.visit(v) for k, v in bound.attributes.items()},
            layer=spelling.layer,
            site=self.reader.site(node),
            indirect=None if direct or spelling.kind == "method" else self.reader.visit(node.func),
        )
        made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
        made.nf_given = () if direct else _given(spelling, args, keywords)  # type: ignore[attr-defined]
        made.inplace = spelling.inplace  # type: ignore[attr-defined]
        return made

    def _listed(self, op: OpDef, bound: Bound) -> None:
        """``zeros(n)``: the only size of a shape, as a shape."""
        given = bound.attributes.get("shape") if op.layout == "create" else None
        if given is None:
            return
        seen = [literal(given)] if is_literal(given) else self.reader.values(given)
        if seen and all(isinstance(v, int) and not isinstance(v, bool) for v in seen):
            bound.attributes["shape"] = ast.copy_location(ast.Tuple([given], ast.Load()), given)

    def _settled(
        self, node: ast.Call, spelling: Spelling, args: list[ast.expr], keywords: list[ast.keyword]
    ) -> tuple[list[ast.expr], list[ast.keyword]]:
        """The arguments with the only value that can be translated where every run of a variable had it."""
        names = spelling.parsed.names

        def settled(name: str, value: ast.expr) -> ast.expr:
            seen = self.reader.values(value)
            conversion = spelling.conversion(name)
            table = conversion.read if conversion is not None and isinstance(conversion.read, Mapping) else {}
            if (name not in spelling.fixed and not table) or is_literal(value) or not seen:
                return value
            wanted = spelling.fixed[name] if name in spelling.fixed else seen[0]
            if not all(type(v) is type(wanted) and v == wanted for v in seen) or (table and wanted not in table):
                return value
            self.reader.note(node, f"{name} is always {wanted!r} here, as it was in every call observed", "NF036")
            return constant(wanted)

        made = [settled(name, a) for name, a in zip(names, args, strict=False)]
        return [*made, *args[len(made) :]], [ast.keyword(k.arg, settled(k.arg or "", k.value)) for k in keywords]

    def _check_operands(
        self, op: OpDef, spelling: Spelling, bound: Bound, node: ast.Call, held: Mapping[str, Any]
    ) -> None:
        """Overloads are told apart by what was given: ``max(x, dim)`` and ``max(x, y)``."""
        self._check_kinds(spelling, bound, held)
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
            if "tensor" not in spelling.kinds.values() and any(
                isinstance(v, Tensor) for v in self.reader.values(value)
            ):
                raise CannotBind(f"{name} is a tensor")
        for name, value in bound.operands.items():
            seen = self.reader.values(value)
            if (
                seen
                and name != op.operands[0].name
                and all(isinstance(v, int) and not isinstance(v, bool) for v in seen)
            ):
                raise CannotBind(f"{name} is a number, not a tensor")

    def _check_kinds(self, spelling: Spelling, bound: Bound, held: Mapping[str, Any] = _NOTHING) -> None:
        """Whether arguments, given here or ``held`` by the callable, are of the kinds that the spelling asks for."""
        for argument, kind in spelling.kinds.items():
            conversion = spelling.conversion(argument)
            name = conversion.attribute if conversion else argument
            given = bound.operands.get(name, bound.attributes.get(name))
            if given is None and argument not in held:
                continue
            if given is None:
                if not kind_holds(kind, held[argument]):
                    raise CannotBind(f"{argument} is not a {kind}")
                continue
            seen = self.reader.values(given)
            if not seen and is_literal(given):
                seen = [literal(given)]
            elif not seen and self.reader.static(given) is not MISSING:
                seen = [self.reader.static(given)]
            elif not seen and isinstance(given, ast.Tuple | ast.List):
                seen = [tuple(given.elts)]
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
        seen = [v for v in self.reader.values(keyword) if isinstance(v, Mapping)]
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
        lengths = {len(v) for v in self.reader.values(argument) if isinstance(v, tuple)}
        if len(lengths) != 1:
            raise CannotBind("a starred argument whose length differs from call to call")
        return [ast.Subscript(argument.value, ast.Constant(i), ast.Load()) for i in range(lengths.pop())]

    def _holds_a_sequence(self, argument: ast.Starred) -> bool:
        """Whether ``*args`` is one sequence: ``x.view(*args)`` of ``view((2, 3))``."""
        seen = self.reader.values(argument)
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
        seen = self.reader.values(rest[0])
        return bool(seen) and all(isinstance(v, tuple | list) for v in seen)

    def _layer_call(self, node: ast.Call, op: OpDef, spelling: Spelling) -> ast.expr:
        bound = bind_call(op, spelling, node)
        operands = {k: self.reader.visit(v) for k, v in bound.items()}
        made = LayerCall(op.name, self.reader.visit(node.func), operands, self.reader.site(node))
        made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
        return made

    def is_direct(self, node: ast.Call, callees: Sequence[Any]) -> bool:
        """Whether the callee is written out, not handed in through a variable."""
        if not callees or self._is_lookup(node.func):
            return True
        if isinstance(callees[0], functools.partial):
            return False
        if isinstance(node.func, ast.Attribute) and not isinstance(callees[0], type):
            path = self.reader.conventions.path(callees[0]) or ""
            if path.rpartition(".")[2] == node.func.attr:
                return True
        named = self.reader.static(node.func)
        return named is not MISSING and all(named is c for c in callees)

    def _is_lookup(self, function: ast.expr) -> bool:
        """``getattr(nn, name)``: what was found there is written out (and stands for that one name)."""
        if not (
            isinstance(function, ast.Call) and isinstance(function.func, ast.Name) and function.func.id == "getattr"
        ):
            return False
        owner = self.reader.static(function.args[0])
        return isinstance(owner, types.ModuleType) and owner.__name__.split(".")[0] in self.reader.conventions.libraries

    def _mixed(self, node: ast.Call, paths: Sequence[str | None]) -> ast.AST:
        """A call that reaches different callables in turn, through a variable."""
        if self._is_layer_or_function(self.reader.callees(node)):
            return self._layers_in_turn(node, paths)
        alternatives: list[Op] = []
        for path in paths:
            if path is None:
                continue
            found = self._alternative(node, path)
            if found is None:
                return self.reader.hole(
                    node, f"the callee is now {path}, now something else, and their arguments differ"
                )
            alternatives.append(found)
        self.reader.generic_visit(node)
        if None in paths:
            # A class of the user's is among them: its arguments stay, and stock ones are adapted where they are named.
            node.nf_alternatives = alternatives  # type: ignore[attr-defined]
            return node
        # What changes nothing is called as the others are.
        alternatives = [a for a in alternatives if a.name != "identity"] or alternatives
        first = alternatives[0]
        first.alternatives = alternatives[1:]  # type: ignore[attr-defined]
        self.reader.counts.observed += 1
        return ast.copy_location(first, node)

    def _is_layer_or_function(self, callees: Sequence[Any]) -> bool:
        """Whether layers are called, in turn with functions of the user's at most: ``self.shortcut = lambda x: x``."""
        layers = [c for c in callees if self.reader.conventions.is_module(c)]
        others = [c for c in callees if not self.reader.conventions.is_module(c)]
        return bool(layers) and all(not isinstance(c, type) and self._path(c) is None for c in others)

    def _mark_partial(self, node: ast.Call, callees: Sequence[Any]) -> None:
        """``partial(nn.LayerNorm, eps=1e-6)`` gives a stock class some of its arguments."""
        if not node.args or any(c is not functools.partial for c in callees):
            return
        seen = self.reader.values(node.args[0]) or [v for v in [self.reader.static(node.args[0])] if v is not MISSING]
        paths = list(dict.fromkeys(self._path(v) for v in seen))
        call = ast.copy_location(ast.Call(node.args[0], node.args[1:], node.keywords), node)
        found = [self._alternative(call, path) for path in paths if path is not None]
        if found and None not in found:
            node.nf_partial = found  # type: ignore[attr-defined]
            node.nf_partial_mixed = None in paths  # type: ignore[attr-defined]
            if len(found) == 1 and found[0] is not None:
                node.args[0].nf_op = found[0].name  # type: ignore[attr-defined]

    def _layers_in_turn(self, node: ast.Call, paths: Sequence[str | None]) -> ast.AST:
        """A call of different layers in turn: ``for layer in self.reader.layers: x = layer(x)``."""
        for path in paths:
            if path is None or self.reader.conventions.is_container(path):
                continue
            if not any(s.layer and len(s.parsed_call.names) >= len(node.args) for _, s in registry.find(path)):
                return self.reader.hole(node, f"{path} is among the layers called here in turn, which is not known so")
        node.nf_plain = self._plain_arguments(node, self.reader.callees(node))  # type: ignore[attr-defined]
        self.reader.generic_visit(node)
        self.reader.counts.observed += 1
        return node

    def _alternative(self, node: ast.Call, path: str) -> Op | None:
        for op, spelling in registry.find(path):
            try:
                args, keywords = self.expand(node, spelling)
                bound = bind(op, spelling, args, keywords, partial=True)
                self._check_kinds(spelling, bound)
            except CannotBind:
                continue
            made = Op(
                op.name,
                {k: self.reader.visit(copied(v)) for k, v in bound.operands.items()},
                {k: self.reader.visit(copied(v)) for k, v in bound.attributes.items()},
                layer=spelling.layer,
                site=self.reader.site(node),
                indirect=self.reader.visit(copied(node.func)),
            )
            made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
            made.nf_given = _given(spelling, args, keywords)  # type: ignore[attr-defined]
            return made
        return None

    def _unobserved(self, node: ast.Call) -> ast.AST:
        """A call that the run did not reach: read by the names alone."""
        named = self.reader.static(node.func)
        if (
            named is MISSING
            and _is_base_call(node)
            and len(self.reader.bases) == 1
            and isinstance(self.reader.bases[0], type)
        ):
            named = self.reader.bases[0].__init__  # type: ignore[misc]
        if named is not MISSING:
            path = self.reader.conventions.path(named)
            if path is None:
                plain = self.reader.conventions.plain_call(self.reader, node, [named])
                if plain is not None:
                    return ast.copy_location(plain, node)
                self._mark_partial(node, [named])
                self.reader.generic_visit(node)
                return node
            return self._assumed(node, path, [named])
        known = self.reader.counts.indirect.get(ast.unparse(node.func))
        if known is not None:
            return self._like_elsewhere(node, known)
        if self.reader.is_gone(node.func):
            return self.reader.hole(node, f"{ast.unparse(node.func)} is nothing that the installed framework has")
        if isinstance(node.func, ast.Attribute):
            guessed = self.reader.conventions.guess_method(self.reader, node)  # type: ignore[attr-defined]
            if guessed:
                return self._assumed(node, guessed, [])
        self.reader.generic_visit(node)
        return node

    def _like_elsewhere(self, node: ast.Call, paths: Sequence[str | None]) -> ast.AST:
        """An unobserved ``norm_layer(width)``: what the same name calls where it was observed."""
        if None in paths:
            self.reader.generic_visit(node)
            return node
        made = self._mixed(node, paths)
        self.reader.counts.observed -= isinstance(made, Op)
        self.reader.counts.assumed += isinstance(made, Op)
        return made

    def _assumed(self, node: ast.Call, path: str, callees: Sequence[Any]) -> ast.AST:
        before = self.reader.counts.observed
        made = self.translate(node, path, callees)
        self.reader.counts.assumed += self.reader.counts.observed - before
        self.reader.counts.observed = before
        return made


def _held(callees: Sequence[Any]) -> dict[str, Any]:
    """The keywords that a ``partial`` holds."""
    return {k: v for c in callees if isinstance(c, functools.partial) for k, v in c.keywords.items()}


def _is_of(instance: Any, spelling: Spelling) -> bool:
    """Whether a layer's own attributes are of the kinds that its spelling asks for."""
    return all(
        kind_holds(kind, getattr(instance, name)) for name, kind in spelling.kinds.items() if hasattr(instance, name)
    )


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


def bind_call(op: OpDef, spelling: Spelling, node: ast.Call) -> dict[str, ast.expr]:
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
