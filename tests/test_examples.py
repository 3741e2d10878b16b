"""The examples are what netferry writes now, stand alone, and compute what their sources compute."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from examples.regenerate import PAIRS, Example

TOLERANCE = 1e-12

every_pair = pytest.mark.parametrize(
    ("example", "target"), PAIRS, ids=[f"{e.framework}-{e.name}-{target}" for e, target in PAIRS]
)


@every_pair
def test_file_is_current_and_verified(example: Example, target: str) -> None:
    migration = example.migrate(target, verify=True)
    assert migration.code == example.output(target).read_text(encoding="utf-8")
    assert not migration.diagnostics
    verdict = migration.verification
    assert verdict.status == "verified"
    assert verdict.max_rel_diff <= TOLERANCE
    assert verdict.training <= TOLERANCE
    assert verdict.gradients <= TOLERANCE


@every_pair
def test_names_comments_and_docstrings_are_kept(example: Example, target: str) -> None:
    before, after = (file.read_text(encoding="utf-8") for file in (example.source, example.output(target)))
    comments = [line.strip() for line in before.splitlines() if line.strip().startswith("#")]
    assert [comment for comment in comments if comment not in after] == []
    if example.framework == "torch":  # Functions that build graphs become classes.
        assert definitions(before) <= definitions(after) | {"forward"}


def definitions(code: str) -> set[str]:
    """Names of classes and functions."""
    return {n.name for n in ast.walk(ast.parse(code)) if isinstance(n, ast.ClassDef | ast.FunctionDef)}


@pytest.mark.parametrize("source", ["torch", "keras"])
def test_files_stand_alone(source: str) -> None:
    """All files of a target load in a process that can import neither netferry nor the framework they come from."""
    names = [str(example.output(target)) for example, target in PAIRS if example.framework == source]
    script = (
        "import runpy, sys\n"
        f"sys.modules['netferry'] = sys.modules[{source!r}] = None\n"
        f"for name in {names!r}: runpy.run_path(name)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
