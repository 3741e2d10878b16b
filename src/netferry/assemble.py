"""Collects the definitions that the entry needs, reading each as it is reached."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

from netferry.conventions import Conventions, Counts
from netferry.extending import add_constructor
from netferry.naming import Naming, Owner, Rename, parts
from netferry.observe.run import NETWORK, Observation
from netferry.owned import state
from netferry.pivot.nodes import LayerAttribute
from netferry.pivot.program import Definition, Import, Program
from netferry.pivot.render import Text, remember
from netferry.project import Project, SourceFile
from netferry.project.names import bound_names, dotted, free_names
from netferry.project.reachable import Index, exported, is_star
from netferry.reader import Reader, local_names
from netferry.walking import Transformer, walk

_SKIPPED = {"__future__"}
_INTERPRETER = re.compile(r"#!|#.*?coding[:=]")


@dataclass
class _Module:
    """One source file while its definitions are collected."""

    file: SourceFile
    index: Index
    reader: Reader
    aliases: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name in this file -> (module, name) of the project's own definition; name "" for a module."""


class Assembler:
    """Follows names from the construction call through the project."""

    def __init__(self, project: Project, observation: Observation, conventions: Conventions, prelude: str = "") -> None:
        self.prelude = ast.parse(prelude).body
        self.project = project
        self.observation = observation
        self.conventions = conventions
        self.counts = Counts()
        self.modules: dict[str, _Module] = {}
        self.found: dict[tuple[str, int], Definition] = {}
        self.naming = Naming()
        self.imports: dict[tuple[Owner, str], Import] = {}
        self.given: dict[tuple[str, str], set[str]] = {}
        """Class of the user's -> the parameters that are passed to it anywhere."""
        self.wanted: set[tuple[str, str]] = set()

    def run(self, entry: str) -> Program:
        """The whole program."""
        main = self.project.main.module
        site = self.observation.call
        self._module(main)
        reader = self._reader(main)
        text = Text(f"{NETWORK} = {site.text}")
        remember(site.tree, text)
        call = reader.visit(site.expression)
        call = _Qualified(self.project, self._module(main)).expression(call)
        for name in sorted(_free(call)):
            self._want(main, name)
        for definition in self.found.values():
            if isinstance(definition.node, ast.ClassDef):
                add_constructor(definition.node, self.given.get((definition.module, definition.node.name), ()))
        self.naming.settle(main, self._merge())
        definitions = [self._renamed(d) for d in self._ordered()]
        for definition in definitions:
            definition.node = _ResolveAttributes(self.counts.made).visit(definition.node)
        imports = [replace(i, alias=self.naming.final.get(o, i.alias)) for (o, _), i in self.imports.items()]
        program = Program(
            self.conventions.name, self._entry(), definitions, imports, self.counts.holes,
            self.observation.recording, self.counts.observed, self.counts.assumed, docstring=self._docstring(),
        )  # fmt: skip
        program.construction = Rename(self.naming.changes(main)).expression(call)
        program.names = {f"{m}.{name}": final for (_, m, name), final in self.naming.final.items()}
        program.notes = self.counts.notes
        recording = self.observation.recording
        program.state = state(recording, self.conventions.walk(recording.network))
        program.width = _width(self.project.main)
        return program

    def _entry(self) -> str:
        """The network's class as it is called in the output."""
        network = type(self.observation.recording.network)
        return self.naming.final.get(("", network.__module__, network.__name__), network.__name__)

    def _renamed(self, definition: Definition) -> Definition:
        changes = self.naming.changes(definition.module)
        if not changes:
            return definition
        node = Rename(changes).visit(definition.node)
        assert isinstance(node, ast.stmt)
        return replace(definition, names=tuple(bound_names([node])), node=node)

    def _merge(self) -> dict[Owner, Owner]:
        """Drop helpers that several files have alike; those with framework calls stay, for they are used differently."""
        same: dict[Owner, Owner] = {}
        kept: dict[tuple[Any, ...], Owner] = {}
        for key, definition in list(self.found.items()):
            if not isinstance(definition.node, ast.FunctionDef) or self._observed(definition.node):
                continue
            module, name = definition.module, definition.node.name
            owners = {self.naming.owners.get((module, n)) for n in _free(definition.node) - {name}}
            identity = (ast.dump(definition.node), frozenset(same.get(o, o) for o in owners if o))
            owner: Owner = ("", module, name)
            if identity not in kept:
                kept[identity] = owner
            elif len(self.modules[module].index.binding(name)) == 1:
                same[owner] = kept[identity]
                del self.found[key]
        return same

    def _observed(self, tree: ast.AST) -> bool:
        events = self.observation.recording.by_node
        return any(getattr(n, "nf_id", -1) in events for n in walk(tree))

    def _note_indirect(self, file: SourceFile) -> None:
        """What variables that hold classes or functions were seen to call: for the places that the run did not reach."""
        recording = self.observation.recording
        for node in walk(file.tree):
            callees = recording.callees.get(getattr(node, "nf_id", -1)) if isinstance(node, ast.Call) else None
            if not callees or not isinstance(node, ast.Call):
                continue
            self._note_given(node, callees)
            free = [c for c in callees if getattr(c, "__self__", None) is None and not self.conventions.is_module(c)]
            paths = tuple(dict.fromkeys(self.conventions.path(c) for c in free))
            if any(paths):
                text = ast.unparse(node.func)
                known = self.counts.indirect.get(text, ())
                self.counts.indirect[text] = tuple(dict.fromkeys((*known, *paths)))

    def _note_given(self, node: ast.Call, callees: Iterable[Any]) -> None:
        """What the user's classes are constructed with, by the names of the parameters that they inherit."""
        called = node.args[0] if node.args and functools.partial in callees else None
        values = self.observation.recording.values
        kinds = values.get(getattr(called, "nf_id", -1), ()) if called is not None else callees
        for kind in kinds:
            while isinstance(kind, functools.partial):
                kind = kind.func
            if isinstance(kind, type) and self.conventions.path(kind) is None:
                names = list(inspect.signature(kind.__init__).parameters)[1:]  # type: ignore[misc]
                positional = len(node.args) - (called is not None)
                found = self.given.setdefault((kind.__module__, kind.__qualname__), set())
                found.update(names[:positional], (k.arg for k in node.keywords if k.arg))

    def _docstring(self) -> str:
        """What the main file begins with: comments (a licence) and its docstring."""
        file = self.project.main
        first = file.tree.body[0] if file.tree.body else None
        if first is None:
            return ""
        segments = ["\n".join(_header(file, first))]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            segments.append(ast.get_source_segment(file.text, first) or "")
        return "\n".join(s for s in segments if s)

    def _module(self, name: str) -> _Module:
        if name not in self.modules:
            file = self.project.file(name)
            remember(file.tree, Text(file.text))
            made = _Module(file, Index(file.tree), self._reader(name))
            self.modules[name] = made
            made.aliases = self._aliases(file, made.index)
            self._note_indirect(file)
        return self.modules[name]

    def _reader(self, name: str) -> Reader:
        if name in self.modules:
            return self.modules[name].reader
        loaded = self.observation.modules.get(name)
        namespace: Mapping[str, Any] = vars(loaded) if loaded is not None else {}
        file, owns = self.project.file(name), self.project.owns
        return Reader(self.conventions, self.observation.recording, file, namespace, self.counts, owns)

    def _aliases(self, file: SourceFile, index: Index) -> dict[str, tuple[str, str]]:
        found: dict[str, tuple[str, str]] = {}
        for statement in (n for s in index.statements for n in walk(s)):
            if isinstance(statement, ast.ImportFrom):
                origin = file.absolute(statement)
                for alias in statement.names:
                    local = alias.asname or alias.name
                    if self.project.submodule(origin, alias.name):
                        found[local] = (f"{origin}.{alias.name}", "")
                    elif self.project.owns(origin) and alias.name != "*":
                        found[local] = (origin, alias.name)
                    elif alias.name == "*" and self.project.owns(origin):
                        for name in exported(self.project, origin):
                            found.setdefault(name, (origin, name))
            elif isinstance(statement, ast.Import):
                for alias in statement.names:
                    if self.project.owns(alias.name):
                        found[alias.asname or alias.name.split(".")[0]] = (
                            alias.name if alias.asname else alias.name.split(".")[0],
                            "",
                        )
        return found | self._held_modules(file, index)

    def _held_modules(self, file: SourceFile, index: Index) -> dict[str, tuple[str, str]]:
        """Names that are assigned a module of the project: ``this = sys.modules[__name__]``."""
        loaded = self.observation.modules.get(file.module)
        held = {name: vars(loaded).get(name) for name in index.binders} if loaded is not None else {}
        modules = {name: value.__name__ for name, value in held.items() if isinstance(value, ModuleType)}
        assigned = (n for n in modules if all(isinstance(index.statements[i], ast.Assign) for i in index.binders[n]))
        return {name: (modules[name], "") for name in assigned if self.project.owns(modules[name])}

    def _want(self, module: str, name: str) -> Owner | None:
        """Collect the definition of ``name`` as seen in ``module``, with all it needs, and tell its owner."""
        owners = self.naming.owners
        if (module, name) in owners:
            return owners[module, name]
        if (module, name) in self.wanted:
            return None
        self.wanted.add((module, name))
        here = self._module(module)
        if module == self.project.main.module and self._given(name):
            return owners.get((module, name))
        statements = [(p, here.index.statements[p]) for p in here.index.binding(name)]
        imports = [s for _, s in statements if isinstance(s, ast.Import | ast.ImportFrom)]
        if name in here.aliases and (imports or not statements):
            target, original = here.aliases[name]
            owner = self._want(target, original) if original else None
            if owner is not None:
                owners[module, name] = owner
            return owner
        if statements and len(imports) < len(statements):
            owners[module, name] = ("", module, name)
        for position, statement in statements:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                self._import(here.file, statement, name)
            else:
                self._define(module, here, position, statement)
        for position in here.index.changers.get(name, ()):
            if not imports:
                self._define(module, here, position, here.index.statements[position])
        return owners.get((module, name))

    def _given(self, name: str) -> bool:
        """Take a name from the prelude, which replaces what the file says of it."""
        main = self.project.main
        for position, statement in enumerate(self.prelude):
            if name in bound_names([statement]):
                key = (main.module, position - len(self.prelude))
                if isinstance(statement, ast.Import | ast.ImportFrom):
                    self._import(main, statement, name)
                elif key not in self.found:
                    self.naming.owners[main.module, name] = ("", main.module, name)
                    self.found[key] = Definition(tuple(bound_names([statement])), statement, main.module)
                    for needed in sorted(_free(statement)):
                        self._want(main.module, needed)
                return True
        return False

    def _import(self, file: SourceFile, statement: ast.Import | ast.ImportFrom, name: str) -> None:
        for alias in statement.names:
            local = alias.asname or alias.name.split(".")[0]
            if local != name:
                continue
            origin = alias.name if isinstance(statement, ast.Import) else file.absolute(statement)
            if origin.split(".")[0] in self.conventions.libraries or origin in _SKIPPED:
                continue
            taken = "" if isinstance(statement, ast.Import) else alias.name
            whole = (
                isinstance(statement, ast.Import) and not alias.asname
            )  # ``import a.b`` and ``import a`` bind ``a``.
            owner: Owner = ("import", local if whole else f"{origin}:{taken}", local)
            self.naming.owners.setdefault((file.module, name), owner)
            self.imports.setdefault((owner, origin), Import(origin, taken, local))

    def _define(self, module: str, here: _Module, position: int, statement: ast.stmt) -> None:
        if (module, position) in self.found or is_star(statement):
            return
        lead, tail = _lead(here.file, statement), _tail(here.file, statement)
        self.found[module, position] = Definition((), statement, module, lead, tail)
        made = here.reader.visit(statement)
        made = made[0] if isinstance(made, list) and made else made
        if not isinstance(made, ast.stmt):
            del self.found[module, position]
            return
        made = _Qualified(self.project, here).visit(made)
        self.found[module, position] = Definition(tuple(bound_names([made])), made, module, lead, tail)
        for name in sorted(_free(made)):
            self._want(module, name)

    def _ordered(self) -> list[Definition]:
        """Imported files before their importers, and each file's definitions in its own order."""
        done: list[str] = []

        def visit(module: str) -> None:
            if module in active:
                return
            active.add(module)
            for target, _ in self.modules[module].aliases.values():
                if target in self.modules:
                    visit(target)
            done.append(module)

        active: set[str] = set()
        visit(self.project.main.module)
        for module in self.modules:
            visit(module)
        rank = {m: i for i, m in enumerate(done)}
        return [self.found[k] for k in sorted(self.found, key=lambda k: (rank[k[0]], k[1]))]


class _Qualified(Transformer):
    """Definitions of the project's modules by name alone: ``blocks.Block`` becomes ``Block``, for they share a file."""

    def __init__(self, project: Project, here: _Module) -> None:
        self.project = project
        self.here = here
        self.local: list[frozenset[str]] = []

    def expression(self, node: ast.expr) -> ast.expr:
        """One expression."""
        made: ast.expr = self.visit(node)
        return made

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> ast.AST:
        self.local.append(local_names(node))
        self.generic_visit(node)
        self.local.pop()
        return node

    visit_FunctionDef = _function  # noqa: N815
    visit_AsyncFunctionDef = _function  # noqa: N815
    visit_Lambda = _function  # noqa: N815

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        found = self._found(node) if isinstance(node.ctx, ast.Load) else None
        if found is None:
            return self.generic_visit(node)
        target, name = found
        local = name
        known = self.here.aliases.get(local)
        if known != (target, name) and (known or self.here.index.binding(local) or self._is_local(local)):
            local = f"{target.rpartition('.')[2]}_{name}"
        self.here.aliases[local] = (target, name)
        return ast.copy_location(ast.Name(local, ast.Load()), node)

    def _is_local(self, name: str) -> bool:
        return any(name in names for names in self.local)

    def _found(self, node: ast.Attribute) -> tuple[str, str] | None:
        """The module and the name there that a dotted name means; None when it is something else."""
        first, *parts = dotted(node).split(".")
        target, original = self.here.aliases.get(first, ("", ""))
        if not first or not target or original or self._is_local(first):
            return None
        while parts and self.project.owns(f"{target}.{parts[0]}"):
            target = f"{target}.{parts.pop(0)}"
        return (target, parts[0]) if len(parts) == 1 else None


class _ResolveAttributes(Transformer):
    """Parameters of layers that the run did not reach: by what the attribute of that name holds elsewhere."""

    def __init__(self, made: Mapping[str, set[str]]) -> None:
        self.made = made

    def visit_LayerAttribute(self, node: LayerAttribute) -> ast.AST:
        self.generic_visit(node)
        if node.ops:
            return node
        owner = node.owner
        key = owner.attr if isinstance(owner, ast.Attribute) else ""
        node.ops = tuple(sorted(self.made.get(key, ())))
        if node.ops:
            return node
        return ast.copy_location(ast.Attribute(owner, node.name, ast.Load()), node)


def _free(node: ast.AST) -> set[str]:
    """Names that a definition reads from outside."""
    return free_names(node, parts)


def _width(file: SourceFile) -> int:
    """The line length that a file's code keeps to: 88, 100 or 120."""
    lengths = sorted(len(line) for line in file.lines if not line.lstrip().startswith("#") and "http" not in line)
    longest = lengths[int(len(lengths) * 0.99)] if lengths else 0
    return next((w for w in (88, 100) if longest <= w), 120)


def _lead(file: SourceFile, statement: ast.stmt) -> str:
    """The comment lines between a top-level statement and the one before it, headings of sections among them."""
    above = _above(file, statement)
    if statement is file.tree.body[0]:
        above = above[len(_header(file, statement)) :]
    while above and not above[0].strip():
        above.pop(0)
    return "".join(line + "\n" for line in above)


def _tail(file: SourceFile, statement: ast.stmt) -> str:
    """The comments behind a top-level statement's last one: on its line, and on indented lines below."""
    end = statement.end_lineno or statement.lineno
    rest = file.lines[end - 1].encode()[statement.end_col_offset or 0 :].decode()
    found = ["  " + rest.strip() if rest.strip().startswith("#") else ""]
    for line in file.lines[end:]:
        if line.strip() and not (line[0].isspace() and line.strip().startswith("#")):
            break
        found.append(line)
    while len(found) > 1 and not found[-1].strip():
        found.pop()
    return "\n".join(found)


def _above(file: SourceFile, statement: ast.stmt) -> list[str]:
    """The comments and blank lines above a top-level statement, without what only concerns the interpreter."""
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(d.lineno for d in decorators)])
    ends = [s.end_lineno or s.lineno for s in file.tree.body if s.lineno < first]
    lines = file.lines[max(ends, default=0) : first - 1]
    return [line for line in lines if (not line.strip() or line.startswith("#")) and not _INTERPRETER.match(line)]


def _header(file: SourceFile, first: ast.stmt) -> list[str]:
    """The comments that a file begins with: all above an import or a docstring, those set apart above anything else."""
    above = _above(file, first)
    if not isinstance(first, ast.Import | ast.ImportFrom | ast.Expr):
        blank = max((i for i, line in enumerate(above) if not line.strip()), default=-1)
        above = above[: blank + 1]
    while above and not above[-1].strip():
        above.pop()
    return above
