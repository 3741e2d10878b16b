"""Every recorded signature is that of the live callable, names, order, kinds and defaults."""

from __future__ import annotations

import inspect

import pytest

from netferry.ops import registry
from netferry.ops.core import INFERRED, REQUIRED, OpDef, Parameter, Spelling
from tests.ops.signatures import UNKNOWN, live, resolve, takes_any_keyword

FRAMEWORKS = ("torch", "tensorflow", "keras", "flax")
Overloads = list[tuple[Parameter, ...]]
COMMON = {"name", "dtype", "trainable"}
"""Keywords that every Keras layer takes although not every signature names them."""


def named() -> list[tuple[str, OpDef, Spelling]]:
    """Every spelling that is a call of something public."""
    return [
        (framework, op, spelling)
        for op in registry.all_ops()
        for framework in FRAMEWORKS
        for spelling in op.spellings.get(framework, ())
        if spelling.path and not spelling.support and not spelling.template
    ]


def differences(spelling: Spelling, found: tuple[Parameter, ...], overloads: Overloads) -> list[str]:
    """What a recorded signature says wrong about a live one.

    Recording less is right (what is not recorded is refused when it is given), recording something else is not: what
    can be given by position must begin like the live list, and defaults must agree. (What is recorded for keywords only is
    refused by position.)
    """
    recorded = spelling.parsed.parameters
    if recorded and found and recorded[0].name == "x" and found[0].name == "self":
        recorded, found = recorded[1:], found[1:]
    names, real = ([p.name for p in side if not p.keyword_only] for side in (recorded, found))
    if takes_any_keyword(spelling.path):
        names = [n for n in names if n in real or n not in COMMON]
    while len(names) > len(real) and names[-1] in spelling.ignore:
        names.pop()
    if names != real[: len(names)]:
        return [f"positional {names}, live {real}"]
    live_by_name = {p.name: p for p in found}
    wrong = []
    for mine in recorded:
        if mine.variadic and mine.keyword_only:
            continue
        theirs = live_by_name.get(mine.name)
        if theirs is None:
            if mine.name not in spelling.ignore and mine.name not in COMMON:
                wrong.append(f"{mine.name} does not exist")
        elif mine.variadic != theirs.variadic or (theirs.keyword_only and not mine.keyword_only):
            wrong.append(f"{mine.name} is passed differently")
        elif not _same_default(mine, theirs, overloads):
            wrong.append(f"{mine.name}={mine.default!r}, live {theirs.default!r}")
    return wrong


def _same_default(mine: Parameter, theirs: Parameter, overloads: Overloads) -> bool:
    if mine.default in (REQUIRED, INFERRED) or theirs.default is UNKNOWN:
        return True
    if theirs.default is REQUIRED:
        # One recorded signature may stand for two overloads, of which one lacks the parameter.
        return any(mine.name not in {p.name for p in overload} for overload in overloads)
    plain = [tuple(d) if isinstance(d, list) else d for d in (mine.default, theirs.default)]
    return bool(plain[0] is plain[1] or plain[0] == plain[1])


@pytest.mark.parametrize(
    ("framework", "op", "spelling"),
    [pytest.param(*entry, id=f"{entry[2].path}-{entry[1].name}-{number}") for number, entry in enumerate(named())],
)
def test_signature(framework: str, op: OpDef, spelling: Spelling) -> None:
    if spelling.kind == "attribute":
        assert not callable(resolve(spelling.path)) or inspect.isdatadescriptor(resolve(spelling.path))
        return
    overloads = live(spelling)
    if overloads is None or all(p.variadic for o in overloads for p in o):
        pytest.skip("the callable shows no signature")
    found = [differences(spelling, overload, overloads) for overload in overloads]
    assert [] in found, " | ".join("; ".join(wrong) for wrong in found)
