"""How PyTorch code is put together, as a target."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from netferry.frameworks.torch import inplace, places, shortening
from netferry.ops import registry
from netferry.ops.lowering import dotted
from netferry.passes import recurrence, starts
from netferry.pivot.nodes import LayerAttribute, LayerCall, Op, Reference
from netferry.pivot.program import Program
from netferry.walking import Transformer

_TYPES = {
    "Tensor": "torch.Tensor", "Module": "torch.nn.Module", "Sequential": "torch.nn.Sequential",
    "ModuleList": "torch.nn.ModuleList", "ModuleDict": "torch.nn.ModuleDict", "Parameter": "torch.nn.Parameter",
    "Shape": "torch.Size", "Dtype": "torch.dtype", "Device": "torch.device",
}  # fmt: skip


class TorchWriting:
    """PyTorch as a target."""

    name = "torch"
    threaded: Sequence[str] = ()

    def prepare(self, program: Program) -> Program:
        """Classes, methods, the training flag: the PyTorch way."""
        recurrence.take_apart(program)
        starts.in_place(program)
        for definition in program.definitions:
            definition.node = _Conventions(program).visit(definition.node)
        return program

    def finish(self, program: Program, trees: Sequence[ast.stmt], construction: ast.expr) -> ast.expr:
        """Nothing is left to do."""
        return construction

    def reference(self, node: Reference) -> ast.expr | None:
        """Neutral types as PyTorch classes."""
        return dotted(_TYPES[node.kind]) if node.kind in _TYPES else None

    def layer_attribute(self, node: LayerAttribute) -> ast.expr | None:
        """A stock layer's parameter, or an argument it was made with, under its PyTorch name."""
        found = {_attribute_name(op, node.name) for op in node.ops}
        if len(found) != 1 or None in found:
            return None
        return ast.Attribute(node.owner, str(found.pop()), ast.Load())

    def layer_call(self, node: LayerCall) -> ast.expr | None:
        """Layers are called with their tensors."""
        return None

    def imports(self, text: str, taken: set[str]) -> tuple[str, list[str]]:
        """Short names and their imports."""
        return shortening.shorten(text, taken)

    def places(self, build: Callable[[Callable[[int, Any], Any]], Any]) -> dict[int, list[str]]:
        """Where the layers that each site made are in the network; ``build`` runs the code with a reporter."""
        return places.places(build)


def _attribute_name(op: str, name: str) -> str | None:
    """The PyTorch name of a canonical parameter or attribute of a layer."""
    for spelling in registry.get(op).spellings.get("torch", ()):
        for parameter, layout in spelling.params.items():
            if layout.partition(":")[0].strip() == name:
                return parameter
        for argument in spelling.parsed.names if spelling.layer and spelling.path else ():
            conversion = spelling.conversion(argument)
            if conversion is not None and conversion.attribute == name and conversion.read == "{}":
                return argument
    return None


def conventions(name: str) -> TorchWriting:
    """The conventions for a target."""
    return TorchWriting()


class _Conventions(Transformer):
    """Rewrites the neutral structure of one definition."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.class_name = ""
        self.in_module = False
        self.classes = {c.name for c in program.classes()}

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        outer = self.class_name, self.in_module
        self.class_name = node.name
        self.in_module = any(isinstance(b, Reference) for b in node.bases) or any(
            isinstance(b, ast.Name) and b.id in self.classes for b in node.bases
        )
        inplace.overwrite(node)
        self.generic_visit(node)
        self.class_name, self.in_module = outer
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        own = self.in_module and isinstance(node.value, ast.Name) and node.value.id == "self"
        if own and node.attr in shortening.RESERVED:
            self.program.renamed[f"{self.class_name}.{node.attr}"] = f"{node.attr}_"
            node.attr += "_"
        elif not own and node.attr in shortening.RESERVED and self._is_held(node):
            node.attr += "_"
        return node

    def _is_held(self, node: ast.Attribute) -> bool:
        """Whether modules of the user's keep something of their own under the name."""
        seen = self.program.facts.values.get(getattr(node.value, "nf_id", -1), ()) if self.program.facts else ()
        return bool(seen) and all(
            type(v).__name__ in self.classes and node.attr in getattr(v, "__dict__", ()) for v in seen
        )

    def visit_Op(self, node: Op) -> ast.AST:
        self.generic_visit(node)
        if node.name == "is_training":
            return ast.copy_location(ast.Attribute(ast.Name("self", ast.Load()), "training", ast.Load()), node)
        return node
