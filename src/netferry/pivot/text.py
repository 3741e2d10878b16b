"""The pivot's text form: the user's Python in which op nodes are calls of the neutral vocabulary.

====================================  =================================================================
``op.relu(x)``                        an op; operands in order, then attributes by name
``op.layer.conv2d(out_channels=8)``   the construction of a layer
``op.call.conv2d(self.conv, x)``      calling a layer whose construction stands elsewhere
``op.Module``, ``op.Tensor``          a neutral type
``op.ref("pkg.Class")``               a framework's class or function used as a value
``op.attribute(self.conv, "weight")`` a parameter of a stock layer
``op.hole("source", reason="...")``   what cannot be translated
``op.inplace(...)``                   the op changes its first operand
``op.base(...)``                      the construction of the stock layer that a class extends
``op.via(norm, ...)``                 the ops (one or several) that a variable was seen to stand for
``op.either(call, ...)``              a call of the user's or of one of these ops
====================================  =================================================================

A block of comments at the end gives the facts of every one of them, in order of the text: its place in the source and
the shapes and types of its results. :mod:`netferry.pivot.parsing` reads all of it back.
"""

from __future__ import annotations

import ast
import keyword
from collections.abc import Iterable, Iterator
from typing import Any, Final

from netferry.ops import registry
from netferry.ops.core import OpDef
from netferry.pivot.copying import copied
from netferry.pivot.facts import Site, Tensor
from netferry.pivot.nodes import Hole, LayerAttribute, LayerCall, Op, Reference, constant
from netferry.pivot.program import Program
from netferry.pivot.render import Renderer
from netferry.walking import Transformer, walk

HEAD: Final = "# netferry pivot 1, vocabulary as "
MODULE: Final = "# module: "
FACTS: Final = "# facts"
WRAPPERS: Final = frozenset({"inplace", "base", "via", "either", "network"})
"""Forms that are no nodes of their own and have no facts."""
FORMS: Final = WRAPPERS | {"layer", "call", "ref", "attribute", "hole"}
"""What the vocabulary's name has besides ops; no op may be called so."""

OBSERVED: Final = (Op, LayerCall, Hole)
"""Nodes that stand for calls, of which a run may have met none."""

_MARKS: Final = {"inplace": "inplace", "base": "complete"}
"""Form -> the attribute of an op node that it stands for."""


def show(program: Program) -> str:
    """The text of a program."""
    name = _free_name(program)
    lower = Lower(name)
    renderer = Renderer()
    parts = ["\n".join([HEAD + name, *([program.docstring] if program.docstring else [])])]
    parts.extend(_imports(program))
    places: list[ast.AST] = []
    module = ""
    for definition in program.definitions:
        if definition.module != module:
            module = definition.module
            parts.append(MODULE + module)
        node = lower.visit(copied(definition.node))
        places.append(node)
        parts.append(definition.lead + renderer.statement(node, ""))
    network = lower.network(program)
    places.append(network)
    parts.append(renderer.expression(network))
    facts = [_fact(node) for place in places for node in marked(place)]
    if facts:
        parts.append("\n".join([FACTS, *facts]))
    return "\n\n\n".join(parts) + "\n"


def _imports(program: Program) -> Iterator[str]:
    if program.imports:
        yield "\n".join(i.text() for i in program.imports)


def _free_name(program: Program) -> str:
    """The vocabulary's name: one that the program does not use itself."""
    taken: set[str] = set()
    for tree in [*(d.node for d in program.definitions), program.construction]:
        for node in walk(tree):
            taken.update(v for v in (getattr(node, f, None) for f in ("id", "arg", "name")) if isinstance(v, str))
    name = "op"
    while name in taken:
        name += "_"
    return name


def marked(tree: ast.AST) -> Iterator[ast.expr]:
    """The pivot nodes of a lowered tree, in the order of the text."""
    found = getattr(tree, "nf_pivot", None)
    if found is not None:
        yield found
    for child in ast.iter_child_nodes(tree):
        yield from marked(child)


def op_of(name: str) -> OpDef | None:
    """The declaration of an op, or None."""
    try:
        return registry.get(name)
    except KeyError:
        return None


class Lower(Transformer):
    """Turns pivot nodes into plain calls of the vocabulary."""

    def __init__(self, vocabulary: str) -> None:
        self.vocabulary = vocabulary

    def network(self, program: Program) -> ast.Call:
        """The statement that says what the program is, and how its network is built."""
        given: dict[str, Any] = {
            "source": program.source, "entry": program.entry, "observed": program.observed, "assumed": program.assumed,
            "width": program.width,
        }  # fmt: skip
        if program.renamed:
            given["renamed"] = program.renamed
        construction = self.visit(copied(program.construction))
        return self._call(["network"], [construction], {k: constant(v) for k, v in given.items()})

    def visit_Op(self, node: Op) -> ast.expr:
        made = self._op(node)
        others = getattr(node, "alternatives", ())
        if node.indirect is None and not others:
            return made
        indirect = ast.Constant(None) if node.indirect is None else self.visit(node.indirect)
        return self._call(["via"], [indirect, made, *map(self._op, others)], {})

    def _op(self, node: Op) -> ast.expr:
        self.generic_visit(node)
        path = ["layer", node.name] if node.layer else [node.name]
        args, named = _positional(op_of(node.name), node.operands)
        named |= {k.arg: k.value for k in node.attributes if k.arg}
        made = self._mark(self._call(path, args, named), node)
        for form, attribute in _MARKS.items():
            if getattr(node, attribute, False):
                made = self._call([form], [made], {})
        return made

    def visit_LayerCall(self, node: LayerCall) -> ast.expr:
        self.generic_visit(node)
        args, named = _positional(op_of(node.name), node.operands)
        return self._mark(self._call(["call", node.name], [node.callee, *args], named), node)

    def visit_Reference(self, node: Reference) -> ast.expr:
        if node.kind[:1].isupper() and node.kind.isidentifier():
            return self._mark(self._dotted([node.kind]), node)
        kind = {"kind": constant(node.kind)} if node.kind else {}
        return self._mark(self._call(["ref"], [constant(node.path)], kind), node)

    def visit_LayerAttribute(self, node: LayerAttribute) -> ast.expr:
        self.generic_visit(node)
        ops = {"ops": constant(node.ops)} if node.ops else {}
        return self._mark(self._call(["attribute"], [node.owner, constant(node.name)], ops), node)

    def visit_Hole(self, node: Hole) -> ast.expr:
        self.generic_visit(node)
        given = {"reason": constant(node.reason)} | ({"hint": constant(node.hint)} if node.hint else {})
        source = ast.unparse(ast.fix_missing_locations(node.source))
        return self._mark(self._call(["hole"], [constant(source)], given), node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        others = getattr(node, "nf_alternatives", ())
        return self._call(["either"], [node, *map(self.visit, others)], {}) if others else node

    def _mark(self, made: ast.expr, node: ast.expr) -> ast.expr:
        made.nf_pivot = node  # type: ignore[attr-defined]
        return made

    def _call(self, path: list[str], args: Iterable[ast.expr], named: dict[str, ast.expr]) -> ast.Call:
        return ast.Call(self._dotted(path), list(args), [ast.keyword(k, v) for k, v in named.items()])

    def _dotted(self, path: list[str]) -> ast.expr:
        made: ast.expr = ast.Name(self.vocabulary, ast.Load())
        for part in path:
            made = ast.Attribute(made, part + "_" * keyword.iskeyword(part), ast.Load())
        return made


def _positional(op: OpDef | None, given: list[ast.keyword]) -> tuple[list[ast.expr], dict[str, ast.expr]]:
    """The operands that come first by the op's signature, and the others by name."""
    rest = {k.arg: k.value for k in given if k.arg}
    first: list[ast.expr] = []
    for parameter in op.operands if op else ():
        if parameter.name not in rest:
            break
        first.append(rest.pop(parameter.name))
    return first, rest


def _fact(node: Any) -> str:
    """The line of facts of one pivot node."""
    site: Site | None = node.site
    place = f"{site.file}:{site.line}:{site.column}" if site is not None else "-"
    words = [place, _title(node), "assumed" if site and site.assumed and isinstance(node, OBSERVED) else ""]
    if isinstance(node, Reference) and node.kind[:1].isupper():
        words.append(f"= {node.path}")
    if results := results_of(site):
        words.append("-> " + " | ".join(results))
    return "# " + "  ".join(w for w in words if w)


def _title(node: ast.expr) -> str:
    return str(getattr(node, "kind", "") or getattr(node, "name", "") or type(node).__name__.lower())


def results_of(site: Site | None) -> list[str]:
    """The different results seen at a place: ``2x64x16x16 float32``."""
    seen = [", ".join(described(t) for t in flat(e.result)) for e in (site.events if site else ())]
    return [s for s in dict.fromkeys(seen) if s]


def described(tensor: Tensor) -> str:
    """Shape and type of a tensor."""
    return f"{'x'.join(map(str, tensor.shape)) or 'scalar'} {tensor.dtype}"


def flat(value: Any) -> Iterator[Tensor]:
    """The tensors in a nested result."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from flat(item)
    elif isinstance(value, dict):
        yield from flat(list(value.values()))
