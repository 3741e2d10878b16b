"""Walks over the direct children of a module, written as what they were seen to find: other frameworks keep no order."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import torch

from netferry.pivot.copying import copied
from netferry.pivot.nodes import Op, constant

if TYPE_CHECKING:
    from netferry.reader import Reader


def listed(reader: Reader, owner: ast.expr, *, named: bool) -> ast.expr | None:
    """``[net.conv1, net.bn1, net.fc]`` for ``net.children()``, with names in pairs; None where they are not known."""
    seen = reader.values(owner)
    if not seen or not all(isinstance(value, torch.nn.Module) for value in seen):
        return None
    if all(isinstance(value, torch.nn.Sequential) for value in seen) and not named:
        return Op("sequence_of", {"module": reader.visit(owner)}, site=reader.site(owner))
    names = {tuple(name for name, _ in value.named_children()) for value in seen}
    if len(names) != 1 or not isinstance(owner, ast.Name | ast.Attribute):
        return None
    found = names.pop()
    if not all(name.isidentifier() for name in found) or any(map(_is_repeated, seen)):
        return None
    module = reader.visit(owner)
    members = [ast.Attribute(copied(module), name, ast.Load()) for name in found]
    pairs = [ast.Tuple([constant(n), m], ast.Load()) for n, m in zip(found, members, strict=True)]
    return ast.List(list(pairs if named else members), ast.Load())


def _is_repeated(module: torch.nn.Module) -> bool:
    """Whether one child has several names, of which the walk gives the first."""
    children = [child for child in module._modules.values() if child is not None]
    return len({id(child) for child in children}) != len(children)
