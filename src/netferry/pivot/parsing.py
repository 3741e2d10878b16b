"""Reads the pivot's text form back into the program it shows (see :mod:`netferry.pivot.text`)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any, Final

from netferry.diagnostics import NetferryError, failure
from netferry.pivot.checker import require
from netferry.pivot.facts import Event, Site, Tensor
from netferry.pivot.nodes import Hole, LayerAttribute, LayerCall, Op, Reference
from netferry.pivot.program import Definition, Import, Program
from netferry.pivot.render import Text, remember
from netferry.pivot.text import FACTS, FORMS, HEAD, MODULE, OBSERVED, WRAPPERS, op_of
from netferry.project.names import bound_names
from netferry.walking import Transformer, walk

_Named = dict[str, ast.expr]
_FACT: Final = re.compile(r"# (?:-|(?P<file>.*?):(?P<line>\d+):(?P<column>\d+))  (?P<rest>.*)")


def parse(text: str) -> Program:
    """The program that a text shows.

    Raises:
        NetferryError: the text is no pivot, or a malformed one; the error names the place.
    """
    head = text.partition("\n")[0]
    if not head.startswith(HEAD):
        raise failure("NF035", f"the text of a pivot begins with {HEAD.strip()!r}", line=1)
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise failure("NF035", f"not Python: {error.msg}", line=error.lineno or 0) from error
    remember(tree, Text(text))
    program = _Parser(head.removeprefix(HEAD).strip(), text).program(tree)
    require(program)
    return program


class _Parser:
    def __init__(self, vocabulary: str, text: str) -> None:
        self.text = text
        self.lines = text.splitlines()
        self.raised = _Raise(vocabulary)

    def program(self, tree: ast.Module) -> Program:
        """Take the module apart."""
        body = list(tree.body)
        self.raised.number(tree)
        program = Program("", "", [])
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            program.docstring = ast.get_source_segment(self.text, body.pop(0)) or ""
        while body and isinstance(body[0], ast.Import | ast.ImportFrom):
            program.imports.extend(_imports(body.pop(0)))
        last = body.pop() if body else None
        places: list[ast.AST] = []
        for statement in body:
            lead, module = self._above(statement)
            made = self.raised.visit(statement)
            places.append(made)
            program.definitions.append(Definition(tuple(bound_names([made])), made, module, lead))
        self._network(program, last)
        places.append(program.construction)
        self._facts()
        program.holes = [n for p in places for n in walk(p) if isinstance(n, Hole)]
        return program

    def _above(self, statement: ast.stmt) -> tuple[str, str]:
        """The comments directly above a statement, and the module that it is of."""
        first = min(n.lineno for n in (statement, *getattr(statement, "decorator_list", ()))) - 1
        start = first
        while start and self.lines[start - 1].startswith("#"):
            start -= 1
        module = next((line for line in reversed(self.lines[:start]) if line.startswith(MODULE)), "")
        return "".join(f"{line}\n" for line in self.lines[start:first]), module.removeprefix(MODULE)

    def _network(self, program: Program, statement: ast.stmt | None) -> None:
        call = statement.value if isinstance(statement, ast.Expr) else None
        if not isinstance(call, ast.Call) or self.raised.path(call.func) != ["network"] or len(call.args) != 1:
            raise failure("NF035", "the last statement of a pivot is op.network(...)", line=len(self.lines))
        for given in call.keywords:
            setattr(program, str(given.arg), ast.literal_eval(given.value))
        program.construction = self.raised.visit(call.args[0])

    def _facts(self) -> None:
        """Give every pivot node its facts, which stand in the order of the text."""
        start = len(self.lines) - self.lines[::-1].index(FACTS) if FACTS in self.lines else len(self.lines)
        for number, node in sorted(self.raised.made.items()):
            at = start + number
            found = _FACT.fullmatch(self.lines[at]) if at < len(self.lines) else None
            if found is None:
                raise failure("NF035", "a node of the pivot lacks its line of facts", line=at + 1)
            _tell(node, found)


def _imports(statement: ast.stmt) -> Iterator[Import]:
    assert isinstance(statement, ast.Import | ast.ImportFrom)
    for alias in statement.names:
        local = alias.asname or alias.name.split(".")[0]
        if isinstance(statement, ast.ImportFrom):
            yield Import(statement.module or "", alias.name, local)
        else:
            yield Import(alias.name, "", local)


def _tell(node: Any, found: re.Match[str]) -> None:
    rest, _, results = found["rest"].partition("-> ")
    if isinstance(node, Reference) and " = " in rest:
        node.path = rest.partition(" = ")[2].strip()
    if found["file"] is None:
        return
    assumed = not results and (not isinstance(node, OBSERVED) or "assumed" in rest.split())
    seen = [_tensors(r) for r in results.split(" | ")] if results else [None]
    events = () if assumed else [Event(i, None, "", result=r) for i, r in enumerate(seen)]
    node.site = Site(found["file"], int(found["line"]), int(found["column"]), -1, events, assumed)


def _tensors(text: str) -> tuple[Tensor, ...]:
    made = []
    for number, part in enumerate(text.split(", ")):
        shape, dtype = part.split(" ")
        made.append(Tensor(number, () if shape == "scalar" else tuple(map(int, shape.split("x"))), dtype))
    return tuple(made)


class _Raise(Transformer):
    """Turns calls of the vocabulary into pivot nodes."""

    def __init__(self, vocabulary: str) -> None:
        self.vocabulary = vocabulary
        self.made: dict[int, ast.AST] = {}
        """The pivot nodes by their place in the text."""
        self._count = 0

    def number(self, tree: ast.AST) -> None:
        """Number what will become pivot nodes, in the order of the text."""
        called = isinstance(tree, ast.Call)
        path = self.path(tree.func if isinstance(tree, ast.Call) else tree)
        is_type = len(path) == 1 and path[0][0].isupper()
        if (not called and is_type) or (called and path and not is_type and path[0] not in WRAPPERS):
            tree.nf_number, self._count = self._count, self._count + 1  # type: ignore[attr-defined]
        for child in ast.iter_child_nodes(tree):
            self.number(child)

    def path(self, node: ast.AST) -> list[str]:
        """The parts behind the vocabulary's name; empty for anything else."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr.removesuffix("_"))
            node = node.value
        return parts if isinstance(node, ast.Name) and node.id == self.vocabulary else []

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        path = self.path(node)
        if len(path) == 1 and path[0][0].isupper():
            return self._made(Reference("", path[0]), node)
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        path = self.path(node.func)
        if not path or (len(path) == 1 and path[0][0].isupper()):  # A type that is called stays a call.
            self.generic_visit(node)
            return node
        form = getattr(self, f"_{path[0]}") if path[0] in FORMS and path[0] != "network" else None
        node.args = [self.visit(a) for a in node.args]
        named = {k.arg: self.visit(k.value) for k in node.keywords if k.arg}
        try:
            return self._made(form(node, named, *path[1:]) if form else self._op(node, named, *path), node)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise self._wrong(node, ".".join(path)) from error

    def _made(self, made: ast.expr, node: ast.expr) -> ast.expr:
        if hasattr(node, "nf_number"):
            self.made[node.nf_number] = made
        return ast.copy_location(made, node)

    def _wrong(self, node: ast.Call, form: str) -> NetferryError:
        return failure("NF035", f"{self.vocabulary}.{form} is not written like this", line=node.lineno)

    def _op(self, node: ast.Call, named: _Named, name: str, *, layer: bool = False) -> ast.expr:
        operands, attributes = _split(name, node.args, named)
        return Op(name, operands, attributes, layer=layer)

    def _layer(self, node: ast.Call, named: _Named, name: str) -> ast.expr:
        return self._op(node, named, name, layer=True)

    def _call(self, node: ast.Call, named: _Named, name: str) -> ast.expr:
        operands, attributes = _split(name, node.args[1:], named)
        return LayerCall(name, node.args[0], operands | attributes)

    def _ref(self, node: ast.Call, named: _Named) -> ast.expr:
        return Reference(ast.literal_eval(node.args[0]), _text(named, "kind"))

    def _attribute(self, node: ast.Call, named: _Named) -> ast.expr:
        ops = ast.literal_eval(named["ops"]) if "ops" in named else ()
        return LayerAttribute(node.args[0], ast.literal_eval(node.args[1]), ops)

    def _hole(self, node: ast.Call, named: _Named) -> ast.expr:
        source = ast.parse(ast.literal_eval(node.args[0]), mode="eval").body
        return Hole(self.visit(source), _text(named, "reason"), _text(named, "hint"))

    def _inplace(self, node: ast.Call, named: _Named) -> ast.expr:
        node.args[0].inplace = True  # type: ignore[attr-defined]
        return node.args[0]

    def _base(self, node: ast.Call, named: _Named) -> ast.expr:
        node.args[0].complete = True  # type: ignore[attr-defined]
        return node.args[0]

    def _via(self, node: ast.Call, named: _Named) -> ast.expr:
        indirect, *ops = node.args
        for op in ops:
            if not isinstance(op, Op):
                raise TypeError("no op")
            op.indirect = None if isinstance(indirect, ast.Constant) and indirect.value is None else indirect
        if len(ops) > 1:
            ops[0].alternatives = ops[1:]  # type: ignore[attr-defined]
        return ops[0]

    def _either(self, node: ast.Call, named: _Named) -> ast.expr:
        made, *others = node.args
        made.nf_alternatives = others  # type: ignore[attr-defined]
        return made


def _text(named: _Named, name: str) -> str:
    return str(ast.literal_eval(named[name])) if name in named else ""


def _split(name: str, args: list[ast.expr], named: _Named) -> tuple[_Named, _Named]:
    """Operands and attributes, told apart by the op's declaration."""
    op = op_of(name)
    names = [p.name for p in op.operands] if op else []
    if op and len(args) > len(names):
        raise ValueError("too many operands")
    operands = dict(zip(names, args, strict=False)) | {k: v for k, v in named.items() if k in names}
    return operands, {k: v for k, v in named.items() if k not in names}
