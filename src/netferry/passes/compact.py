"""Methods that make the layers which they apply: the making moves to the constructor of their class.

Both halves keep the method's loops and branches, as those of a lifted function do.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from netferry.passes.deciding import Runs
from netferry.passes.lifted_names import Namer
from netferry.passes.lifting import Rounds, placed
from netferry.passes.living import branch
from netferry.passes.splitting import Splitter, loads, stores
from netferry.pivot.copying import copied
from netferry.pivot.nodes import Op, Reference
from netferry.pivot.program import Program
from netferry.walking import Transformer, walk


def separate(program: Program) -> None:
    """Let every class of ``program`` make its layers in its constructor."""
    classes = {c.name for c in program.classes() if any(isinstance(b, Reference | ast.Name) for b in c.bases)}
    labels = getattr(program.facts, "labels", {})
    changed: list[ast.ClassDef] = []
    for node in program.classes():
        for method in [s for s in node.body if isinstance(s, ast.FunctionDef)]:
            if getattr(method, "nf_compact", False):
                _separate(node, method, labels, Rounds(program.facts), classes)
        if _constructor(node) is not None and hasattr(_constructor(node), "nf_fields"):
            changed.append(node)
    read = _read(program)
    for node in changed:
        _settle(node, read)


def _constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    return next((s for s in node.body if isinstance(s, ast.FunctionDef) and s.name == "__init__"), None)


def _separate(
    node: ast.ClassDef, method: ast.FunctionDef, labels: Mapping[int, Any], rounds: Rounds, classes: set[str]
) -> None:
    init = _constructor(node)
    if init is None:
        init = ast.parse("def __init__(self):\n    super().__init__()").body[0]  # type: ignore[assignment]
        node.body.insert(node.body.index(method), init)  # type: ignore[arg-type]
    assert isinstance(init, ast.FunctionDef)
    arguments = [a.arg for a in [*method.args.posonlyargs, *method.args.args, *method.args.kwonlyargs]]
    taken = {a.arg for a in init.args.args if a.arg != "self"} | _attributes(node)
    splitter = _Splitter({}, labels, Namer(), set(arguments) - {"self"}, taken, rounds, classes)
    docstring = method.body[:1] if ast.get_docstring(method, clean=False) is not None else []
    sizes = _size_names(method)
    splitter.runs = Runs.of(rounds.recording, method)
    split = splitter.body(method.body[len(docstring) :])
    bound = {n for s in split.init for n in stores(s)}
    split.init = [
        _Sizes({n: v for n, v in sizes.items() if n not in bound}, set(arguments) | splitter.dynamic).visit(s)
        for s in split.init
    ]
    shared = [n for n in split.shared if n not in split.made]
    saved = [ast.parse(f"self.{n} = {n}").body[0] for n in shared]
    init.body += placed(split.init, saved, shared, [])
    method.body = [*docstring, *split.forward] or [ast.Pass()]


def _size_names(method: ast.FunctionDef) -> dict[str, ast.expr]:
    """The names that a method gives to what it computes from the sizes of tensors."""
    found: dict[str, ast.expr] = {}
    for node in walk(method):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if _has_size(value):
                found[name] = value
            case ast.Assign(targets=[ast.Tuple(elts=elts)], value=Op(name="shape") as shape):
                for index, element in enumerate(elts):
                    if isinstance(element, ast.Name):
                        found[element.id] = _item(shape, index)
    return found


def _has_size(node: ast.expr) -> bool:
    return any(isinstance(n, ast.Subscript) and isinstance(n.value, Op) and n.value.name == "shape" for n in walk(node))


def _item(shape: Op, index: int) -> ast.expr:
    return ast.Subscript(copied(shape), ast.Constant(index), ast.Load())


class _Sizes(Transformer):
    """Sizes of tensors that the constructor needs: to be said in its own words."""

    def __init__(self, names: Mapping[str, ast.expr], tensors: set[str]) -> None:
        self.names = names
        self.tensors = tensors

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if not isinstance(node.ctx, ast.Load) or node.id not in self.names:
            return node
        made = copied(self.names[node.id])
        if not hasattr(made, "nf_id") and hasattr(node, "nf_id"):  # One of several: what is known of the name.
            made.nf_id = node.nf_id
        return self.visit(made)  # type: ignore[no-any-return]

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if isinstance(node.value, Op) and node.value.name == "shape" and loads(node) & self.tensors:
            node.nf_sized = True  # type: ignore[attr-defined]
            return node
        return self.generic_visit(node)


def _attributes(node: ast.ClassDef) -> set[str]:
    """The attributes that a class sets itself, and its methods."""
    set_ = {n.attr for n in walk(node) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
    return set_ | {s.name for s in node.body if isinstance(s, ast.FunctionDef)}


class _Splitter(Splitter):
    """A splitter for which variables that a network owns are parts of it, as layers are."""

    owns = True
    runs: Runs | None = None

    def decided(self, node: ast.If, body: list[ast.stmt], other: list[ast.stmt]) -> list[ast.stmt] | None:
        """As the runs of the method did: always, never, or by what told them apart."""
        if self.runs is None or not self.runs.chains:
            return None
        every = set(self.runs.chains)
        took = self.runs.making(body) if body else every - self.runs.making(other)
        if took == every or not took:
            return body if took else other
        test = self.runs.condition(node.test, took, self.parameters)
        return None if test is None else [branch(test, body, other)]

    def is_dynamic(self, node: ast.AST) -> bool:
        """Whether something depends on tensors, or makes what the network owns."""
        return super().is_dynamic(node) or any(
            isinstance(n, Op) and n.name in ("parameter", "buffer") for n in walk(node)
        )


def _read(program: Program) -> set[str]:
    """The attributes that anything reads, but for the constructors' own reads."""
    found: set[str] = set()
    for definition in program.definitions:
        own = _constructor(definition.node) if isinstance(definition.node, ast.ClassDef) else None
        inside = {id(n) for n in walk(own)} if hasattr(own, "nf_fields") and own is not None else set()
        for node in walk(definition.node):
            if id(node) not in inside:
                found |= _reads(node)
    return found


def _reads(node: ast.AST) -> set[str]:
    """The attributes that a node itself reads."""
    match node:
        case ast.Attribute(attr=name, ctx=ast.Load()):
            return {name}
        case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name)), *_]):
            return {name}
        case Op(indirect=ast.expr() as called):
            return {n for inner in walk(called) for n in _reads(inner)}
    return set()


def _settle(node: ast.ClassDef, read: set[str]) -> None:
    """Constructors use their arguments, not the attributes that keep them, and keep only what is read."""
    init = _constructor(node)
    assert init is not None
    names = {a.arg for a in init.args.args} - {"self"}
    for index, statement in enumerate(init.body):
        if not isinstance(statement, ast.Assign):  # A plain one binds a name after it has read it.
            names -= stores(statement)
        init.body[index] = _Own(names).visit(statement)
        names -= stores(statement)
    inside = {name for s in node.body for n in walk(s) for name in _reads(n)}
    init.body = [s for s in init.body if _kept(s) is None or _kept(s) in inside | read]


def _kept(statement: ast.stmt) -> str | None:
    """The attribute that keeps an argument of the same name."""
    match statement:
        case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=ast.Name(id=given)):
            return name if name == given else None
    return None


class _Own(Transformer):
    """``self.width`` is ``width`` where that was just given."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Load()) if name in self.names:
                return ast.copy_location(ast.Name(name, ast.Load()), node)
        return node

    def visit_Op(self, node: Op) -> ast.AST:
        if node.indirect is not None:
            node.indirect = self.visit(node.indirect)
        return self.generic_visit(node)
