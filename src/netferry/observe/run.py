"""Observes a project: loads it instrumented, builds the network, calls it on abstract inputs."""

from __future__ import annotations

import ast
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from netferry.diagnostics import NetferryError, failure
from netferry.inputs import InputSpec
from netferry.observe import absent
from netferry.observe.importer import execute, load_main, loading
from netferry.observe.recorder import Probe, Recorder, Recording
from netferry.pivot.facts import Tensor
from netferry.project import Project, closure, definitions
from netferry.project.files import SourceFile, number_nodes
from netferry.project.names import bound_names
from netferry.walking import walk

NETWORK = "__netferry_network__"
_FIRST_CALL_ID = 1 << 40


class Frontend(Probe, Protocol):
    """What running a source framework's code takes."""

    def abstract(self, *, real: bool) -> AbstractContextManager[None]:
        """Run in shapes only."""

    def inside_containers(self, recorder: Recorder) -> AbstractContextManager[None]:
        """Report layers that containers call."""

    def arguments(self, specs: Sequence[InputSpec]) -> tuple[list[Any], dict[str, Any]]:
        """The network's arguments as tensors."""

    def defining_modules(self, network: Any) -> set[str]:
        """The Python modules that define the classes of a network's parts."""

    def seen(self, network: Any) -> tuple[Any, Any, Any] | None:
        """The inputs and outputs of a network that was already applied while it was built; None otherwise.

        The last are the inputs of the networks in it, which were applied to these before.
        """

    def set_training(self, network: Any, training: bool) -> None:
        """Switch a network between training and inference."""

    def initial(self, namespace: dict[str, Any], prelude: str) -> None:
        """Names that ``prelude`` defines."""

    def shaped(self, run: Callable[[], None]) -> None:
        """Do what builds and calls a network, where shapes alone need a function to be computed in."""

    def call(self, network: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Call a network in the mode that was set."""


@dataclass
class CallSite:
    """The expression that builds the network, as a file of its own."""

    text: str
    tree: ast.Module
    expression: ast.expr


@dataclass
class Observation:
    """A finished run."""

    recording: Recording
    modules: dict[str, types.ModuleType]
    call: CallSite
    real: bool = False
    notes: list[str] = field(default_factory=list)


def call_site(text: str) -> CallSite:
    """Parse a construction call."""
    try:
        tree = ast.parse(f"{NETWORK} = {text}")
    except SyntaxError as error:
        raise failure("NF064", f"the call {text!r} is not Python: {error.msg}") from error
    number_nodes(tree, _FIRST_CALL_ID)
    statement = tree.body[0]
    assert isinstance(statement, ast.Assign)
    return CallSite(text, tree, statement.value)


def names_in(tree: ast.AST) -> set[str]:
    """Every name read in a tree."""
    return {n.id for n in walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


_NOT_LOADED = "NF022"


def observe(
    project: Project, frontend: Frontend, entry: str, call: str, specs: Sequence[InputSpec], prelude: str = "",
) -> Observation:  # fmt: skip
    """Run the network once; with real numbers where shapes alone do not do.

    Raises:
        NetferryError: the source cannot be loaded, or the constructor or forward pass raises.
    """
    watched = _reached(project, entry, call, prelude)
    first: NetferryError | None = None
    for real in (False, True):
        try:
            found = _observe(project, frontend, entry, call, specs, prelude, watched, real=real)
            missed = {m for m in frontend.defining_modules(found.recording.network) if project.owns(m)} - watched
            if missed:  # Classes that no name leads to, as from a registry.
                found = _observe(project, frontend, entry, call, specs, prelude, watched | missed, real=real)
            return found
        except NetferryError as error:
            if first is not None:  # A module that cannot be loaded twice hides why it had to be.
                raise (first if error.diagnostic.code == _NOT_LOADED else error) from None
            first = error
    raise AssertionError("unreachable")


def _reached(project: Project, entry: str, call: str, prelude: str) -> set[str]:
    """The modules that names lead to from the entry: those to watch."""
    names = {entry.split(".")[0]} | names_in(call_site(call).tree)
    given = bound_names(ast.parse(prelude).body)
    return {project.main.module} | {r.file.module for r in closure(project, names, given)}


def _observe(
    project: Project, frontend: Frontend, entry: str, call: str, specs: Sequence[InputSpec], prelude: str,
    watched: set[str], *, real: bool, whole: bool = False,
) -> Observation:  # fmt: skip
    recorder = Recorder(frontend)
    site = call_site(call)
    with (
        frontend.abstract(real=real),
        frontend.inside_containers(recorder),
        loading(project, recorder, watched, whole=whole) as failed,
    ):
        module = _load(project, frontend, _wanted(entry, site), recorder, prelude)

        def run() -> None:
            network = _construct(project, frontend, recorder, module, site)
            recorder.recording.network = network
            if whole or not failed:
                _forward(project, frontend, recorder, network, specs)

        frontend.shaped(run)
        modules = {n: m for n, m in sys.modules.items() if project.owns(n)} | {project.main.module: module}
    if failed and not whole:  # Registries in modules that are not watched know the names already.
        return _observe(project, frontend, entry, call, specs, prelude, watched, real=real, whole=True)
    recorder.active = False
    return Observation(recorder.recording, modules, site, real)


@contextmanager
def built(
    project: Project, frontend: Frontend, entry: str, call: str, prelude: str = "", *, real: bool = False
) -> Iterator[Any]:
    """The network, built but not yet called and not recorded; to be used inside the context."""
    recorder = Recorder(frontend)
    recorder.active = False
    site = call_site(call)
    with frontend.abstract(real=real), loading(project, recorder, {project.main.module}):
        module = _load(project, frontend, _wanted(entry, site), recorder, prelude)
        yield _construct(project, frontend, recorder, module, site)


def _wanted(entry: str, site: CallSite) -> set[str]:
    """The names of the main module that building the network needs."""
    return {entry.split(".")[0]} | names_in(site.tree)


def _construct(
    project: Project, frontend: Frontend, recorder: Recorder, module: types.ModuleType, site: CallSite
) -> Any:
    """The network, built in the main module."""
    try:
        execute(project.main, site.tree, module, recorder)
    except Exception as error:
        raise _raised("NF020", f"building {site.text} raises", project, error) from error
    return module.__dict__[NETWORK]


def _load(
    project: Project, frontend: Frontend, wanted: Iterable[str], recorder: Recorder, prelude: str
) -> types.ModuleType:
    given = bound_names(ast.parse(prelude).body)
    tree = ast.Module(definitions(project.main, wanted, given), [])
    recorder.recording.plain = compile(tree, str(project.main.path), "exec", dont_inherit=True)
    command_line = sys.argv
    sys.argv = [str(project.main.path)]  # Definitions that read options shall see none, not those of netferry.
    try:
        return load_main(project, tree, recorder, lambda module: frontend.initial(module.__dict__, prelude))
    except NetferryError:
        raise
    except SystemExit as error:
        raise _raised(_NOT_LOADED, "loading the definitions ends the program:", project, error) from error
    except Exception as error:
        raise _raised(_NOT_LOADED, "loading the definitions raises", project, error) from error
    finally:
        sys.argv = command_line


def _forward(
    project: Project, frontend: Frontend, recorder: Recorder, network: Any, specs: Sequence[InputSpec]
) -> None:
    args, kwargs = frontend.arguments(specs)
    recording = recorder.recording
    applied = frontend.seen(network)
    if applied is not None:
        recording.inputs, recording.outputs = list(_flatten(recorder.facts(applied[0]))), recorder.facts(applied[1])
        recording.inner = list(_flatten(recorder.facts(applied[2])))
        return
    recording.inputs = list(_flatten(recorder.facts([args, kwargs])))
    frontend.set_training(network, False)
    try:
        recording.outputs = recorder.facts(frontend.call(network, args, kwargs))
    except Exception as error:
        raise _raised("NF021", "calling the network raises", project, error) from error
    kept = (recording.outputs, recording.inputs)
    frontend.set_training(network, True)
    try:  # What only training reaches is worth seeing, but must not fail the migration: tiny batches may not allow it.
        frontend.call(network, args, kwargs)
    except Exception:  # noqa: BLE001
        recording.failure = None
    recording.outputs, recording.inputs = kept
    frontend.set_training(network, False)


def _flatten(value: Any) -> Iterable[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _flatten(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _flatten(item)


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def _reason(error: BaseException) -> str:
    """The first line of an error's message that says why; some frameworks put a frame of their own around it."""
    lines = [line.strip() for line in _COLOUR.sub("", str(error)).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("Exception encountered when calling")]
    return next(iter(said), "")


def _raised(code: str, what: str, project: Project, error: BaseException) -> NetferryError:
    """The error of the user's code with the innermost place in the project's own files."""
    place = None
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        for file in project.files:
            if str(file.path) == name:
                place = (file, trace.tb_lineno)
        trace = trace.tb_next
    imported = _importing(project, error)
    if imported is not None:
        code, what, place = _NOT_LOADED, "loading the definitions raises", imported
    message = f"{what} {type(error).__name__}: {_reason(error)}".rstrip(": ")
    hint = f"Install {error.name}, or remove its import." if isinstance(error, ModuleNotFoundError) else ""
    if place is None:
        return failure(code, message, file=project.main.path, hint=hint)
    label, line = place[0].place(place[1])
    text = place[0].lines[place[1] - 1] if place[1] <= len(place[0].lines) else ""
    return failure(code, message, file=label, line=line, text=text, hint=hint)


def _importing(project: Project, error: BaseException) -> tuple[SourceFile, int] | None:
    """The file and line that import a package which is missing, where its absence shows only when it is used."""
    missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
    for file in project.files if missing else ():
        found = next((s for s in file.tree.body if absent.imports(s, str(missing))), None)
        if found is not None:
            return file, found.lineno
    return None
