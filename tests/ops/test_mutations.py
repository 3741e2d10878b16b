"""Errors planted in copies of declarations: the generated tests must catch every one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from netferry.frameworks import legalisations
from netferry.ops import registry
from netferry.ops.core import Conversion, OpDef, Spelling
from tests.ops import harness
from tests.ops.backends import BACKEND
from tests.ops.signatures import live
from tests.ops.test_reading import test_reading as reading
from tests.ops.test_signatures import differences

Change = Callable[[OpDef, Spelling], Spelling | None]

pytestmark = pytest.mark.skipif(BACKEND != "tensorflow", reason="once is enough")


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def another_default(op: OpDef, spelling: Spelling) -> Spelling | None:
    """The first number among the recorded defaults changes."""
    if spelling.support:
        return None
    found = next((p for p in spelling.parsed.parameters if _numeric(p.default) and spelling.conversion(p.name)), None)
    if found is None:
        return None
    signature = re.sub(rf"\b{found.name}=[^,]+", f"{found.name}={found.default + 1!r}", spelling.signature)
    return replace(spelling, signature=signature)


def lost_conversion(op: OpDef, spelling: Spelling) -> Spelling | None:
    """A conversion that computes is taken for a mere renaming; what only training shows is another test's business."""
    for argument, conversion in spelling.maps.items():
        computes = isinstance(conversion, Conversion) and isinstance(conversion.write, str) and "-" in conversion.write
        if computes and isinstance(conversion, Conversion) and argument != "momentum":
            return replace(spelling, maps={**spelling.maps, argument: conversion.attribute})
    return None


def exchanged(op: OpDef, spelling: Spelling) -> Spelling | None:
    """Two required arguments are taken for each other."""
    required = [p.name for p in spelling.parsed.parameters if not p.variadic][:2]
    conversions = [spelling.conversion(name) for name in required]
    if len(required) < 2 or not all(conversions) or spelling.template:
        return None
    one, other = (c.attribute for c in conversions if c)
    if one == other:
        return None
    return replace(spelling, maps={**spelling.maps, required[0]: other, required[1]: one})


def another_layout(op: OpDef, spelling: Spelling) -> Spelling | None:
    """The first two axes of a parameter are exchanged."""
    for path, text in spelling.params.items():
        expression, _, layout = text.partition(":")
        axes = re.findall(r"\([^)]*\)|\S+", layout)
        if len(axes) > 1:
            changed = f"{expression}: {' '.join([axes[1], axes[0], *axes[2:]])}"
            return replace(spelling, params={**spelling.params, path: changed})
    return None


def another_gate_order(op: OpDef, spelling: Spelling) -> Spelling | None:
    """Two gates of a recurrent layer's parameters are exchanged."""
    changed = {p: re.sub(r":(\w)(\w)(\w*)", r":\2\1\3", t, count=0) for p, t in spelling.params.items()}
    return replace(spelling, params=changed) if changed != dict(spelling.params) else None


_SWAPS = (("maximum", "minimum"), (" + ", " - "), ("sum(", "mean("), ("square", "abs"), (" // ", " / "))


def another_formula(op: OpDef, spelling: Spelling) -> Spelling | None:
    """A template computes something else."""
    for old, new in _SWAPS:
        if old in spelling.template:
            return replace(spelling, template=spelling.template.replace(old, new, 1))
    return None


SYMMETRIC = {
    "mul",
    "maximum",
    "minimum",
    "hypot",
    "logaddexp",
    "eq",
    "ne",
    "add",
    "dot",
    "inner",
    "clip",
    "squared_difference",
}
SYMMETRIC |= {f"{kind}_{name}" for kind in ("logical", "bitwise") for name in ("and", "or", "xor")}
"""Ops whose operands may change places."""


CHANGES: dict[Change, int] = {
    another_default: 40,
    lost_conversion: 6,
    exchanged: 40,
    another_layout: 12,
    another_gate_order: 6,
    another_formula: 25,
}
"""How many ops each error is planted in: spread over the whole table."""


def mutants() -> Iterator[Any]:
    """A spread of declarations with one error each."""
    for change, wanted in CHANGES.items():
        found = []
        for op in registry.all_ops():
            if not op.cases or op.reference is None:
                continue
            for framework in harness.TARGETS:
                for number, spelling in enumerate(op.spellings.get(framework, ())):
                    made = change(op, spelling) if spelling.write else None
                    if made is not None and not _harmless(change, op, framework):
                        found.append((op, framework, number, made))
        for op, framework, number, made in found[:: max(len(found) // wanted, 1)]:
            yield pytest.param(op, framework, number, made, id=f"{change.__name__}-{op.name}-{framework}-{number}")


def _harmless(change: Change, op: OpDef, framework: str) -> bool:
    """Whether the error cannot show: operands change places, or a legalisation writes something else instead."""
    return op.name in legalisations(framework) or (change is exchanged and op.name in SYMMETRIC)


@pytest.mark.parametrize(("op", "framework", "number", "spelling"), mutants())
def test_caught(op: OpDef, framework: str, number: int, spelling: Spelling, monkeypatch: pytest.MonkeyPatch) -> None:
    spellings = list(op.spellings[framework])
    spellings[number] = spelling
    planted = replace(op, spellings={**op.spellings, framework: spellings})
    for trial in harness.trials([op], [framework]):  # PyTorch's results come from the right declaration
        if trial.case.gradients:
            harness.baseline(op.name, trial.number)
    monkeypatch.setitem(registry._ops, op.name, planted)
    assert _is_caught(planted, framework, spelling), "nothing noticed the error"


def _is_caught(op: OpDef, framework: str, spelling: Spelling) -> bool:
    checks: list[Callable[[], Any]] = [lambda: _signature(spelling)]
    if spelling.read:
        checks.append(lambda: reading(op, spelling))
    checks += [lambda trial=trial: harness.check(trial) for trial in harness.trials([op], [framework])]
    return any(_fails(check) for check in checks)


def _signature(spelling: Spelling) -> None:
    if not spelling.path or spelling.support:
        return
    overloads = live(spelling)
    assert overloads is None or [] in [differences(spelling, o, overloads) for o in overloads]


def _fails(check: Callable[[], Any]) -> bool:
    try:
        check()
    except pytest.skip.Exception:
        return False
    except Exception:  # noqa: BLE001 - whatever the planted error leads to
        return True
    return False
