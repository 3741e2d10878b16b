"""Writes op nodes as calls of a framework, through its spellings."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from netferry.frameworks import DTYPE_PREFIXES, FUNCTIONS_ARE_LAYERS, legalisations
from netferry.ops import registry
from netferry.ops.core import INFERRED, REQUIRED, Conversion, OpDef, Parameter, Spelling
from netferry.pivot.nodes import Op, constant, is_literal, literal
from netferry.pivot.render import arguments_of_list
from netferry.walking import Transformer, walk


class CannotWrite(Exception):
    """An op has no spelling in the target that can express its attributes."""


def choose(op: OpDef, framework: str, attributes: Mapping[str, ast.expr], *, layer: bool) -> Spelling:
    """The spelling to write; raises CannotWrite with the reason."""
    candidates = [s for s in op.spellings.get(framework, ()) if s.write]
    if not candidates:
        raise CannotWrite(f"{op.name} has no equivalent in {framework}")
    fitting = [s for s in candidates if s.layer == layer and _applies(op, s, attributes)]
    if not fitting:
        raise CannotWrite(f"{op.name} with these arguments has no equivalent in {framework}")
    return fitting[0]


def _applies(op: OpDef, spelling: Spelling, attributes: Mapping[str, ast.expr]) -> bool:
    for name, wanted in (*spelling.when.items(), *spelling.implies.items()):
        given = attributes.get(name)
        if given is None:
            value = op.parsed[name].default
        elif is_literal(given):
            value = literal(given)
        else:
            return False
        if callable(wanted):
            if not wanted(value):
                return False
        elif value != wanted:
            return False
    return _says_all(op, spelling, attributes)


def _says_all(op: OpDef, spelling: Spelling, attributes: Mapping[str, ast.expr]) -> bool:
    """Whether no attribute that differs from its default would be lost in silence."""
    arguments = (*spelling.parsed.names, *spelling.parsed_call.names)
    said = {c.attribute for name in arguments if (c := spelling.conversion(name)) is not None}
    said |= {*spelling.silent, *spelling.when, *spelling.implies, *re.findall(r"\{(\w+)\}", spelling.template)}
    for name, value in attributes.items():
        default = op.parsed[name].default
        if name in said or default in (INFERRED, REQUIRED):
            continue
        if not is_literal(value) or not _same(literal(value), default):
            return False
    return True


def lower(node: Op, framework: str, change: Callable[[Spelling], Spelling] = lambda spelling: spelling) -> ast.expr:
    """The call (or expression) of ``framework`` for ``node``; ``change`` may alter the spelling chosen.

    Operand and attribute expressions are used as they are: layout and legalisation have run before.

    Raises:
        CannotWrite: no spelling of the framework can express the node.
    """
    op = registry.get(node.name)
    attributes = {k.arg: k.value for k in node.attributes if k.arg}
    operands = {k.arg: k.value for k in node.operands if k.arg}
    spelling = change(choose(op, framework, attributes, layer=node.layer))
    attributes = {name: _idiom(name, value, framework) for name, value in attributes.items()}
    if spelling.template and (node.indirect is None or "{" in spelling.template):
        return _fill(op, spelling, operands, attributes)
    if spelling.template:
        assert node.indirect is not None
        return ast.Call(node.indirect, [], [])
    if spelling.kind == "method":
        receiver = operands[op.operands[0].name]
        function: ast.expr = ast.Attribute(receiver, spelling.path.rpartition(".")[2], ast.Load())
    elif spelling.kind == "attribute":
        return ast.Attribute(operands[op.operands[0].name], spelling.path.rpartition(".")[2], ast.Load())
    else:
        function = dotted(spelling.path)
    if node.indirect is not None:
        function = node.indirect
    through_variable = node.indirect is not None and not getattr(node, "complete", False)
    args, keywords = arguments(op, spelling, operands, attributes, partial=through_variable, explicit=through_variable)
    return ast.Call(function, args, keywords)


def _idiom(name: str, value: ast.expr, framework: str) -> ast.expr:
    """A canonical type name as the framework's own object, where it has one."""
    prefix = DTYPE_PREFIXES.get(framework)
    if prefix and name.endswith("dtype") and isinstance(value, ast.Constant) and isinstance(value.value, str):
        return dotted(f"{prefix}.{value.value}")
    return value


def lower_expression(node: ast.expr, framework: str, lowered: list[Op] | None = None) -> ast.expr:
    """``node`` with every op in it legalised for ``framework`` and lowered; ``lowered`` collects the ops written.

    Raises:
        CannotWrite: an op has no spelling of the framework that can express it.
    """
    made: ast.expr = _Lowering(framework, [] if lowered is None else lowered).visit(node)
    return made


class _Lowering(Transformer):
    def __init__(self, framework: str, lowered: list[Op]) -> None:
        self._framework = framework
        self._lowered = lowered
        self._in_place_of_layer = False
        self._legalisations = legalisations(framework)

    def visit_Op(self, node: Op) -> ast.expr:
        legalise = None if getattr(node, "nf_legal", False) else self._legalisations.get(node.name)
        legal = node if legalise is None else legalise(node, self._framework)
        if legal is not node:
            if isinstance(legal, Op) and legal.name == node.name:
                legal.nf_legal = True  # type: ignore[attr-defined]
            found: ast.expr = self.visit(legal)
            return found
        if is_function(node, self._framework):
            self._lowered.append(node)
            self._in_place_of_layer = True
            return shortest(self.visit(as_function(node)))
        self._lowered.append(node)
        named, self._in_place_of_layer = self._in_place_of_layer, False
        return lower(
            node.replace(
                operands={k.arg: self.visit(k.value) for k in node.operands if k.arg},
                attributes={k.arg: self.visit(k.value) for k in node.attributes if k.arg},
            ),
            self._framework,
            *([by_keyword] if named else []),
        )


def by_keyword(spelling: Spelling) -> Spelling:
    """Options are named where a function stands for a layer: then ``functools.partial`` says it."""
    return replace(spelling, positional=0)


def is_function(node: Op, framework: str) -> bool:
    """Whether a framework that has no class for a layer lets its function stand for it."""
    if not node.layer or framework not in FUNCTIONS_ARE_LAYERS:
        return False
    spellings = registry.get(node.name).spellings.get(framework, ())
    return not any(s.layer for s in spellings) and any(s.write for s in spellings)


def as_function(node: Op) -> ast.Lambda:
    """A layer without parameters as ``lambda x: function(x)``; the function is still an op."""
    names = [p.name for p in registry.get(node.name).operands if p.default is REQUIRED]
    made = node.replace(operands={name: ast.Name(name, ast.Load()) for name in names})
    made.layer, made.indirect = False, None
    return ast.Lambda(ast.arguments([], [ast.arg(name) for name in names], None, [], [], None, []), made)


def shortest(function: ast.Lambda) -> ast.expr:
    """``lambda x: f(x, k=1)`` as ``functools.partial(f, k=1)``, and ``lambda x: f(x)`` as ``f``."""
    names = [a.arg for a in function.args.args]
    call = function.body
    if not isinstance(call, ast.Call) or [ast.unparse(a) for a in call.args[: len(names)]] != names:
        return function
    rest = [*call.args[len(names) :], *(k.value for k in call.keywords), call.func]
    if len(call.args) > len(names) or any(isinstance(n, ast.Name) and n.id in names for r in rest for n in walk(r)):
        return function
    return ast.Call(dotted("functools.partial"), [call.func], call.keywords) if call.keywords else call.func


def _spread(value: ast.expr) -> list[ast.expr]:
    """What is given for ``*sizes``: the elements of a list, or a number alone."""
    if isinstance(value, ast.Tuple | ast.List):
        return value.elts
    is_number = is_literal(value) and isinstance(literal(value), int)
    return [value if is_number else ast.Starred(value, ast.Load())]


def arguments(
    op: OpDef,
    spelling: Spelling,
    operands: Mapping[str, ast.expr],
    attributes: Mapping[str, ast.expr],
    *,
    partial: bool = False,
    explicit: bool = False,
) -> tuple[list[ast.expr], list[ast.keyword]]:
    """The call's arguments: the first ``spelling.positional`` attributes and all operands by position, then keywords.

    ``partial`` leaves canonical defaults to whoever made the callable, ``explicit`` writes even the callable's own.
    """
    args: list[ast.expr] = []
    keywords: list[ast.keyword] = []
    by_position = True
    listed: ast.expr | None = None
    for index, parameter in enumerate(spelling.parsed.parameters):
        if spelling.kind == "method" and index == 0:
            continue
        if parameter.name in spelling.threaded:
            handed = ast.keyword(parameter.name, ast.Name(parameter.name, ast.Load()))
            handed.nf_threaded = True  # type: ignore[attr-defined]
            keywords.append(handed)
            continue
        value = _value_for(op, spelling, parameter, operands, attributes, partial=partial)
        conversion = spelling.conversion(parameter.name)
        is_operand = conversion is not None and any(p.name == conversion.attribute for p in op.operands)
        if value is None or (not explicit and not is_operand and _is_own_default(value, parameter)):
            by_position = by_position and parameter.variadic
            continue
        if parameter.variadic:
            args.extend(_spread(value))
            listed = value
            continue
        positional = (is_operand or index < spelling.positional) and not parameter.keyword_only
        if by_position and positional:
            args.append(value)
        else:
            by_position = False
            keywords.append(ast.keyword(arg=parameter.name, value=value))
    if isinstance(listed, ast.List) and not keywords and args == listed.elts:
        whole = arguments_of_list(listed)
        return ([whole] if whole else args), keywords
    return args, keywords


def _value_for(
    op: OpDef,
    spelling: Spelling,
    parameter: Parameter,
    operands: Mapping[str, ast.expr],
    attributes: Mapping[str, ast.expr],
    *,
    partial: bool,
) -> ast.expr | None:
    if parameter.name in spelling.fixed:
        wanted = spelling.fixed[parameter.name]
        return None if wanted == parameter.default else constant(wanted)
    conversion = spelling.conversion(parameter.name)
    if conversion is None:
        return None
    name = conversion.attribute
    if name in operands:
        return operands[name]
    given = attributes.get(name)
    if given is None:
        default = op.parsed[name].default
        if not partial and default is INFERRED and parameter.default is REQUIRED and not parameter.variadic:
            raise CannotWrite(f"{name} is not known here, as the run did not reach this layer")
        if partial or default is INFERRED:
            return None
        if default is REQUIRED:
            if parameter.default is REQUIRED and not parameter.variadic:
                raise CannotWrite(f"{op.name} lacks {name}, which {spelling.path} needs")
            return None
        if any(p.name == name for p in op.operands) and default is None:
            return None if parameter.default is not REQUIRED else constant(None)
        given = constant(default)
    return convert(given, conversion, reading=False)


def _is_own_default(value: ast.expr, parameter: Parameter) -> bool:
    return is_literal(value) and _same(literal(value), parameter.default)


def _same(a: Any, b: Any) -> bool:
    """Whether ``a`` means the default ``b``; one number for all axes means a tuple of it."""
    if isinstance(a, tuple) and len(a) > 1 and isinstance(b, int) and not isinstance(b, bool):
        return all(type(item) is int and item == b for item in a)
    if isinstance(a, bool) or isinstance(b, bool) or not isinstance(a, int | float):
        return type(a) is type(b) and bool(a == b)
    if isinstance(b, tuple):
        return len(b) > 1 and all(item == a for item in b)
    return isinstance(b, int | float) and a == b


def convert(value: ast.expr, conversion: Conversion, *, reading: bool) -> ast.expr:
    """Apply a conversion to an expression; literals are evaluated, others spliced into the template."""
    rule = conversion.read if reading else conversion.write
    if not isinstance(rule, str):
        if isinstance(value, ast.IfExp):
            either = (convert(branch, conversion, reading=reading) for branch in (value.body, value.orelse))
            return ast.IfExp(value.test, *either)
        if not is_literal(value):
            raise CannotWrite(f"{conversion.attribute} must be a literal to be translated")
        try:
            return constant(rule[literal(value)])
        except KeyError:
            raise CannotWrite(f"{conversion.attribute}={literal(value)!r} has no equivalent") from None
    if rule == "{}":
        return value
    template = ast.parse(rule.replace("{}", "__value__"), mode="eval").body
    if is_literal(value):
        code = compile(ast.Expression(template), "<conversion>", "eval")
        try:
            evaluated = eval(code, {"__value__": literal(value)})  # noqa: S307 - the template is one of our own declarations
        except TypeError:
            raise CannotWrite(f"{conversion.attribute}={literal(value)!r} has no equivalent") from None
        return constant(round(evaluated, 12) if isinstance(evaluated, float) else evaluated)
    return substitute(template, {"__value__": value})


def substitute(template: ast.expr, values: Mapping[str, ast.expr]) -> ast.expr:
    """Replace names in a parsed template by expressions."""

    class Fill(Transformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return values.get(node.id, node)

    filled: ast.expr = Fill().visit(copy.deepcopy(template))
    return filled


def _fill(
    op: OpDef, spelling: Spelling, operands: Mapping[str, ast.expr], attributes: Mapping[str, ast.expr]
) -> ast.expr:
    """Fill a template spelling; attributes left out take their canonical default."""
    known: dict[str, ast.expr] = {}
    for parameter in op.parsed.parameters:
        given = operands.get(parameter.name, attributes.get(parameter.name))
        if given is None and parameter.default not in (REQUIRED, INFERRED):
            given = constant(parameter.default)
        if given is not None:
            conversion = spelling.maps.get(parameter.name)
            known[f"__{parameter.name}__"] = (
                convert(given, conversion, reading=False) if isinstance(conversion, Conversion) else given
            )
    text = spelling.template
    for parameter in op.parsed.parameters:
        text = text.replace("{" + parameter.name + "}", f"__{parameter.name}__")
    repeated = {name for name, value in known.items() if text.count(name) > 1 and not is_simple(value)}
    return _Once(known, repeated).visit(ast.parse(text, mode="eval").body)  # type: ignore[no-any-return]


def is_simple(node: ast.expr) -> bool:
    """Whether an expression may be written twice: it costs nothing and always gives the same value."""
    match node:
        case ast.Name() | ast.Constant():
            return True
        case ast.Attribute(value=value):
            return is_simple(value)
        case ast.UnaryOp(operand=operand):
            return is_simple(operand)
        case ast.Subscript(value=value, slice=index):
            return is_simple(value) and is_simple(index)
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return all(is_simple(item) for item in items)
    return is_literal(node)


class _Once(Transformer):
    """Fills placeholders; a repeated one is named where it is first evaluated: ``f(x_value := g(y), x_value.shape)``."""

    def __init__(self, known: Mapping[str, ast.expr], repeated: set[str]) -> None:
        self._known = known
        self._repeated = repeated
        self._names: dict[str, str] = {}
        self._taken = {n.id for value in known.values() for n in walk(value) if isinstance(n, ast.Name)}

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self._known.get(node.id)
        if value is None:
            return node
        if node.id not in self._repeated:
            return copy.deepcopy(value)
        if node.id in self._names:
            return ast.Name(self._names[node.id], ast.Load())
        name = f"{node.id.strip('_')}_value"
        while name in self._taken:
            name += "_"
        self._names[node.id] = name
        self._taken.add(name)
        return ast.NamedExpr(ast.Name(name, ast.Store()), value)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        """``not not x`` is x, where its truth alone is asked for."""
        self.generic_visit(node)
        match node:
            case ast.UnaryOp(op=ast.Not(), operand=ast.UnaryOp(op=ast.Not(), operand=value)):
                return value
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """An item of a tuple that is written out is that item."""
        self.generic_visit(node)
        match node:
            case ast.Subscript(value=ast.Tuple(elts=items), slice=ast.Constant(value=int(index))):
                return items[index]
        return node


def dotted(path: str) -> ast.expr:
    """The expression of a dotted name."""
    first, *rest = path.split(".")
    node: ast.expr = ast.Name(first, ast.Load())
    for part in rest:
        node = ast.Attribute(node, part, ast.Load())
    return node
