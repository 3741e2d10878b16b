"""Packages that a file imports and nobody installed: a network that uses nothing of them needs none."""

from __future__ import annotations

import ast
from typing import Any, NoReturn

MAKER = "__netferry_absent__"


class _Absent(type):
    """What stands for a name of such a package: everything below it is absent too."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return absent(cls._package, f"{cls.__name__}.{name}")

    def __call__(cls, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise ModuleNotFoundError(f"No module named {cls._package!r}, which {cls.__name__} is from", name=cls._package)


def absent(package: str, path: str) -> _Absent:
    """A stand-in for ``path`` of a package that is not installed; calling it raises ModuleNotFoundError."""
    return _Absent(path, (), {"_package": package})


def without(tree: ast.Module, missing: str | None) -> ast.Module | None:
    """The tree with stand-ins where it imports the package ``missing`` at its top level; None where it does not."""
    if not missing:
        return None
    package = missing.partition(".")[0]
    body = [_replaced(s, package) if imports(s, package) else [s] for s in tree.body]
    if all(len(made) == 1 and made[0] is s for made, s in zip(body, tree.body, strict=True)):
        return None
    return ast.Module([s for made in body for s in made], tree.type_ignores)


def imports(statement: ast.stmt, package: str) -> bool:
    """Whether a statement imports a package, or something of it."""
    match statement:
        case ast.Import(names=aliases):
            return any(_root(alias.name) == package for alias in aliases)
        case ast.ImportFrom(module=str(module), level=0):
            return _root(module) == package
    return False


def _root(path: str) -> str:
    return path.partition(".")[0]


def _replaced(statement: Any, package: str) -> list[ast.stmt]:
    others = [a for a in statement.names if isinstance(statement, ast.Import) and _root(a.name) != package]
    gone = [a for a in statement.names if a not in others and a.name != "*"]
    made: list[ast.stmt] = [ast.copy_location(ast.Import(others), statement)] if others else []
    for alias in gone:
        plain = alias.name if alias.asname or isinstance(statement, ast.ImportFrom) else package
        call = ast.Call(ast.Name(MAKER, ast.Load()), [ast.Constant(package), ast.Constant(plain)], [])
        made.append(ast.Assign([ast.Name(alias.asname or plain, ast.Store())], call))
    return [ast.fix_missing_locations(ast.copy_location(s, statement)) for s in made] or [ast.Pass()]
