"""Peak memory of a migration without verification: it must not depend on the size of the network."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import corpus_environment, synthetic

SMALL, BILLION = 16, 8192
"""Widths of the two networks; the parameters grow with the square."""

app = typer.Typer(add_completion=False)


@app.command()
def peak(file: Path, width: int, to: str) -> None:
    """Migrate a network of some width and print the peak of this process in MB."""
    import netferry

    corpus_environment.preload()
    netferry.migrate(str(file), entry="Wide", to=to, call=f"Wide({width})", inputs=[f"2x{width}"], verify=False)
    unit = 1e6 if sys.platform == "darwin" else 1e3
    typer.echo(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)


@app.command()
def compare(
    to: Annotated[str, typer.Option(help="The target framework.")] = "keras",
    limit: Annotated[float, typer.Option(help="Fail when the peaks differ by more MB.")] = 50.0,
) -> None:
    """Print the peaks of a small network and of one with a billion parameters."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "wide.py"
        file.write_text(synthetic.WIDE, encoding="utf-8")
        peaks = {width: _measured(file, width, to) for width in (SMALL, BILLION)}
    table = Table(title=f"peak memory of a migration to {to}, not verified")
    for heading in ("parameters", "peak"):
        table.add_column(heading, justify="right")
    for width, megabytes in peaks.items():
        table.add_row(f"{15 * (width + 1) * width + (width + 1) * 10:,}", f"{megabytes:.0f} MB")
    Console().print(table)
    if peaks[BILLION] - peaks[SMALL] > limit:
        raise typer.Exit(1)


def _measured(file: Path, width: int, to: str) -> float:
    """The peak in a process of its own: peaks only ever grow."""
    command = [sys.executable, "-m", "benchmarks.memory", "peak", str(file), str(width), to]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(answer.stdout.split()[-1])


if __name__ == "__main__":
    app()
