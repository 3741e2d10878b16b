"""The constructors of tensors that are named after their type: ``torch.FloatTensor`` and its like."""

from __future__ import annotations

import ast
from typing import Any

from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import Op, constant
from netferry.reader import Reader

_TYPES = {
    "": "float32", "Float": "float32", "Double": "float64", "Half": "float16", "Long": "int64", "Int": "int32",
    "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool",
}  # fmt: skip
CONSTRUCTORS = tuple(f"torch.{prefix}Tensor" for prefix in _TYPES)


def constructed(path: str) -> Any:
    """The rule that reads a constructor: numbers (or a shape) are sizes, anything else is what the tensor holds."""
    dtype = _TYPES[path.removeprefix("torch.").removesuffix("Tensor")]

    def rule(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr:
        made = _op(reader, node, dtype)
        if made is None:
            return reader.hole(node, f"{path} of something that is neither sizes nor numbers", "use torch.tensor")
        made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
        reader.counts.observed += 1
        return made

    return rule


def _op(reader: Reader, node: ast.Call, dtype: str) -> Op | None:
    """The op of one call; None where what it was given is not known."""
    site, typed = reader.site(node), constant(dtype)
    if not node.args:
        return Op("empty", {}, {"shape": ast.Tuple([constant(0)], ast.Load()), "dtype": typed}, site=site)
    shape = _shape(reader, node)
    if shape is not None:  # Single precision is what tensors have unless another type is asked for.
        return Op("empty", {}, {"shape": shape} | ({} if dtype == "float32" else {"dtype": typed}), site=site)
    if len(node.args) != 1:
        return None
    given = reader.visit(node.args[0])
    if any(isinstance(value, Tensor) for value in reader.values(node.args[0])):
        return Op("cast", {"x": given}, {"dtype": typed}, site=site)
    return Op("tensor", {}, {"data": given, "dtype": typed}, site=site)


def _shape(reader: Reader, node: ast.Call) -> ast.expr | None:
    """The sizes that were given, one by one or as a shape."""
    kinds = [_kinds(reader, argument) for argument in node.args]
    several = len(node.args) > 1 and not any(
        isinstance(a, ast.Starred) for a in node.args
    )  # Contents are one argument.
    if several or all(found and found <= {"int"} for found in kinds):
        return ast.Tuple([reader.visit(a) for a in node.args], ast.Load())
    if len(kinds) == 1 and kinds[0] == {"shape"}:
        argument = node.args[0]
        found: ast.expr = reader.visit(argument.value if isinstance(argument, ast.Starred) else argument)
        return found
    return None


def _kinds(reader: Reader, node: ast.expr) -> set[str]:
    """What an argument was seen to be: ``int`` for a size, ``shape`` for all of them, else ``data``."""
    if isinstance(node, ast.Starred):
        return {"shape"}
    seen = reader.values(node) or ([node.value] if isinstance(node, ast.Constant) else [])
    return {_kind(value) for value in seen}


def _kind(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return "int"
    return "shape" if type(value).__name__ == "Size" else "data"
