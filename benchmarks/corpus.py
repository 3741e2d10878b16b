"""The scoreboard: published networks through netferry, each in a process of its own.

``python -m benchmarks.corpus run torchvision.jsonl --to keras`` runs a manifest and writes
``corpus-results/torchvision-keras.md``; ``one`` runs a single row here with its traceback; ``build`` only builds and
runs the source networks, which tells trouble of the environment from netferry's.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks import corpus_environment, corpus_job, corpus_manifest, corpus_pool, corpus_source, corpus_table
from benchmarks.corpus_manifest import Row

Result = dict[str, Any]
_LATE_ENOUGH = 2000  # characters of a message that are kept

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

Manifest = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSON lines, one network each.")]
Root = Annotated[Path, typer.Option(envvar="NETFERRY_CHECKOUTS", help="Folder of checkouts, named owner__name.")]
Output = Annotated[Path, typer.Option("--output", help="Folder for results, tables and generated files.")]
Only = Annotated[str, typer.Option(help="Only the rows whose id matches this regular expression.")]
Limit = Annotated[int, typer.Option(help="At most so many rows; 0 is all.")]
Jobs = Annotated[int, typer.Option(help="Processes at a time; 0 is one per core.")]
Seconds = Annotated[float, typer.Option(help="Time limit of a row.")]
Megabytes = Annotated[float, typer.Option(help="Memory limit of a row.")]
Target = Annotated[str, typer.Option("--to", help="The target framework.")]

CHECKOUTS = Path("checkouts")
RESULTS = Path("corpus-results")


@app.command()
def run(
    manifest: Manifest,
    to: Target = "keras",
    root: Root = CHECKOUTS,
    output: Output = RESULTS,
    only: Only = "",
    limit: Limit = 0,
    jobs: Jobs = 0,
    seconds: Seconds = 180.0,
    megabytes: Megabytes = 8000.0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run every row again.")] = False,
    rerun: Annotated[str, typer.Option(help="Run rows of these statuses again (a,b,c), and keep all others.")] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Keep results of earlier code.")] = False,
) -> None:
    """Migrate every network of a manifest and write the table."""
    board = Scoreboard(manifest.stem, to, output)
    rows = corpus_manifest.read(manifest, root, only, limit)
    again = {status for status in rerun.split(",") if status}
    due = rows if fresh else [row for row in rows if board.is_due(row, again, keep=keep or bool(again))]
    work = {row.id: partial(corpus_job.migrate, row, to, board.folder / f"{row.slug}.py") for row in due}
    _preload()
    _work(board, due, work, _workers(jobs), corpus_pool.Limits(seconds, megabytes))
    board.write_table([row.id for row in rows], corpus_job.STATUSES)


@app.command()
def build(
    manifest: Manifest,
    root: Root = CHECKOUTS,
    output: Output = RESULTS,
    only: Only = "",
    limit: Limit = 0,
    jobs: Jobs = 0,
    seconds: Seconds = 180.0,
    megabytes: Megabytes = 8000.0,
) -> None:
    """Only build and run the source networks."""
    board = Scoreboard(manifest.stem, "source", output)
    rows = corpus_manifest.read(manifest, root, only, limit)
    corpus_environment.preload(("numpy", "torch"))
    work = {row.id: partial(_build, row) for row in rows}
    _work(board, rows, work, _workers(jobs), corpus_pool.Limits(seconds, megabytes))
    board.write_table([row.id for row in rows], ("built", "crashed"))


@app.command()
def one(
    manifest: Manifest,
    identifier: Annotated[str, typer.Option("--id", help="Regular expression of the row's id; the first match runs.")],
    to: Target = "keras",
    root: Root = CHECKOUTS,
    output: Output = RESULTS,
) -> None:
    """Run one row in this process; tracebacks are shown."""
    rows = corpus_manifest.read(manifest, root, identifier, 1)
    if not rows:
        raise typer.BadParameter(f"no id matches {identifier!r}", param_hint="--id")
    _preload()
    board = Scoreboard(manifest.stem, to, output)
    file = board.folder / f"{rows[0].slug}.py"
    result = corpus_job.migrate(rows[0], to, file)
    Console().print_json(data=result | {"id": rows[0].id, "file": str(file)})


@app.command()
def table(results: Annotated[Path, typer.Argument(exists=True, help="A results file (.jsonl).")]) -> None:
    """Print the table of earlier results."""
    found = list(_latest(results).values())
    typer.echo(corpus_table.page(results.stem, found, corpus_job.STATUSES))


class Scoreboard:
    """The results of one manifest and target: a line per finished row, the last of a row counts."""

    def __init__(self, corpus: str, target: str, output: Path) -> None:
        self.name = f"{corpus}-{target}"
        self.folder = output / self.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.results = output / f"{self.name}.jsonl"
        self.digest = _digest()
        self.known = _latest(self.results)

    def is_due(self, row: Row, again: Iterable[str], *, keep: bool) -> bool:
        """Whether a row has no result yet, one of other code, or one of a status to run again."""
        known = self.known.get(row.id)
        if known is None or known["status"] in again:
            return True
        return not keep and known["digest"] != self.digest

    def add(self, row: Row, result: Result) -> Result:
        """Keep a result; what the process died of becomes its status and message."""
        if "died" in result:
            result = result | {"status": "crashed", "message": result["died"]}
        result = {"id": row.id, "digest": self.digest} | result
        result["message"] = result.get("message", "")[:_LATE_ENOUGH]
        self.known[row.id] = result
        with self.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")
        return result

    def write_table(self, ids: Iterable[str], statuses: tuple[str, ...]) -> None:
        """Write the page of these rows and print where it is."""
        found = [self.known[i] for i in ids if i in self.known]
        page = self.results.with_suffix(".md")
        page.write_text(corpus_table.page(self.name, found, statuses), encoding="utf-8")
        console = Console()
        for status in dict.fromkeys([*statuses, *(r["status"] for r in found)]):
            count = sum(r["status"] == status for r in found)
            loud = "bold red" if count and status == "false-verified" else ""
            console.print(f"{status:>15} {count:4d}", style=loud)
        console.print(f"table: {page}   generated files and logs: {self.folder}", highlight=False)


def _work(
    board: Scoreboard,
    rows: list[Row],
    work: Mapping[str, Callable[[], Result]],
    workers: int,
    limits: corpus_pool.Limits,
) -> None:
    """Run the rows in the pool, with a progress bar that shows the statuses so far."""
    by_name = {row.id: row for row in rows}
    queue = [corpus_pool.Job(row.id, work[row.id], board.folder / f"{row.slug}.log") for row in rows]
    counts: dict[str, int] = {}
    # refreshed by hand: a thread of the progress bar would not survive the forks
    with _progress() as progress:
        task = progress.add_task(board.name, total=len(rows), counts="")
        for job, answer in corpus_pool.run(queue, workers, limits):
            if job is not None:
                result = board.add(by_name[job.name], answer)
                counts[result["status"]] = counts.get(result["status"], 0) + 1
                if result["status"] in ("crashed", "false-verified"):
                    progress.console.print(f"{result['status']}: {job.name}: {result['message'][:200]}", markup=False)
                shown = " ".join(f"{k} {n}" for k, n in counts.items())
                progress.update(task, advance=1, counts=shown)
            progress.refresh()


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[counts]}"),
        console=Console(stderr=True),
        auto_refresh=False,
    )


def _build(row: Row) -> Result:
    corpus_environment.single_threaded()
    corpus_environment.define_schemas()
    corpus_environment.seed(0)
    try:
        return corpus_source.run(row)
    except Exception as error:
        return {"status": "crashed", "message": f"{type(error).__name__}: {error}"}


def _preload() -> None:
    corpus_environment.preload()
    importlib.import_module("netferry.migration")


def _workers(jobs: int) -> int:
    return jobs or os.cpu_count() or 1


def _digest() -> str:
    """A checksum of netferry's code: results of other code are out of date."""
    import netferry

    root = Path(netferry.__file__).parent
    total = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        total.update(file.read_bytes())
    return total.hexdigest()[:12]


def _latest(results: Path) -> dict[str, Result]:
    """The last result of every row."""
    if not results.exists():
        return {}
    lines = results.read_text(encoding="utf-8").splitlines()
    return {result["id"]: result for result in map(json.loads, lines)}


if __name__ == "__main__":
    app()
