"""Lists and dicts of modules that code keeps as Python's own: elsewhere they are containers of the framework."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flax import linen as nn
from flax import nnx

from netferry.frameworks.flax.calls import member
from netferry.pivot.copying import copied
from netferry.pivot.nodes import Op
from netferry.reader import Reader
from netferry.walking import walk


def kept(reader: Reader, node: ast.Assign, name: str, modules: Callable[[Any], Iterable[Any]]) -> list[ast.stmt] | None:
    """``self.blocks = [Block() for _ in range(n)]`` as a container; ``modules`` gives those of a network."""
    kind = _kinds(reader, modules).get((reader.class_name, name))
    if kind is None or isinstance(node.value, ast.Constant):
        return None
    for target in node.targets:
        reader.visit(target)
    value = reader.visit(node.value)
    if isinstance(value, ast.Tuple):
        value = ast.copy_location(ast.List(value.elts, ast.Load()), value)
    if not (isinstance(value, Op) and value.layer):
        value = Op(kind, {"modules": value}, layer=True, site=reader.site(node.value))
    node.value = value
    return [node]


def _kinds(reader: Reader, modules: Callable[[Any], Iterable[Any]]) -> dict[tuple[str, str], str]:
    """What the attributes of each class are that hold several modules."""
    found: dict[tuple[str, str], str] | None = getattr(reader.facts, "flax_containers", None)
    if found is None:
        network = reader.facts.network
        found = {}
        for module in modules(network) if isinstance(network, nnx.Module | nn.Module) else ():
            for name, value in vars(module).items():
                if kind := _kind(value):
                    found |= {(owner.__name__, name): kind for owner in type(module).__mro__}
        reader.facts.flax_containers = found
    return found


def _kind(value: Any) -> str | None:
    if isinstance(value, nnx.Module):
        return None
    members = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list | tuple) else []
    if not members or not all(isinstance(m, nnx.Module | nn.Module) for m in members):
        return None
    return "module_dict" if isinstance(value, dict) else "module_list"


def is_sequence(seen: Sequence[Any]) -> bool:
    """Whether an expression was seen to be a ``Sequential``."""
    return bool(seen) and all(isinstance(v, nnx.Sequential | nn.Sequential) for v in seen)


def grown(reader: Reader, node: ast.Expr, owner: ast.expr, given: ast.expr, *, several: bool) -> list[ast.stmt] | None:
    """``net.layers.extend([a, b])``: the sequence itself grows elsewhere."""
    items = given.elts if several and isinstance(given, ast.List | ast.Tuple) else [given]
    if several and items == [given]:
        return None
    made: list[ast.stmt] = []
    for item in items:
        operands = {"module": reader.visit(copied(owner)), "item": member(reader, item)}
        made.append(ast.copy_location(ast.Expr(Op("append_to_sequence", operands, site=reader.site(item))), node))
    made[0].nf_replaces = node  # type: ignore[attr-defined]
    return made


def gathered(reader: Reader, node: ast.Expr, name: str, call: ast.Call) -> list[ast.stmt] | None:
    """``layers.append(nn.relu)`` where the list becomes a sequence: a function there is a layer."""
    if not reader.function or name not in _sequenced(reader, reader.function[-1]):
        return None
    call.args = [member(reader, call.args[0])]
    return [node]


def _sequenced(reader: Reader, function: ast.AST) -> set[str]:
    """The names of the lists that a function makes sequences of."""
    found: set[str] | None = getattr(function, "nf_sequenced", None)
    if found is None:
        calls = [n for n in walk(function) if isinstance(n, ast.Call) and reader.static(n.func) in _SEQUENCES]
        given = [part for c in calls for a in c.args for part in (a.elts if isinstance(a, ast.List) else [a])]
        listed = [a.value if isinstance(a, ast.Starred) else a for a in given]
        found = {a.id for a in listed if isinstance(a, ast.Name)}
        function.nf_sequenced = found  # type: ignore[attr-defined]
    return found


_SEQUENCES = (nn.Sequential, nnx.Sequential)
