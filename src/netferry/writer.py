"""Writes a pivot program as source code of the target framework."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from netferry import frameworks
from netferry.ops import registry
from netferry.ops.core import INFERRED, REQUIRED
from netferry.ops.lowering import CannotWrite, choose, dotted, lower
from netferry.pivot.nodes import Hole, LayerAttribute, LayerCall, Op, Reference, constant
from netferry.pivot.program import Program
from netferry.pivot.render import Renderer


class Conventions(Protocol):
    """What the writer must know about a target framework beyond its ops."""

    name: str

    def prepare(self, program: Program) -> Program:
        """The framework's own passes before ops are lowered."""

    def reference(self, node: Reference) -> ast.expr | None:
        """A neutral type (Module, Tensor, Sequential...) as the target's class."""

    def layer_attribute(self, node: LayerAttribute) -> ast.expr | None:
        """A parameter of a stock layer under its name in the target."""

    def layer_call(self, node: LayerCall) -> ast.expr | None:
        """Calling a layer where the target differs from ``layer(x)``; None for the ordinary call."""

    def imports(self, text: str, taken: set[str]) -> tuple[str, list[str]]:
        """Shorten full dotted names in ``text`` and give the import lines it needs."""


@dataclass(frozen=True)
class LayerPlace:
    """What a layer's construction became: the op finally written, and where it sits in what was wrapped around it."""

    op: str
    path: tuple[int, ...] = ()


class Lowering(ast.NodeTransformer):
    """Replaces pivot nodes by expressions of the target."""

    def __init__(self, conventions: Conventions, holes: list[Hole]) -> None:
        self.conventions = conventions
        self.holes = holes
        self.supports: dict[str, None] = {}
        self.layers: dict[int, LayerPlace] = {}
        self.legalisations = frameworks.legalisations(conventions.name)

    def visit_Op(self, node: Op) -> ast.expr:
        try:
            return self._lower(node)
        except CannotWrite as error:
            return self._hole(node, str(error))

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """One of several results: the others need not be computed where each has an expression of its own."""
        several = isinstance(node.value, Op)
        self.generic_visit(node)
        match node:
            case ast.Subscript(value=ast.Tuple(elts=results), slice=ast.Constant(value=int(index))) if several:
                return results[index]
        return node

    def _lower(self, node: Op) -> ast.expr:
        alternatives = getattr(node, "alternatives", ())
        number, path = getattr(node, "nf_id", -1), getattr(node, "nf_path", ())
        if node.layer and number >= 0:
            self.layers[number] = LayerPlace(node.name, path)
            _hand_down(node, number, path)
        legalise = self.legalisations.get(node.name)
        if legalise is not None and not getattr(node, "nf_legal", False):
            made = legalise(node, self.conventions.name)
            if made is not node:
                if isinstance(made, Op) and made.name == node.name:
                    made.nf_legal = True  # type: ignore[attr-defined]
                    made.alternatives = alternatives  # type: ignore[attr-defined]
                if isinstance(made, Op) and number >= 0:
                    made.nf_id, made.nf_path = number, path  # type: ignore[attr-defined]
                return self.visit(made)  # type: ignore[no-any-return]
        self.generic_visit(node)
        self._need_support(node)
        result = lower(node, self.conventions.name)
        for other in alternatives:
            if ast.unparse(lower(other, self.conventions.name)) != ast.unparse(result):
                raise CannotWrite(f"{node.name} and {other.name} are made here in turn and take different arguments")
        return ast.copy_location(self.visit(result) if _has_pivot(result) else result, node)

    def _need_support(self, node: Op) -> None:
        op = registry.get(node.name)
        attributes = {k.arg: k.value for k in node.attributes if k.arg}
        spelling = choose(op, self.conventions.name, attributes, layer=node.layer)
        if spelling.support:
            self.need(spelling.support)

    def need(self, name: str) -> None:
        """Note that the file must carry a support definition, and those it needs in turn."""
        for required in getattr(registry.support(name), "requires", ()):
            self.need(required)
        self.supports.setdefault(name)

    def visit_LayerCall(self, node: LayerCall) -> ast.expr:
        made = self.conventions.layer_call(node)
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
        """A stock layer class or function handed around: with the source's defaults kept where they differ."""
        for op, spelling in registry.find(node.path):
            try:
                target = choose(op, self.conventions.name, {}, layer=spelling.layer)
            except CannotWrite:
                continue
            if node.kind == "test":
                return dotted(target.path) if target.path else None
            return self._callable(op, spelling, node)
        return None

    def _callable(self, op: Any, spelling: Any, node: Reference) -> ast.expr | None:
        """The target's callable, wrapped in ``functools.partial`` where its defaults differ from the source's."""
        attributes: dict[str, ast.expr] = {}
        for parameter in spelling.parsed.parameters:
            conversion = spelling.conversion(parameter.name)
            if conversion is None or parameter.default in (REQUIRED, INFERRED):
                continue
            if any(p.name == conversion.attribute for p in op.attributes):
                from netferry.ops.lowering import convert

                attributes[conversion.attribute] = convert(constant(parameter.default), conversion, reading=True)
        operands = {p.name: ast.Name(p.name, ast.Load()) for p in op.operands if not spelling.layer}
        for parameter in op.attributes:
            if parameter.default is REQUIRED and parameter.name not in attributes:
                attributes[parameter.name] = ast.Name(parameter.name, ast.Load())
        made = self.visit(Op(op.name, operands, attributes, layer=spelling.layer, site=node.site))
        if isinstance(made, ast.Call) and not any(
            isinstance(n, ast.Name) and n.id in {p.name for p in op.parsed.parameters}
            for a in [*made.args, *made.keywords]
            for n in ast.walk(a)
        ):
            if not made.args and not made.keywords:
                return made.func
            return ast.Call(dotted("functools.partial"), [made.func, *made.args], made.keywords)
        if isinstance(made, ast.Call) and not made.keywords and [ast.unparse(a) for a in made.args] == list(operands):
            return made.func
        names = [ast.arg(p.name) for p in op.parsed.parameters if p.default is REQUIRED]
        return ast.Lambda(ast.arguments([], names, None, [], [], None, []), made)

    def visit_LayerAttribute(self, node: LayerAttribute) -> ast.expr:
        made = self.conventions.layer_attribute(node)
        if made is None:
            return self._hole(node, f"the parameter {node.name} has no single name in the target")
        self.generic_visit(made)
        return ast.copy_location(made, node)

    def visit_Hole(self, node: Hole) -> ast.expr:
        return node

    def _hole(self, node: Any, reason: str) -> Hole:
        made = Hole(node, reason, "", node.site)
        self.holes.append(made)
        return ast.copy_location(made, node)


def _hand_down(node: Op, number: int, path: tuple[int, ...]) -> None:
    """A layer wrapped by transposes or padding is still the one that the source constructed there."""
    listing = node.operand("layers")
    if node.name != "sequential" or not isinstance(listing, ast.List) or getattr(node, "nf_source", False):
        return
    for index, member in enumerate(listing.elts):
        if isinstance(member, Op) and not hasattr(member, "nf_id") and registry.get(member.name).has_parameters:
            member.nf_id, member.nf_path = number, (*path, index)  # type: ignore[attr-defined]


def _has_pivot(node: ast.AST) -> bool:
    return any(isinstance(n, Op | LayerCall | Reference | LayerAttribute) for n in ast.walk(node))


def raise_for_holes(statement: ast.stmt, original: str) -> list[ast.stmt] | None:
    """A statement with a hole in it becomes its source as a comment and ``raise NotImplementedError``."""
    hole = next((n for n in ast.walk(statement) if isinstance(n, Hole)), None)
    if hole is None:
        return None
    message = ast.Call(ast.Name("NotImplementedError", ast.Load()), [constant(hole.reason)], [])
    made = ast.Raise(message, None)
    made.nf_replaces = getattr(statement, "nf_replaces", statement)  # type: ignore[attr-defined]
    made.nf_comment = "\n".join("# " + line.strip() for line in original.splitlines())  # type: ignore[attr-defined]
    return [made]


class Holes(ast.NodeTransformer):
    """Turns statements that contain holes into clear failures; compound ones keep their bodies."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer = renderer

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.stmt):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                self.generic_visit(node)
                return node
            header = _header_nodes(node)
            hole = next((n for h in header for n in ast.walk(h) if isinstance(n, Hole)), None)
            if hole is not None:
                return raise_for_holes(node, source_text(node))
        return super().generic_visit(node)


def _header_nodes(node: ast.stmt) -> Iterable[ast.AST]:
    for _, value in ast.iter_fields(node):
        items = value if isinstance(value, list) else [value]
        for item in items:
            if isinstance(item, ast.AST) and not isinstance(item, ast.stmt | ast.excepthandler | ast.match_case):
                yield item


def source_text(node: ast.stmt) -> str:
    """The text a statement had in the source."""
    original = getattr(node, "nf_replaces", node)
    memory = getattr(original, "nf_memory", None)
    return memory.source.slice(memory.start, memory.end) if memory else ""


@dataclass(frozen=True)
class HolePlace:
    """Where something could not be translated, and why."""

    reason: str
    hint: str
    file: str
    line: int
    column: int
    reached: bool


@dataclass
class Written:
    """What the writer made: the file, the call that builds the network, and what the layers became."""

    code: str
    call: str
    call_imports: list[str]
    holes: list[HolePlace]
    layers: dict[int, LayerPlace]
    renamed: dict[str, str]


def write(program: Program, conventions: Conventions) -> Written:
    """The whole output file, formatted; raises ValueError when it is not valid Python (never written then)."""
    lowering = Lowering(conventions, list(program.holes))
    program = conventions.prepare(program)
    code = _code(program, conventions, lowering)
    call = Renderer().expression(lowering.visit(program.construction))
    call, imports = conventions.imports(call, _bound_names(program, ()))
    ast.parse(code)
    return Written(code, call, imports, _places(lowering.holes), lowering.layers, dict(program.renamed))


def _places(holes: Iterable[Hole]) -> list[HolePlace]:
    found = []
    for hole in holes:
        site = hole.site
        place = (site.file, site.line, site.column) if site else ("", 0, 0)
        found.append(HolePlace(hole.reason, hole.hint, *place, reached=bool(site and site.events)))
    return found


def _code(program: Program, conventions: Conventions, lowering: Lowering) -> str:
    renderer = Renderer()
    texts: list[str] = []
    for definition in program.definitions:
        node = lowering.visit(definition.node)
        node = Holes(renderer).visit(node)
        node = node[0] if isinstance(node, list) else node
        texts.append(definition.lead + renderer.statement(node, ""))
    supports = [registry.support(n).code[conventions.name].strip() for n in lowering.supports]
    body = "\n\n\n".join([*supports, *texts])
    taken = _bound_names(program, supports)
    body, imports = conventions.imports(body, taken)
    used = _used_names(body)
    lines = [i.text() for i in program.imports if i.alias in used]
    known = {i.alias for i in program.imports}
    lines += [f"import {name}" for name in ("functools", "math", "typing") if name in used - known]
    head = [program.docstring] if program.docstring else []
    text = "\n".join([*head, *sorted(set(lines + imports)), "", "", body]) + "\n"
    return format_code(text, program.width)


def _bound_names(program: Program, supports: Iterable[str]) -> set[str]:
    found: set[str] = set()
    trees = [d.node for d in program.definitions] + [ast.parse(s) for s in supports]
    for tree in trees:
        for node in ast.walk(tree):
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
    found = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    for node in ast.walk(tree):  # names inside annotations given as text
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
