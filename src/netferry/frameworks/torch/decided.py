"""Questions whose answer is fixed once the code has left PyTorch: about scripting, tracing, devices and processes."""

from __future__ import annotations

import ast
from typing import Any, Protocol

import torch

from netferry.frameworks.torch.names import qualified
from netferry.pivot.facts import Tensor

_NEVER = (
    "torch.jit.", "torch._jit_internal.", "torch.compiler.", "torch.onnx.", "torch.cuda.is_available",
    "torch._C._get_tracing_state", "torch.distributed.is_", "torch.is_autocast_enabled", "torch._C.is_autocast_enabled",
)  # fmt: skip
_ON_DEVICE = frozenset({"is_cuda", "is_xpu", "is_mps", "is_meta", "is_vulkan", "is_hpu", "is_maia"})
_OTHER_DEVICES = frozenset({"cuda", "mps", "xpu", "hpu", "meta", "xla", "npu"})


class Facts(Protocol):
    """What deciding asks of the reader."""

    def static(self, node: ast.AST) -> Any:
        """The object that a dotted name denotes."""

    def values(self, node: ast.AST) -> list[Any]:
        """The values observed at an expression."""


def decided(reader: Facts, test: ast.expr) -> bool | None:
    """The answer, or None where it depends on the run."""
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = decided(reader, operand)
            return None if inner is None else not inner
        case ast.BoolOp(op=operator, values=values):
            parts = [decided(reader, v) for v in values]
            absorbing = isinstance(operator, ast.Or)
            return absorbing if absorbing in parts else not absorbing if None not in parts else None
        case ast.Call(args=[], func=function):
            return False if _is_never(qualified(reader.static(function))) else None
        case ast.Attribute(value=owner, attr=attr) if attr in _ON_DEVICE:
            seen = reader.values(owner)
            return False if seen and all(isinstance(v, Tensor) for v in seen) else None
        case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq() as equal], comparators=[ast.Constant(value=str(name))]):
            other = name.partition(":")[0] in _OTHER_DEVICES and _is_device_type(reader, left)
            return isinstance(equal, ast.NotEq) if other else None
    return None


def _is_never(name: str) -> bool:
    return name.startswith(_NEVER) or (name.startswith("torch.") and name.endswith(".is_available"))


def _is_device_type(reader: Facts, node: ast.expr) -> bool:
    """``x.device.type``."""
    if not isinstance(node, ast.Attribute) or node.attr != "type":
        return False
    seen = reader.values(node.value)
    return bool(seen) and all(isinstance(v, torch.device) for v in seen)
