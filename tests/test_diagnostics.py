"""Codes are complete, diagnostics show their place, and errors carry their exit status."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from netferry.diagnostics import CODES, Diagnostic, failure, not_installed, render, render_all

SOURCE = Path(__file__).parents[1] / "src" / "netferry"


def test_every_code_has_a_title_a_hint_and_a_status() -> None:
    assert all(code.title and code.hint[-1] in '."' for code in CODES.values())
    assert {code.status for code in CODES.values()} == {0, 1, 2, 64}


def test_every_code_raised_in_the_package_is_in_the_table() -> None:
    used = {c for path in SOURCE.rglob("*.py") for c in re.findall(r'"(NF\d{3})"', path.read_text())}
    assert used <= set(CODES)


def test_a_diagnostic_shows_place_line_caret_and_hint(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("import x\n\ty = x.call()\n")
    shown = render(Diagnostic("NF030", "warning", str(file), 2, 6, "x.call is unknown")).plain.splitlines()
    assert shown[0] == "warning[NF030]: x.call is unknown"
    assert shown[1].endswith("net.py:2:6")
    assert shown[3].endswith("|     y = x.call()")
    assert shown[4].index("^") == shown[3].index("x.call")
    assert shown[5].startswith("  hint: ")


def test_given_text_wins_over_the_file() -> None:
    assert "a = 1" in str(Diagnostic("NF002", file="nb.ipynb[cell 2]", line=1, text="a = 1"))


def test_messages_and_hints_default_to_the_table() -> None:
    diagnostic = Diagnostic("NF040")
    assert (diagnostic.message, diagnostic.hint) == (CODES["NF040"].title, CODES["NF040"].hint)
    assert diagnostic.place == ""


def test_json_form_is_plain() -> None:
    data = json.loads(json.dumps(Diagnostic("NF012", file="a.py", line=3).to_json()))
    assert data["title"] == "entry not found"
    assert {"code", "severity", "file", "line", "column", "message", "hint"} <= set(data)


@pytest.mark.parametrize(("code", "status"), [("NF001", 2), ("NF030", 1), ("NF064", 64)])
def test_errors_carry_the_exit_status(code: str, status: int) -> None:
    error = failure(code, "what is wrong")
    assert error.status == status
    assert "what is wrong" in str(error)


def test_a_missing_framework_names_the_extra() -> None:
    assert "netferry[flax]" in not_installed("Flax", "flax").diagnostic.hint


def test_unknown_codes_are_refused() -> None:
    with pytest.raises(KeyError):
        Diagnostic("NF999")


def test_several_are_separated() -> None:
    assert "\n\n" in render_all([Diagnostic("NF001"), Diagnostic("NF002")]).plain
