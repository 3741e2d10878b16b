"""The pivot's text form is readable, keeps comments, and reads back to the same program."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

import netferry
from netferry.diagnostics import NetferryError
from netferry.ops import registry
from netferry.pivot.nodes import Hole, LayerAttribute, LayerCall, Op, Reference
from netferry.pivot.parsing import parse
from netferry.pivot.program import Program
from netferry.pivot.text import FORMS, results_of
from tests.pivot.networks import SOURCES, program


def structure(value: Any) -> Any:
    """A tree as nested plain values, all that the text form must keep included."""
    if isinstance(value, list | tuple):
        return [structure(v) for v in value]
    if not isinstance(value, ast.AST):
        return value
    more = ("name", "layer", "inplace", "complete", "reason", "hint", "path", "kind", "ops")
    found = {n: getattr(value, n, None) or None for n in more} if isinstance(value, ast.expr) else {}
    trees = ("indirect", "alternatives", "nf_alternatives")
    found |= {n: structure(getattr(value, n)) for n in trees if getattr(value, n, None)}
    if isinstance(value, Op | LayerCall) and value.site is not None:
        site = value.site
        found["site"] = (site.file, site.line, site.column, site.assumed, results_of(site))
    return type(value).__name__, found, {n: structure(v) for n, v in ast.iter_fields(value) if n not in ("ctx", "kind")}


def contents(program: Program) -> Any:
    """All of a program that its text shows."""
    definitions = [(d.names, d.module, d.lead, structure(d.node)) for d in program.definitions]
    return definitions, program.imports, structure(program.construction), program.source, program.entry, program.width


@pytest.mark.parametrize("name", SOURCES)
def test_reads_back_to_the_same_program(name: str, tmp_path: Path) -> None:
    before = program(name, tmp_path)
    text = str(before)
    after = parse(text)
    assert str(after) == text
    assert contents(after) == contents(before)
    assert [h.reason for h in after.holes] == [h.reason for h in before.holes]


@pytest.mark.parametrize("name", SOURCES)
def test_showing_leaves_the_program_alone(name: str, tmp_path: Path) -> None:
    found = program(name, tmp_path)
    before = contents(found)
    assert str(found) == str(found)
    assert contents(found) == before


def test_text_is_neutral_python_with_its_comments(tmp_path: Path) -> None:
    text = str(program("residual", tmp_path))
    compile(text, "pivot", "exec")
    code = text[: text.index("\n# facts\n")]
    framework = [line for line in code.splitlines() if "torch." in line]
    assert [line for line in framework if "op.ref(" not in line and "op.hole(" not in line] == []
    for comment in ("# how wide", "# in place", "# same size", "# the residual"):
        assert comment in code
    for part in (
        "class Block(op.Module):",
        '"""Two convolutions."""',
        "op.call.conv2d(self.conv, x)",
        "op.inplace(op.relu(x))",
        "op.via(norm, op.layer.batch_norm(",
        "op.hole('torch.special.zeta(",
    ):
        assert part in code
    assert "-> 2x8x4x4 float32" in text


def test_every_form_is_met(tmp_path: Path) -> None:
    text = "".join(str(program(name, tmp_path)) for name in SOURCES)
    assert [form for form in sorted(FORMS) if not any(f"{name}.{form}" in text for name in ("op", "op_"))] == []


def test_a_name_of_the_users_is_not_taken_for_the_vocabulary(tmp_path: Path) -> None:
    text = str(program("alternating", tmp_path))
    assert text.startswith("# netferry pivot 1, vocabulary as op_\n")
    assert "op_.via(op, op_.layer.linear(" in text
    assert "op_.via(kind, op_.layer.relu(), op_.layer.tanh())" in text


def test_no_op_is_called_like_a_form() -> None:
    assert [op.name for op in registry.all_ops() if op.name in FORMS or not op.name[0].islower()] == []


def test_a_migration_keeps_the_pivot_that_was_read(tmp_path: Path) -> None:
    text, call, inputs = SOURCES["recurrent"]
    file = tmp_path / "recurrent.py"
    file.write_text(text)
    expected = str(netferry.inspect(file, call=call, inputs=inputs))
    found = netferry.migrate(file, to="keras", call=call, inputs=inputs, verify=False)
    assert str(found.pivot) == expected


GOOD = """# netferry pivot 1, vocabulary as op


# module: net


def f(x):
    return op.relu(x)


op.network(f(1), source='torch', entry='f', observed=1, assumed=0, width=88)


# facts
# net.py:3:12  relu  -> 2x3 float32
"""


def test_a_text_written_by_hand_is_read() -> None:
    assert str(parse(GOOD)) == GOOD


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("op.relu(x)", "op.relux(x)", "unknown op 'relux'"),
        ("op.relu(x)", "op.relu()", "relu lacks its operand 'x'"),
        ("op.relu(x)", "op.relu(x, slope=1)", "relu has no attribute 'slope'"),
        ("op.relu(x)", "op.relu(x, x)", "op.relu is not written like this"),
        ("op.relu(x)", "op.hole(x)", "op.hole is not written like this"),
        ("# net.py:3:12  relu  -> 2x3 float32\n", "", "lacks its line of facts"),
        ("op.network(", "print(", "the last statement"),
        ("def f(x)", "def f(x", "not Python"),
        ("# netferry pivot 1", "# netferry pivot 9", "begins with"),
    ],
)
def test_a_malformed_text_is_rejected(before: str, after: str, message: str) -> None:
    with pytest.raises(NetferryError) as error:
        parse(GOOD.replace(before, after))
    assert error.value.diagnostic.code == "NF035"
    assert message in error.value.diagnostic.message


def test_the_kinds_of_nodes_are_those_of_the_pivot(tmp_path: Path) -> None:
    found = [program(name, tmp_path) for name in SOURCES]
    kinds = {type(n) for p in found for d in p.definitions for n in ast.walk(d.node)}
    assert {Op, LayerCall, Hole, Reference, LayerAttribute} <= kinds
