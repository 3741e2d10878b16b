"""Functions that build a network of a lifted class: they leave out the arguments that its class does without.

What the source's framework alone needed (names, tensors to start from, files of weights) would be ignored in silence.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Sequence

from netferry.passes import docstrings
from netferry.passes.living import alive, loads
from netferry.pivot.program import Program
from netferry.walking import walk

_PLAIN = (ast.Assign, ast.If, ast.Raise, ast.FunctionDef, ast.ClassDef)
Give = Callable[[Sequence[ast.AST], str, Sequence[str], Sequence[str]], bool]
"""Lets the callers of a function give it only some of its arguments."""


def trim(
    program: Program, classes: Collection[str], without: Callable[[ast.arguments, Sequence[str]], ast.arguments], give: Give
) -> None:  # fmt: skip
    """Trim every function of ``program`` that returns an instance of one of ``classes``, until nothing changes."""
    trees = [*(d.node for d in program.definitions), program.construction]
    known = set(classes)
    changed = True
    while changed:
        changed = False
        for node in [d.node for d in program.definitions if isinstance(d.node, ast.FunctionDef)]:
            if not _builds(node, known):
                continue
            changed = changed or node.name not in known
            known.add(node.name)
            before = [a.arg for a in [*node.args.args, *node.args.kwonlyargs]]
            _shorten(node)
            dropped = [name for name in before if name not in loads(node.body)]
            if dropped:
                node.args = without(node.args, dropped)
                docstrings.prune(node, dropped)
                give(trees, node.name, before, [n for n in before if n not in dropped])
                changed = True


def _builds(node: ast.FunctionDef, known: Collection[str]) -> bool:
    """Whether a function only prepares the arguments of such a class, or of a function of the kind."""
    if node.args.vararg or node.args.kwarg or node.args.posonlyargs or node.decorator_list:
        return False
    match node.body[-1]:
        case ast.Return(value=ast.Call(func=ast.Name(id=name))) if name in known:
            returns = sum(isinstance(n, ast.Return) for s in node.body if not _is_definition(s) for n in walk(s))
            return returns == 1
    return False


def _is_definition(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef | ast.ClassDef)


def _shorten(node: ast.FunctionDef) -> None:
    """Leave out what is computed for nobody."""
    docstring = node.body[:1] if ast.get_docstring(node, clean=False) is not None else []
    inner = node.body[len(docstring) : -1]
    if all(isinstance(s, _PLAIN) for s in inner):
        node.body = [*docstring, *alive(inner, loads(node.body[-1])), node.body[-1]]
