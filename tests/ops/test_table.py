"""The support table says what the declarations say."""

from __future__ import annotations

from pathlib import Path

from netferry.ops import registry, table
from netferry.ops.core import Case, OpDef, Spelling

DOCUMENT = Path(__file__).parents[2] / "docs" / "ops.md"


def test_the_document_is_current() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == table.render(registry.all_ops()), "run: make docs"


def test_cells_tell_reading_from_writing() -> None:
    op = OpDef(
        "twice",
        "x",
        "x | x",
        spellings={
            "a": [Spelling("a.twice", "x"), Spelling("a.double", "x", write=False)],
            "b": [Spelling("", template="{x} + {x}")],
        },
        cases=[Case({"x": (2,)}, skip={"b": "no halves"})],
    )
    text = table.render([op])
    assert "| `twice` | x \\| x | **`twice`**, `double` | *expression* |" in text
    assert "- `twice` in b: no halves" in text
