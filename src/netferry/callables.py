"""Stock classes and functions that code hands around as values: ``norm_layer=nn.BatchNorm2d``.

Where every place that such a value reaches calls it alike in the target, the value is the target's own class, with the
source's defaults (``functools.partial``), and the places use the target's arguments. Where they do not (classes of the
user's are among them, or the target takes what one of them needs in another form), the places keep the source's
arguments, and the value is an adapter: a function of the output file with these parameters. Both ways must not meet at one place, hence
:func:`adapted` decides for all places at once.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from netferry.ops import registry
from netferry.ops.binding import CannotBind, bind
from netferry.ops.core import INFERRED, REQUIRED, OpDef, Spelling
from netferry.ops.lowering import CannotWrite, choose, convert, dotted, lower
from netferry.pivot.copying import copied
from netferry.pivot.facts import Event, Site
from netferry.pivot.nodes import Hole, Op, Reference, constant, is_literal
from netferry.pivot.program import Program
from netferry.walking import walk

Key = tuple[str, bool]
"""An op's name, and whether its layer is meant."""


@dataclass
class Uses:
    """What the places that call one stock class or function give it."""

    names: dict[str, None] = field(default_factory=dict)
    """The source's parameters that are passed anywhere."""
    values: dict[str, set[str]] = field(default_factory=dict)
    """The canonical attributes given, as text."""
    events: list[Event] = field(default_factory=list)


@dataclass
class Place:
    """One call through a variable, or a ``partial``: the ops that it stands for, and whether others are among them."""

    members: list[Op]
    mixed: bool

    @property
    def keys(self) -> set[Key]:
        """The stock classes and functions called here."""
        return {key_of(m) for m in self.members}


def key_of(node: Op) -> Key:
    """What an op node is an application of."""
    return node.name, node.layer


def is_through_variable(node: Op) -> bool:
    """Whether an op's callable is handed in (``super().__init__`` of a class that extends a stock one is not)."""
    return node.indirect is not None and not getattr(node, "complete", False)


def places(program: Program) -> Iterator[Place]:
    """Every place that calls stock classes or functions through a variable."""
    for tree in [*(d.node for d in program.definitions), program.construction]:
        for node in walk(tree):
            if isinstance(node, Op) and is_through_variable(node):
                yield Place([node, *getattr(node, "alternatives", ())], False)
            elif isinstance(node, ast.Call):
                if others := getattr(node, "nf_alternatives", ()):
                    yield Place(list(others), True)
                if partials := getattr(node, "nf_partial", ()):
                    yield Place(list(partials), getattr(node, "nf_partial_mixed", False))


def adapted(program: Program, native: Callable[[Op], str | None]) -> dict[Key, Uses]:
    """The classes and functions that need an adapter, with what their adapters must take.

    ``native`` gives the text of an op's call in the target, without the callee; None where it needs another form.
    """
    found = list(places(program))
    keys = {k for p in found if p.mixed or _differ(p, native) for k in p.keys} | _compared(program)
    keys |= _taken_apart(program)
    while more := {k for p in found if p.keys & keys for k in p.keys} - keys:
        keys |= more
    return {key: uses(key, found) for key in keys}


def _differ(place: Place, native: Callable[[Op], str | None]) -> bool:
    texts = {native(m) for m in place.members}
    return len(texts) > 1 or None in texts


def _compared(program: Program) -> set[Key]:
    """What is told apart by identity: an adapter is one object, a ``partial`` would be a new one each time."""
    compared = [n for d in program.definitions for n in walk(d.node) if isinstance(n, ast.Compare)]
    references = [r for c in compared for r in walk(c) if isinstance(r, Reference) and not r.kind]
    return {(op.name, spelling.layer) for r in references for op, spelling in registry.find(r.path)[:1]}


def _taken_apart(program: Program) -> set[Key]:
    """What stands in a ``partial`` where code reads such a one's keywords, which are the source's."""
    values = program.facts.values if program.facts is not None else {}
    nodes = [n for d in program.definitions for n in walk(d.node)]
    read = (n.value for n in nodes if isinstance(n, ast.Attribute) and n.attr in ("func", "keywords"))
    if not any(isinstance(v, functools.partial) for owner in read for v in values.get(getattr(owner, "nf_id", -1), ())):
        return set()
    return {key_of(op) for n in nodes for op in getattr(n, "nf_partial", ())}


def uses(key: Key, found: Iterable[Place]) -> Uses:
    """What all places give that class or function."""
    made = Uses()
    for member in (m for p in found for m in p.members if key_of(m) == key):
        made.names |= dict.fromkeys(getattr(member, "nf_given", ()))
        for attribute in member.attributes:
            made.values.setdefault(str(attribute.arg), set()).add(ast.unparse(attribute.value))
        made.events.extend(member.site.events if member.site else ())
    return made


def has_own_form(op: OpDef, framework: str, *, layer: bool, attributes: Mapping[str, ast.expr] | None = None) -> bool:
    """Whether the target has one callable for an op that takes its arguments as such."""
    try:
        target = choose(op, framework, attributes or {}, layer=layer)
    except CannotWrite:
        return False
    if target.template:
        return _is_constant_call(target.template)
    fixed = any(value != target.parsed[name].default for name, value in target.fixed.items())
    return bool(target.path) and not fixed and target.kind not in ("method", "attribute")


def _is_constant_call(template: str) -> bool:
    """Whether a template is one call that takes nothing from the op: ``keras.layers.ReLU(max_value=6.0)``."""
    return "{" not in template and isinstance(ast.parse(template, mode="eval").body, ast.Call)


def source_call(node: Op, source: str) -> ast.expr:
    """The call with the source's own arguments, as adapters take them; raises CannotWrite."""
    assert node.indirect is not None
    return lower(node, source)


def source_defaults(op: OpDef, spelling: Spelling) -> dict[str, ast.expr]:
    """The canonical attributes that the source sets when nothing is given."""
    found: dict[str, ast.expr] = {name: constant(value) for name, value in spelling.implies.items()}
    for parameter in spelling.parsed.parameters:
        conversion = spelling.conversion(parameter.name)
        if conversion is None or parameter.default in (REQUIRED, INFERRED):
            continue
        if any(p.name == conversion.attribute for p in op.attributes):
            found[conversion.attribute] = convert(constant(parameter.default), conversion, reading=True)
    return found


@dataclass
class Adapter:
    """A function that takes the source's arguments and gives what the target makes of them."""

    name: str
    parameters: list[ast.arg]
    defaults: list[ast.expr]
    body: ast.expr
    threaded: Sequence[str] = ()

    def definition(self) -> ast.FunctionDef:
        """The function itself."""
        handed = [ast.arg(name) for name in self.threaded]
        arguments = ast.arguments([], self.parameters, None, handed, [None for _ in handed], None, self.defaults)
        made = ast.parse(f"def {self.name}():\n    return None").body[0]
        assert isinstance(made, ast.FunctionDef)
        made.args, made.body = arguments, [ast.Return(self.body)]
        return made


def adapters(
    op: OpDef, spelling: Spelling, uses: Uses, site: Site | None
) -> Iterator[tuple[list[ast.arg], list[ast.expr], Op]]:
    """Parameters, defaults and the op of an adapter: first as general as its uses, then with what they agree in set."""
    parameters = [
        p for p in spelling.parsed.parameters if not p.variadic and (p.name in uses.names or p.default is REQUIRED)
    ]
    parameters.sort(key=lambda p: p.default is not REQUIRED)
    arguments = [ast.arg(p.name) for p in parameters]
    defaults = [constant(p.default) for p in parameters if p.default is not REQUIRED]
    place = replace(site, events=uses.events) if site is not None else None
    for agreed in (False, True):
        keywords = [ast.keyword(p.name, _argument(p.name, spelling, uses, agreed)) for p in parameters]
        try:
            bound = bind(op, spelling, [], keywords)
        except CannotBind:
            continue
        yield arguments, defaults, Op(op.name, bound.operands, bound.attributes, layer=spelling.layer, site=place)


def _argument(name: str, spelling: Spelling, uses: Uses, agreed: bool) -> ast.expr:
    conversion = spelling.conversion(name)
    texts = uses.values.get(conversion.attribute, set()) if conversion and agreed else set()
    value = ast.parse(next(iter(texts)), mode="eval").body if len(texts) == 1 else None
    return value if value is not None and is_literal(value) else ast.Name(name, ast.Load())


def is_partial(node: ast.expr) -> bool:
    """Whether an expression is a ``functools.partial(...)`` that this package has written."""
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "functools.partial"


def merged(function: ast.expr, keywords: list[ast.keyword], args: list[ast.expr]) -> ast.Call:
    """``partial(function, *args, **keywords)`` where ``function`` may be a partial itself: one is enough."""
    keywords = [k for k in keywords if not getattr(k, "nf_threaded", False)]
    if is_partial(function):
        assert isinstance(function, ast.Call)
        given = {k.arg for k in keywords}
        keywords = [*(k for k in function.keywords if k.arg not in given), *keywords]
        args = [*function.args, *args]
        return ast.Call(function.func, args, keywords)
    return ast.Call(dotted("functools.partial"), [function, *args], keywords)


def has_hole(node: ast.AST) -> bool:
    """Whether something in an expression could not be written."""
    return any(isinstance(n, Hole) for n in walk(node))


def trial(node: Op) -> Op:
    """A copy of an op to try writing it alone."""
    made: Op = copied(node)
    made.alternatives = ()  # type: ignore[attr-defined]
    return made
