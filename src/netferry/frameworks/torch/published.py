"""What becomes of code that loads checkpoints published for PyTorch: its networks have no use for them elsewhere."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from netferry.frameworks.torch.names import qualified
from netferry.pivot.nodes import constant

if TYPE_CHECKING:
    from netferry.reader import Reader

_WARNING: Final = "the PyTorch checkpoint is not loaded here: convert it with `netferry weights`, and load the result"
_LEFT_OUT: Final = "the network is built without its published weights: convert them with `netferry weights`"
_LIBRARY: Final = "torchvision.models."
_CHOICES: Final = frozenset({"weights", "weights_backbone", "pretrained", "pretrained_backbone"})
"""Arguments of torchvision's builders that name published weights."""
_IMPLIED: Final = {
    "googlenet": {"transform_input": True}, "inception_v3": {"transform_input": True},
    **{f"{head}_{body}": {"aux_loss": True} for head, body in (
        ("fcn", "resnet50"), ("fcn", "resnet101"), ("deeplabv3", "resnet50"), ("deeplabv3", "resnet101"),
        ("deeplabv3", "mobilenet_v3_large"))},
}  # fmt: skip
"""What published weights change in the networks that these builders make."""


def load(reader: Reader, node: ast.Expr) -> list[ast.stmt]:
    """``model.load_state_dict(...)`` that the run reached: the generated code says that it does not happen."""
    reader.note(node, _WARNING, "NF037", "warning")
    call = ast.Call(ast.Attribute(ast.Name("warnings", ast.Load()), "warn", ast.Load()), [constant(_WARNING)], [])
    made = ast.Expr(call)
    made.nf_replaces = node  # type: ignore[attr-defined]
    return [ast.copy_location(made, node)]


def fetch(reader: Reader, node: ast.Call) -> ast.expr:
    """A checkpoint that the run asked for: there is nothing in it."""
    reader.note(node, _WARNING, "NF037", "warning")
    return ast.Dict([], [])


def leave_out(reader: Reader, node: ast.Call, callees: Sequence[Any]) -> None:
    """``resnet50(weights="DEFAULT")`` of torchvision is built without, with all else that the weights imply."""
    if not all(qualified(c).startswith(_LIBRARY) for c in callees):
        return
    chosen = [k for k in node.keywords if k.arg in _CHOICES and (k.arg.startswith("pretrained") or _given(reader, k))]
    if not chosen:
        return
    node.keywords = [k for k in node.keywords if k not in chosen]
    if not any(_given(reader, k) for k in chosen):
        return
    reader.note(node, _LEFT_OUT, "NF037", "warning")
    if any(k.arg in ("weights", "pretrained") for k in chosen):
        known = {k.arg for k in node.keywords}
        implied = _IMPLIED.get(qualified(callees[0]).rpartition(".")[2], {})
        node.keywords += [ast.keyword(n, constant(v)) for n, v in implied.items() if n not in known]


def _given(reader: Reader, keyword: ast.keyword) -> bool:
    """Whether an argument was seen to choose weights."""
    seen = reader.values(keyword.value)
    if isinstance(keyword.value, ast.Constant):
        seen = [keyword.value.value]
    return any(v is not None and v is not False for v in seen)
