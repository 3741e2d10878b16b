"""The table of all ops: registration, look-up by name and by a framework's path."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import replace

from netferry.ops import jax_forms
from netferry.ops.core import OpDef, Spelling, Support

_ops: dict[str, OpDef] = {}
_supports: dict[str, Support] = {}
_by_path: dict[str, list[tuple[OpDef, Spelling]]] = {}
_extensions: list[tuple[str, str, Spelling]] = []
_loaded = False

_NOT_FAMILIES = {
    "core",
    "registry",
    "binding",
    "lowering",
    "layouts",
    "shared",
    "table",
    "carried",
    "jax_forms",
    "jax_names",
}


def register(op: OpDef) -> OpDef:
    """Add ``op`` to the vocabulary; raises ValueError for a name or spelling that cannot be right."""
    if op.name in _ops:
        raise ValueError(f"op {op.name!r} is declared twice")
    for spellings in op.spellings.values():
        for spelling in spellings:
            _check(op, spelling)
    _ops[op.name] = op
    for spellings in op.spellings.values():
        for spelling in spellings:
            if spelling.read and spelling.path:
                _by_path.setdefault(spelling.path, []).append((op, spelling))
    return op


def extend(name: str, framework: str, spelling: Spelling) -> None:
    """Give an op that another file declares one more spelling, once all are declared."""
    _extensions.append((name, framework, spelling))


def _extended() -> None:
    for name, framework, spelling in _extensions:
        op = _ops[name]
        _check(op, spelling)
        spellings = {**op.spellings, framework: [*op.spellings.get(framework, ()), spelling]}
        _ops[name] = replace(op, spellings=spellings)
        _by_path.setdefault(spelling.path, []).append((_ops[name], spelling))


def register_support(support: Support) -> Support:
    """Add a definition that generated files may carry."""
    if support.name in _supports:
        raise ValueError(f"support {support.name!r} is declared twice")
    _supports[support.name] = support
    return support


def _check(op: OpDef, spelling: Spelling) -> None:
    known = set(op.parsed.names)
    for signature in (spelling.parsed, spelling.parsed_call):
        for name in signature.names:
            conversion = spelling.conversion(name)
            if conversion is not None and conversion.attribute not in known:
                raise ValueError(f"{op.name}: {spelling.path} has an argument {name!r} that maps to nothing")


def get(name: str) -> OpDef:
    """The op of that name; raises KeyError."""
    _load()
    return _ops[name]


def support(name: str) -> Support:
    """The support definition of that name; raises KeyError."""
    _load()
    return _supports[name]


def supports() -> Iterator[Support]:
    """Every definition that generated files may carry."""
    _load()
    yield from _supports.values()


def carried_path(framework: str, name: str) -> str:
    """The path under which the op is found that a framework's files write with a definition of that name."""
    return f"{framework}:{name}"


def find(path: str) -> list[tuple[OpDef, Spelling]]:
    """All readable (op, spelling) pairs written as ``path`` in its framework."""
    _load()
    return _by_path.get(path, [])


def all_ops() -> Iterator[OpDef]:
    """Every op, in order of registration (family by family)."""
    _load()
    yield from _ops.values()


def paths(framework: str) -> Iterator[tuple[str, OpDef, Spelling]]:
    """Every readable spelling of a framework."""
    for op in all_ops():
        for spelling in op.spellings.get(framework, ()):
            if spelling.read and spelling.path:
                yield spelling.path, op, spelling


def _load() -> None:
    global _loaded
    if _loaded:
        return
    _loaded = True
    package = importlib.import_module("netferry.ops")
    for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
        if module not in _NOT_FAMILIES:
            importlib.import_module(f"netferry.ops.{module}")
    _extended()
    derived = jax_forms.complete_all(_ops, _supports)
    for path, found in _by_path.items():
        _by_path[path] = [(_ops[op.name], spelling) for op, spelling in found]
    for name, spelling in derived:
        if spelling.read and spelling.path:
            _by_path.setdefault(spelling.path, []).append((_ops[name], spelling))
    for op in _ops.values():
        for framework, spellings in op.spellings.items():
            for spelling in spellings:
                if spelling.write and spelling.support == spelling.path and spelling.path and not spelling.template:
                    _by_path.setdefault(carried_path(framework, spelling.path), []).append((op, spelling))
