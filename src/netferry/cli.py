"""The commands: options in, results to stdout, progress and diagnostics to stderr, exit status out."""

from __future__ import annotations

import contextlib
import enum
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.console import Console
from typer.core import TyperGroup

import netferry
from netferry import frameworks, outputs, tables
from netferry.diagnostics import FAILED, MIGRATED, USAGE, Diagnostic, NetferryError, failure, render, render_all
from netferry.frameworks import catalog
from netferry.graphs.whole import is_whole
from netferry.project import split

TARGETS: Final = frameworks.targets()
_INTERRUPTED: Final = 130
_UsageError: Final[type[Exception]] = typer.BadParameter.__bases__[0]


class Layout(enum.StrEnum):
    """Whose axis order the generated network uses."""

    NATIVE = "native"
    SOURCE = "source"


class View(enum.StrEnum):
    """How ``inspect`` shows the pivot."""

    TEXT = "text"
    JSON = "json"
    TABLE = "table"
    DIAGRAM = "diagram"


class _Group(TyperGroup):
    """Wrong usage exits with 64, as a diagnostic like any other (JSON too)."""

    def main(self, args: Any = None, prog_name: str | None = None, *rest: Any, **extra: Any) -> NoReturn:
        given = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        try:
            status = super().main(given, prog_name or "netferry", *rest, **extra)
        except _UsageError as error:
            message = error.format_message() if hasattr(error, "format_message") else str(error)
            status = Reporter("--json" in given, "--debug" in given).failed(failure("NF064", message))
        except (typer.Abort, KeyboardInterrupt):
            status = _INTERRUPTED
        sys.exit(status or MIGRATED)


app = typer.Typer(cls=_Group, add_completion=False, invoke_without_command=True, rich_markup_mode="rich")


@dataclass(frozen=True)
class Reporter:
    """Where results, progress and failures go."""

    as_json: bool
    debug: bool

    @property
    def errors(self) -> Console:
        """The terminal for everything that is not the result."""
        return Console(stderr=True, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def working(self, first: str) -> Iterator[Callable[[str], None]]:
        """Show what is being done; what the user's own code prints goes to stderr too."""
        with self.errors.status(first) as status, contextlib.redirect_stdout(sys.stderr):
            yield status.update

    def result(self, shown: Any, data: Mapping[str, Any]) -> None:
        """Print the result, for people or for machines."""
        if self.as_json:
            sys.stdout.write(json.dumps(tables.plain(data), indent=2) + "\n")
        elif isinstance(shown, str):
            sys.stdout.write(shown if shown.endswith("\n") else f"{shown}\n")
        else:
            Console(highlight=False, soft_wrap=True).print(shown)

    def show(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Print diagnostics for people (machines find them in the result)."""
        found = list(diagnostics)
        if found and not self.as_json:
            self.errors.print(render_all(found))

    def failed(self, error: NetferryError) -> int:
        """Report why there is no result."""
        if self.as_json:
            self.result("", {"status": error.status, "diagnostics": [error.diagnostic]})
        else:
            self.errors.print(render(error.diagnostic))
        return error.status

    def run(self, command: Callable[[], int]) -> NoReturn:
        """Run a command to its exit status; a traceback is shown only when debugging."""
        try:
            status = command()
        except NetferryError as error:
            status = self.failed(error)
            self._trace()
        except Exception as error:  # noqa: BLE001 - the last resort, so that no fault ends in a bare traceback
            status = self.failed(failure("NF099", f"{type(error).__name__}: {error}"))
            self._trace()
        raise typer.Exit(status)

    def _trace(self) -> None:
        if self.debug:
            traceback.print_exc(file=sys.stderr)


Source = Annotated[
    str, typer.Argument(metavar="SOURCE[:ENTRY]", help="A .py file, package folder, module name or notebook.")
]
Call = Annotated[str | None, typer.Option("--call", help='How to build it: "ResNet18(num_classes=10)".')]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="[NAME=]2x3x32x32[:dtype[:high]]", help="An input of the network; repeatable."),
]
Static = Annotated[bool, typer.Option("--static", help="Never run the source.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
Force = Annotated[bool, typer.Option("--force", help="Replace output files that exist.")]
LayoutOption = Annotated[Layout, typer.Option("--layout", help="Axis order of the result.")]


def _target(name: str | None) -> str | None:
    if name is not None and name not in TARGETS:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(TARGETS)}")
    return name


_TO_HELP: Final = f"Target framework: {', '.join(TARGETS)}."


def _version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        sys.stdout.write(f"netferry {version('netferry')}\n")
    except PackageNotFoundError:
        sys.stdout.write("netferry (not installed)\n")
    raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Carry neural-network source code from one deep-learning framework to another, and prove it."""
    if context.invoked_subcommand is None:
        Console(stderr=True).print(context.get_help())
        raise typer.Exit(USAGE)


@app.command()
def migrate(
    source: Source,
    to: Annotated[str, typer.Option("--to", callback=_target, metavar="TARGET", help=_TO_HELP)],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write (default: stdout).")] = None,
    call: Call = None,
    inputs: Inputs = None,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", metavar="FILE", help="A checkpoint of the source, to be converted along."),
    ] = None,
    layout: LayoutOption = Layout.NATIVE,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Do not compare the two networks.")] = False,
    static: Static = False,
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Read, write, carry weights, verify: the whole job."""
    report = Reporter(as_json, debug)

    def command() -> int:
        goal = _goal(output, source, to)
        weight_map = goal.with_suffix(".weights.json") if goal else None
        if weights is not None and goal is None:
            raise failure(
                "NF064", "--weights needs -o", hint="Name the file to write with -o; the weights go beside it."
            )
        kept = _weights_goal(goal, to, verified=not no_verify) if weights or is_whole(source) else None
        outputs.refuse_existing([p for p in (goal, weight_map, kept) if p], force)
        with report.working("reading the source") as progress:
            found = netferry.migrate(
                source,
                to=to,
                call=call,
                inputs=inputs or None,
                layout=str(layout),
                verify=not no_verify,
                static=static,
                progress=progress,
            )
        if goal and weight_map:
            writers: dict[Path, outputs.Writer] = {
                goal: outputs.text_writer(found.code),
                weight_map: found.weight_map.save,
            }
            if kept:
                writers[kept] = lambda path: _discard(found.save_weights(path, weights))
            outputs.write_all(writers, force)
        _show_migration(report, found, Path(split(source)[0]).name, goal, weight_map, kept)
        return int(found.status)

    report.run(command)


def _goal(output: Path | None, source: str, target: str) -> Path | None:
    """The file to write; a folder gets one named after source and target."""
    if output is None or not output.is_dir():
        return output
    return output / f"{Path(split(source)[0]).stem.rpartition('.')[2]}_{target}.py"


def _weights_goal(goal: Path | None, target: str, *, verified: bool) -> Path | None:
    """The weights file beside the code: of the kind that the target's users expect, as far as the places in it are known."""
    suffix = catalog.get(target).weights
    return goal.with_suffix(suffix if verified or suffix == ".pt" else ".safetensors") if goal else None


def _discard(_: object) -> None:
    return None


def _show_migration(
    report: Reporter, found: Any, name: str, goal: Path | None, weight_map: Path | None, kept: Path | None
) -> None:
    map_name = ", ".join(p.name for p in (kept, weight_map) if p)
    text = tables.summary(found.summary, found.verification, name, goal.name if goal else "stdout", map_name)
    report.show(found.diagnostics)
    if not goal and not report.as_json:
        report.errors.print(text)
    shown = text if goal else found.code
    data = {
        "status": found.status,
        "source": name,
        "output": goal,
        "map": weight_map,
        "weights": kept,
        "summary": found.summary,
    }
    data |= {"verification": found.verification, "diagnostics": found.diagnostics, "code": found.code}
    report.result(shown, data)


@app.command()
def check(
    source: Source,
    to: Annotated[str | None, typer.Option("--to", callback=_target, metavar="TARGET", help=_TO_HELP)] = None,
    call: Call = None,
    inputs: Inputs = None,
    static: Static = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Read only: what would migrate, what would not, and why."""
    report = Reporter(as_json, debug)

    def command() -> int:
        with report.working("reading the source") as progress:
            found = netferry.check(source, to=to, call=call, inputs=inputs or None, static=static, progress=progress)
        report.show(found.diagnostics)
        data = {"status": found.status, "summary": found.summary, "diagnostics": found.diagnostics}
        report.result(tables.findings(found.summary, Path(split(source)[0]).name), data)
        return int(found.status)

    report.run(command)


@app.command()
def verify(
    source: Source,
    target: Annotated[str, typer.Argument(metavar="TARGET[:ENTRY]", help="The other implementation.")],
    weight_map: Annotated[Path | None, typer.Option("--map", help="The weight map, where the names differ.")] = None,
    call: Call = None,
    inputs: Inputs = None,
    layout: LayoutOption = Layout.NATIVE,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare two implementations; name the first diverging layer."""
    report = Reporter(as_json, debug)

    def command() -> int:
        with report.working("building both networks") as progress:
            found = netferry.verify(
                source,
                target,
                weight_map=weight_map,
                call=call,
                inputs=inputs or None,
                layout=str(layout),
                progress=progress,
            )
        status = 0 if found.passed else 1
        report.result(tables.verdict(found), {"status": status, "verification": found})
        return status

    report.run(command)


@app.command()
def weights(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A checkpoint of the source.")],
    weight_map: Annotated[Path, typer.Option("--map", help="The .weights.json that migrate wrote.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The checkpoint to write; its suffix says the kind.")],
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Turn a checkpoint of the source into one of the target."""
    report = Reporter(as_json, debug)

    def command() -> int:
        from netferry.weights.checkpoints import (  # Only this command needs the file formats.
            convert_checkpoint,
            located,
        )

        located(file)
        if not weight_map.is_file():
            raise failure("NF001", f"there is no file {weight_map}", file=weight_map)
        outputs.refuse_existing([output], force)

        arrays = 0

        def write(path: Path) -> None:
            nonlocal arrays
            arrays = convert_checkpoint(file, weight_map, path)

        with report.working(f"converting {file.name}"):
            outputs.write_all({output: write}, force)
        report.result(f"{file.name} -> {output.name}   {arrays} arrays",
                      {"status": MIGRATED, "output": output, "arrays": arrays})  # fmt: skip
        return MIGRATED

    report.run(command)


@app.command()
def inspect(
    source: Source,
    view: Annotated[View, typer.Option("--as", help="How to show it.")] = View.TEXT,
    call: Call = None,
    inputs: Inputs = None,
    static: Static = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the pivot: as text, as JSON, as a layer table, as a diagram."""
    report = Reporter(as_json or view is View.JSON, debug)

    def command() -> int:
        with report.working("reading the source") as progress:
            program = netferry.inspect(source, call=call, inputs=inputs or None, static=static, progress=progress)
        if report.as_json:
            report.result("", program.to_json())
        elif view is View.TABLE:
            report.result(tables.rows(program.table()), {})
        else:
            report.result(program.diagram() if view is View.DIAGRAM else str(program), {})
        return MIGRATED

    report.run(command)


def main() -> NoReturn:
    """The entry point of the ``netferry`` script."""
    app()
    sys.exit(FAILED)  # Not reached: the group always exits.
