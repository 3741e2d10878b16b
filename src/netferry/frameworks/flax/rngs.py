"""Threads random state: whoever makes layers or draws numbers takes ``rngs``, and its callers hand theirs on.

Runs over the written code, where it is settled which constructions need ``rngs``: they name it, and nothing binds it yet.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from netferry.pivot.program import Program
from netferry.walking import Transformer, walk

RNGS = "rngs"
_SEEDED = "flax.nnx.Rngs(0)"
_INIT = "__init__"


@dataclass
class _Unit:
    """A function or method: what it takes, and what it calls."""

    node: ast.FunctionDef
    owner: str = ""
    needs: bool = False
    stored: bool = False
    """Whether it uses ``self.rngs``, being a method that runs after construction."""
    calls: list[tuple[ast.Call, list[_Unit]]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.node.name


def thread(program: Program, trees: Sequence[ast.stmt], construction: ast.expr) -> ast.expr:
    """Bind every free ``rngs`` in ``trees``; gives the construction of the network, which makes them."""
    threading = _Threading(program, trees)
    threading.spread()
    threading.bind()
    for call in _calls(construction):
        if threading.wants(threading.callees(call, None)):
            _give(call, ast.parse(_SEEDED, mode="eval").body)
    return _Bound(ast.parse(_SEEDED, mode="eval").body).visit(construction)  # type: ignore[no-any-return]


class _Threading:
    def __init__(self, program: Program, trees: Sequence[ast.stmt]) -> None:
        self.program = program
        self.trees = trees
        self.classes = {t.name: t for t in trees if isinstance(t, ast.ClassDef)}
        self.functions: dict[str, _Unit] = {}
        self.methods: dict[str, dict[str, _Unit]] = {name: {} for name in self.classes}
        for tree in trees:
            if isinstance(tree, ast.FunctionDef):
                self.functions[tree.name] = _Unit(tree)
            elif isinstance(tree, ast.ClassDef):
                self.methods[tree.name] = {
                    m.name: _Unit(m, tree.name) for m in tree.body if isinstance(m, ast.FunctionDef)
                }
        self.units = [*self.functions.values(), *(m for members in self.methods.values() for m in members.values())]
        for unit in self.units:
            unit.calls = [(call, self.callees(call, unit)) for call in _calls(unit.node)]
        self.building = self._building()

    def _building(self) -> set[int]:
        """The methods that construct: ``__init__``, and what it calls on the instance."""
        found = {id(u) for u in self.units if u.owner and u.name == _INIT}
        while True:
            more = {
                id(callee)
                for unit in self.units
                if id(unit) in found
                for call, callees in unit.calls
                for callee in callees
                if callee.owner and _is_on_self(call)
            } - found
            if not more:
                return found
            found |= more

    def callees(self, call: ast.Call, unit: _Unit | None) -> list[_Unit]:
        """The functions and constructors of the program that a call reaches."""
        named = self._named(call.func, unit)
        if named is not None:
            return [named]
        facts = self.program.facts
        seen = facts.callees.get(getattr(call, "nf_id", -1), ()) if facts else ()
        return [found for value in seen if (found := self._seen(value)) is not None]

    def _named(self, function: ast.expr, unit: _Unit | None) -> _Unit | None:
        match function:
            case ast.Name(id=name):
                return self.functions.get(name) or (self._method(name, _INIT) if name in self.classes else None)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=attr) if unit is not None and unit.owner:
                return self._method(unit.owner, attr)
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr=attr) if unit is not None:
                bases = self.classes[unit.owner].bases if unit.owner else []
                return next((m for b in bases if (m := self._method(ast.unparse(b), attr)) is not None), None)
            case ast.Attribute(value=ast.Name(id=owner), attr=attr) if owner in self.classes:
                return self._method(owner, attr)
        return None

    def _method(self, owner: str, name: str) -> _Unit | None:
        """A method by the class's own or inherited definition."""
        if owner not in self.classes:
            return None
        if name in self.methods[owner]:
            return self.methods[owner][name]
        bases = self.classes[owner].bases
        return next((m for b in bases if (m := self._method(ast.unparse(b), name)) is not None), None)

    def _seen(self, value: Any) -> _Unit | None:
        owner = getattr(value, "__self__", None)
        if owner is not None and not isinstance(value, type):
            kind = owner if isinstance(owner, type) else type(owner)
            return self._method(self._name(kind), getattr(value, "__name__", ""))
        name = self._name(value)
        return self._method(name, _INIT) if isinstance(value, type) else self.functions.get(name)

    def _name(self, value: Any) -> str:
        own = getattr(value, "__name__", "")
        return self.program.names.get(f"{getattr(value, '__module__', '')}.{own}", own)

    def spread(self) -> None:
        """Find who needs ``rngs``: who names it, and who calls one that takes it."""
        for unit in self.units:
            self._mark(unit, _names_rngs(unit.node))
        while True:
            waiting = [u for u in self.units if not self._is_marked(u) and any(self.wants(c) for _, c in u.calls)]
            forced = [
                c
                for u in self.units
                for call, callees in u.calls
                if _gives(call) or self.wants(callees)
                for c in callees
                if not c.needs
            ]
            if not waiting and not forced:
                break
            for unit in [*waiting, *forced]:
                self._mark(unit, True)

    def _is_marked(self, unit: _Unit) -> bool:
        return unit.needs or unit.stored

    def _mark(self, unit: _Unit, needs: bool) -> None:
        if not needs:
            return
        if unit.owner and id(unit) not in self.building and not _is_static(unit.node):
            unit.stored = True
            constructor = self._method(unit.owner, _INIT) or self._add_constructor(unit.owner)
            constructor.needs = True
        else:
            unit.needs = True

    def _add_constructor(self, owner: str) -> _Unit:
        made = ast.parse("def __init__(self):\n    pass").body[0]
        assert isinstance(made, ast.FunctionDef)
        node = self.classes[owner]
        first = next((i for i, s in enumerate(node.body) if isinstance(s, ast.FunctionDef)), len(node.body))
        node.body = [*node.body[:first], made, *node.body[first:]]
        unit = _Unit(made, owner)
        self.methods[owner][_INIT] = unit
        self.units.append(unit)
        self.building.add(id(unit))
        return unit

    def wants(self, callees: Sequence[_Unit]) -> bool:
        """Whether one of several callees takes ``rngs``."""
        return any(c.needs for c in callees)

    def bind(self) -> None:
        """Give every unit its parameter, its calls their argument."""
        for unit in self.units:
            here: ast.expr = ast.Name(RNGS, ast.Load())
            if unit.stored:
                here = ast.Attribute(ast.Name("self", ast.Load()), RNGS, ast.Load())
                unit.node = _Bound(here).visit(unit.node)
            for call, callees in unit.calls:
                if self.wants(callees):
                    _give(call, here)
            if unit.needs:
                _take(unit.node)
        for owner, methods in self.methods.items():
            if any(m.stored for m in methods.values()):
                self._store(owner)
        for tree in self.trees:
            if not isinstance(tree, ast.FunctionDef | ast.ClassDef):
                self._bind_statement(tree)

    def _bind_statement(self, tree: ast.stmt) -> None:
        seeded = ast.parse(_SEEDED, mode="eval").body
        for call in _calls(tree):
            if self.wants(self.callees(call, None)):
                _give(call, seeded)
        _Bound(seeded).visit(tree)

    def _store(self, owner: str) -> None:
        constructor = self._method(owner, _INIT)
        assert constructor is not None
        text = f"self.{RNGS} = {RNGS}"
        body = constructor.node.body
        if any(ast.unparse(s) == text for s in body):
            return
        after = int(ast.get_docstring(constructor.node, clean=False) is not None)
        after += next((i + 1 - after for i, s in enumerate(body) if "super().__init__" in ast.unparse(s)), 0)
        constructor.node.body = [*body[:after], ast.parse(text).body[0], *body[after:]]


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (n for n in walk(tree) if isinstance(n, ast.Call))


def _gives(call: ast.Call) -> bool:
    return any(k.arg == RNGS for k in call.keywords)


def _is_on_self(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(value=ast.Name(id="self" | "cls") | ast.Call(func=ast.Name(id="super"))):
            return True
    return False


def _is_static(node: ast.FunctionDef) -> bool:
    return any(isinstance(d, ast.Name) and d.id in ("staticmethod", "classmethod") for d in node.decorator_list)


def _names_rngs(node: ast.FunctionDef) -> bool:
    return any(isinstance(n, ast.Name) and n.id == RNGS and isinstance(n.ctx, ast.Load) for n in walk(node))


def _give(call: ast.Call, value: ast.expr) -> None:
    if not _gives(call):
        call.keywords = [*call.keywords, ast.keyword(RNGS, value)]


def _take(node: ast.FunctionDef) -> None:
    """``*, rngs: nnx.Rngs`` behind the other parameters."""
    arguments = node.args
    if any(a.arg == RNGS for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]):
        return
    made = ast.arg(RNGS, annotation=ast.parse("flax.nnx.Rngs", mode="eval").body)
    node.args = ast.arguments(
        list(arguments.posonlyargs), list(arguments.args), arguments.vararg, [*arguments.kwonlyargs, made],
        [*arguments.kw_defaults, None], arguments.kwarg, list(arguments.defaults),
    )  # fmt: skip


class _Bound(Transformer):
    """Puts what holds the random state in the place of its free name."""

    def __init__(self, value: ast.expr) -> None:
        self.value = value

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.value if node.id == RNGS and isinstance(node.ctx, ast.Load) else node
