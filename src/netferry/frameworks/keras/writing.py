"""How Keras code is put together, for the targets ``keras`` and ``tensorflow``."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from netferry.frameworks.keras import (
    assigning,
    attention,
    attributes,
    batches,
    building,
    gathers,
    initialising,
    masks,
    names,
    training,
)
from netferry.ops import registry
from netferry.ops.lowering import dotted
from netferry.passes import recurrence, tying
from netferry.pivot.nodes import LayerAttribute, LayerCall, Op, Reference, constant
from netferry.pivot.program import Program
from netferry.walking import Transformer, walk

_TYPES = {
    "Module": "layers.Layer", "Sequential": "Sequential", "Parameter": "Variable",
}  # fmt: skip
_SWITCHES = {"bias": "use_bias", "gamma": "scale", "beta": "center"}
"""Optional variables of Keras layers, and the constructor argument (and attribute) that says whether they exist."""
_PLAIN_TYPES = {"ModuleList": "list", "ModuleDict": "dict", "Shape": "tuple", "Dtype": "str", "Device": "str"}


class KerasConventions:
    """Keras as a target; ``prefix`` is where its names start."""

    threaded: Sequence[str] = ()

    def __init__(self, name: str) -> None:
        self.name = name
        self.prefix = "tf.keras" if name == "tensorflow" else "keras"

    def prepare(self, program: Program) -> Program:
        """Classes, methods, the training flag, parameters, initialisation: the Keras way."""
        entry = _models(program)
        tying.tie(program)
        for definition in program.definitions:
            definition.node = initialising.Split(self.parameter_name).visit(definition.node)
        for definition in program.definitions:
            _Conventions(self, program, entry).visit(definition.node)
        attention.simplify(program)
        recurrence.simplify(program)
        attributes.fill_inferred(program)
        building.build_early(program, lambda op, name: self.parameter_name(op, name) is not None)
        batches.keep_sizes(program)
        gathers.by_tensors(program)
        assigning.in_place(program)
        training.thread(program)
        masks.by_keyword(program)
        return program

    def finish(self, program: Program, trees: Sequence[ast.stmt], construction: ast.expr) -> ast.expr:
        """Nothing is left to do."""
        return construction

    def places(self, build: Callable[[Callable[[int, Any], Any]], Any]) -> dict[int, list[str]]:
        """Where the layers that each site made are in the network; ``build`` runs the code with a reporter."""
        from netferry.frameworks.keras import places

        return places.places(build)

    def reference(self, node: Reference) -> ast.expr | None:
        """Neutral types as Keras classes."""
        if node.kind == "Tensor":
            return dotted("tf.Tensor" if self.name == "tensorflow" else "keras.KerasTensor")
        if node.kind in _TYPES:
            return dotted(f"{self.prefix}.{_TYPES[node.kind]}")
        if node.kind in _PLAIN_TYPES:
            return ast.Name(_PLAIN_TYPES[node.kind], ast.Load())
        return None

    def layer_attribute(self, node: LayerAttribute) -> ast.expr | None:
        """A stock layer's parameter, or an argument it was made with, under its Keras name."""
        found = {self.parameter_name(op, node.name) for op in node.ops}
        if found == {None}:
            return attributes.hyperparameter(node, self.name)
        turns = {self._turn(op, node.name) for op in node.ops}
        if len(found) != 1 or None in found or len(turns) != 1:
            return None
        variable = ast.Attribute(node.owner, str(found.pop()), ast.Load())
        turn = turns.pop()
        return variable if turn is None else Op("transpose", {"x": variable}, {"perm": constant(turn)}, site=node.site)

    def _turn(self, op: str, parameter: str) -> tuple[int, ...] | None:
        """The transpose that gives a variable the axes that the source has; None where it has them."""
        declared = registry.get(op)
        layout = declared.params.get(parameter, "").split()
        for spelling in declared.spellings.get(self.name, ()):
            for text in spelling.params.values():
                name, _, axes = text.partition(":")
                own = axes.split()
                if name.strip() == parameter and own != layout and sorted(own) == sorted(layout):
                    return tuple(own.index(axis) for axis in layout)
        return None

    def parameter_name(self, op: str, parameter: str) -> str | None:
        """The Keras name of a canonical parameter."""
        for spelling in registry.get(op).spellings.get(self.name, ()):
            for name, layout in spelling.params.items():
                if layout.partition(":")[0].strip() == parameter:
                    return name
        return None

    def layer_call(self, node: LayerCall) -> ast.expr | None:
        """What a layer that is extended computes is told whether this is training; a layer that is called knows."""
        if not getattr(node, "nf_training", False):
            return None
        flag = ast.keyword("training", ast.Name("training", ast.Load()))
        return ast.Call(node.callee, [k.value for k in node.operands], [flag])

    def imports(self, text: str, taken: set[str]) -> tuple[str, list[str]]:
        """Short names and their imports."""
        return names.shorten(text, self.name, taken)


def conventions(name: str) -> KerasConventions:
    """The conventions for a target."""
    return KerasConventions(name)


def _models(program: Program) -> set[str]:
    """The classes that become models: the network's own, with the bases that nothing else extends or makes."""
    classes = {c.name: c for c in program.classes()}
    nodes = [n for d in program.definitions for n in walk(d.node) if isinstance(n, ast.Call | ast.ClassDef)]
    named = [e for n in nodes for e in (n.bases if isinstance(n, ast.ClassDef) else [n.func])]
    uses = Counter(e.id for e in named if isinstance(e, ast.Name))
    chain = [program.entry]
    while (node := classes.get(chain[-1])) is not None and not any(isinstance(b, Reference) for b in node.bases):
        bases = [b.id for b in node.bases if isinstance(b, ast.Name) and b.id in classes]
        methods = {m.name for b in bases for m in classes[b].body if isinstance(m, ast.FunctionDef)}
        if len(bases) != 1 or uses[bases[0]] > 1 or methods & (names.MODEL_RESERVED - names.RESERVED):
            return set()
        chain.append(bases[0])
    return set(chain) if node is not None else set()


class _Conventions(Transformer):
    """Rewrites the neutral structure of one definition."""

    def __init__(self, conventions: KerasConventions, program: Program, entry: set[str]) -> None:
        self.conventions = conventions
        self.program = program
        self.entry = entry
        self.is_model = False
        self.classes = {c.name for c in program.classes()}
        self.in_module = False
        self.class_name = ""

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        outer = self.is_model, self.in_module
        self.class_name = node.name
        self.is_model = node.name in self.entry
        self.in_module = any(isinstance(b, Reference) for b in node.bases) or any(
            isinstance(b, ast.Name) and b.id in self.classes for b in node.bases
        )
        if self.is_model:
            node.bases = [self._model_base(b) for b in node.bases]
        for method in node.body if self.in_module else ():
            if isinstance(method, ast.FunctionDef):
                method.name = "call" if method.name == "forward" else self._own(method.name)
        self.generic_visit(node)
        if self.in_module and node.name.startswith("_"):
            self._name_instances(node)
        self.is_model, self.in_module = outer
        return node

    def _name_instances(self, node: ast.ClassDef) -> None:
        """TensorFlow's scopes must not begin with the underscore that Keras takes over from a private class."""
        if not any(isinstance(b, Reference) and b.kind == "Module" for b in node.bases):
            return
        prefix = names.snake_case(node.name.lstrip("_"))
        unique = f"{self.conventions.prefix}.backend.get_uid('{prefix}')"
        plain = ("super().__init__()", f"super({node.name}, self).__init__()")
        if not any(isinstance(s, ast.FunctionDef) and s.name == "__init__" for s in node.body):
            node.body.insert(ast.get_docstring(node) is not None, _plain_constructor())
        for statement in walk(node):
            call = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(call, ast.Call) and ast.unparse(call) in plain:
                name = ast.parse(f'f"{prefix}_{{{unique}}}"', mode="eval").body
                call.keywords = [ast.keyword("name", name)]

    def _model_base(self, base: ast.expr) -> ast.expr:
        if isinstance(base, Reference) and base.kind == "Module":
            return ast.copy_location(dotted(f"{self.conventions.prefix}.Model"), base)
        return base

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        extended = None if self.in_module else self._extended(node)
        if extended is not None:
            self.class_name, self.is_model, self.in_module = extended, extended in self.entry, True
            node.name = "call" if node.name == "forward" else self._own(node.name)
        self.generic_visit(node)
        if extended is not None:
            self.is_model = self.in_module = False
        return node

    def _extended(self, node: ast.FunctionDef) -> str | None:
        """The class that a decorator adds a function to as a method: ``@add_to(Network)``."""
        calls = [d for d in node.decorator_list if isinstance(d, ast.Call)]
        names = [a.id for d in calls for a in d.args if isinstance(a, ast.Name)]
        return next((name for name in names if name in self.classes), None)

    def visit_Op(self, node: Op) -> ast.AST:
        """The type of a layer's variables is known before there are any."""
        self.generic_visit(node)
        x = node.operand("x") if node.name == "dtype_of" else None
        return ast.Attribute(x.owner, "variable_dtype", ast.Load()) if isinstance(x, LayerAttribute) else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if node.attr == "forward":
            node.attr = "call"
        elif self.in_module and isinstance(node.value, ast.Name) and node.value.id == "self":
            node.attr = self._own(node.attr)
        elif node.attr in names.MODEL_RESERVED and self._is_reserved(node):
            node.attr += "_"
        return node

    def _own(self, name: str) -> str:
        """The name that an attribute of the class being read gets."""
        if name not in (names.MODEL_RESERVED if self.is_model else names.RESERVED):
            return name
        self.program.renamed[f"{self.class_name}.{name}"] = f"{name}_"
        return f"{name}_"

    def _is_reserved(self, node: ast.Attribute) -> bool:
        """Whether the attribute of another module of the user's is one that Keras keeps for itself."""
        seen = self.program.facts.values.get(getattr(node.value, "nf_id", -1), ()) if self.program.facts else ()
        owners = [self._class_of(value) for value in seen]
        return bool(owners) and all(
            owner in self.classes and node.attr in (names.MODEL_RESERVED if owner in self.entry else names.RESERVED)
            for owner in owners
        )

    def _class_of(self, value: Any) -> str:
        kind = type(value)
        return self.program.names.get(f"{kind.__module__}.{kind.__qualname__}", kind.__name__)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Keras layers take only tensors by position."""
        self.generic_visit(node)
        plain: dict[int, str] = getattr(node, "nf_plain", {})
        if not plain:
            return node
        first = min(plain)
        moved = [ast.keyword(plain[i], a) for i, a in enumerate(node.args) if i in plain]
        if any(i not in plain for i in range(first, len(node.args))):
            return node
        return ast.copy_location(ast.Call(node.func, node.args[:first], [*moved, *node.keywords]), node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """``layer.bias is not None`` asks what the layer was made with: its variables do not exist yet."""
        left, right = node.left, node.comparators[0]
        asked = self._switch(left) if isinstance(right, ast.Constant) and right.value is None else None
        if asked is not None:
            made: ast.expr = asked if isinstance(node.ops[0], ast.IsNot) else ast.UnaryOp(ast.Not(), asked)
            self.generic_visit(made)
            return ast.copy_location(made, node)
        self.generic_visit(node)
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        """``if exists(layer.bias)`` asks the same through a function that compares with None."""
        for call in [n for n in walk(node.test) if type(n) is ast.Call]:
            switches = [self._switch(argument) for argument in call.args]
            call.args = [
                a if s is None else ast.BoolOp(ast.Or(), [s, ast.Constant(None)])
                for a, s in zip(call.args, switches, strict=True)
            ]
        self.generic_visit(node)
        return node

    def _switch(self, node: ast.expr) -> ast.expr | None:
        """Whether a layer has a variable, as the layer tells it before it makes any."""
        if not isinstance(node, LayerAttribute):
            return None
        found = {self.conventions.parameter_name(op, node.name) for op in node.ops}
        flag = _SWITCHES.get(found.pop() or "") if len(found) == 1 else None
        return None if flag is None else ast.Attribute(node.owner, flag, ast.Load())

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.value, Op) and node.value.name.startswith("init_"):
            return _replacing(initialising.initialised(self.program, node, node.value, self.conventions), node)
        if isinstance(node.value, Op) and node.value.name == "set_trainable":
            module, value = node.value.operands[0].value, node.value.attribute("value")
            assert value is not None
            return _replacing(ast.Assign([ast.Attribute(module, "trainable", ast.Store())], value), node)
        return node


def _replacing(made: ast.stmt, original: ast.stmt) -> ast.stmt:
    made.nf_replaces = getattr(original, "nf_replaces", original)  # type: ignore[attr-defined]
    return ast.copy_location(made, original)


def _plain_constructor() -> ast.stmt:
    return ast.parse("def __init__(self):\n    super().__init__()").body[0]
