"""Writes a pivot program as source code of the target framework."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from netferry import callables, frameworks, reporting, stdlib
from netferry.holes import Holes
from netferry.ops import registry
from netferry.ops.core import INFERRED, OpDef, Spelling
from netferry.ops.lowering import (
    CannotWrite,
    arguments,
    as_function,
    by_keyword,
    choose,
    dotted,
    is_function,
    lower,
    shortest,
)
from netferry.passes import leftovers
from netferry.pivot.facts import Site
from netferry.pivot.nodes import Hole, LayerAttribute, LayerCall, Op, Reference, constant
from netferry.pivot.program import Program
from netferry.pivot.render import Renderer
from netferry.supports import Supports
from netferry.walking import Transformer, walk

_ADAPTERS = 1 << 40
"""First id of the ops that adapters hold, which no node of the source has."""
_CALLEE = "__callee__"


class Conventions(Protocol):
    """What the writer must know about a target framework beyond its ops."""

    name: str
    threaded: Sequence[str]
    """Keyword arguments that all who make layers take, and hand on under the same name."""

    def prepare(self, program: Program) -> Program:
        """The framework's own passes before ops are lowered."""

    def reference(self, node: Reference) -> ast.expr | None:
        """A neutral type (Module, Tensor, Sequential...) as the target's class."""

    def layer_attribute(self, node: LayerAttribute) -> ast.expr | None:
        """A parameter of a stock layer under its name in the target."""

    def finish(self, program: Program, trees: Sequence[ast.stmt], construction: ast.expr) -> ast.expr:
        """What can only be done to code that has been written: changes ``trees``, gives the construction."""

    def layer_call(self, node: LayerCall) -> ast.expr | None:
        """Calling a layer where the target differs from ``layer(x)``; None for the ordinary call."""

    def imports(self, text: str, taken: set[str]) -> tuple[str, list[str]]:
        """Shorten full dotted names in ``text`` and give the import lines it needs."""


@dataclass(frozen=True)
class LayerPlace:
    """What a layer's construction became: the op finally written, and where it sits in what was wrapped around it."""

    op: str
    path: tuple[int, ...] = ()
    spelling: Spelling | None = None
    """The one of several that was written, as far as it is known."""
    within: tuple[int, ...] = ()
    """Where it sits in the layers that stand at the place of the source's own: part of its place if that is told by name."""


class Lowering(Transformer):
    """Replaces pivot nodes by expressions of the target."""

    def __init__(
        self, conventions: Conventions, holes: list[Hole], program: Program, instantiated: Collection[int] | None = None
    ) -> None:
        self.instantiated = instantiated
        """Sites whose classes' instances are to be reported when the code runs, beside stock layers; None: no report."""
        self.conventions = conventions
        self.holes = holes
        self.source = program.source
        self.layers: dict[int, LayerPlace] = {}
        self.places: dict[str, LayerPlace] = {}
        self.bases: dict[str, LayerPlace] = {}
        self.wrapped: dict[str, tuple[int, ...]] = {}
        """Attributes of the class being written that hold a sequence around their layer, with the layer's place in it."""
        self.adapters: dict[callables.Key, callables.Adapter] = {}
        self.legalisations = frameworks.legalisations(conventions.name)
        self.taken = _bound_names(d.node for d in program.definitions)
        self.supports = Supports(conventions.name, self.taken | {i.alias for i in program.imports})
        self.references = frameworks.references(conventions.name)
        self.handed = list(callables.places(program))
        self.adapted = callables.adapted(program, self._native)
        self._in_place_of_layer = False

    def visit_Op(self, node: Op) -> ast.expr:
        try:
            if callables.key_of(node) in self.adapted and callables.is_through_variable(node):
                self.generic_visit(node)
                call = callables.source_call(node, self.source)
                return ast.copy_location(self._threaded(call) if node.layer else call, node)
            made = self._lower(node)
        except CannotWrite as error:
            return self._hole(node, str(error))
        reports = self.instantiated is not None and reporting.is_site(node) and not getattr(node, "complete", False)
        return reporting.reported(made, node.nf_id) if reports else made  # type: ignore[attr-defined]

    def _threaded(self, call: ast.expr) -> ast.expr:
        """A call of what makes a layer, with what the target hands on to all of these."""
        if isinstance(call, ast.Call):
            handed = [ast.keyword(name, ast.Name(name, ast.Load())) for name in self.conventions.threaded]
            call.keywords = [*call.keywords, *handed]
        return call

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """One of several results: the others need not be computed where each has an expression of its own."""
        several = isinstance(node.value, Op)
        self.generic_visit(node)
        match node:
            case ast.Subscript(value=ast.Tuple(elts=results), slice=ast.Constant(value=int(index))) if several:
                return results[index]
        return node

    def _lower(self, node: Op) -> ast.expr:
        number, path = getattr(node, "nf_id", -1), getattr(node, "nf_path", ())
        if node.layer and number >= 0:
            self.layers[number] = LayerPlace(node.name, path, within=getattr(node, "nf_within", ()))
            _hand_down(node, number, path)
        legalise = self.legalisations.get(node.name)
        if legalise is not None and not getattr(node, "nf_legal", False):
            made = legalise(node, self.conventions.name)
            if made is not node:
                if isinstance(made, Op) and made.name == node.name:
                    made.nf_legal = True  # type: ignore[attr-defined]
                if isinstance(made, Op) and number >= 0:
                    made.nf_id, made.nf_path = number, path  # type: ignore[attr-defined]
                    made.nf_within = getattr(node, "nf_within", ())  # type: ignore[attr-defined]
                    made.nf_more = getattr(node, "nf_more", [])  # type: ignore[attr-defined]
                return self.visit(made)  # type: ignore[no-any-return]
        if is_function(node, self.conventions.name):
            self._in_place_of_layer = True
            return ast.copy_location(shortest(self.visit(as_function(node))), node)
        named, self._in_place_of_layer = self._in_place_of_layer, False
        self.generic_visit(node)
        chosen: list[Spelling] = []

        def change(spelling: Spelling) -> Spelling:
            chosen.append(spelling)
            return by_keyword(self.supports.apply(spelling)) if named else self.supports.apply(spelling)

        result = lower(node, self.conventions.name, change)
        if isinstance(result, ast.Call) and chosen and chosen[0].path:
            result.keywords = _before_threaded(result.keywords, getattr(node, "nf_more", []))
        place = self.layers.get(number)
        if node.layer and place is not None and place.op == node.name and chosen:
            self.layers[number] = replace(place, spelling=chosen[0])
        return ast.copy_location(self.visit(result) if _has_pivot(result) else result, node)

    def visit_LayerCall(self, node: LayerCall) -> ast.expr:
        try:
            made = self.conventions.layer_call(node)
        except CannotWrite as error:
            return self._hole(node, str(error))
        if made is None:
            op = registry.get(node.name)
            args: list[ast.expr] = []
            keywords: list[ast.keyword] = []
            given = {k.arg: k.value for k in node.operands}
            for parameter in op.operands:
                value = given.get(parameter.name)
                if value is None:
                    continue
                if keywords or len(args) < op.operands.index(parameter):
                    keywords.append(ast.keyword(parameter.name, value))
                else:
                    args.append(value)
            made = ast.Call(node.callee, args, keywords)
        self.generic_visit(made)
        return ast.copy_location(made, node)

    def visit_Reference(self, node: Reference) -> ast.expr:
        if node.kind == "Any":
            return dotted("typing.Any")
        made = self.conventions.reference(node) or self._op_reference(node)
        if made is None:
            return self._hole(node, f"{node.path} as a value has no equivalent")
        return ast.copy_location(made, node)

    def _op_reference(self, node: Reference) -> ast.expr | None:
        """A stock layer class or function handed around."""
        for op, spelling in registry.find(node.path):
            if node.op not in ("", op.name):
                continue
            if node.kind in ("test", "base"):
                target = next((s for s in op.spellings.get(self.conventions.name, ()) if s.layer and s.path), None)
                return dotted(self.supports.apply(target).path) if target else None
            key = (op.name, spelling.layer)
            given = node.attributes
            if key not in self.adapted and callables.has_own_form(
                op, self.conventions.name, layer=spelling.layer, attributes=given
            ):
                return self._own(op, spelling, given)
            made = self._adapter(op, spelling, node)
            if made is not None:
                return made
        return None

    def _own(self, op: OpDef, spelling: Spelling, given: Mapping[str, ast.expr]) -> ast.expr:
        """The target's callable, in a ``functools.partial`` where its defaults differ from the source's."""
        attributes = callables.source_defaults(op, spelling) | dict(given)
        if op.name in self.references:
            made = self.references[op.name](self._as_called(op, spelling, attributes), self.conventions.name)
            op = registry.get(made.name) if isinstance(made, Op) else op
        target = self.supports.apply(choose(op, self.conventions.name, attributes, layer=spelling.layer))
        if target.template:
            made = ast.parse(target.template, mode="eval").body
            assert isinstance(made, ast.Call)
            return callables.merged(made.func, made.keywords, made.args) if made.args or made.keywords else made.func
        by_name = replace(target, positional=0, threaded=(), ignore=(*target.ignore, *target.threaded))
        _, keywords = arguments(op, by_name, {}, attributes, partial=True)
        return callables.merged(dotted(target.path), keywords, []) if keywords else dotted(target.path)

    def _as_called(self, op: OpDef, spelling: Spelling, attributes: Mapping[str, ast.expr]) -> Op:
        """An op with the defaults of its class, and all calls that reach this."""
        uses = callables.uses((op.name, spelling.layer), self.handed)
        site = Site("", 0, 0, -1, uses.events)
        return Op(op.name, {}, dict(attributes), layer=spelling.layer, site=site)

    def _adapter(self, op: OpDef, spelling: Spelling, node: Reference) -> ast.expr | None:
        """The name of a function of the output file that takes the source's arguments."""
        key = (op.name, spelling.layer)
        if key not in self.adapters:
            made = self._made_adapter(op, spelling, node)
            if made is None:
                return None
            self.adapters[key] = made
        return ast.Name(self.adapters[key].name, ast.Load())

    def _made_adapter(self, op: OpDef, spelling: Spelling, node: Reference) -> callables.Adapter | None:
        uses = self.adapted.get((op.name, spelling.layer), callables.Uses())
        name = op.name
        while name in self.taken:
            name += "_"
        for parameters, defaults, applied in callables.adapters(op, spelling, uses, node.site):
            applied.nf_id = number = _ADAPTERS + len(self.adapters)  # type: ignore[attr-defined]
            before = len(self.holes)
            body = self.visit(applied)
            place = self.layers.pop(number, None)
            if not callables.has_hole(body):
                if place is not None:
                    self.places[op.name] = place
                self.taken.add(name)
                threaded = self.conventions.threaded if spelling.layer else ()
                return callables.Adapter(name, parameters, defaults, body, threaded)
            del self.holes[before:]
        return None

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        """A class that extends a layer which takes several in the target extends what holds these."""
        made = [n for n in walk(node) if isinstance(n, Op) and getattr(n, "complete", False)]
        outer, self.wrapped = self.wrapped, {}
        self.generic_visit(node)
        self.wrapped = outer
        if place := next((p for n in made if (p := self.layers.get(getattr(n, "nf_id", -1)))), None):
            self.bases[node.name] = place
        for statement in walk(node):
            call = statement.value if isinstance(statement, ast.Expr) else None
            inner = _inner_base_call(call) if isinstance(call, ast.Call) else None
            if inner is not None and len(node.bases) == 1 and isinstance(call, ast.Call):
                inner.func, call.func, node.bases = node.bases[0], inner.func, [call.func]
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        partials: list[Op] = getattr(node, "nf_partial", [])
        alternatives: list[Op] = getattr(node, "nf_alternatives", [])
        self.generic_visit(node)
        if any(op.layer for op in alternatives):
            self._threaded(node)
        if self.instantiated is not None and reporting.is_instance(node, self.instantiated):
            return reporting.reported(node, node.nf_id)  # type: ignore[attr-defined]
        if not partials or callables.key_of(partials[0]) in self.adapted:
            return node
        partials[0].indirect = ast.Name(_CALLEE, ast.Load())  # Only its arguments are wanted.
        made = self.visit(partials[0])
        if isinstance(made, Hole):
            return made
        return callables.merged(node.args[0], made.keywords, made.args)

    def _native(self, node: Op) -> str | None:
        """The text of an op's call through a variable, the variable left out; None where it needs another form."""
        op = registry.get(node.name)
        inferred = {k.arg: k.value for k in node.attributes if k.arg and op.parsed[k.arg].default is INFERRED}
        if not callables.has_own_form(op, self.conventions.name, layer=node.layer, attributes=inferred):
            return None
        lowering = Lowering(self.conventions, [], Program(self.source, "", []))
        applied = callables.trial(node)
        applied.indirect = ast.Name(_CALLEE, ast.Load())
        made = lowering.visit(applied)
        calls = [n for n in walk(made) if isinstance(n, ast.Call) and ast.unparse(n.func) == _CALLEE]
        return ast.unparse(made) if calls and not callables.has_hole(made) else None

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """A function annotated with the class of a stock layer may return another in the target."""
        is_stock = isinstance(node.returns, Reference) and node.returns.kind == "test"
        self.generic_visit(node)
        if is_stock and node.returns is not None:
            made = {ast.unparse(v.func) for v in _returned(node) if isinstance(v, ast.Call)}
            if made and made != {ast.unparse(node.returns)}:
                broad = self.conventions.reference(Reference("", "Module"))
                node.returns = dotted(made.pop()) if len(made) == 1 else broad
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:
        """Notes which attributes hold a layer inside a sequence."""
        name, number = ast.unparse(node.targets[0]), getattr(node.value, "nf_id", -1)
        is_layer = isinstance(node.value, Op) and node.value.layer
        self.generic_visit(node)
        if is_layer and number in self.layers:
            self.wrapped[name] = self.layers[number].within + self.layers[number].path
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        """Likewise which lists end with one."""
        match node.value:
            case ast.Call(
                func=ast.Attribute(value=ast.Attribute() as held, attr="append"), args=[Op(layer=True) as layer]
            ):
                name, number = f"{ast.unparse(held)}[-1]", getattr(layer, "nf_id", -1)
                self.generic_visit(node)
                if number in self.layers:
                    self.wrapped[name] = self.layers[number].within + self.layers[number].path
            case _:
                self.generic_visit(node)
        return node

    def visit_LayerAttribute(self, node: LayerAttribute) -> ast.expr:
        for index in self.wrapped.get(ast.unparse(node.owner), ()):
            members = self.visit(Op("sequence_of", {"module": node.owner}, site=node.site))
            node.owner = ast.Subscript(members, constant(index), ast.Load())
        made = self.conventions.layer_attribute(node)
        if made is None:
            return self._hole(node, f"the parameter {node.name} has no single name in the target")
        if isinstance(made, Op):
            return ast.copy_location(self.visit_Op(made), node)
        self.generic_visit(made)
        return ast.copy_location(made, node)

    def visit_Hole(self, node: Hole) -> ast.expr:
        return node

    def _hole(self, node: Any, reason: str) -> Hole:
        made = Hole(node, reason, "", node.site)
        self.holes.append(made)
        return ast.copy_location(made, node)


def _returned(function: ast.FunctionDef) -> list[ast.expr]:
    """What a function returns, in its own body."""
    nested = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
    found: list[ast.expr] = []
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return) and node.value is not None:
            found.append(node.value)
        elif not isinstance(node, nested):
            waiting.extend(ast.iter_child_nodes(node))
    return found


def _inner_base_call(call: ast.Call) -> ast.Call | None:
    """``super().__init__(...)`` among the members of a list given to another call."""
    members = call.args[0].elts if len(call.args) == 1 and isinstance(call.args[0], ast.List) else []
    found = [m for m in members if isinstance(m, ast.Call) and ast.unparse(m.func).endswith(".__init__")]
    return found[0] if found and not ast.unparse(call.func).endswith(".__init__") else None


def _before_threaded(keywords: list[ast.keyword], more: list[ast.keyword]) -> list[ast.keyword]:
    """Arguments with some more, in front of those that are only handed on."""
    at = next((i for i, k in enumerate(keywords) if getattr(k, "nf_threaded", False)), len(keywords))
    return [*keywords[:at], *more, *keywords[at:]]


def _hand_down(node: Op, number: int, path: tuple[int, ...]) -> None:
    """A layer wrapped by transposes or padding is still the one that the source constructed there."""
    listing = node.operand("layers")
    if node.name != "sequential" or not isinstance(listing, ast.List) or getattr(node, "nf_source", False):
        return
    for index, member in enumerate(listing.elts):
        if isinstance(member, Op) and not hasattr(member, "nf_id") and registry.get(member.name).has_parameters:
            member.nf_id, member.nf_path = number, (*path, index)  # type: ignore[attr-defined]
            member.nf_within = getattr(node, "nf_within", ())  # type: ignore[attr-defined]


def _has_pivot(node: ast.AST) -> bool:
    return any(isinstance(n, Op | LayerCall | Reference | LayerAttribute) for n in walk(node))


@dataclass(frozen=True)
class HolePlace:
    """Where something could not be translated, and why."""

    reason: str
    hint: str
    file: str
    line: int
    column: int
    reached: bool
    code: str = ""
    """The diagnostic that it is where the run did not reach it; empty for the usual one."""


@dataclass
class Written:
    """What the writer made: the file, the call that builds the network, and what the layers became."""

    code: str
    call: str
    call_imports: list[str]
    holes: list[HolePlace]
    layers: dict[int, LayerPlace]
    places: dict[str, LayerPlace]
    """What the layers of an op became whose class was handed around, by the op's name."""
    bases: dict[str, LayerPlace]
    """What the layer became that a class extends, by the name of the class."""
    renamed: dict[str, str]
    """Attributes that the target class reserves: ``Class.name`` -> new name."""
    names: dict[str, str]
    """Definitions of the source, ``module.name`` -> what they are called here."""
    tied: frozenset[int] = frozenset()
    """Layers of the source whose matrix is that of another layer here."""
    dissolved: frozenset[str] = frozenset()
    """Attributes of the source that are local variables here: ``Class.name``."""
    reporting: tuple[str, str] | None = None
    """Code and call that report every layer with its site."""


def write(program: Program, conventions: Conventions, instantiated: Collection[int] | None = None) -> Written:
    """The whole output file, formatted; raises ValueError when it is not valid Python (never written then).

    With ``instantiated``, the code is also written so that it reports its layers, those of these sites included.
    """
    program = conventions.prepare(program)
    report = None if instantiated is None else _reporting(program.copy(), conventions, instantiated)
    lowering = Lowering(conventions, list(program.holes), program)
    code, call = _code(program, conventions, lowering)
    call, imports = _call(call, conventions, lowering)
    ast.parse(code)
    holes = _places(lowering.holes)
    return Written(
        code,
        call,
        imports,
        holes,
        lowering.layers,
        lowering.places,
        lowering.bases,
        dict(program.renamed),
        dict(program.names),
        frozenset(program.tied),
        frozenset(program.dissolved),
        report,
    )


def _reporting(program: Program, conventions: Conventions, instantiated: Collection[int]) -> tuple[str, str]:
    """The code and the call that build the network and tell what each site made."""
    lowering = Lowering(conventions, [], program, instantiated)
    code, call = _code(program, conventions, lowering, formatted=False)
    call, imports = _call(call, conventions, lowering)
    return "\n".join([code, *imports]), call


def _call(call: str, conventions: Conventions, lowering: Lowering) -> tuple[str, list[str]]:
    """The call that builds the network in short names, and the imports it needs: those of the file need not do."""
    call, imports = conventions.imports(call, lowering.taken)
    return call, [*imports, *stdlib.missing(_used_names(call), [])]


def _places(holes: Iterable[Hole]) -> list[HolePlace]:
    found = []
    for hole in holes:
        site = hole.site
        place = (site.file, site.line, site.column) if site else ("", 0, 0)
        found.append(HolePlace(hole.reason, hole.hint, *place, bool(site and site.events), hole.code))
    return found


def _code(program: Program, conventions: Conventions, lowering: Lowering, *, formatted: bool = True) -> tuple[str, str]:
    """The text of the file, and of the call that builds the network."""
    renderer = Renderer()
    call = lowering.visit(program.construction)
    nodes = [leftovers.remove(lowering.visit(d.node)) for d in program.definitions]
    made = [a.definition() for a in lowering.adapters.values()]
    call = conventions.finish(program, [*made, *nodes], call)
    texts: list[str] = []
    for definition, lowered in zip(program.definitions, nodes, strict=True):
        node = Holes(renderer).visit(lowered)
        node = node[0] if isinstance(node, list) else node
        texts.append(definition.lead + renderer.statement(node, "") + definition.tail)
    supports = lowering.supports.code()
    adapters = [ast.unparse(ast.fix_missing_locations(a)) for a in made]
    body = "\n\n\n".join([*supports, *adapters, *texts])
    taken = lowering.taken | _bound_names(ast.parse(s) for s in supports)
    body, imports = conventions.imports(body, taken)
    body, more = stdlib.shorten(body, program.imports, taken)
    used = _used_names(body)
    lines = [i.text() for i in program.imports if i.alias in used]
    lines += [*more, *stdlib.missing(used, program.imports)]
    head = [program.docstring] if program.docstring else []
    text = "\n".join([*head, *sorted(set(lines + imports)), "", "", body]) + "\n"
    return (format_code(text, program.width) if formatted else text), renderer.expression(call)


def _bound_names(trees: Iterable[ast.AST]) -> set[str]:
    found: set[str] = set()
    for tree in trees:
        for node in walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
    return found


def _used_names(text: str) -> set[str]:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return set()
    found = {n.id for n in walk(tree) if isinstance(n, ast.Name)}
    for node in walk(tree):  # names inside annotations given as text
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            found.add(node.value)
    return found


def format_code(text: str, width: int = 88) -> str:
    """The text formatted by ruff with sorted imports; unformatted where ruff cannot run."""
    options = ["--line-length", str(width)]
    ruff = [sys.executable, "-m", "ruff"]
    for command in (
        [*ruff, "check", "--isolated", "--quiet", "--fix-only", "--select", "F401,I001,F541", "-", *options],
        [*ruff, "format", "--isolated", "--quiet", "-", *options],
    ):
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout:
            text = done.stdout
    return text


Namespace = Mapping[str, Any]
