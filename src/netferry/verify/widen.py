"""Making float64 of every float32 that code asks for by name, so that it can be compared in float64."""

from __future__ import annotations

import ast

from netferry.walking import walk

_NARROW, _WIDE = "float32", "float64"


def widened(code: str, filename: str = "<widened>") -> ast.Module:
    """The module with every ``tf.float32`` and ``"float32"`` made wide; lines stay where they are.

    >>> ast.unparse(widened('y = tf.cast(x, tf.float32)'))
    'y = tf.cast(x, tf.float64)'
    """
    tree = ast.parse(code, filename)
    for node in walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == _NARROW:
            node.attr = _WIDE
        elif isinstance(node, ast.Constant) and node.value == _NARROW:
            node.value = _WIDE
    return tree
