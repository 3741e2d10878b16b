"""What each framework does its own way: conventions, never single ops."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path

from netferry.pivot.nodes import Op

Legalisation = Callable[[Op, str], ast.expr]

_PACKAGES = {"tensorflow": "keras"}
"""Frameworks that share the conventions of another."""

DTYPE_PREFIXES = {"torch": "torch", "tensorflow": "tf", "flax": "jax.numpy"}
"""Where the type objects are of a framework that has them; the others use plain names."""


FUNCTIONS_ARE_LAYERS = frozenset({"flax"})
"""Frameworks in which any function may stand where a layer does, so that functions have no classes."""


@functools.cache
def legalisations(framework: str) -> Mapping[str, Legalisation]:
    """Op name -> rewrite into what ``framework`` can spell, from the ``legalise*`` modules of its package."""
    return _tables(framework, "LEGALISATIONS")


@functools.cache
def references(framework: str) -> Mapping[str, Legalisation]:
    """Op name -> the layer whose class is handed around in its place; the op given has what its places say."""
    return _tables(framework, "REFERENCES")


def _tables(framework: str, attribute: str) -> Mapping[str, Legalisation]:
    name = f"{__name__}.{_PACKAGES.get(framework, framework)}"
    found: dict[str, Legalisation] = {}
    if importlib.util.find_spec(name) is None:
        return found
    package = importlib.import_module(name)
    for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
        if module.startswith("legalise"):
            table = getattr(importlib.import_module(f"{name}.{module}"), attribute, {})
            if twice := found.keys() & table.keys():
                raise ValueError(f"{framework} legalises {', '.join(sorted(twice))} twice")
            found.update(table)
    return found


def targets() -> list[str]:
    """The frameworks that code can be written for: those with a ``writing`` module, and those that share it."""
    own = {writing.parent.name for folder in __path__ for writing in Path(folder).glob("*/writing.py")}
    return sorted(own | {name for name, shared in _PACKAGES.items() if shared in own})
