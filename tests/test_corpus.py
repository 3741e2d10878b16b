"""The scoreboard's own machinery: processes, limits, resuming, classification and the table."""

from __future__ import annotations

import json
import os
import signal
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import corpus, corpus_job, corpus_manifest, corpus_pool, corpus_recheck, corpus_source, corpus_table
from netferry.diagnostics import Diagnostic

FIELDS = {
    "id": "pkg/model/Net",
    "package": "owner/name",
    "file": "a/model.py",
    "entry": "Net",
    "call": "Net(3)",
    "inputs": [{"shape": [2, 3], "dtype": "float32"}, {"shape": [2], "dtype": "int64", "high": 5, "name": "k"}],
    "closure_lines": 7,
}


def row(root: Path = Path("checkouts"), **fields: Any) -> corpus_manifest.Row:
    return corpus_manifest.Row(FIELDS | fields, root)


def answers(tmp_path: Path, works: dict[str, Any], limits: corpus_pool.Limits) -> dict[str, Any]:
    jobs = [corpus_pool.Job(name, work, tmp_path / f"{name}.log") for name, work in works.items()]
    return {job.name: answer for job, answer in corpus_pool.run(jobs, 2, limits) if job is not None}


def exit_by_signal() -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGTERM)


def fill_memory() -> dict[str, Any]:
    held = b"x" * 400_000_000
    time.sleep(20)
    return {"held": len(held)}


def sleep_long() -> dict[str, Any]:
    time.sleep(60)
    return {}


def test_pool_survives_every_ending(tmp_path: Path) -> None:
    works = {
        "fine": partial(dict, status="verified"),
        "raises": partial(int, "no number"),
        "aborts": exit_by_signal,
        "greedy": fill_memory,
    }
    found = answers(tmp_path, works, corpus_pool.Limits(seconds=15, megabytes=350))
    assert found["fine"]["status"] == "verified"
    assert "died" not in found["fine"]
    assert found["raises"]["died"] == "process ended with status 1"
    assert "no number" in (tmp_path / "raises.log").read_text()
    assert "SIGTERM" in found["aborts"]["died"]
    assert "350 MB" in found["greedy"]["died"]


def test_pool_stops_at_the_time_limit(tmp_path: Path) -> None:
    started = time.monotonic()
    found = answers(tmp_path, {"slow": sleep_long}, corpus_pool.Limits(seconds=0.5))
    assert "stopped after" in found["slow"]["died"]
    assert time.monotonic() - started < 10


def test_places_of_sources() -> None:
    assert row().source == "checkouts/owner__name/a/model.py"
    assert row(load="module", module="pkg.models").source == "pkg.models"
    assert row(package="pkg==1.0").source.endswith("site-packages/a/model.py")
    assert row(package="", file="{x/y}/m.py").source == "checkouts/x__y/m.py"
    assert row(entry="(an expression)").entry == ""


def test_only_what_the_manifest_gives_is_handed_on() -> None:
    assert row().options() == {}
    assert row(setup="import m", prelude="n=1").options() == {"prelude": "n=1\nimport m"}
    assert row(file="chapter.md").options() == {"tab": "pytorch"}
    assert row(file="chapter.md", tab="jax").options() == {"tab": "jax"}


def test_long_names_stay_apart() -> None:
    first, second = (row(id="x" * 200 + end).slug for end in "ab")
    assert first != second
    assert len(first) <= 100


@pytest.mark.parametrize(
    ("verdict", "severity", "status"),
    [
        ("verified", None, "verified"),
        ("verified", "warning", "verified"),
        ("mismatch", "error", "mismatch"),
        ("unverified", "error", "unsupported"),
        ("unverified", "warning", "unverified"),
    ],
)
def test_classification(verdict: str, severity: Any, status: str) -> None:
    diagnostics = [Diagnostic("NF030", severity, "m.py", 3)] if severity else []
    migration = SimpleNamespace(diagnostics=diagnostics, verification=SimpleNamespace(status=verdict))
    found = corpus_job.classify(migration)
    assert found["status"] == status
    assert found["codes"] == ({"NF030": 1} if severity else {})


def test_rows_are_due_again_when_the_code_changed(tmp_path: Path) -> None:
    board = corpus.Scoreboard("sample", "keras", tmp_path)
    assert board.is_due(row(), set(), keep=False)
    board.add(row(), {"status": "mismatch", "seconds": 1.0})
    again = corpus.Scoreboard("sample", "keras", tmp_path)
    assert not again.is_due(row(), set(), keep=False)
    assert again.is_due(row(), {"mismatch"}, keep=True)
    again.digest = "other code"
    assert again.is_due(row(), set(), keep=False)
    assert not again.is_due(row(), set(), keep=True)


def test_what_a_process_died_of_is_a_crash(tmp_path: Path) -> None:
    board = corpus.Scoreboard("sample", "keras", tmp_path)
    assert board.add(row(), {"died": "stopped after 180 s", "seconds": 180.0})["status"] == "crashed"
    assert json.loads(board.results.read_text())["message"] == "stopped after 180 s"


def test_page_counts_statuses_and_reasons() -> None:
    results = [
        {"id": "a", "status": "verified", "seconds": 1.0, "lines_in": 10, "lines_out": 11, "max_rel_diff": 1e-15},
        {"id": "b", "status": "unsupported", "codes": {"NF030": 2}, "message": "unknown | operation"},
        {"id": "c", "status": "crashed", "message": "stopped after 180 s", "died": "stopped after 180 s"},
    ]
    page = corpus_table.page("sample", results, corpus_job.STATUSES)
    assert "| verified | 1 | 33 % |" in page
    assert "1.10 lines out per line in" in page
    assert "| NF030 | 1 | b | unknown \\| operation |" in page
    assert "| stopped after 180 s | 1 | c |" in page


def test_extraction_takes_only_what_is_reached(tmp_path: Path) -> None:
    folder = tmp_path / "owner__name" / "a"
    folder.mkdir(parents=True)
    script = (
        "import not_there\nsize = 4\nraise SystemExit\ndef helper(n): return n + size\ndef Net(n): return helper(n)\n"
    )
    (folder / "model.py").write_text(script)
    assert corpus_source.build(row(tmp_path, load="extract")) == 7
    assert corpus_source.build(row(tmp_path, load="extract", prelude="size = 10")) == 13


def test_what_a_script_goes_on_building_is_extracted(tmp_path: Path) -> None:
    folder = tmp_path / "owner__name" / "a"
    folder.mkdir(parents=True)
    script = "sizes = []\nsizes.append(2)\nfor k in range(3):\n    total = k\nsizes.sort(not_there)\nfit(sizes)\n"
    (folder / "model.py").write_text(script)
    assert row(tmp_path).load == "extract"
    assert corpus_source.build(row(tmp_path, entry="sizes", call="sizes + [total]")) == [2, 2]
    (folder / "__init__.py").touch()
    assert row(tmp_path).load == "file"
    assert row(tmp_path, file="{owner/name}/a/page.ipynb").load == "extract"


def test_cells_of_a_chapter(tmp_path: Path) -> None:
    chapter = "text\n```{.python .input}\n%%tab pytorch\na = 1\n```\n```{.python .input}\n%%tab jax\nb = 1\n```\n"
    (tmp_path / "chapter.md").write_text(chapter)
    assert corpus_source.python_of(tmp_path / "chapter.md", "pytorch") == "a = 1"


def test_inputs_are_drawn_as_specified() -> None:
    positional, keyword = corpus_source.arguments(row(), seed=1)
    assert positional[0].shape == (2, 3)
    assert positional[0].dtype == "float32"
    assert keyword["k"].max() < 5


def test_second_opinion_refuses_code_that_imports_netferry(tmp_path: Path) -> None:
    file = tmp_path / "generated.py"
    file.write_text("def f():\n    from netferry.ops import core\n")
    with pytest.raises(corpus_recheck.Disagreement, match="imports netferry"):
        corpus_recheck.recheck(row(), None, file)
