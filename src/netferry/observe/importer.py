"""Loads a project's modules in instrumented form."""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from netferry.observe import absent
from netferry.observe.instrument import RECORDER, instrument
from netferry.ops.carried import mark, recognised

if TYPE_CHECKING:
    from netferry.observe.recorder import Recorder
    from netferry.project import Project, SourceFile


_EMPTY = "__netferry_empty__"
"""Set in packages whose ``__init__`` was left out."""


class _Loader(importlib.abc.Loader):
    """Executes the instrumented tree; a module that cannot be loaded twice falls back to the one loaded before."""

    def __init__(
        self, project: Project, recorder: Recorder, fallback: types.ModuleType | None, failed: set[str]
    ) -> None:
        self._project = project
        self._recorder = recorder
        self._fallback = fallback
        self._failed = failed

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        file = self._project.file(module.__name__)
        try:
            execute(file, file.tree, module, self._recorder)
        except Exception:
            if self._fallback is None:
                raise
            self._failed.add(module.__name__)
            sys.modules[module.__name__] = self._fallback


class _Tolerant(importlib.machinery.SourceFileLoader):
    """Executes a module as it stands, where need be without the packages that nobody installed."""

    def exec_module(self, module: types.ModuleType) -> None:
        try:
            super().exec_module(module)
        except ModuleNotFoundError as error:
            tree = ast.parse(self.get_data(self.path), self.path)
            module.__dict__[absent.MAKER] = absent.absent
            _execute_without(tree, error, self.path, module)


def _execute_without(tree: ast.Module, error: ModuleNotFoundError, path: str, module: types.ModuleType) -> None:
    """Run ``tree`` as ``module`` with stand-ins for the package that was missing, and for each that is missing then."""
    fewer = absent.without(tree, error.name)
    if fewer is None:
        raise error
    try:
        exec(compile(fewer, path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - the user's own code
    except ModuleNotFoundError as another:
        _execute_without(fewer, another, path, module)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules that belong to the project."""

    def __init__(
        self, project: Project, recorder: Recorder, before: dict[str, types.ModuleType], watched: Collection[str]
    ) -> None:
        self._project = project
        self._recorder = recorder
        self._before = before
        self._watched = watched
        self.failed: set[str] = set()
        """The modules that could not be loaded twice."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not self._project.owns(name):
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path)
        if found is None or not isinstance(found.loader, importlib.machinery.SourceFileLoader):
            return None
        if name not in self._watched:
            found.loader = _Tolerant(name, found.loader.path)
            return found
        found.loader = _Loader(self._project, self._recorder, self._before.get(name), self.failed)
        return found


def execute(file: SourceFile, tree: ast.Module, module: types.ModuleType, recorder: Recorder) -> None:
    """Run the instrumented ``tree`` of ``file`` as ``module``."""
    module.__dict__.update({RECORDER: recorder, absent.MAKER: absent.absent})
    module.__file__ = str(file.path)
    known = recognised(file.tree, recorder.probe.name)
    made = instrument(tree, {name: mark(name, path) for name, path in known.items()})
    code = compile(made, str(file.path), "exec", dont_inherit=True)
    try:
        exec(code, module.__dict__)  # noqa: S102 - running the user's code is the observation
    except ModuleNotFoundError as error:
        fewer = absent.without(tree, error.name)
        if fewer is None:
            raise
        execute(file, fewer, module, recorder)


@contextmanager
def loading(
    project: Project, recorder: Recorder, watched: Collection[str], *, whole: bool = False
) -> Iterator[set[str]]:
    """While active, the ``watched`` modules of the project are loaded instrumented; ``whole`` loads all others anew too.

    Gives the modules that could not be loaded twice. What was loaded before is put back afterwards.
    """
    before = {n: m for n, m in sys.modules.items() if n in watched or (whole and project.owns(n))}
    for name, module in before.items():
        del sys.modules[name]
        _unbind(name, module)
    finder = _Finder(project, recorder, before, watched)
    sys.meta_path.insert(0, finder)
    paths = [str(p) for p in project.roots if str(p) not in sys.path]
    sys.path[:0] = paths
    try:
        yield finder.failed
    finally:
        sys.meta_path.remove(finder)
        for path in paths:
            sys.path.remove(path)
        for name in [n for n, m in sys.modules.items() if _EMPTY in getattr(m, "__dict__", ())]:
            del sys.modules[name]
        sys.modules.update(before)
        for name, module in before.items():
            _bind(name, module)


def _unbind(name: str, module: types.ModuleType) -> None:
    """Let ``from package import module`` import it anew, rather than find what the package remembers."""
    package, _, short = name.rpartition(".")
    parent = sys.modules.get(package)
    if parent is not None and vars(parent).get(short) is module:
        delattr(parent, short)


def _bind(name: str, module: types.ModuleType) -> None:
    package, _, short = name.rpartition(".")
    if package in sys.modules:
        setattr(sys.modules[package], short, module)


def _imported(file: SourceFile) -> types.ModuleType:
    """A module of a package; where the package itself cannot be loaded, without what its ``__init__`` does."""
    try:
        return importlib.import_module(file.module)
    except Exception:
        names = file.package.split(".")
        folders = [file.path.parents[len(names) - 1 - depth] for depth in range(len(names))]
        for depth, folder in enumerate(folders):
            _stand_in(".".join(names[: depth + 1]), str(folder))
        try:
            return importlib.import_module(file.module)
        except Exception:  # noqa: BLE001 - the first reason is the user's
            pass
        raise


def _stand_in(name: str, folder: str) -> None:
    """A package that was not loaded, as one whose ``__init__`` is empty."""
    if name in sys.modules:
        return
    package = types.ModuleType(name)
    package.__path__ = [folder]
    package.__dict__[_EMPTY] = True
    sys.modules[name] = package
    _bind(name, package)


def load_main(
    project: Project, tree: ast.Module, recorder: Recorder, prepare: Callable[[Any], None]
) -> types.ModuleType:
    """The main module: whole when it is part of a package, else reduced to ``tree`` (what the entry reaches)."""
    file = project.main
    if file.package and project.owns(file.package):
        module = _imported(file)
        if RECORDER in module.__dict__:
            prepare(module)
            return module
    module = types.ModuleType(file.module)
    module.__package__ = file.package
    sys.modules[file.module] = module
    prepare(module)
    execute(file, tree, module, recorder)
    return module
