"""The whole job: read, write, carry weights, verify."""

from __future__ import annotations

import ast
import functools
import math
import sys
import time
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netferry.assemble import Assembler
from netferry.collecting import paused
from netferry.diagnostics import FAILED, INCOMPLETE, MIGRATED, Diagnostic, NetferryError, Severity, failure
from netferry.frameworks import catalog as frameworks
from netferry.graphs import fallback
from netferry.graphs.whole import Original, Whole, opened
from netferry.inputs import InputSpec
from netferry.inputs import specs as input_specs
from netferry.observe.run import Observation, names_in, observe
from netferry.observe.run import built as observed
from netferry.passes import caches, compact, flattening, fold_padding, overloads, ranges, sizes, unit_axes, unused
from netferry.passes.layout.bound import tensors
from netferry.passes.layout.edit import apply as apply_layout
from netferry.passes.layout.edit import leading_reads
from netferry.passes.layout.orders import between, is_identity
from netferry.passes.layout.solve import Layout, solve
from netferry.passes.lifting import has_graphs, lift
from netferry.passes.promotion import promote
from netferry.pivot.checker import require
from netferry.pivot.program import Program
from netferry.project import Project, load, of_text
from netferry.project.names import bound_names
from netferry.weights.build import build_map
from netferry.weights.map import WeightMap
from netferry.weights.places import places
from netferry.writer import HolePlace, Written, write

Progress = Callable[[str], None]


def _quiet(_: str) -> None:
    return None


@dataclass
class Reading:
    """A source that has been read: what it is, how it is built and called, and its pivot."""

    project: Project
    framework: str
    entry: str
    entry_reason: str
    call: str
    specs: list[InputSpec]
    input_reason: str
    observation: Observation
    program: Program
    timings: dict[str, float]
    original: Original | None = None
    """The live network that the source was written for, where it has none of its own."""

    @property
    def numbers(self) -> int:
        """How many trainable numbers the network has."""
        walker = frameworks.get(self.framework).reading()
        modules = walker.walk(self.observation.recording.network)
        found = {m.identity: math.prod(m.shape) for module in modules for m in module.members if m.trainable}
        return sum(found.values())


@dataclass
class Migration:
    """A finished migration; see ``netferry.migrate``."""

    reading: Reading
    to: str
    code: str
    written: Written
    layout: Layout
    weight_map: WeightMap
    diagnostics: list[Diagnostic]
    verification: Any = None
    timings: dict[str, float] = field(default_factory=dict)
    _modules: dict[Any, types.ModuleType] = field(default_factory=dict, repr=False)

    @property
    def pivot(self) -> Program:
        """The pivot program; ``str()`` of it is its text form."""
        return self.reading.program

    @property
    def status(self) -> int:
        """The exit status that this result stands for."""
        complete = not any(d.severity != "info" for d in self.diagnostics)
        verified = self.verification is not None and self.verification.passed
        return MIGRATED if complete and verified else INCOMPLETE

    @functools.cached_property
    def summary(self) -> dict[str, Any]:
        """What was found and translated, in numbers."""
        program = self.reading.program
        return {
            "source_framework": frameworks.get(self.reading.framework).title,
            "target_framework": frameworks.get(self.to).title,
            "entry": self.reading.call, "entry_reason": self.reading.entry_reason,
            "inputs": [str(s) for s in self.reading.specs], "input_reason": self.reading.input_reason,
            "classes": len(program.classes()), "calls": program.observed + program.assumed,
            "observed": program.observed, "assumed": program.assumed, "unsupported": sum(_kind(hole)[1] != "info" for hole in self.written.holes),
            "arrays": len(self.weight_map.entries), "numbers": self.reading.numbers,
        }  # fmt: skip

    def build(self, change: Callable[[str], ast.Module] = ast.parse) -> Any:
        """A new instance of the generated network; ``change`` may alter the code that is loaded."""
        if self.written.call.isidentifier():  # A network that loading the code makes: load it anew.
            self._modules.pop(change, None)
        module = self._load(change)
        return eval(module.__netferry_call__, module.__dict__)  # noqa: S307 - our own generated call

    def _load(self, change: Callable[[str], ast.Module]) -> types.ModuleType:
        """The generated code as a module, loaded once for every way of changing it."""
        if change not in self._modules:
            made = types.ModuleType(f"netferry_migrated_{id(self)}_{len(self._modules)}")
            sys.modules[made.__name__] = made  # dataclasses look their module up there
            try:
                exec(compile(change(self.code), "<migrated>", "exec"), made.__dict__)  # noqa: S102 - our own generated code
            except SystemExit as error:
                raise RuntimeError(f"loading the generated code ends the program with status {error.code}") from error
            exec("\n".join(self.written.call_imports), made.__dict__)  # noqa: S102 - our own generated imports
            statement = change(self.written.call).body[0]
            assert isinstance(statement, ast.Expr)
            made.__netferry_call__ = compile(ast.Expression(statement.value), "<call>", "eval")  # type: ignore[attr-defined]
            self._modules[change] = made
        return self._modules[change]

    def transfer(self, source: Any, target: Any) -> Any:
        """Copy every weight of a source instance into a target instance."""
        from netferry.weights.transfer import transfer

        return transfer(
            frameworks.get(self.reading.framework).runtime(reading=True), source, frameworks.get(self.to).runtime(), target,
            self.weight_map,
        )  # fmt: skip

    def save_weights(self, path: str | Path, checkpoint: str | Path | None = None) -> int:
        """Write the target's arrays, made from a checkpoint of the source or from what a whole network holds itself."""
        from netferry.weights.checkpoints import located, open_checkpoint, write_converted

        if checkpoint is not None:
            file = located(checkpoint)
            return write_converted(open_checkpoint(file), self.weight_map, Path(path), file.name)
        if self.reading.original is None:
            raise failure("NF060", "the source is code alone", hint="Name a checkpoint of it.")
        return write_converted(
            self.reading.original.weights(), self.weight_map, Path(path), self.reading.original.label
        )

    @functools.cached_property
    def input_orders(self) -> list[tuple[int, ...] | None]:
        """Per tensor input, the permutation from the source's axes to the target's (None: the same)."""
        return [_perm(self.layout, t) for t in self.reading.observation.recording.inputs]

    @functools.cached_property
    def output_orders(self) -> list[tuple[int, ...] | None]:
        """Per tensor output, likewise."""
        return [_perm(self.layout, t) for t in tensors(self.reading.observation.recording.outputs)]

    def convert_inputs(self, *arrays: Any) -> tuple[Any, ...]:
        """NumPy arrays in the source's layout -> in the target's."""
        return _converted(arrays, self.input_orders, back=False)

    def convert_outputs(self, *arrays: Any) -> tuple[Any, ...]:
        """NumPy arrays in the target's layout -> in the source's."""
        return _converted(arrays, self.output_orders, back=True)

    def verify(self) -> Any:
        """Compare both networks by running them; see ``netferry.verify``."""
        from netferry.verify.migration import verify_migration

        started = time.perf_counter()
        self.verification = verify_migration(self)
        self.timings["verify"] = time.perf_counter() - started
        return self.verification


def _perm(layout: Layout, tensor: Any) -> tuple[int, ...] | None:
    order = layout.order(tensor)
    return None if is_identity(order) else order


def _converted(arrays: Sequence[Any], orders: Sequence[tuple[int, ...] | None], *, back: bool) -> tuple[Any, ...]:
    made = []
    for index, array in enumerate(arrays):
        order = orders[index] if index < len(orders) else None
        if order is None:
            made.append(array)
            continue
        axes = tuple(order.index(a) for a in range(len(order))) if back else order
        made.append(array.transpose(axes))
    return tuple(made)


class _Clock:
    def __init__(self, progress: Progress) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress

    @contextmanager
    def stage(self, name: str, message: str) -> Iterator[None]:
        self._progress(message)
        started = time.perf_counter()
        try:
            with nullcontext() if name in _RUNNING else paused():
                yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


_RUNNING = ("guess", "observe")
"""The stages that run the network, whose arrays may lie in cycles."""


def read(
    source: Any, entry: str | None, call: str | None, inputs: Sequence[Any] | None, *, prelude: str = "",
    static: bool = False, progress: Progress = _quiet, tab: str = "",
) -> Reading:  # fmt: skip
    """Read a source into a pivot program."""
    clock = _Clock(progress)
    with clock.stage("project", "reading the source"):
        whole = opened(source)
        if whole is None:
            project = load(source, entry, tab=tab)
            framework = frameworks.detect(project)
        else:
            text, entry = whole.original.source()
            project = of_text(text, whole.original.label, entry, whole.original.folders)
            framework, call = whole.framework, f"{entry}()"
    frontend = frameworks.get(framework).reading()
    project.foreign = frontend.is_library
    project.adopt(frontend.network_libraries)
    with clock.stage("project", "finding the network"):
        found, reason, call = _entry(project, framework, call)
        reason = "read from the graph of its layers" if whole else reason
    specs = [s for s in input_specs(inputs) if s.name not in getattr(frontend, "mode_flags", ())]
    input_reason = "given"
    if inputs is None:
        with clock.stage("guess", "guessing the input"):
            specs, input_reason = frameworks.get(framework).guess(project, found, call)
    with clock.stage("observe", "running the network in shapes"):
        observation = observe(project, frontend, found, call, specs, prelude)
    with clock.stage("read", "reading the network"):
        program = Assembler(project, observation, frontend, prelude).run(found)
        require(program)
    original = whole.original if whole else None
    return Reading(
        project, framework, found, reason, call, specs, input_reason, observation, program, clock.seconds, original
    )


def _entry(project: Project, framework: str, call: str | None) -> tuple[str, str, str]:
    from netferry.project.candidates import guess_call, guess_entry

    if project.entry:
        supplied = frameworks.get(framework).supplied
        made = _as_defined(call, project) if call else guess_call(project.main, project.entry, supplied)
        return project.entry, "given", made
    if call:
        name = _called(call)
        return name, "given", call
    bases, base = frameworks.get(framework).bases()
    found = guess_entry(project, bases, base, frameworks.get(framework).supplied)
    project.main = found.file
    return found.name, found.reason, found.call


def _as_defined(call: str, project: Project) -> str:
    """The call with the entry's own name, where a path of the package that publishes it leads to it."""
    try:
        node = ast.parse(call, mode="eval").body
    except SyntaxError:
        return call
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != project.entry:
        return call
    if ast.unparse(node.func).partition(".")[0] in bound_names(project.main.tree.body):
        return call
    start = (ast.get_source_segment(call, node.func) or "").strip()
    return str(project.entry) + call.strip().removeprefix(start)


def _called(call: str) -> str:
    try:
        node: ast.AST = ast.parse(call, mode="eval").body
    except SyntaxError as error:
        raise failure("NF064", f"the call {call!r} is not Python: {error.msg}") from error
    while isinstance(node, ast.Call | ast.Attribute):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def migrate(
    source: Any, *, to: str, entry: str | None = None, call: str | None = None, inputs: Sequence[Any] | None = None,
    layout: str = "native", verify: bool = True, static: bool = False, prelude: str = "", progress: Progress = _quiet,
    tab: str = "",
) -> Migration:  # fmt: skip
    """Migrate a network's source code to another framework.

    Args:
        source: ``.py`` file, package folder, importable name or notebook; ``SOURCE:ENTRY`` names the network. Or a network
            without source: a file that holds a whole one (``.keras``), or a live model.
        to: ``torch``, ``tensorflow``, ``keras`` or ``flax``.
        entry: class or builder function; found when left out.
        call: expression that builds the network: ``"ResNet18(num_classes=10)"``.
        inputs: what the network is called with: ``"2x3x32x32"``, dicts, or NumPy arrays.
        layout: ``native`` uses the target's own axis order throughout, ``source`` keeps the interface.
        verify: compare both networks by running them.

    Raises:
        NetferryError: nothing could be migrated; the error says where, why and what to do.
    """
    frameworks.get(to)

    def attempt(given: Any) -> Migration:
        own = {"entry": entry, "call": call} if given is source else {}
        return _migrate(
            given, to, inputs=inputs, layout=layout, verify=verify, static=static, prelude=prelude, progress=progress,
            tab=tab, **own,
        )  # fmt: skip

    if static or not isinstance(source, str | Path):
        return attempt(source)

    def built() -> Whole | None:
        return built_network(source, entry, call, prelude, tab)

    return fallback.attempted(lambda: attempt(source), built, attempt, progress)


def built_network(source: str | Path, entry: str | None, call: str | None, prelude: str, tab: str) -> Whole | None:
    """The network that a source builds, where its graph can be read."""
    if opened(source) is not None:
        return None
    project = load(source, entry, tab=tab)
    framework = frameworks.get(frameworks.detect(project))
    whole, frontend = framework.whole(), framework.reading()
    if whole is None:
        return None
    project.foreign = frontend.is_library
    project.adopt(frontend.network_libraries)
    found, _, call = _entry(project, framework.name, call)
    with observed(project, frontend, found, call, prelude, real=True) as network:
        return Whole(whole.FRAMEWORK, whole.of_object(network, found)) if whole.is_graph(network) else None


def _migrate(
    source: Any, to: str, *, entry: str | None = None, call: str | None = None, inputs: Sequence[Any] | None, layout: str,
    verify: bool, static: bool, prelude: str, progress: Progress, tab: str,
) -> Migration:  # fmt: skip
    """Migrate a source as it is, or fail."""
    reading = read(source, entry, call, inputs, prelude=prelude, static=static, progress=progress, tab=tab)
    clock = _Clock(progress)
    with clock.stage("passes", "laying out axes"):
        native = between(frameworks.get(reading.framework).channels_last, frameworks.get(to).channels_last)
        leading = leading_reads(reading.program)
        found = solve(reading.observation.recording, keep_interface=layout == "source", leading=leading, native=native)
        program = reading.program.copy()
        overloads.settle(program)
        unused.drop(program)
        flattening.recognise(program)
        if frameworks.get(to).traced:
            caches.dissolve(program)
        program = apply_layout(program, found)
        compact.separate(program)
        if frameworks.get(to).explicit_sizes:
            sizes.fill(program, channels_last=frameworks.get(reading.framework).channels_last)
            unit_axes.simplify(program)
            fold_padding.fold(program)
            program = lift(program)
        else:
            sizes.settle(program, channels_last=frameworks.get(reading.framework).channels_last)
            program = lift(program) if has_graphs(program) else program
        promote(program, whole_to_real=frameworks.get(to).whole_to_real)
        ranges.mark(program)
    with clock.stage("write", "writing the target"):
        frontend, writing = frameworks.get(reading.framework).reading(), frameworks.get(to).writing()
        tracked = frontend.tracks(reading.observation.recording.network) and hasattr(writing, "places")
        recording = reading.observation.recording
        sites = {*recording.instantiated.values(), *recording.constructed.values()} if tracked else None
        written = write(program, writing, sites)
        given = _imported(prelude, written, frontend.is_library)
        written.call_imports.extend(given)
        if written.reporting is not None:
            written.reporting = ("\n".join([written.reporting[0], *given]), written.reporting[1])
    with clock.stage("weights", "mapping the weights"):
        placed = places(written, writing.places) if tracked else {}
        lazy = not frameworks.get(to).explicit_sizes
        weight_map = build_map(reading.observation, written, found, frontend, reading.framework, to, placed, lazy=lazy)
        if reading.original is not None:
            weight_map = reading.original.own_names(weight_map, recording.network)
    made = Migration(
        reading,
        to,
        written.code,
        written,
        found,
        weight_map,
        _notes(reading.program) + _diagnostics(written),
        timings=reading.timings | clock.seconds,
    )
    if verify:
        progress("verifying")
        made.diagnostics.extend(_verified(made))
    return made


def _imported(prelude: str, written: Written, is_library: Callable[[str], bool]) -> list[str]:
    """The imports of the prelude that the call of the written network needs too."""
    wanted = names_in(ast.parse(written.call)) - bound_names(ast.parse(written.code).body)
    found: list[str] = []
    for node in ast.parse(prelude).body:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        home = getattr(node, "module", None)
        kept = [a for a in node.names if (a.asname or a.name) in wanted and not is_library(home or a.name)]
        if kept:
            node.names = kept
            found.append(ast.unparse(node))
    return found


def _verified(migration: Migration) -> list[Diagnostic]:
    if any(h.reached for h in migration.written.holes):
        return []
    result = migration.verify()
    if result.passed:
        return []
    code = {"mismatch": "NF050", "unverified": "NF051"}.get(result.status, "NF052")
    return [
        Diagnostic(
            code, "error" if code != "NF051" else "warning", "", 0, 0, result.reason or "the networks differ", ""
        )
    ]


def _notes(program: Program) -> list[Diagnostic]:
    places = ((n, n.site) for n in program.notes)
    found = (Diagnostic(n.code, n.severity, s.file, s.line, s.column, n.message) for n, s in places)
    return list(dict.fromkeys(found))


def _diagnostics(written: Written) -> list[Diagnostic]:
    found: dict[tuple[str, int, str], Diagnostic] = {}
    for hole in written.holes:
        file, line = hole.file, hole.line
        code, severity = _kind(hole)
        made = Diagnostic(code, severity, file, line, hole.column, hole.reason, hole.hint)
        found.setdefault((file, line, hole.reason), made)
    return list(found.values())


def _kind(hole: HolePlace) -> tuple[str, Severity]:
    """The code and severity of a hole: one that the run did not reach is no error."""
    if hole.reached:
        return "NF030", "error"
    return (hole.code, "info") if hole.code else ("NF033", "warning")


def check(
    source: str | Path, *, to: str | None = None, entry: str | None = None, call: str | None = None,
    inputs: Sequence[Any] | None = None, static: bool = False, progress: Progress = _quiet,
) -> Checked:  # fmt: skip
    """Read only: what would migrate, what would not, and why."""
    if to is not None:
        made = migrate(
            source, to=to, entry=entry, call=call, inputs=inputs, static=static, verify=False, progress=progress
        )
        return Checked(made.summary, made.diagnostics)
    reading = read(source, entry, call, inputs, static=static, progress=progress)
    holes = [
        Diagnostic("NF030", "error", h.site.file, h.site.line, h.site.column, h.reason, h.hint)
        for h in reading.program.holes if h.site is not None
    ]  # fmt: skip
    program = reading.program
    summary = {
        "source_framework": frameworks.get(reading.framework).title, "entry": reading.call,
        "entry_reason": reading.entry_reason, "inputs": [str(s) for s in reading.specs], "input_reason": reading.input_reason,
        "classes": len(program.classes()), "calls": program.observed + program.assumed, "observed": program.observed,
        "assumed": program.assumed, "unsupported": len(holes),
    }  # fmt: skip
    return Checked(summary, holes)


@dataclass
class Checked:
    """What ``netferry.check`` found."""

    summary: dict[str, Any]
    diagnostics: list[Diagnostic]

    @property
    def status(self) -> int:
        """0 when everything would migrate."""
        return INCOMPLETE if self.diagnostics else MIGRATED


def inspect(
    source: str | Path, *, entry: str | None = None, call: str | None = None, inputs: Sequence[Any] | None = None,
    static: bool = False, progress: Progress = _quiet,
) -> Program:  # fmt: skip
    """The pivot program of a source."""
    return read(source, entry, call, inputs, static=static, progress=progress).program


__all__ = ["FAILED", "Checked", "Migration", "NetferryError", "check", "inspect", "migrate", "read"]
