"""Dissolves caches: values that a method keeps on ``self`` to find them again in the next call.

A mask or a table of angles is often kept until a sequence of another length comes. Frameworks that trace their code cannot
keep a traced tensor; there, such a value is made anew in every call. What is kept for another reason (the state of a
recurrence, statistics of the first batch) is left as it is.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import Op
from netferry.pivot.program import Program
from netferry.walking import Transformer, walk

_FORMS: Final = (
    "zeros_like",
    "ones_like",
    "empty_like",
    "full_like",
    "new_zeros",
    "new_ones",
    "new_empty",
    "new_full",
    "new_tensor",
)
"""Functions that ask a tensor for its form, not for its values."""
_AS_OTHER: Final = ("type_as", "expand_as", "view_as", "reshape_as", "to")
"""Functions that ask all tensors but the first for their form alone."""
_Unknown = type("_Unknown", (), {})
_UNKNOWN: Final = _Unknown()


def dissolve(program: Program) -> None:
    """Turn every attribute that is a cache into local variables of the methods that use it."""
    derived = _derived(program)
    for node in program.classes():
        methods = [m for m in node.body if isinstance(m, ast.FunctionDef)]
        setup = next((m for m in methods if m.name == "__init__"), None)
        if setup is None:
            continue
        initial = _initial(node, setup)
        for group in _groups(methods, setup, initial):
            caches = {name: initial[name] for name in group}
            if _used_elsewhere(program, node, group) or not all(
                _is_cache(program, derived, m, caches) for m in methods if m is not setup
            ):
                continue
            for method in methods:
                if method is setup:
                    _forget(method, group)
                    program.dissolved |= {f"{node.name}.{name}" for name in group}
                elif _names(method) & group:
                    _localise(method, caches)


def _own(node: ast.AST) -> str:
    """The name of an attribute of ``self``."""
    is_own = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    return node.attr if is_own else ""  # type: ignore[attr-defined]


def _names(tree: ast.AST, kind: type = ast.expr_context) -> set[str]:
    return {name for n in walk(tree) if (name := _own(n)) and isinstance(n.ctx, kind)}  # type: ignore[attr-defined]


def _initial(node: ast.ClassDef, setup: ast.FunctionDef) -> dict[str, Any]:
    """Attributes that the constructor sets to a constant, once."""
    found: dict[str, Any] = {}
    stored = [_own(n) for n in walk(setup) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)]
    for statement in setup.body:
        match statement:
            case ast.Assign(targets=targets, value=ast.Constant(value=value)):
                found |= {name: value for t in targets if (name := _own(t)) and stored.count(name) == 1}
            case ast.AnnAssign(target=target, value=ast.Constant(value=value)) if stored.count(_own(target)) == 1:
                found[_own(target)] = value
    found.pop("", None)
    others = [m for m in node.body if isinstance(m, ast.FunctionDef) and m is not setup]
    asked = [n for m in others for n in walk(m) if isinstance(n, ast.If) and _names(n.test) & found.keys()]
    guarded = {name for n in asked for name in (*_names(n.test), *(x for s in n.body for x in _names(s, ast.Store)))}
    return {
        name: value
        for name, value in found.items()
        if name in guarded and any(name in _names(m, ast.Store) for m in others)
    }


def _groups(methods: Sequence[ast.FunctionDef], setup: ast.FunctionDef, initial: Mapping[str, Any]) -> list[set[str]]:
    """Attributes that some method uses together."""
    groups: list[set[str]] = []
    for method in methods:
        mine = _names(method) & initial.keys() if method is not setup else set()
        joined = [g for g in groups if g & mine]
        groups = [g for g in groups if not g & mine] + ([mine.union(*joined)] if mine else [])
    return groups


def _used_elsewhere(program: Program, node: ast.ClassDef, group: set[str]) -> bool:
    """Whether code outside the class reads one of the attributes of another object than ``self``."""
    inside = {id(n) for n in walk(node)}
    return any(
        isinstance(n, ast.Attribute) and n.attr in group and not _own(n)
        for d in program.definitions
        for n in walk(d.node)
        if id(n) not in inside or not _own(n)
    )


# -- what is a cache -------------------------------------------------------------------------------------------------


def _derived(program: Program) -> set[int]:
    """The tensors whose values follow from those of the network's inputs."""
    facts = program.facts
    found = {t.identity for t in facts.inputs} if facts is not None else set()
    for event in facts.events if facts is not None else ():
        name = event.path.rpartition(".")[2]
        given = list(_tensors([*event.args, *event.kwargs.values()]))
        used = [] if name in _FORMS else given[:1] if name in _AS_OTHER else given
        if any(t.identity in found for t in used) and "attribute" not in event.kwargs:
            found |= {t.identity for t in _tensors([event.result])}
    return found


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


@dataclass
class _State:
    """What is known of a method up to a statement."""

    program: Program
    derived: set[int]
    caches: Mapping[str, Any]
    fine: bool = True
    written: set[str] = field(default_factory=set)


def _is_cache(program: Program, derived: set[int], method: ast.FunctionDef, caches: Mapping[str, Any]) -> bool:
    """Whether a method keeps the attributes only in order to find them again.

    What it stores must follow from sizes, not from values, and be stored where a test asks for what was kept before.
    """
    if not _names(method) & caches.keys():
        return True
    state = _State(program, derived, caches)
    _check(state, method.body, guarded=False)
    return state.fine and bool(_names(method, ast.Store) & caches.keys())


def _check(state: _State, statements: Sequence[ast.stmt], *, guarded: bool) -> None:
    for statement in statements:
        if not isinstance(statement, ast.If):
            _check_statement(state, statement, guarded=guarded)
            continue
        asks = bool(_names(statement.test) & state.caches.keys())
        answer = _answer(statement.test, state.caches)
        state.fine = state.fine and (not asks or answer is not _UNKNOWN)
        if asks and answer is True:
            state.fine = state.fine and not any(_acts(s, state.caches) for s in statement.body)
        if not asks or answer is True:
            _check(state, statement.body, guarded=guarded or asks)
        if not asks or answer is False:
            _check(state, statement.orelse, guarded=guarded or asks)
        guarded = guarded or (asks and answer is False and _leaves(statement.body))


def _leaves(statements: Sequence[ast.stmt]) -> bool:
    return bool(statements) and isinstance(statements[-1], ast.Return | ast.Raise)


def _acts(node: ast.stmt, caches: Mapping[str, Any]) -> bool:
    """Whether a statement does more than to compute what is kept."""
    calls = any(isinstance(n, ast.Expr) and isinstance(n.value, ast.Call | Op) for n in walk(node))
    return calls or bool(_names(node, ast.Store) - caches.keys())


def _check_statement(state: _State, statement: ast.stmt, *, guarded: bool) -> None:
    stored = _names(statement, ast.Store) & state.caches.keys()
    if not stored:
        return
    if not isinstance(statement, ast.Assign):
        state.fine = False
        return
    value = statement.value
    if isinstance(value, ast.Constant):
        state.fine = state.fine and all(value.value == state.caches[name] for name in stored)
        return
    returned = isinstance(value, ast.Call) and bool(_own(value.func))
    unsaid = (_names(value) & state.caches.keys()) - state.written
    state.fine = state.fine and (guarded or returned) and not unsaid and not _depends(state, value)
    state.written |= stored


def _depends(state: _State, value: ast.expr) -> bool:
    """Whether a value was seen to follow from the values of the network's inputs, or not seen at all."""
    while isinstance(value, Op) and value.name in ("buffer", "parameter"):
        value = value.operands[0].value
    seen = state.program.facts.values.get(getattr(value, "nf_id", -1), ())
    return not seen or any(t.identity in state.derived for t in _tensors(seen))


def _answer(test: ast.expr, caches: Mapping[str, Any]) -> Any:
    """A test's answer where nothing is kept: True, False, or unknown."""
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _answer(operand, caches)
            return inner if inner is _UNKNOWN else not inner
        case ast.BoolOp(op=operator, values=values):
            parts = [_answer(v, caches) for v in values]
            absorbing = isinstance(operator, ast.Or)
            return absorbing if absorbing in parts else _UNKNOWN if _UNKNOWN in parts else not absorbing
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            return _compared(left, operator, right, caches)
    name = _own(test)
    return bool(caches[name]) if name in caches else _UNKNOWN


def _compared(left: ast.expr, operator: ast.cmpop, right: ast.expr, caches: Mapping[str, Any]) -> Any:
    kept = [_own(s) in caches for s in (left, right)]
    if kept.count(True) != 1:
        return _UNKNOWN
    first = caches[_own(left if kept[0] else right)]
    other = right if kept[0] else left
    is_size = type(first) is int and first <= 0 and not isinstance(other, ast.Constant)  # Sizes are positive.
    same = isinstance(other, ast.Constant) and other.value == first
    match operator:
        case ast.Is() | ast.Eq() if first is None or is_size:
            return same
        case ast.IsNot() | ast.NotEq() if first is None or is_size:
            return not same
        case ast.Lt() | ast.LtE() if is_size:
            return kept[0]
        case ast.Gt() | ast.GtE() if is_size:
            return kept[1]
    return _UNKNOWN


# -- the change ------------------------------------------------------------------------------------------------------


def _forget(setup: ast.FunctionDef, group: set[str]) -> None:
    """Leave out the first value, which nothing asks for any more."""
    kept = []
    for statement in setup.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if not all(isinstance(t, ast.Attribute) and _own(t) in group for t in targets):
            kept.append(statement)
    setup.body = kept


def _localise(method: ast.FunctionDef, caches: Mapping[str, Any]) -> None:
    method.body = _folded(method.body, caches)
    taken = {n.id for n in walk(method) if isinstance(n, ast.Name)} | {
        a.arg for a in walk(method) if isinstance(a, ast.arg)
    }
    used = _names(method) & caches.keys()
    locals_ = {}
    for name in sorted(used):
        made = name.lstrip("_")
        while made in taken:
            made += "_"
        locals_[name] = made
    changer = _Local(locals_)
    method.body = [changer.visit(s) for s in method.body]
    method.body = [s for s in method.body if not _is_idle(s, method)] or [ast.Pass()]
    early = [n for n in sorted(locals_) if not _assigned(method.body, locals_[n])]
    first = [ast.Assign([ast.Name(locals_[n], ast.Store())], ast.Constant(caches[n])) for n in early]
    after_docstring = int(ast.get_docstring(method, clean=False) is not None)
    method.body[after_docstring:after_docstring] = first


def _folded(statements: Sequence[ast.stmt], caches: Mapping[str, Any]) -> list[ast.stmt]:
    """The statements that run where nothing is kept."""
    found: list[ast.stmt] = []
    for statement in statements:
        if isinstance(statement, ast.If):
            if _names(statement.test) & caches.keys():
                taken = statement.body if _answer(statement.test, caches) else statement.orelse
                found += _folded(taken, caches)
                continue
            statement.body = _folded(statement.body, caches) or [ast.Pass()]
            statement.orelse = _folded(statement.orelse, caches)
        found.append(statement)
    return found


class _Local(Transformer):
    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        name = self.names.get(_own(node))
        if name is None:
            self.generic_visit(node)
            return node
        return ast.copy_location(ast.Name(name, copy.copy(node.ctx)), node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """A buffer that is a local variable is a plain tensor."""
        kept = any(_own(target) in self.names for target in node.targets)
        self.generic_visit(node)
        if kept and isinstance(node.value, Op) and node.value.name in ("buffer", "parameter"):
            node.value = node.value.operands[0].value
        return node


def _is_idle(node: ast.stmt, method: ast.FunctionDef) -> bool:
    """``mask_ = mask`` that nothing reads."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name()):
            return not _reads(method, name)
    return False


def _assigned(statements: Sequence[ast.stmt], name: str) -> bool:
    """Whether a variable has a value wherever it is read; where the statements end, it is assigned or not."""
    return _flow(statements, name, known=False) is not None


def _flow(statements: Sequence[ast.stmt], name: str, *, known: bool) -> bool | None:
    """Whether the variable is assigned behind the statements; None where it is read before."""
    for statement in statements:
        if isinstance(statement, ast.If):
            if not known and _reads(statement.test, name):
                return None
            ends = [_flow(part, name, known=known) for part in (statement.body, statement.orelse)]
            if None in ends:
                return None
            known = all(
                end or _leaves(part) for end, part in zip(ends, (statement.body, statement.orelse), strict=True)
            )
            continue
        if not known and _reads(statement, name):
            return None
        known = known or (isinstance(statement, ast.Assign) and any(_stores(t, name) for t in statement.targets))
    return known


def _reads(tree: ast.AST, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load) for n in walk(tree))


def _stores(tree: ast.AST, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store) for n in walk(tree))
