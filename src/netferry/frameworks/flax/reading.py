"""How Flax NNX code is put together: modules, variables, random generators, and what has no meaning elsewhere."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import nnx

from netferry.conventions import MISSING
from netferry.frameworks.flax import calls, containers, decided, fields, flags, initialising, linen, methods, variables
from netferry.frameworks.flax.probe import FlaxProbe
from netferry.frameworks.flax.vocabulary import CONTAINERS, LIBRARIES, callable_path
from netferry.frameworks.flax.walk import walk
from netferry.ops import registry
from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import LayerAttribute, Op, constant
from netferry.reader import Reader
from netferry.weights.build import Module

_ANNOTATIONS = {
    "jax.Array": "Tensor", "flax.nnx.Module": "Module", "flax.nnx.Sequential": "Sequential", "flax.nnx.List": "ModuleList",
    "flax.nnx.Dict": "ModuleDict", "flax.nnx.Param": "Parameter", "flax.nnx.Variable": "Parameter",
}  # fmt: skip
_ERASED = ("jax.jit", "flax.nnx.jit", "flax.nnx.remat", "jax.checkpoint", "jax.remat", "builtins.print", "jax.debug.")


class FlaxConventions(FlaxProbe):
    """Flax NNX as a source."""

    libraries = frozenset(LIBRARIES)
    network_libraries: frozenset[str] = frozenset()
    mode_flags = flags.FLAGS
    """Arguments that say whether a network is trained, which is asked of it elsewhere."""

    def is_library(self, module: str) -> bool:
        """JAX and its libraries are never part of a project."""
        return module.split(".")[0] in self.libraries

    def is_module(self, value: Any) -> bool:
        """Whether a value is a module of NNX or Linen."""
        return isinstance(value, nnx.Module | nn.Module)

    def call_parameters(self, network: Any) -> list[str]:
        """The names of the parameters of calling a network that mean something elsewhere."""
        found = flags.parameters(type(network).__call__)[1:]
        return [name for name, annotation, _ in found if not flags.is_dropped(name, annotation, flags=True)]

    def is_container(self, path: str) -> bool:
        """Whether a class path is that of a container."""
        return path in CONTAINERS

    def is_sequence(self, value: Any) -> bool:
        """Whether a value is a ``Sequential``."""
        return isinstance(value, nnx.Sequential)

    def value(self, value: Any) -> ast.expr | None:
        """Types as canonical strings, numbers as they are."""
        if type(value).__name__ == "_ScalarMeta" or isinstance(value, np.dtype):
            return constant(jnp.dtype(value).name)
        if isinstance(value, float):
            return constant(value) if value == value else None
        return None

    def annotation(self, value: Any) -> str | None:
        """The neutral name of a type of JAX or NNX."""
        if value in (jnp.array, jnp.asarray):  # Functions, but people write them for what they make.
            return "Tensor"
        path = callable_path(value) if isinstance(value, type) else None
        if path is not None and issubclass(value, nnx.Module | nn.Module | nnx.Variable) and not registry.find(path):
            return _ANNOTATIONS.get(path) or ("Parameter" if issubclass(value, nnx.Variable) else "Module")
        return _ANNOTATIONS.get(path or "")

    def erased(self, value: Any) -> bool:
        """Compilation, rematerialisation and printing mean nothing elsewhere."""
        if value is MISSING:
            return False
        if value in (jax.jit, nnx.jit, nnx.remat, jax.checkpoint):
            return True
        module = getattr(value, "__module__", "") or ""
        return f"{module}.{getattr(value, '__qualname__', '')}".startswith(_ERASED)

    def walk(self, network: Any) -> Iterator[Module]:
        """Every module of a network and the arrays it holds."""
        return linen.walk(network) if isinstance(network, nn.Module) else walk(network)

    def _only_compiles(self, reader: Reader, decorator: ast.expr) -> bool:
        """``@partial(jax.jit, static_argnums=0)`` changes how, not what is computed."""
        match decorator:
            case ast.Call(func=called, args=[first, *_]) if reader.static(called) is functools.partial:
                return self.erased(reader.static(first))
        return False

    def tracks(self, network: Any) -> bool:
        """Linen makes modules in every call, so that only running the target's code tells what has become of them."""
        return isinstance(network, nn.Module)

    def foreign(self, value: Any) -> bool:
        """Random generators, initialisers and the like exist nowhere else."""
        if isinstance(value, type) and issubclass(value, nnx.Rngs | nnx.RngStream):
            return True
        path = callable_path(value)
        return path is not None and self.annotation(value) is None and not registry.find(path)

    def guess_method(self, reader: Reader, node: ast.Call) -> str | None:
        """An unobserved method call that can only be an array's."""
        assert isinstance(node.func, ast.Attribute)
        owner, path = node.func.value, self.tensor_path(node.func.attr)
        if isinstance(owner, ast.Name) and owner.id == "self":
            return None
        if hasattr(str, node.func.attr) or hasattr(list, node.func.attr) or reader.static(owner) is not MISSING:
            return None
        return path if any(s.kind == "method" for _, s in registry.find(path)) else None

    def guess_attribute(self, reader: Reader, node: ast.Attribute) -> bool:
        """An unobserved attribute that can only be an array's."""
        if reader.values(node) or reader.values(node.value):
            return False
        return (
            node.attr in ("shape", "ndim") and isinstance(node.value, ast.Name) and reader.static(node.value) is MISSING
        )

    def attribute(self, reader: Reader, node: ast.Attribute, owners: Sequence[Any]) -> ast.expr | None:
        """Values of variables, variables of stock layers, and arguments they were made with."""
        if node.attr == "newaxis":
            return ast.copy_location(ast.Constant(None), node)
        if node.attr in variables.READ and owners and all(isinstance(o, Tensor) for o in owners):
            return reader.visit(node.value)  # type: ignore[no-any-return]
        if not owners or not self.is_module(owners[0]):
            return None
        if node.attr in flags.FLAGS and isinstance(node.value, ast.Name) and node.value.id == "self":
            return ast.copy_location(flags.asked(node.attr), node)
        if isinstance(owners[0], nnx.Sequential) and node.attr == "layers":
            return Op("sequence_of", {"module": reader.visit(node.value)}, site=reader.site(node))
        names: dict[str, str] = {}
        for owner in owners:
            for op, spelling in registry.find(self.layer_path(owner) or ""):
                if node.attr in spelling.params:
                    names[op.name] = spelling.params[node.attr].partition(":")[0].strip()
                elif spelling.layer and node.attr in spelling.parsed and (found := spelling.conversion(node.attr)):
                    names[op.name] = found.attribute
                break
        if len(set(names.values())) != 1:
            return None
        return LayerAttribute(reader.visit(node.value), next(iter(names.values())), tuple(names), reader.site(node))

    def structure(self, reader: Reader, node: ast.Call, path: str) -> ast.expr | object | None:
        """Containers, variables, layers and functions that need more than their signature."""
        return calls.structure(reader, node, path)

    def applied(self, reader: Reader, node: ast.Call, path: str) -> object:
        """Layers are called with their arrays alone."""
        calls.strip_call(node, path)
        return MISSING

    def plain_call(self, reader: Reader, node: ast.Call, callees: Sequence[Any]) -> ast.expr | None:
        """The project's own code is not handed random generators, nor networks their mode."""
        if (made := variables.of_own_kind(reader, node, callees)) is not None:
            return made
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Attribute(attr="dtype"), attr="type"), args=[number], keywords=[]
            ):
                return reader.visit(number)  # type: ignore[no-any-return]
        methods.leave_out(reader, node, callees)
        return None

    def subscript(self, reader: Reader, node: ast.Subscript) -> ast.expr | None:
        """``variable[...]`` is the array itself."""
        return variables.read(reader, node)

    def members(self, reader: Reader, node: ast.expr) -> ast.expr | None:
        """Lists that hold layers are lists here too."""
        return None

    def member(self, reader: Reader, owner: ast.expr, name: ast.expr) -> ast.expr | None:
        """Attributes read by name are attributes here too."""
        return None

    def declared(self, reader: Reader, node: ast.ClassDef) -> None:
        """Classes say nothing about their attributes."""

    def decided(self, reader: Reader, test: ast.expr) -> bool | None:
        """Whether there are random generators or initialisers matters nowhere else."""
        return decided.decided(reader, test)

    def statement(self, reader: Reader, node: ast.stmt) -> list[ast.stmt] | None:
        """Statements that vanish or change their form."""
        if getattr(node, "nf_made", False):  # Nothing of the source's.
            return [node]
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = [d for d in node.decorator_list if not self._only_compiles(reader, d)]
        match node:
            case ast.ClassDef() if methods.is_module_class(reader, node):
                methods.prepare(reader, node)
            case ast.ClassDef() if fields.is_module_class(reader, node):
                fields.prepare(reader, node)
            case ast.FunctionDef() if not getattr(node, "nf_prepared", False):
                methods.without_random(node)
            case ast.ClassDef() if variables.is_kind(reader, node):
                return []
            case ast.If():
                return decided.branch(reader, node)
            case ast.ClassDef(decorator_list=[_, *_]):
                fields.plain_dataclass(reader, node)
            case ast.Assign(value=value) if methods.is_random_value(reader, value) or _is_start(reader, value):
                return []
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript() as target]):
                return variables.assigned(reader, node, target) or self._kept(reader, node, target)
            case ast.AugAssign(target=ast.Attribute(value=ast.Attribute() as owner, attr="value")):
                return variables.changed(reader, node, owner)
            case ast.AugAssign(
                target=ast.Subscript(value=ast.Attribute() as owner, slice=ast.Constant(value=index))
            ) if index is Ellipsis:
                return variables.changed(reader, node, owner)
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr="sow"))):
                return []  # What is noted for those who look on.
            case ast.Expr(
                value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[_]) as call
            ) if made := containers.gathered(reader, node, name, call):
                return made
            case ast.Expr(
                value=ast.Call(
                    func=ast.Attribute(
                        value=ast.Attribute(value=owner, attr="layers"), attr="append" | "extend" as how
                    ),
                    args=[given],
                )
            ) if containers.is_sequence(reader.values(owner)):
                return containers.grown(reader, node, owner, given, several=how == "extend")
            case ast.Expr(value=ast.Call() as call):
                callees = reader.callees(call)
                callee = callees[0] if callees else reader.static(call.func)
                return [] if self.erased(callee) else None
        return None

    def _kept(self, reader: Reader, node: ast.Assign, target: ast.expr) -> list[ast.stmt] | None:
        """Lists and dicts of modules that a module keeps."""
        match target:
            case ast.Attribute(value=ast.Name(id="self"), attr=name):
                return containers.kept(reader, node, name, lambda network: [m.instance for m in self.walk(network)])
        return None


def _is_start(reader: Reader, node: ast.expr) -> bool:
    """Whether an expression was seen to be an initialiser."""
    seen = reader.values(node)
    return bool(seen) and all(map(initialising.is_initialiser, seen))


def conventions(name: str) -> FlaxConventions:
    """The conventions for the source framework."""
    return FlaxConventions()
