"""Recurrent layers of few levels, for targets whose layers have one each: what is not used is not returned.

A stack of recurrent layers returns its outputs and the last states of all its levels. Where there is one level, and the code
around it reads its outputs alone, or nothing but the last of them, that is what the layer is made to return.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from netferry.pivot.nodes import LayerCall, Op, constant, is_literal, literal
from netferry.pivot.program import Program
from netferry.walking import walk

STACKS = ("lstm", "gru", "rnn")
_LEVELS = 3
Step = tuple[ast.Name, ast.expr]
"""A name where it is read, and the whole expression that reads one step of it."""


def simplify(program: Program) -> None:
    """Let such layers return what is used of them (``returns``: ``outputs``, ``last`` or ``all``)."""
    classes = program.classes()
    found = {node: stacks for node in classes if (stacks := _stacks(node))}
    if not found:
        return
    owned = {node: {n.attr for n in _own_attributes(node)} for node in classes}
    for node, stacks in found.items():
        for attribute, op in stacks.items():
            shared = any(attribute in names for other, names in owned.items() if other is not node)
            calls = None if shared else _calls(node, attribute, *_levels(op))
            if calls and (_levels(op) == (1, False) or _returns(calls) != "all"):
                _apply(node, op, calls)


@dataclass
class _Call:
    """One call of a layer: the statement or expression that takes its results, and how each of them is read."""

    function: ast.FunctionDef
    call: LayerCall
    taker: ast.Assign | ast.Subscript
    names: list[ast.Name] = field(default_factory=list)
    """Of the outputs and the states, as far as they are used."""
    steps: list[list[Step] | None] = field(default_factory=list)
    """The reads of each, where all want one step alone (the last one, the only level); None where others do."""


def _own_attributes(tree: ast.AST) -> Iterator[ast.Attribute]:
    for node in walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            yield node


def _stacks(node: ast.ClassDef) -> dict[str, Op]:
    """The attributes that hold such a layer, and nothing else ever."""
    found: dict[str, Op] = {}
    stored = [a.attr for a in _own_attributes(node) if isinstance(a.ctx, ast.Store)]
    for statement in walk(node):
        match statement:
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=Op(layer=True) as op):
                if op.name in STACKS and stored.count(name) == 1 and _is_plain(op):
                    found[name] = op
    return found


def _is_plain(op: Op) -> bool:
    levels, both = _levels(op)
    return _told(op, "batch_first", False) is True and levels in range(1, _LEVELS + 1) and both in (False, True)


def _levels(op: Op) -> tuple[Any, Any]:
    """How many levels a stack has, and whether it has both directions; None where that is no plain value."""
    return _told(op, "num_layers", 1), _told(op, "bidirectional", False)


def _told(op: Op, name: str, default: Any) -> Any:
    given = op.attribute(name)
    return default if given is None else literal(given) if is_literal(given) else None


def _calls(node: ast.ClassDef, attribute: str, levels: int, both: bool) -> list[_Call] | None:
    """Every use of an attribute, where each is a call whose results are taken apart; None otherwise."""
    uses = {id(a) for a in _own_attributes(node) if a.attr == attribute and isinstance(a.ctx, ast.Load)}
    found: list[_Call] = []
    for function in (n for n in node.body if isinstance(n, ast.FunctionDef)):
        for inside in walk(function):
            made = _taken(function, inside)
            if made is not None and id(made.call.callee) in uses:
                if not _can_give_states(made.call, one=levels == 1 and not both):
                    return None
                found.append(made)
    known = len(found) == len(uses) and all(_read(call, levels, both) for call in found)
    return found if known else None


def _taken(function: ast.FunctionDef, node: ast.AST) -> _Call | None:
    match node:
        case ast.Assign(targets=[ast.Tuple(elts=[ast.Name(), ast.Name() | ast.Tuple()])], value=LayerCall() as call):
            return _Call(function, call, node)
        case ast.Subscript(value=LayerCall() as call, slice=ast.Constant(value=0), ctx=ast.Load()):
            return _Call(function, call, node)
    return None


def _can_give_states(call: LayerCall, *, one: bool) -> bool:
    """Whether the states given, if any, can be said without the axis of levels: where there is ``one`` alone."""
    state = call.operand("state")
    if state is None or (isinstance(state, ast.Constant) and state.value is None):
        return True
    if not one or call.name != "lstm":
        return one
    return isinstance(state, ast.Tuple) and len(state.elts) == 2


def _read(call: _Call, levels: int, both: bool) -> bool:
    """Find out how the results are read; False where that cannot be said of every read."""
    if isinstance(call.taker, ast.Subscript):
        return True
    outputs, states = call.taker.targets[0].elts  # type: ignore[attr-defined]
    parts = states.elts if isinstance(states, ast.Tuple) else [states]
    if not all(isinstance(p, ast.Name) for p in parts) or len(parts) > 2:
        return False
    several = call.call.name == "lstm" and isinstance(states, ast.Name)
    for index, name in enumerate([outputs, *parts]):
        reads = [n for n in walk(call.function) if isinstance(n, ast.Name) and n.id == name.id]
        loads = [n for n in reads if isinstance(n.ctx, ast.Load)]
        again = len(reads) - len(loads) > 1 or name.id in {a.arg for a in call.function.args.args}
        rebound = _rebound(call, name.id) if again and index else None
        if rebound is not None:  # ``h = h[-1]``: what is read from there on is the step.
            again, loads = False, rebound
        if not loads:
            call.steps.append([])
        elif index == 0:
            # The last output of both directions is no last state: one of them has only begun there.
            call.steps.append(None if again or both else _steps(call.function, loads, _is_last_output))
        elif again or several:
            return False
        elif both:
            call.steps.append(_ends(call.function, loads, levels))
        else:
            call.steps.append(_steps(call.function, loads, functools.partial(_is_level, levels=levels)))
        call.names.append(name)
    return True


def _rebound(call: _Call, name: str) -> list[ast.Name] | None:
    """The reads of a result before its name is given to what is made of it, once, in the same list of statements."""
    body = call.function.body
    bound = [s for s in body if isinstance(s, ast.Assign) and ast.unparse(s.targets[0]) == name]
    stores = [
        n for n in walk(call.function) if isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store)
    ]
    if (
        call.taker not in body
        or len(bound) != 1
        or len(stores) != 2
        or name in {a.arg for a in call.function.args.args}
    ):
        return None
    start, end = body.index(call.taker), body.index(bound[0])
    reads = [{id(n) for n in walk(s) if isinstance(n, ast.Name) and n.id == name} for s in body]
    if start >= end or any(reads[:start]) or any(reads[start + 1 : end]):
        return None
    return [n for n in walk(bound[0].value) if isinstance(n, ast.Name) and n.id == name]


def _steps(function: ast.FunctionDef, loads: list[ast.Name], is_step: object) -> list[Step] | None:
    """The expressions that read one step, where all loads are in such a one."""
    assert callable(is_step)
    whole = {id(n.value): n for n in walk(function) if isinstance(n, ast.Subscript)}
    whole |= {id(x): n for n in walk(function) if isinstance(n, Op) and (x := n.operand("x")) is not None}  # type: ignore[misc]
    found = [(load, whole.get(id(load))) for load in loads]
    return [(load, w) for load, w in found if w] if all(w is not None and is_step(w) for _, w in found) else None


def _is_last_output(node: ast.expr) -> bool:
    match node:
        case ast.Subscript(slice=ast.Tuple(elts=[first, step, *rest]), ctx=ast.Load()):
            return _is_full(first) and _is_number(step, -1) and all(map(_is_full, rest))
    return False


def _is_level(node: ast.expr, levels: int) -> bool:
    """The state of the last of some levels."""
    match node:
        case ast.Subscript(ctx=ast.Load()):
            step = _only_first(node)
            return step is not None and (_is_number(step, -1) or _is_number(step, levels - 1))
        case Op(name="squeeze"):
            axes = node.attribute("axes") or node.attribute("axis")
            return levels == 1 and axes is not None and is_literal(axes) and literal(axes) in (0, (0,))
    return False


def _only_first(node: ast.Subscript) -> ast.expr | None:
    """``i`` of ``x[i]`` and ``x[i, :, :]``."""
    match node.slice:
        case ast.Tuple(elts=[step, *rest]):
            return step if all(map(_is_full, rest)) else None
        case step:
            return step


def _ends(function: ast.FunctionDef, loads: list[ast.Name], levels: int) -> list[Step] | None:
    """The joins of the last states of both directions, where all loads are in such a one."""
    found: list[Step] = []
    wanted = {id(load): load for load in loads}
    for node in walk(function):
        pair = _joined(node, levels) if isinstance(node, Op) and node.name == "concat" else None
        if pair is not None and all(id(name) in wanted for name in pair):
            found.append((wanted[id(pair[0])], node))  # type: ignore[arg-type]
            for name in pair:
                del wanted[id(name)]
    return None if wanted else found


def _joined(node: Op, levels: int) -> list[ast.expr] | None:
    """The names in ``concat([h[-2], h[-1]], axis=1)``."""
    xs, axis = node.operand("xs"), node.attribute("axis")
    parts = xs.elts if isinstance(xs, ast.List | ast.Tuple) else []
    if len(parts) != 2 or axis is None or not is_literal(axis) or literal(axis) not in (1, -1):
        return None
    for part, place in zip(parts, (-2, -1), strict=True):
        step = _only_first(part) if isinstance(part, ast.Subscript) else None
        if step is None or not (_is_number(step, place) or _is_number(step, 2 * levels + place)):
            return None
    return [part.value for part in parts]  # type: ignore[attr-defined]


def _is_full(node: ast.expr) -> bool:
    return isinstance(node, ast.Slice) and (node.lower, node.upper, node.step) == (None, None, None)


def _is_number(node: ast.expr, wanted: int) -> bool:
    return is_literal(node) and literal(node) == wanted and type(literal(node)) is int


# -- what is returned --------------------------------------------------------------------------------------------------


def _apply(node: ast.ClassDef, op: Op, calls: list[_Call]) -> None:
    returns = _returns(calls)
    op.attributes.append(ast.keyword("returns", constant(returns)))
    for call in calls:
        _give_states(call.call)
        call.call.operands = [k for k in call.call.operands if k.arg != "state" or not _is_none(k.value)]
        if isinstance(call.taker, ast.Subscript):
            _replace(call.function, call.taker, call.call if returns != "all" else call.taker)
        elif returns == "last":
            used = next((i for i, steps in enumerate(call.steps) if steps), 0)
            _take_one(call, call.names[used], call.steps[used])
        elif returns == "outputs":
            call.taker.targets = [call.names[0]]
        else:
            _take_all(call)


def _returns(calls: list[_Call]) -> str:
    """What all calls of a layer together need."""
    uses = {tuple(_use(steps) for steps in call.steps) or ("whole",) for call in calls}
    if all(
        sum(u != "unused" for u in use) == 1 and "whole" not in use and use[2:] in ((), ("unused",)) for use in uses
    ):
        return "last"
    return "outputs" if all(u == "unused" for use in uses for u in use[1:]) else "all"


def _use(steps: list[Step] | None) -> str:
    return "whole" if steps is None else "step" if steps else "unused"


def _take_one(call: _Call, name: ast.Name, steps: list[Step] | None) -> None:
    assert isinstance(call.taker, ast.Assign)
    call.taker.targets = [name]
    for load, whole in steps or ():
        _replace(call.function, whole, load)


def _take_all(call: _Call) -> None:
    """Outputs and states, these without the axis of levels; it is put back where something reads it."""
    assert isinstance(call.taker, ast.Assign)
    call.taker.targets = [ast.Tuple([ast.Name(n.id, ast.Store()) for n in call.names], ast.Store())]
    missing = [ast.Name("_", ast.Store())] if len(call.names) < 3 and call.call.name == "lstm" else []
    call.taker.targets[0].elts += missing  # type: ignore[attr-defined]
    restored: list[ast.stmt] = []
    for name, steps in list(zip(call.names, call.steps, strict=True))[1:]:
        for load, whole in steps or ():
            _replace(call.function, whole, load)
        if steps is None:
            levels = ast.Subscript(ast.Name(name.id, ast.Load()), constant(None), ast.Load())
            restored.append(ast.Assign([ast.Name(name.id, ast.Store())], levels))
    if restored:
        _insert_after(call.function, call.taker, restored)


def _give_states(call: LayerCall) -> None:
    for keyword in call.operands:
        if keyword.arg != "state" or (isinstance(keyword.value, ast.Constant) and keyword.value.value is None):
            continue
        if isinstance(keyword.value, ast.Tuple):
            keyword.value = ast.List([_level(e) for e in keyword.value.elts], ast.Load())
        else:
            keyword.value = _level(keyword.value)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _level(state: ast.expr) -> ast.expr:
    return ast.Subscript(state, constant(0), ast.Load())


def _replace(tree: ast.AST, old: ast.expr, new: ast.expr) -> None:
    """Put an expression in the place of another."""
    for node in walk(tree):
        for name, value in ast.iter_fields(node):
            if value is old:
                setattr(node, name, new)
            elif isinstance(value, list):
                for index, member in enumerate(value):
                    if member is old:
                        value[index] = new


def _insert_after(tree: ast.AST, statement: ast.stmt, more: list[ast.stmt]) -> None:
    for node in walk(tree):
        for block in (getattr(node, part, None) for part in ("body", "orelse", "finalbody")):
            if isinstance(block, list) and statement in block:
                at = block.index(statement) + 1
                block[at:at] = more
                return


# -- the other way -----------------------------------------------------------------------------------------------------

_SINGLES = ("lstm_layer", "gru_layer", "rnn_layer")
_SWITCHES = ("return_sequences", "return_state", "go_backwards")


def take_apart(program: Program) -> None:
    """Let layers that return what they are told return outputs and states, of which the code around takes what it needs."""
    classes = program.classes()
    for node in classes:
        others = {n.attr for c in classes if c is not node for n in _own_attributes(c)}
        for attribute, op in _singles(node).items():
            uses = [a for a in _own_attributes(node) if a.attr == attribute and isinstance(a.ctx, ast.Load)]
            calls = {id(n.callee): n for n in walk(node) if isinstance(n, LayerCall)}
            if attribute not in others and uses and all(id(a) in calls for a in uses):
                _take_results(node, op, [calls[id(a)] for a in uses])


def _singles(node: ast.ClassDef) -> dict[str, Op]:
    """The attributes that hold a layer of one level which returns no states."""
    found: dict[str, Op] = {}
    stored = [a.attr for a in _own_attributes(node) if isinstance(a.ctx, ast.Store)]
    for statement in walk(node):
        match statement:
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=Op(layer=True) as op):
                given = [op.attribute(s) for s in _SWITCHES]
                told = all(v is None or (is_literal(v) and isinstance(literal(v), bool)) for v in given)
                quiet = told and not any(v is not None and literal(v) for v in given[1:])
                if op.name in _SINGLES and stored.count(name) == 1 and quiet:
                    found[name] = op
    return found


def _take_results(node: ast.ClassDef, op: Op, calls: list[LayerCall]) -> None:
    if any(call.operand("state") is not None for call in calls):
        return
    sequences = op.attribute("return_sequences")
    whole = sequences is not None and literal(sequences)
    op.attributes = [k for k in op.attributes if k.arg not in _SWITCHES]
    op.attributes.append(ast.keyword("returns", constant("stack")))
    assigned = {id(n.value): n for n in walk(node) if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)}
    for call in calls:
        statement = assigned.get(id(call))
        if whole and statement is not None:
            statement.targets = [ast.Tuple([statement.targets[0], ast.Name("_", ast.Store())], ast.Store())]
            continue
        outputs = ast.Subscript(call, constant(0), ast.Load())
        last = ast.Tuple([ast.Slice(), constant(-1)], ast.Load())
        _replace(node, call, outputs if whole else ast.Subscript(outputs, last, ast.Load()))
