"""The direct children of a module as they were seen: other frameworks keep another order once one is replaced."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import torch

from netferry.pivot.copying import copied

if TYPE_CHECKING:
    from netferry.reader import Reader


def listed(reader: Reader, owner: ast.expr) -> ast.expr | None:
    """``[net.conv1, net.bn1, net.fc]`` for ``net.children()``; None where the children are not always these."""
    seen = reader.values(owner)
    if not seen or not all(isinstance(value, torch.nn.Module) for value in seen):
        return None
    names = {tuple(name for name, _ in value.named_children()) for value in seen}
    if len(names) != 1 or not isinstance(owner, ast.Name | ast.Attribute):
        return None
    found = names.pop()
    if not all(name.isidentifier() for name in found):
        return None
    module = reader.visit(owner)
    return ast.List([ast.Attribute(copied(module), name, ast.Load()) for name in found], ast.Load())
