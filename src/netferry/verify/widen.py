"""Making float64 of every float32 that code asks for by name, so that it can be compared in float64."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netferry.walking import walk

_NARROW, _WIDE = "float32", "float64"
_ARRAYS = "numpy"


def widened(code: str, filename: str = "<widened>") -> ast.Module:
    """The module with every ``tf.float32`` and ``"float32"`` made wide; lines stay where they are.

    What NumPy computes stays as it is: the source computes the same constants with the same calls.

    >>> ast.unparse(widened('y = tf.cast(x, tf.float32)'))
    'y = tf.cast(x, tf.float64)'
    >>> ast.unparse(widened('import numpy as np\\ny = f(np.arange(3, dtype="float32"), "float32")').body[1])
    "y = f(np.arange(3, dtype='float32'), 'float64')"
    """
    tree = ast.parse(code, filename)
    return _widened(tree, {id(n) for found in _of_numpy(tree) for n in walk(found)})


def wholly_widened(code: str, filename: str = "<widened>") -> ast.Module:
    """The same with NumPy's float32 made wide too, for frameworks that do not mix float32 with float64."""
    return _widened(ast.parse(code, filename), set())


def _widened(tree: ast.Module, kept: set[int]) -> ast.Module:
    for node in walk(tree):
        if id(node) in kept:
            continue
        if isinstance(node, ast.Attribute) and node.attr == _NARROW:
            node.attr = _WIDE
        elif isinstance(node, ast.Constant) and node.value == _NARROW:
            node.value = _WIDE
    return tree


def _of_numpy(tree: ast.Module) -> Iterator[ast.AST]:
    """``np.float32``, and the words that NumPy's functions are told."""
    imports = (alias for node in walk(tree) if isinstance(node, ast.Import) for alias in node.names)
    names = {alias.asname or alias.name for alias in imports if alias.name == _ARRAYS}
    for node in walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr="float32") if name in names:
                yield node
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name)), args=args, keywords=keywords) if name in names:
                yield from (a for a in (*args, *(k.value for k in keywords)) if isinstance(a, ast.Constant))
