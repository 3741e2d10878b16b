"""How results look in a terminal: the summary of a migration, layer tables, plain JSON values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from netferry.verify.report import Verification


def summary(
    facts: Mapping[str, Any], verification: Verification | None, source: str, output: str, weight_map: str = ""
) -> Text:
    """The summary of a migration: what was found, translated, carried and proved.

    ``facts`` has the keys of ``Migration.summary``; ``verification`` is what ``Migration.verify`` gave, or None.
    """
    text = Text()
    text.append(f"{source} -> {output}", style="bold")
    text.append(f"   {facts.get('source_framework', '')} -> {facts.get('target_framework', '')}\n")
    return text.append_text(_lines(_rows(facts, weight_map))).append_text(verdict(verification))


def findings(facts: Mapping[str, Any], source: str) -> Text:
    """What reading alone found: entry, input, and what would be translated."""
    text = Text(f"{source}", style="bold")
    text.append(f"   {facts.get('source_framework', '')}\n", style="default")
    lines = _lines(row for row in _rows(facts, "") if row[0] != "weights")
    lines.rstrip()
    return text.append_text(lines)


def _rows(facts: Mapping[str, Any], weight_map: str) -> list[tuple[str, str, str]]:
    return [
        ("entry", str(facts.get("entry", "")), _reason(facts.get("entry_reason", ""))),
        ("input", ", ".join(map(str, facts.get("inputs", ()))), _reason(facts.get("input_reason", ""))),
        (
            "translated",
            f"{_count(facts.get('classes', 0), 'class', 'classes')}, {_count(facts.get('calls', 0), 'call', 'calls')}",
            ", ".join(f"{facts.get(kind, 0)} {kind}" for kind in ("observed", "assumed", "unsupported")),
        ),
        (
            "weights",
            f"{_count(facts.get('arrays', 0), 'array', 'arrays')}, {magnitude(facts.get('numbers', 0))}",
            f"{weight_map} (map)" if weight_map else "",
        ),
    ]


def _lines(rows: Iterable[tuple[str, str, str]]) -> Text:
    shown = list(rows)
    width = max(20, *(len(value) for _, value, _ in shown)) + 2
    text = Text()
    for name, value, note in shown:
        text.append(f"  {name:<11}", style="cyan")
        text.append(f"{value:<{width}}" if note else value)
        text.append(f"{note}\n", style="dim")
    return text


def _reason(reason: str) -> str:
    return reason if reason in ("", "given") else f"found: {reason}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def magnitude(number: int) -> str:
    """A large count in short: ``11.2 M``."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f} {letter}"
    return str(number)


_VERDICTS: Final = {"verified": ("verified", "bold green"), "unverified": ("not verified", "bold yellow")}


def verdict(verification: Verification | None) -> Text:
    """The line that says what was proved, or that nothing was."""
    if verification is None:
        return Text("  not verified", style="bold yellow")
    word, style = _VERDICTS.get(verification.status, ("DIFFERS", "bold red"))
    line = Text(f"  {word:<11}", style=style)
    line.append(f"{'' if len(word) < 11 else '  '}{verification.summary()}", style="default")
    if verification.first_divergence:
        line.append(f"\n  {'first':<11}{verification.first_divergence}", style="default")
    return line


def rows(records: Sequence[Mapping[str, Any]]) -> Table:
    """Records with the same keys as a table."""
    table = Table(box=None, header_style="bold cyan", pad_edge=False)
    for name in records[0] if records else ():
        table.add_column(name.replace("_", " "))
    for record in records:
        table.add_row(*(str(value) for value in record.values()))
    return table


def plain(value: Any) -> Any:
    """The value as JSON has it: dicts, lists, strings, numbers; non-finite numbers become strings."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if hasattr(value, "to_json"):
        return plain(value.to_json())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return plain(value.item()) if hasattr(value, "item") else str(value)
