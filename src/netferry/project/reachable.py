"""The definitions that an entry needs: by name within a file, and across the project's own files."""

from __future__ import annotations

import ast
import builtins
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from netferry.project.files import SourceFile
from netferry.project.names import bound_names, dotted, free_names, root_name
from netferry.walking import walk

if TYPE_CHECKING:
    from netferry.project import Project

_BUILTINS: Final = frozenset(dir(builtins)) | {"__file__", "__name__", "__doc__"}
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_MUTATORS: Final = frozenset(
    ["append", "extend", "insert", "add", "update", "setdefault", "register", "add_argument", "set_defaults"]
)


def is_main_guard(statement: ast.stmt) -> bool:
    """Whether it is ``if __name__ == "__main__":``."""
    return isinstance(statement, ast.If) and any(
        isinstance(n, ast.Name) and n.id == "__name__" for n in walk(statement.test)
    )


@dataclass
class Index:
    """What each top-level statement of a file binds, reads and changes."""

    tree: ast.Module

    @cached_property
    def statements(self) -> list[ast.stmt]:
        """The top-level statements that may belong to a network: all but the main guard."""
        return [s for s in self.tree.body if not is_main_guard(s)]

    @cached_property
    def binders(self) -> Mapping[str, list[int]]:
        """Name -> the statements that bind it, in order."""
        found: dict[str, list[int]] = {}
        for index, statement in enumerate(self.statements):
            for name in bound_names([statement]):
                found.setdefault(name, []).append(index)
        return found

    @cached_property
    def stars(self) -> list[int]:
        """The statements that import ``*``."""
        return [i for i, s in enumerate(self.statements) if is_star(s)]

    @cached_property
    def always(self) -> list[int]:
        """What every excerpt keeps: the docstring and ``from __future__`` imports."""
        imports = ((i, s) for i, s in enumerate(self.statements) if isinstance(s, ast.ImportFrom))
        future = [i for i, s in imports if s.module == "__future__"]
        has_docstring = ast.get_docstring(self.tree, clean=False) is not None
        return [0, *future] if has_docstring else future

    @cached_property
    def changers(self) -> Mapping[str, list[int]]:
        """Name -> the statements that change the object bound to it without binding it."""
        found: dict[str, list[int]] = {}
        for index, statement in enumerate(self.statements):
            for name in set(_changed(statement)):
                found.setdefault(name, []).append(index)
        return found

    @cached_property
    def read(self) -> Mapping[int, set[str]]:
        """Statement -> the names that it reads, now or when called later."""
        return {i: free_names(s) for i, s in enumerate(self.statements)}

    def binding(self, name: str, before: float = math.inf) -> list[int]:
        """The statements to keep for ``name`` where it is read ``before`` one: the last definition, or every assignment."""
        every = self.binders.get(name, [])
        found = [i for i in every if i < before] or every
        plain = all(isinstance(self.statements[i], _DEFINITIONS) for i in found)
        overloaded = any(name in self.read[i] for i in found[-1:])
        return found[-1:] if plain and not overloaded else found

    def moment(self, position: int) -> float:
        """Before which statement names are bound that a statement reads: what is called later reads them later."""
        later = any(isinstance(n, (*_DEFINITIONS, ast.Lambda)) for n in walk(self.statements[position]))
        return math.inf if later else position


def is_star(statement: ast.stmt) -> bool:
    """Whether it is ``from ... import *``."""
    return isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*"


def _changed(statement: ast.stmt) -> Iterator[str]:
    """The names whose objects a statement changes: ``a.b = x``, ``a[0] = x``, ``a.append(x)``, ``@a.add(...)``."""
    match statement:
        case ast.Assign(targets=targets):
            yield from (root_name(t) for t in targets if isinstance(t, ast.Attribute | ast.Subscript))
        case ast.AugAssign(target=ast.Attribute() | ast.Subscript() as target):
            yield root_name(target)
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=attr, value=value))) if attr in _MUTATORS:
            yield root_name(value)
        case ast.FunctionDef(decorator_list=decorators):
            yield from (a.id for d in decorators if isinstance(d, ast.Call) for a in d.args if isinstance(a, ast.Name))


def _is_imported(index: Index, name: str) -> bool:
    return all(isinstance(index.statements[i], ast.Import | ast.ImportFrom) for i in index.binders.get(name, ()))


def reach(index: Index, names: Iterable[str], given: Collection[str] = ()) -> tuple[list[int], set[str]]:
    """The statements that ``names`` need, transitively and in order, and the names that nothing binds."""
    kept: set[int] = set(index.always)
    unresolved: set[str] = set()
    seen: dict[str, float] = dict.fromkeys(given, math.inf)
    waiting = [(n, math.inf) for n in [*names, *(n for i in kept for n in index.read[i])]]
    while waiting:
        name, before = waiting.pop()
        if seen.get(name, -1.0) >= before:
            continue
        seen[name] = before
        found = index.binding(name, before)
        if not found and name not in _BUILTINS:
            unresolved.add(name)
        changing = [] if _is_imported(index, name) else [i for i in index.changers.get(name, []) if i < before]
        for position in {*found, *changing} - kept:
            kept.add(position)
            moment = index.moment(position)
            waiting.extend((n, moment) for n in index.read[position])
    if unresolved:
        kept.update(index.stars)
    return sorted(kept), unresolved


def definitions(file: SourceFile, names: str | Iterable[str], given: Collection[str] = ()) -> list[ast.stmt]:
    """The top-level statements of ``file`` that ``names`` reach, in order; names in ``given`` come from elsewhere.

    Running them defines the names without the training, downloading or command-line parsing around them.
    """
    index = Index(file.tree)
    kept, _ = reach(index, [names] if isinstance(names, str) else names, given)
    return [index.statements[i] for i in kept]


@dataclass
class Reached:
    """What an entry needs of one file."""

    file: SourceFile
    statements: list[ast.stmt]
    names: set[str] = field(default_factory=set)


def closure(project: Project, names: Iterable[str], given: Collection[str] = ()) -> list[Reached]:
    """What ``names`` of the main file need, file by file, imported files before their importers."""
    return _Closure(project, given).run(set(names))


class _Closure:
    """Follows imports of the project's own modules with exactly the names that are needed."""

    def __init__(self, project: Project, given: Collection[str]) -> None:
        self._project = project
        self._given = given
        self._wanted: dict[str, set[str]] = {}
        self._found: dict[str, Reached] = {}

    def run(self, names: set[str]) -> list[Reached]:
        main = self._project.main.module
        self._wanted[main] = names
        waiting = [main]
        while waiting:
            module = waiting.pop()
            waiting.extend(self._visit(module))
        return self._ordered(main)

    def _visit(self, module: str) -> set[str]:
        """Collect one file; the modules from which more is wanted now."""
        file = self._project.file(module)
        index = Index(file.tree)
        given = self._given if module == self._project.main.module else ()
        kept, unresolved = reach(index, self._wanted[module], given)
        statements = [index.statements[i] for i in kept]
        self._found[module] = Reached(file, statements, self._wanted[module])
        more = set[str]()
        for target, wanted in imported(self._project, file, statements, self._wanted[module], unresolved):
            known = self._wanted.setdefault(target, set())
            if target not in self._found or wanted - known:
                more.add(target)
            known |= wanted
        return more

    def _ordered(self, main: str) -> list[Reached]:
        done: dict[str, Reached] = {}

        def visit(module: str) -> None:
            if module in done or module in active:
                return
            active.add(module)
            reached = self._found[module]
            for target, _ in imported(self._project, reached.file, reached.statements, reached.names):
                visit(target)
            done[module] = reached

        active: set[str] = set()
        visit(main)
        return list(done.values())


def imported(
    project: Project,
    file: SourceFile,
    statements: Iterable[ast.stmt],
    exports: Collection[str],
    unresolved: Collection[str] = (),
) -> Iterator[tuple[str, set[str]]]:
    """The project's own modules that ``statements`` import, with the names they (or ``exports``) take from each."""
    nodes = [n for s in statements for n in walk(s)]
    used = {n.id for n in nodes if isinstance(n, ast.Name)} | set(exports)
    for node in nodes:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        aliases = [a for a in node.names if (a.asname or a.name.split(".")[0]) in used or a.name == "*"]
        for alias in aliases:
            origin = alias.name if isinstance(node, ast.Import) else file.absolute(node)
            submodule = origin if isinstance(node, ast.Import) else f"{origin}.{alias.name}"
            if alias.name == "*" and project.owns(origin):
                yield origin, set(unresolved) & exported(project, origin)
            elif project.owns(submodule) and (isinstance(node, ast.Import) or project.submodule(origin, alias.name)):
                yield submodule, _attributes(nodes, alias.asname or alias.name)
            elif project.owns(origin):
                yield origin, {alias.name}


def exported(project: Project, module: str) -> set[str]:
    """Every name that ``from module import *`` can bring (private ones included)."""
    if module in project.star:
        return project.star[module]
    file = project.file(module)
    names = project.star[module] = bound_names(file.tree.body)  # Modules may import each other.
    for statement in file.tree.body:
        if is_star(statement) and isinstance(statement, ast.ImportFrom):
            target = file.absolute(statement)
            if project.owns(target):
                names |= exported(project, target)
    return names


def _attributes(nodes: Iterable[ast.AST], prefix: str) -> set[str]:
    """The names read off a module: ``x`` of ``prefix.x``."""
    return {n.attr for n in nodes if isinstance(n, ast.Attribute) and dotted(n.value) == prefix}


def resolve(project: Project, file: SourceFile, name: str) -> SourceFile | None:
    """The file of the project that defines ``name``, following re-exports; None when nothing does."""
    for statement in reversed(file.tree.body):
        if is_star(statement) and isinstance(statement, ast.ImportFrom):
            module = file.absolute(statement)
            found = project.owns(module) and resolve(project, project.file(module), name)
            if found:
                return found
        elif name in bound_names([statement]):
            return _followed(project, file, statement, name)
    return None


def _followed(project: Project, file: SourceFile, statement: ast.stmt, name: str) -> SourceFile | None:
    if not isinstance(statement, ast.ImportFrom):
        return file
    module = file.absolute(statement)
    origin = next((a.name for a in statement.names if (a.asname or a.name) == name), name)
    if not project.owns(module) or origin != name or project.submodule(module, origin):
        return file
    return resolve(project, project.file(module), name) or file
