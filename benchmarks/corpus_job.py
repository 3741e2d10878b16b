"""What happens to one row: migrate it, say how that ended, and check a ``verified`` a second time."""

from __future__ import annotations

import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import corpus_environment, corpus_lines
from benchmarks.corpus_manifest import Row
from benchmarks.corpus_recheck import Disagreement, recheck

STATUSES = ("verified", "mismatch", "unverified", "unsupported", "crashed", "false-verified")
_INTERNAL_ERROR = "NF099"
_PROOF = "NF05"
"""What the codes about the comparison begin with: why there is no proof says more than what was left out."""


def migrate(row: Row, target: str, file: Path) -> dict[str, Any]:
    """Migrate a row and write the generated code to ``file``; the result is what the scoreboard keeps of it."""
    import netferry
    from netferry.diagnostics import NetferryError

    corpus_environment.single_threaded()
    corpus_environment.define_schemas()
    corpus_environment.seed(0)
    try:
        migration = netferry.migrate(
            row.source, entry=row.entry or None, to=target, call=row.call, inputs=row.inputs, **row.options()
        )
    except NetferryError as error:
        traceback.print_exc()
        found = error.diagnostic
        status = "crashed" if found.code == _INTERNAL_ERROR else "unsupported"
        return {"status": status, "codes": {found.code: 1}, "message": f"{found.message} ({_place(found)})"}
    except Exception as error:
        traceback.print_exc()
        return {"status": "crashed", "codes": {}, "message": f"{type(error).__name__}: {error} ({_where(error)})"}
    file.write_text(migration.code, encoding="utf-8")
    result = classify(migration) | _measures(migration)
    if result["status"] == "verified":
        result |= _second_opinion(row, migration, file)
    return result


def classify(migration: Any) -> dict[str, Any]:
    """The status of a finished migration, its diagnostic codes, and the first message."""
    diagnostics = [d for d in migration.diagnostics if d.severity != "info"]
    errors = [d for d in diagnostics if d.severity == "error"]
    verdict = migration.verification.status if migration.verification else "unverified"
    if verdict == "unverified" and errors:
        verdict = "unsupported"
    proofs = [d for d in diagnostics if d.code.startswith(_PROOF)]
    first = next(iter(errors or proofs or diagnostics), None)
    message = f"{first.message} ({_place(first)})" if first else ""
    return {"status": verdict, "codes": dict(Counter(d.code for d in diagnostics)), "message": message}


def _measures(migration: Any) -> dict[str, Any]:
    """Sizes, differences and times of a finished migration."""
    return {
        "lines_in": (lines_in := corpus_lines.lines_in(migration)),
        "lines_out": (lines_out := corpus_lines.count(migration.code)),
        "ratio": round(lines_out / max(lines_in, 1), 2),
        "max_rel_diff": getattr(migration.verification, "max_rel_diff", None),
        "timings": {stage: round(seconds, 3) for stage, seconds in getattr(migration, "timings", {}).items()},
    }


def _second_opinion(row: Row, migration: Any, file: Path) -> dict[str, Any]:
    """The outcome of the independent check: a number, or why there is none."""
    try:
        return {"recheck": recheck(row, migration, file)}
    except Disagreement as contradiction:
        return {"status": "false-verified", "message": f"re-check: {contradiction}", "recheck": None}
    except (Exception, SystemExit) as error:  # the second check itself failed: that is no verdict on the migration
        traceback.print_exc()
        return {"recheck": None, "message": f"re-check not possible: {type(error).__name__}: {error} ({_where(error)})"}


def _place(diagnostic: Any) -> str:
    """File name and line of a diagnostic."""
    return f"{Path(diagnostic.file).name}:{diagnostic.line}" if diagnostic.file else "no place"


def _where(error: BaseException) -> str:
    """File name and line that raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "no place"
