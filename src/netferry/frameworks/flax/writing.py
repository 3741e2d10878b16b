"""How Flax NNX code is put together, as a target."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from netferry.frameworks.flax import attributes, legalise_heads, names, rngs, starts, state
from netferry.ops import registry
from netferry.ops.lowering import dotted
from netferry.passes import tying
from netferry.pivot.copying import copied
from netferry.pivot.nodes import LayerAttribute, LayerCall, Op, Reference, constant
from netferry.pivot.program import Program
from netferry.walking import Transformer

_TYPES = {
    "Tensor": "jax.Array", "Module": "flax.nnx.Module", "Sequential": "flax.nnx.Sequential",
    "ModuleList": "flax.nnx.List", "ModuleDict": "flax.nnx.Dict", "Parameter": "flax.nnx.Param",
    "Shape": "tuple", "Dtype": "jax.numpy.dtype", "Device": "jax.Device",
}  # fmt: skip


class FlaxWriting:
    """Flax NNX as a target."""

    name = "flax"
    threaded: Sequence[str] = ("rngs",)

    def prepare(self, program: Program) -> Program:
        """Classes, methods, the training flag, variables: the NNX way."""
        tying.tie(program)
        starts.as_arguments(program)
        state.read_and_write(program)
        for definition in program.definitions:
            definition.node = _Conventions(program).visit(definition.node)
        return program

    def finish(self, program: Program, trees: Sequence[ast.stmt], construction: ast.expr) -> ast.expr:
        """Hand ``rngs`` to whoever needs them, once it is settled who does."""
        for tree in trees:
            attributes.settle(tree)
        return rngs.thread(program, trees, construction)

    def places(self, build: Callable[[Callable[[int, Any], Any]], Any]) -> dict[int, list[str]]:
        """Where the layers that each site made are in the network; ``build`` runs the code with a reporter."""
        from netferry.frameworks.flax import places

        return places.places(build)

    def reference(self, node: Reference) -> ast.expr | None:
        """Neutral types as classes of JAX and NNX."""
        return dotted(_TYPES[node.kind]) if node.kind in _TYPES else None

    def layer_attribute(self, node: LayerAttribute) -> ast.expr | None:
        """A stock layer's parameter, or an argument it was made with, under its NNX name."""
        found = {_attribute(op, node.name) for op in node.ops}
        if len(found) != 1 or None in found:
            return None
        name, turn, is_variable = found.pop() or ("", None, False)
        owned: ast.expr = ast.Attribute(node.owner, name, ast.Load())
        if getattr(node, "nf_bare", False):
            return owned
        if is_variable:
            owned = ast.Subscript(owned, ast.Constant(...), ast.Load())
        return owned if turn is None else Op("transpose", {"x": owned}, {"perm": constant(turn)}, site=node.site)

    def layer_call(self, node: LayerCall) -> ast.expr | None:
        """Modules are called with their arrays."""
        return legalise_heads.called(node) if node.name == legalise_heads.NAME else None

    def imports(self, text: str, taken: set[str]) -> tuple[str, list[str]]:
        """Short names and their imports."""
        return names.shorten(text, taken)


def _attribute(op: str, name: str) -> tuple[str, tuple[int, ...] | None, bool] | None:
    """The NNX name of a canonical parameter or attribute, the transpose that gives its canonical axes, and if it is a variable."""
    declared = registry.get(op)
    layout = declared.params.get(name, "").split()
    for spelling in declared.spellings.get("flax", ()):
        for parameter, text in spelling.params.items():
            canonical, _, axes = text.partition(":")
            if canonical.strip() == name:
                own = axes.split()
                differs = own != layout and sorted(own) == sorted(layout)
                return parameter, tuple(own.index(a) for a in layout) if differs else None, True
        for argument in spelling.parsed.names if spelling.layer and spelling.path else ():
            conversion = spelling.conversion(argument)
            if conversion is not None and conversion.attribute == name and conversion.read == "{}":
                return argument, None, False
    return None


def conventions(name: str) -> FlaxWriting:
    """The conventions for a target."""
    return FlaxWriting()


class _Conventions(Transformer):
    """Rewrites the neutral structure of one definition."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.class_name = ""
        self.in_module = False
        self.asks_mode = False
        self.classes = {c.name for c in program.classes()}

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        outer = self.class_name, self.in_module, self.asks_mode
        self.class_name, self.asks_mode = node.name, False
        self.in_module = any(isinstance(b, Reference) for b in node.bases) or any(
            isinstance(b, ast.Name) and b.id in self.classes for b in node.bases
        )
        for method in node.body if self.in_module else ():
            if isinstance(method, ast.FunctionDef):
                method.name = "__call__" if method.name == "forward" else self._own(method.name)
        self.generic_visit(node)
        if self.asks_mode:
            _add_mode(node)
        if any(isinstance(b, Reference) and b.kind == "Module" for b in node.bases):
            _drop_base_call(node)
        self.class_name, self.in_module, self.asks_mode = outer
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if node.attr == "forward":
            node.attr = "__call__"
        elif self.in_module and isinstance(node.value, ast.Name) and node.value.id == "self":
            node.attr = self._own(node.attr)
        return node

    def _own(self, name: str) -> str:
        if name not in names.RESERVED:
            return name
        self.program.renamed[f"{self.class_name}.{name}"] = f"{name}_"
        return f"{name}_"

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """``layer.bias is not None`` asks for the variable."""
        if isinstance(node.left, LayerAttribute) and isinstance(node.ops[0], ast.Is | ast.IsNot):
            node.left.nf_bare = True  # type: ignore[attr-defined]
        self.generic_visit(node)
        return node

    def visit_For(self, node: ast.For) -> ast.AST:
        """``for _, module in nnx.iter_modules(network)``: NNX gives paths along."""
        self.generic_visit(node)
        over = node.iter
        name = {"modules": "iter_modules", "children": "iter_children"}.get(getattr(over, "name", ""))
        if isinstance(over, Op) and name is not None and isinstance(node.target, ast.Name):
            node.target = ast.Tuple([ast.Name("_", ast.Store()), node.target], ast.Store())
            node.iter = ast.Call(dotted(f"flax.nnx.{name}"), [over.operands[0].value], [])
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """Initialising a parameter gives its variable new values."""
        self.generic_visit(node)
        op = node.value
        if not isinstance(op, Op) or not op.name.startswith("init_"):
            return node
        variable = op.operands[0].value
        while isinstance(variable, Op) and variable.name == "stop_gradient":  # ``layer.weight.data``
            variable = variable.operands[0].value
        if isinstance(variable, LayerAttribute):
            variable.nf_bare = True  # type: ignore[attr-defined]
        place = ast.Subscript(copied(variable), ast.Constant(...), ast.Store())
        made = ast.Assign([place], op.replace(operands={op.operands[0].arg or "x": variable}))
        made.nf_replaces = getattr(node, "nf_replaces", node)  # type: ignore[attr-defined]
        return ast.copy_location(made, node)

    def visit_Op(self, node: Op) -> ast.AST:
        self.generic_visit(node)
        if node.name != "is_training":
            return node
        self.asks_mode = True
        mode = ast.Attribute(ast.Name("self", ast.Load()), "deterministic", ast.Load())
        return ast.copy_location(ast.UnaryOp(ast.Not(), mode), node)


def _add_mode(node: ast.ClassDef) -> None:
    """``deterministic``, which ``train()`` and ``eval()`` of a network set wherever it is."""
    made = ast.parse("deterministic: bool = False").body[0]
    after = int(ast.get_docstring(node, clean=False) is not None)
    node.body = [*node.body[:after], made, *node.body[after:]]


def _drop_base_call(node: ast.ClassDef) -> None:
    """``nnx.Module`` has no constructor that needs calling."""
    for method in node.body:
        if not isinstance(method, ast.FunctionDef) or method.name != "__init__":
            continue
        kept = [s for s in method.body if not _is_bare_base_call(s)]
        method.body = kept or [ast.Pass()]


def _is_bare_base_call(statement: ast.stmt) -> bool:
    call = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(call, ast.Call) or call.args or call.keywords:
        return False
    match call.func:
        case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__"):
            return True
    return False
