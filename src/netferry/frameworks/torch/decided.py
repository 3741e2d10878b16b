"""Questions whose answer is fixed once the code has left PyTorch: about scripting, tracing, devices and processes."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
from collections.abc import Mapping
from typing import Any, Protocol

import torch

from netferry.frameworks.torch.names import qualified
from netferry.pivot.facts import Tensor
from netferry.walking import walk

_NEVER = (
    "torch.jit.", "torch._jit_internal.", "torch.compiler.", "torch.onnx.", "torch.cuda.is_available",
    "torch._C._get_tracing_state", "torch.distributed.is_", "torch.is_autocast_", "torch._C.is_autocast_",
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
    if isinstance(test, ast.Compare | ast.Call) and _asks_version(reader, test):
        seen = reader.values(test)
        return seen[0] if seen and all(v is seen[0] and isinstance(v, bool) for v in seen) else None
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = decided(reader, operand)
            return None if inner is None else not inner
        case ast.BoolOp(op=operator, values=values):
            parts = [decided(reader, v) for v in values]
            absorbing = isinstance(operator, ast.Or)
            return absorbing if absorbing in parts else not absorbing if None not in parts else None
        case ast.Call(func=ast.Name(id="hasattr"), args=[owner, ast.Constant(value=str(name))]):
            offered = reader.static(owner)
            return hasattr(offered, name) if _is_library(offered) else None
        case ast.Compare(
            left=ast.Constant(value=str(name)),
            ops=[ast.In() | ast.NotIn() as contained],
            comparators=[ast.Call(func=ast.Name(id="dir"), args=[owner])],
        ):
            offered = reader.static(owner)
            return hasattr(offered, name) is isinstance(contained, ast.In) if _is_library(offered) else None
        case ast.Call(func=function):
            asked = reader.static(function)
            return False if _is_never(qualified(asked)) or _only_asks(asked) else None
        case ast.Attribute(value=owner, attr=attr) if attr in _ON_DEVICE:
            seen = reader.values(owner)
            return False if seen and all(isinstance(v, Tensor) for v in seen) else None
        case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq() as equal], comparators=[ast.Constant(value=str(name))]):
            other = name.partition(":")[0] in _OTHER_DEVICES and _is_device_type(reader, left)
            return isinstance(equal, ast.NotEq) if other else None
    return None


def _is_never(name: str) -> bool:
    return name.startswith(_NEVER) or (name.startswith("torch.") and name.endswith(".is_available"))


def _asks_version(reader: Facts, test: ast.expr) -> bool:
    """Whether an expression reads ``torch.__version__``."""
    read = (n for n in walk(test) if isinstance(n, ast.Attribute) and n.attr == "__version__")
    return any(_is_library(reader.static(n.value)) for n in read)


def _is_library(value: Any) -> bool:
    return isinstance(value, types.ModuleType) and f"{value.__name__}.".startswith("torch.")


def _only_asks(function: Any) -> bool:
    """Whether a function of the user's returns nothing but the answer to such a question."""
    if not isinstance(function, types.FunctionType) or function.__module__.partition(".")[0] == "torch":
        return False
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return False
    returned = [n.value for n in walk(tree) if isinstance(n, ast.Return)]
    asked = [_named(v.func, function.__globals__) if isinstance(v, ast.Call) else None for v in returned]
    return bool(asked) and all(_is_never(qualified(a)) for a in asked)


def _named(node: ast.expr, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Attribute):
        return getattr(_named(node.value, names), node.attr, None)
    return names.get(node.id) if isinstance(node, ast.Name) else None


def _is_device_type(reader: Facts, node: ast.expr) -> bool:
    """``x.device.type``."""
    if not isinstance(node, ast.Attribute) or node.attr != "type":
        return False
    seen = reader.values(node.value)
    return bool(seen) and all(isinstance(v, torch.device) for v in seen)
