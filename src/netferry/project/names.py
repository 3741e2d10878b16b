"""Which names a piece of Python binds, and which it takes from the module around it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator

from netferry.walking import children, walk

Function = ast.FunctionDef | ast.AsyncFunctionDef
Children = Callable[[ast.AST], Iterable[ast.AST]]
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SCOPED = (
    *_COMPREHENSIONS, ast.Name, ast.AugAssign, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef,
)  # fmt: skip
"""What reads names by rules of its own."""
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def bound_names(statements: Iterable[ast.stmt]) -> set[str]:
    """The names that running ``statements`` binds in their own scope."""
    found: set[str] = set()
    for node in _own_nodes(statements):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                found.update(alias.asname or alias.name.split(".")[0] for alias in aliases if alias.name != "*")
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                found.add(name)
            case ast.MatchMapping(rest=str(name)):
                found.add(name)
    return found


def _own_nodes(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The nodes below that belong to the same scope (walrus targets inside comprehensions do too)."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, _COMPREHENSIONS):
            waiting.extend(n.target for n in walk(node) if isinstance(n, ast.NamedExpr))
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            waiting.extend(node.decorator_list)
        elif not isinstance(node, ast.Lambda):
            waiting.extend(children(node))


def free_names(node: ast.AST, parts: Children = children) -> set[str]:
    """The names that ``node`` reads from outside itself when it is run or, for functions, called.

    ``parts`` gives those of a node, where a tree has more of them than its fields.
    """
    return _Free(parts).of(node)


class _Free:
    """Scoping as Python does it: class bodies see names but do not lend them to their methods."""

    def __init__(self, parts: Children) -> None:
        self._children = parts

    def of(self, node: ast.AST) -> set[str]:
        if not isinstance(node, _SCOPED):
            return self._all(self._children(node))
        match node:
            case ast.Name(id=name, ctx=ast.Load() | ast.Del()):
                return {name}
            case ast.AugAssign(target=ast.Name(id=name), value=value):
                return {name} | self.of(value)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return self._function(node)
            case ast.Lambda(args=arguments, body=body):
                inner = self.of(body) - _parameters(arguments) - bound_names_of_expression(body)
                return self._all(_defaults(arguments)) | inner
            case ast.ClassDef():
                return self._class(node)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                return self._comprehension(node)
        return self._all(self._children(node))

    def _all(self, nodes: Iterable[ast.AST]) -> set[str]:
        found: set[str] = set()
        for node in nodes:
            found |= self.of(node)
        return found

    def _function(self, node: Function) -> set[str]:
        outside = [*node.decorator_list, *_defaults(node.args), *_annotations(node.args)]
        if node.returns:
            outside.append(node.returns)
        shared = _declared_global(node)
        local = (bound_names(node.body) | _parameters(node.args)) - shared
        return self._all(outside) | (self._all(node.body) - local) | shared

    def _class(self, node: ast.ClassDef) -> set[str]:
        outside = self._all([*node.decorator_list, *node.bases, *node.keywords])
        own = bound_names(node.body)
        inside: set[str] = set()
        for statement in node.body:
            read = self.of(statement)
            deferred = isinstance(statement, Function) or _is_rebinding(statement)
            inside |= read if deferred else read - own
        return outside | inside

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> set[str]:
        local = bound_names_of_expression(*(g.target for g in node.generators))
        return self._all(self._children(node)) - local


def _is_rebinding(statement: ast.stmt) -> bool:
    """``x = x`` in a class body reads the outer ``x``."""
    if not isinstance(statement, ast.Assign):
        return False
    targets = {n.id for t in statement.targets for n in walk(t) if isinstance(n, ast.Name)}
    return bool(targets & {n.id for n in walk(statement.value) if isinstance(n, ast.Name)})


def bound_names_of_expression(*nodes: ast.expr) -> set[str]:
    """The names stored inside expressions: comprehension and assignment targets."""
    return {n.id for node in nodes for n in walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _parameters(arguments: ast.arguments) -> set[str]:
    return {a.arg for a in _arguments(arguments)}


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    extra = [a for a in (arguments.vararg, arguments.kwarg) if a]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra]


def _annotations(arguments: ast.arguments) -> list[ast.expr]:
    return [a.annotation for a in _arguments(arguments) if a.annotation]


def _defaults(arguments: ast.arguments) -> list[ast.expr]:
    return [*arguments.defaults, *(d for d in arguments.kw_defaults if d)]


def _declared_global(node: Function) -> set[str]:
    return {name for n in _own_nodes(node.body) if isinstance(n, ast.Global) for name in n.names}


def root_name(node: ast.expr) -> str:
    """The name an attribute or subscript chain starts from: ``a`` of ``a.b[0].c``; empty when it is no name."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def dotted(node: ast.expr) -> str:
    """The text of a chain of names, ``a.b.c``; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def imported_packages(tree: ast.AST) -> set[str]:
    """The top-level packages that a file imports anywhere, which tell its framework."""
    found: set[str] = set()
    for node in walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.split(".")[0])
    return found
