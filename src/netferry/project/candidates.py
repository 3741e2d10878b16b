"""Which class or function of a file is the network to migrate, and how it is built: guesses with their reasons."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from netferry.diagnostics import failure
from netferry.project import Project
from netferry.project.files import SourceFile
from netferry.project.names import Function, dotted, free_names
from netferry.project.reachable import Index, is_main_guard, resolve
from netferry.walking import Transformer, walk

_SHOWN: Final = 12


@dataclass(frozen=True)
class Candidate:
    """A class that looks like a network, a function that builds one, or a variable that holds one."""

    name: str
    node: ast.ClassDef | Function | ast.Assign
    file: SourceFile
    used_by: tuple[str, ...] = ()

    @property
    def is_class(self) -> bool:
        """Whether it is a class, not a builder."""
        return isinstance(self.node, ast.ClassDef)


@dataclass(frozen=True)
class Entry:
    """What to migrate, and how that was found."""

    name: str
    call: str
    file: SourceFile
    reason: str = ""


def import_paths(tree: ast.AST) -> dict[str, str]:
    """Local name -> dotted path of what it was imported from."""
    found: dict[str, str] = {}
    for node in walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                found[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def network_classes(project: Project, file: SourceFile, bases: Collection[str]) -> dict[str, ast.ClassDef]:
    """The top-level classes of ``file`` that derive, directly or not, from one of ``bases`` (dotted paths)."""
    return _Classes(project, bases).of(file)


class _Classes:
    """Resolves base classes by name, through imports and the project's other files."""

    def __init__(self, project: Project, bases: Collection[str]) -> None:
        self._project = project
        self._bases = frozenset(bases)
        self._paths: dict[str, dict[str, str]] = {}

    def of(self, file: SourceFile) -> dict[str, ast.ClassDef]:
        classes = {s.name: s for s in _top_level(file.tree) if isinstance(s, ast.ClassDef)}
        return {name: node for name, node in classes.items() if self._derives(file, node, set())}

    def _derives(self, file: SourceFile, node: ast.ClassDef, seen: set[tuple[str, str]]) -> bool:
        if (file.module, node.name) in seen:
            return False
        seen.add((file.module, node.name))
        return any(self._is_network(file, dotted(base), seen) for base in node.bases)

    def _is_network(self, file: SourceFile, name: str, seen: set[tuple[str, str]]) -> bool:
        first, _, rest = name.partition(".")
        paths = self._paths.setdefault(file.module, import_paths(file.tree))
        if ".".join(filter(None, (paths.get(first, first), rest))) in self._bases:
            return True
        origin = None if rest else resolve(self._project, file, name)
        if origin is None:
            return False
        found = (s for s in _top_level(origin.tree) if isinstance(s, ast.ClassDef) and s.name == name)
        return any(self._derives(origin, node, seen) for node in found)


def _top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """Top-level statements, those inside ``if`` and ``try`` too."""
    waiting = list(tree.body)
    while waiting:
        statement = waiting.pop(0)
        yield statement
        if isinstance(statement, ast.If | ast.Try) and not is_main_guard(statement):
            waiting[:0] = [n for n in ast.iter_child_nodes(statement) if isinstance(n, ast.stmt)]


def candidates(project: Project, file: SourceFile, bases: Collection[str]) -> list[Candidate]:
    """The network classes of ``file`` and the functions that build them, with who uses each."""
    classes: dict[str, ast.ClassDef | Function] = dict(network_classes(project, file, bases))
    functions = {s.name: s for s in _top_level(file.tree) if isinstance(s, Function) and not is_trial(s.name)}
    stock = {name for name, path in import_paths(file.tree).items() if path in bases}
    builders = _builders(functions, set(classes) | stock | _dotted_bases(file, bases))
    nodes = classes | builders
    users = {name: free_names(node) for name, node in nodes.items()}
    return [
        Candidate(name, node, file, tuple(u for u, read in users.items() if name in read and u != name))
        for name, node in nodes.items()
    ]


def _variables(file: SourceFile, bases: Collection[str]) -> list[Candidate]:
    """The top-level names that hold a network built in place: ``net = Sequential(...)``."""
    paths = import_paths(file.tree)
    found: dict[str, Candidate] = {}
    for statement in _top_level(file.tree):
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=func)):
                first, _, rest = dotted(func).partition(".")
                if ".".join(filter(None, (paths.get(first, first), rest))) in bases:
                    found[name] = Candidate(name, statement, file)
    return list(found.values())


def is_trial(name: str) -> bool:
    """Whether a function of that name runs or tries a network instead of building one."""
    return name.startswith(("test", "train", "run", "eval", "demo", "example")) or name in {"main", "fit", "_test"}


def _builders(functions: Mapping[str, Function], made: set[str]) -> dict[str, ast.ClassDef | Function]:
    """Functions that return what a class in ``made``, or another builder, makes."""
    found: dict[str, ast.ClassDef | Function] = {}
    while True:
        known = made | set(found)
        more = {name: node for name, node in functions.items() if name not in found and _returns(node, known)}
        if not more:
            return found
        found |= more


def _returns(node: Function, made: Collection[str]) -> bool:
    """Whether a ``return`` gives a call of ``made``, at once or through a local name."""
    calls = {
        target.id
        for n in walk(node)
        if isinstance(n, ast.Assign) and _makes(n.value, made)
        for target in n.targets
        if isinstance(target, ast.Name)
    }
    returned = (n.value for n in walk(node) if isinstance(n, ast.Return) and n.value)
    return any(_makes(value, made) or (isinstance(value, ast.Name) and value.id in calls) for value in returned)


def _makes(value: ast.expr, made: Collection[str]) -> bool:
    """Whether the value is a call of one of ``made``, or hands it on as the class to build (``_make(Net, ...)``)."""
    if not isinstance(value, ast.Call):
        return False
    given = [value.func, *value.args]
    return dotted(value.func) in made or any(isinstance(n, ast.Name) and n.id in made for n in given)


def _dotted_bases(file: SourceFile, bases: Collection[str]) -> set[str]:
    """How a file may spell the base classes through what it imports: ``nn.Sequential``."""
    return {
        f"{alias}{base[len(path):]}" for alias, path in import_paths(file.tree).items() for base in bases
        if base.startswith(f"{path}.")
    }  # fmt: skip


def guess_entry(
    project: Project, bases: Collection[str], base: str, supplied: Mapping[str, str] = MappingProxyType({})
) -> Entry:
    """The network of the project and how to build it; ``base`` is what its classes are called in the reason.

    Raises NF010 without any, NF011 with several, NF014 when its constructor needs arguments nobody shows.
    """
    if project.entry:
        return Entry(project.entry, guess_call(project.main, project.entry, supplied), project.main, "given")
    found = candidates(project, project.main, bases)
    found = found or _variables(project.main, bases)
    if not found and project.main.is_package:
        found = [c for module in project.modules() for c in candidates(project, project.file(module), bases)]
    if not found:
        raise failure("NF010", f"no class of {project.main.path.name} derives from {base}", file=project.main.path)
    chosen, reason = _choose(found, base)
    return Entry(chosen.name, guess_call(chosen.file, chosen.name, supplied), chosen.file, reason)


def _choose(found: list[Candidate], base: str) -> tuple[Candidate, str]:
    """The first rule that leaves exactly one candidate decides."""
    unused = [c for c in found if not c.used_by]
    classes = [c for c in found if c.is_class and not any(u.is_class for u in found if u.name in c.used_by)]
    shown = [c for c in found if _shown_calls(c.file, c.name)]
    buildable = [c for c in classes if not required(c.node)]
    rules: Iterable[tuple[list[Candidate], str]] = (
        (found, f"the only {base}"),
        (unused, f"the only {base} nobody else uses"),
        ([c for c in unused if c in shown], "the only one that the file itself runs"),
        (shown, "the only one that the file itself runs"),
        (buildable, f"the only {base} nobody else uses that needs no arguments"),
    )
    for left, reason in rules:
        if len(left) == 1:
            return left[0], reason
    several = unused or found
    names = ", ".join(c.name for c in several[:_SHOWN]) + (", ..." if len(several) > _SHOWN else "")
    first = several[0]
    place = first.file.diagnostic("NF011", first.node, f"which one to migrate? There are {names}")
    hint = f"Choose one of them, for example {first.file.path.name}:{first.name}."
    raise failure("NF011", place.message, file=place.file, line=place.line, text=place.text, hint=hint)


def required(node: ast.ClassDef | Function | ast.Assign) -> list[str]:
    """The parameters that a call must give (those of ``__init__`` for a class, as far as it shows one)."""
    function = node
    if isinstance(node, ast.ClassDef):
        found = [s for s in node.body if isinstance(s, Function) and s.name == "__init__"]
        if not found:
            return _fields(node)
        function = found[0]
    if not isinstance(function, Function):
        return []
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    names = [a.arg for a in plain[: len(plain) - len(arguments.defaults)]]
    names += [a.arg for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is None]
    return names[1:] if isinstance(node, ast.ClassDef) else names


def _fields(node: ast.ClassDef) -> list[str]:
    """The annotated fields without a default of a class in the dataclass style."""
    return [
        s.target.id
        for s in node.body
        if isinstance(s, ast.AnnAssign) and s.value is None and isinstance(s.target, ast.Name)
    ]


def guess_call(file: SourceFile, name: str, supplied: Mapping[str, str] = MappingProxyType({})) -> str:
    """The expression that gives the network: as the file itself builds it, else ``name`` without arguments but ``supplied``.

    Raises NF014 when arguments are needed and the file shows none that can be used.
    """
    found = (s for s in _top_level(file.tree) if isinstance(s, ast.ClassDef | Function) and s.name == name)
    node = next(found, None)
    if node is None and name in Index(file.tree).binders:
        return name  # A variable that holds the network.
    needed = required(node) if node is not None else []
    shown = _shown_calls(file, name)
    if shown:
        return shown[0]
    if all(n in supplied for n in needed):
        return f"{name}({', '.join(f'{n}={supplied[n]}' for n in needed)})"
    needed = [n for n in needed if n not in supplied]
    message = f"{name} needs {', '.join(needed)}, and the file shows no call with plain values"
    raise file.error("NF014", node, message, hint=f'Say how to build it: --call "{name}({needed[0]}=...)".')


def _shown_calls(file: SourceFile, name: str) -> list[str]:
    """Calls of ``name`` where the file runs it, as expressions that hold at module level."""
    index = Index(file.tree)
    available = set(index.binders)
    found = []
    for scope in trial_scopes(file.tree):
        constants = local_constants(scope)
        for node in sorted(_calls(scope, name), key=lambda n: (n.lineno, n.col_offset)):
            call = substitute(node, constants)
            if free_names(call) <= available | set(_SAFE_BUILTINS):
                found.append(ast.unparse(call))
    return found


_SAFE_BUILTINS: Final = ("int", "float", "tuple", "list", "dict", "range", "len", "str", "bool")


def _calls(scope: list[ast.stmt], name: str) -> Iterator[ast.Call]:
    for statement in scope:
        for node in walk(statement):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield node


def trial_scopes(tree: ast.Module) -> list[list[ast.stmt]]:
    """Where a file tries its network out: the main guard, test and main functions, plain top-level statements."""
    guards = [s.body for s in tree.body if is_main_guard(s) and isinstance(s, ast.If)]
    functions = [s.body for s in tree.body if isinstance(s, Function) and is_trial(s.name)]
    plain = [s for s in tree.body if not isinstance(s, Function | ast.ClassDef) and not is_main_guard(s)]
    return [*guards, *functions, plain]


def local_constants(scope: list[ast.stmt]) -> dict[str, ast.expr]:
    """The names that a scope assigns exactly once, to a literal."""
    assigned: dict[str, list[ast.expr]] = {}
    for node in (n for s in scope for n in walk(s)):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            _note(node.targets[0], node.value, assigned)
    return {name: values[0] for name, values in assigned.items() if len(values) == 1 and is_plain(values[0])}


def _note(target: ast.expr, value: ast.expr, assigned: dict[str, list[ast.expr]]) -> None:
    if isinstance(target, ast.Name):
        assigned.setdefault(target.id, []).append(value)
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for inner, part in zip(target.elts, value.elts, strict=True):
            _note(inner, part, assigned)


def is_plain(node: ast.expr) -> bool:
    """Whether an expression is made of literals and arithmetic alone."""
    allowed = (ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop)
    return all(isinstance(n, (*allowed, ast.expr_context)) for n in walk(node))


def substitute(node: ast.expr, values: Mapping[str, ast.expr]) -> ast.expr:
    """A copy of an expression with names replaced by the values they hold."""

    class Substitution(Transformer):
        def visit_Name(self, name: ast.Name) -> ast.expr:
            return values.get(name.id, name)

    copy = ast.parse(ast.unparse(node), mode="eval").body
    changed = Substitution().visit(copy)
    assert isinstance(changed, ast.expr)
    return changed
