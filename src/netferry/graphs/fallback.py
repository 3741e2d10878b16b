"""Networks whose source cannot be migrated, but builds: their graph can be, and the result says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from netferry.diagnostics import Diagnostic, NetferryError

if TYPE_CHECKING:
    from netferry.graphs.whole import Whole
    from netferry.migration import Migration

_MISTAKEN = frozenset(
    {
        "NF001",
        "NF002",
        "NF003",
        "NF004",
        "NF005",
        "NF006",
        "NF010",
        "NF011",
        "NF012",
        "NF020",
        "NF022",
        "NF023",
        "NF064",
    }
)
"""What is wrong with a source that no other way of reading it mends."""


def attempted(
    first: Callable[[], Migration], built: Callable[[], Whole | None], again: Callable[[Any], Migration],
    progress: Callable[[str], None],
) -> Migration:  # fmt: skip
    """The migration of a source; where that fails, the one from the graph of what the source builds, if that does not."""
    made: Migration | None = None
    try:
        made = first()
        problem = _problem(made)
        if problem is None:
            return made
    except NetferryError as error:
        if error.diagnostic.code in _MISTAKEN:
            raise
        problem, failed = error.diagnostic, error
    progress("reading the graph of the built network instead")
    other = _from_graph(built, again)
    if other is not None:
        other.diagnostics.append(_note(problem))
        return other
    if made is None:
        raise failed
    return made


def _from_graph(built: Callable[[], Whole | None], again: Callable[[Any], Migration]) -> Migration | None:
    try:
        whole = built()
        made = again(whole) if whole is not None else None
    except Exception:  # noqa: BLE001 - the first failure is the one to report
        return None
    return made if made is not None and _problem(made) is None else None


def _problem(migration: Migration) -> Diagnostic | None:
    """What keeps a migration from being whole and proved."""
    return next((d for d in migration.diagnostics if d.severity == "error" or d.code == "NF051"), None)


def _note(problem: Diagnostic) -> Diagnostic:
    message = f"read from the graph of the built network, as its source could not be migrated: {problem.message}"
    return Diagnostic("NF074", "info", problem.file, problem.line, problem.column, message, text=problem.text)
