"""Masks reach the user's Keras layers by keyword, because Keras fills them itself where they are None."""

from __future__ import annotations

import ast
from types import SimpleNamespace

import pytest

from netferry.frameworks.keras.masks import by_keyword
from netferry.pivot.program import Definition, Program


class Block:
    """Stands for an observed instance of the user's class."""


@pytest.mark.parametrize(
    ("parameters", "call", "wanted"),
    [
        ("self, x, mask=None", "block(x, mask)", "block(x, mask=mask)"),
        ("self, x, mask=None, scale=1.0", "block(x, None, 2.0)", "block(x, mask=None, scale=2.0)"),
        ("self, src, src_mask=None", "block(src, m)", "block(src, src_mask=m)"),
        ("self, x, src_mask=None", "block(x, m)", "block(x, m)"),
        ("self, x, mask=None", "block(x)", "block(x)"),
        ("self, x, mask=None", "block(*inputs)", "block(*inputs)"),
    ],
)
def test_masks_by_keyword(parameters: str, call: str, wanted: str) -> None:
    definition = ast.parse(f"class Block:\n    def call({parameters}):\n        return x").body[0]
    use = ast.parse(call).body[0]
    assert isinstance(use, ast.Expr)
    use.value.nf_id = 1  # type: ignore[attr-defined]
    definitions = [Definition(("Block",), definition, ""), Definition((), use, "")]
    by_keyword(Program("", "", definitions, facts=SimpleNamespace(callees={1: [Block()]})))
    assert ast.unparse(use) == wanted
