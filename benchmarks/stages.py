"""netferry's own time on a long file, by stage; framework imports and runs of the network are shown apart."""

from __future__ import annotations

import ast
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import corpus_environment, synthetic

OWN = ("project", "instrument", "read", "passes", "write", "weights")
"""The stages that are netferry's work; ``observe`` is the run of the network, in shapes only."""


def measure(file: Path, target: str, repeats: int) -> dict[str, float]:
    """Seconds of each stage: the median of some migrations, after one to warm up."""
    import netferry

    runs = [
        netferry.migrate(str(file), entry="Net", to=target, call="Net()", inputs=["2x3x6x7"], verify=False).timings
        for _ in range(repeats + 1)
    ][1:]
    found = {stage: statistics.median(run.get(stage, 0.0) for run in runs) for stage in runs[0]}
    return found | {"instrument": statistics.median(_instrument(file) for _ in range(repeats))}


def _instrument(file: Path) -> float:
    """Seconds to wrap every node of the file; inside a migration this hides in the time of the run."""
    from netferry.observe.instrument import instrument

    started = time.perf_counter()
    instrument(ast.parse(file.read_text(encoding="utf-8")))
    return time.perf_counter() - started


def main(
    lines: Annotated[int, typer.Option(help="Length of the file.")] = 1000,
    to: Annotated[str, typer.Option(help="The target framework.")] = "keras",
    repeats: Annotated[int, typer.Option(help="Migrations to take the median of.")] = 3,
    limit: Annotated[float, typer.Option(help="Fail above so many seconds of netferry's own.")] = 1.0,
) -> None:
    """Print seconds by stage; fail when netferry's own time is above the limit."""
    corpus_environment.preload()
    corpus_environment.define_schemas()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "synthetic_network.py"
        file.write_text(synthetic.network(lines), encoding="utf-8")
        length = len(file.read_text(encoding="utf-8").splitlines())
        timings = measure(file, to, repeats)
    own = sum(timings.get(stage, 0.0) for stage in OWN)
    table = Table(title=f"{length} lines to {to}", caption=f"netferry's own: {own:.2f} s of {limit:.2f} s allowed")
    for heading in ("stage", "seconds", "whose"):
        table.add_column(heading)
    for stage, seconds in timings.items():
        table.add_row(stage, f"{seconds:.3f}", "netferry" if stage in OWN else "framework")
    Console().print(table)
    if own > limit:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
