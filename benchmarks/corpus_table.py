"""The scoreboard as a page: how many networks ended how, why, and a line for each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Result = Mapping[str, Any]


def page(title: str, results: Sequence[Result], statuses: Sequence[str]) -> str:
    """The whole page, as markdown."""
    parts = [f"# {title}", _totals(results, statuses), _reasons(results), _networks(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [list(head), ["---"] * len(head), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.1e}" if isinstance(value, float) and value < 0.1 else str(value)
    return re.sub(r"\s+", " ", text.replace("|", "\\|"))[:200]


def _totals(results: Sequence[Result], statuses: Sequence[str]) -> str:
    counts = Counter(r["status"] for r in results)
    names = [*statuses, *(s for s in counts if s not in statuses)]
    rows = [(name, counts[name], f"{100 * counts[name] / max(len(results), 1):.0f} %") for name in names]
    seconds = sum(r.get("seconds", 0.0) for r in results)
    within = [r for r in results if r.get("lines_in") and r.get("lines_out")]
    ratio = sum(r["lines_out"] for r in within) / max(sum(r["lines_in"] for r in within), 1)
    rechecked = sum(r.get("recheck") is not None for r in results)
    note = (
        f"{len(results)} networks, {seconds:.0f} s of work, {ratio:.2f} lines out per line in, {rechecked} re-checked."
    )
    return f"{_table(('status', 'networks', 'share'), rows)}\n\n{note}"


def _reasons(results: Sequence[Result]) -> str:
    """Diagnostic codes of what is not verified, most frequent first, each with the first network that has it."""
    first: dict[str, tuple[str, str]] = {}
    counts: Counter[str] = Counter()
    for result in results:
        if result["status"] in ("verified", "built"):
            continue
        for key in {*result.get("codes", {})} or {_kind(result)}:
            counts[key] += 1
            first.setdefault(key, (result["id"], result.get("message", "")))
    if not counts:
        return ""
    rows = [(key, count, *first[key]) for key, count in counts.most_common()]
    return "## Reasons\n\n" + _table(("reason", "networks", "for example", "message"), rows)


def _kind(result: Result) -> str:
    return str(result.get("died") or str(result.get("message", "")).partition(":")[0] or result["status"])[:60]


def _networks(results: Sequence[Result]) -> str:
    columns = ("seconds", "megabytes", "lines_in", "lines_out", "ratio", "max_rel_diff", "recheck", "message")
    rows = [(r["id"], r["status"], *(r.get(column) for column in columns)) for r in results]
    head = ("network", "status", "seconds", "MB", "lines in", "lines out", "out/in", "max diff", "re-check", "message")
    return "## Networks\n\n" + _table(head, rows)
