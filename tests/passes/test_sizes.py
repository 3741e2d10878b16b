"""Sizes that a target must be told."""

from __future__ import annotations

import ast

from netferry.passes.size_sites import in_words
from netferry.pivot.nodes import Hole, constant


def test_a_size_without_words_is_a_number_only_where_all_runs_agree() -> None:
    asked = ast.parse("x.shape[-1]", mode="eval").body
    assert ast.unparse(in_words(None, [8, 8], asked)) == "8"
    assert ast.unparse(in_words(constant(3), [8, 16], asked)) == "3"
    hole = in_words(None, [8, 16, 8], asked)
    assert isinstance(hole, Hole)
    assert "8, 16" in hole.reason
