"""How PyTorch code is put together: modules, containers, parameters, and what has no meaning elsewhere."""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import torch

from netferry.conventions import MISSING
from netferry.frameworks.torch import descending, filling, freezing, functions, holding, published, tying
from netferry.frameworks.torch.constructors import CONSTRUCTORS, constructed
from netferry.frameworks.torch.decided import decided
from netferry.frameworks.torch.names import callable_path, class_path, is_service_class, qualified
from netferry.frameworks.torch.own_forward import own_forward
from netferry.frameworks.torch.probe import TorchProbe
from netferry.frameworks.torch.walk import walk as modules_below
from netferry.ops import registry
from netferry.ops.binding import CannotBind
from netferry.pivot.copying import copied
from netferry.pivot.facts import Site
from netferry.pivot.nodes import LayerAttribute, Op, constant, is_literal, literal
from netferry.pivot.render import list_of_arguments
from netferry.reader import Reader
from netferry.walking import walk
from netferry.weights.build import Module

Rule = Callable[["TorchConventions", Reader, ast.Call], "ast.expr | object | None"]

_ANNOTATIONS = {
    "torch.Tensor": "Tensor", "torch.nn.Module": "Module", "torch.nn.Sequential": "Sequential",
    "torch.nn.ModuleList": "ModuleList", "torch.nn.ModuleDict": "ModuleDict", "torch.nn.Parameter": "Parameter",
    "torch.nn.parameter.Parameter": "Parameter", "torch.Size": "Shape", "torch.dtype": "Dtype", "torch.device": "Device",
    "torch.LongTensor": "Tensor", "torch.FloatTensor": "Tensor", "torch.BoolTensor": "Tensor",
}  # fmt: skip
_RECEIVER = {
    "to", "cuda", "cpu", "eval", "train", "float", "double", "half", "bfloat16", "type", "requires_grad_", "share_memory",
}  # fmt: skip
_ERASED = (
    "torch.no_grad", "torch.enable_grad", "torch.set_grad_enabled", "torch.inference_mode", "torch.autocast",
    "torch.amp.autocast_mode.autocast", "torch.amp.autocast", "torch.cuda.amp.autocast", "torch.jit.", "torch._jit_internal.", "torch.fx.", "torch.manual_seed",
    "torch.compiler.", "torch._dynamo.", "torch.utils.checkpoint.set", "torch.cuda.", "torch.backends.", "torch.profiler.",
    "torch.autograd.profiler.", "torchvision.utils._log_api_usage_once", "torchvision.models._api.register_model",
    "torchvision.models._utils.handle_legacy_interface", "torch.set_default_dtype", "torch.set_num_threads",
    "torch.device", "torch.nn.attention.", "torch.autograd.set_detect_anomaly", "torch.autograd.anomaly_mode.",
    "torch.accelerator.", "torch.testing.",
)  # fmt: skip


_CHECKPOINTS = (
    "load_state_dict", "_load_from_state_dict", "_save_to_state_dict", "register_load_state_dict_pre_hook",
    "register_load_state_dict_post_hook", "_register_load_state_dict_pre_hook",
)  # fmt: skip
"""Methods of modules that only concern PyTorch's own checkpoints."""


class TorchConventions(TorchProbe):
    """PyTorch as a source."""

    libraries = frozenset({"torch", "torchvision", "einops", "torchaudio", "timm"})
    network_libraries = frozenset({"torchvision", "timm"})
    """Libraries of networks written in PyTorch: their code is read with the user's own."""

    def tracks(self, network: Any) -> bool:
        """Layers have the places of their attributes."""
        return False

    def is_library(self, module: str) -> bool:
        """PyTorch itself is never part of a project."""
        return False

    def is_module(self, value: Any) -> bool:
        """Whether a value is an ``nn.Module`` instance."""
        return isinstance(value, torch.nn.Module)

    def call_parameters(self, network: Any) -> list[str]:
        """The names of the parameters of ``forward``."""
        return list(inspect.signature(network.forward).parameters)

    def is_container(self, path: str) -> bool:
        """Whether a class path is that of a container."""
        return path in ("torch.nn.Sequential", "torch.nn.Module")

    def is_sequence(self, value: Any) -> bool:
        """Whether a value is a ``Sequential``."""
        return holding.of_class(type(value)) == holding.Held("sequence")

    def members(self, reader: Reader, node: ast.expr) -> ast.expr | None:
        """The members of a container that is no list or dict elsewhere."""
        return holding.members(reader, node)

    def member(self, reader: Reader, owner: ast.expr, name: ast.expr) -> ast.expr | None:
        """``getattr(owner, name)`` of a container."""
        return descending.member(reader, owner, name)

    def subscript(self, reader: Reader, node: ast.Subscript) -> ast.expr | None:
        """Reading an item of a table of modules; ``torch.jit.Final[bool]`` is for scripting alone."""
        if reader.static(node.value) is Final and ast.unparse(node.value).startswith("torch."):
            return reader.visit(node.slice)  # type: ignore[no-any-return]
        return descending.by_key(reader, node)

    def declared(self, reader: Reader, node: ast.ClassDef) -> None:
        """Classes that extend a container hold one."""
        holding.declared(reader, node)

    def value(self, value: Any) -> ast.expr | None:
        """dtypes as canonical strings, numbers as they are."""
        if isinstance(value, torch.dtype):
            return constant(str(value).removeprefix("torch."))
        if isinstance(value, float) and value in (math.pi, math.e):
            return constant(value)
        if isinstance(value, float) and math.isinf(value):
            return constant(value)
        return None

    def annotation(self, value: Any) -> str | None:
        """The neutral name of a PyTorch type."""
        path = callable_path(value) if isinstance(value, type) else None
        return _ANNOTATIONS.get(path or "")

    def erased(self, value: Any) -> bool:
        """Scripting, autograd modes, logging and model registries mean nothing elsewhere."""
        if value is MISSING:
            return False
        return qualified(value).startswith(_ERASED)

    def walk(self, network: Any) -> Iterator[Module]:
        """Every module of a network and the arrays it holds."""
        return modules_below(network)

    def decided(self, reader: Reader, test: ast.expr) -> bool | None:
        """Questions about scripting, devices and processes have one answer elsewhere."""
        return decided(reader, test)

    def foreign(self, value: Any) -> bool:
        """Classes that stand for published checkpoints."""
        return is_service_class(value)

    def guess_method(self, reader: Reader, node: ast.Call) -> str | None:
        """An unobserved method call that can only be a tensor's."""
        assert isinstance(node.func, ast.Attribute)
        name = node.func.attr
        owner = node.func.value
        if isinstance(owner, ast.Name) and owner.id == "self" and name in ("modules", "children", "parameters"):
            return f"torch.nn.Module.{name}"
        if name in _CHECKPOINTS:
            return f"torch.nn.Module.{name}"
        if isinstance(owner, ast.Name) and owner.id == "self":
            return None
        if name in _PYTHON_METHODS or reader.static(node.func.value) is not MISSING:
            return None
        path = self.tensor_path(name)
        return path if any(s.kind == "method" for _, s in registry.find(path)) else None

    def guess_attribute(self, reader: Reader, node: ast.Attribute) -> bool:
        """An unobserved attribute that can only be a tensor's."""
        if reader.values(node) or reader.values(node.value):
            return False
        return (
            node.attr in ("shape", "ndim") and isinstance(node.value, ast.Name) and reader.static(node.value) is MISSING
        )

    def attribute(self, reader: Reader, node: ast.Attribute, owners: Sequence[Any]) -> ast.expr | None:
        """``self.training``, and parameters of stock layers."""
        if not owners and isinstance(node.value, ast.Name) and (kinds := reader.narrowed.get(node.value.id)):
            return self._layer_attribute(reader, node, kinds)
        if not owners and node.attr in ("weight", "bias") and isinstance(node.value, ast.Attribute):
            return LayerAttribute(reader.visit(node.value), node.attr, (), reader.site(node))
        if node.attr == "__name__" and (name := _shared_name(owners)):
            return constant(name)
        if not owners or not self.is_module(owners[0]):
            if node.attr == "training" and isinstance(node.value, ast.Name) and node.value.id == "self":
                return Op("is_training", {}, site=reader.site(node))
            return _member(reader, node, owners)
        if node.attr == "training":
            return Op("is_training", {}, site=reader.site(node))
        found = holding.by_name(reader, node, list(owners)) or descending.modules_table(reader, node, owners)
        return found or self._layer_attribute(reader, node, [type(owner) for owner in owners])

    def _layer_attribute(self, reader: Reader, node: ast.Attribute, kinds: Sequence[type]) -> ast.expr | None:
        names: dict[str, str] = {}
        for kind in kinds:
            path = next((class_path(k) for k in kind.__mro__ if class_path(k)), None)
            for op, spelling in registry.find(path or ""):
                if node.attr in spelling.params:
                    names[op.name] = node.attr
                elif spelling.layer and node.attr in spelling.parsed and (found := spelling.conversion(node.attr)):
                    names[op.name] = found.attribute
                break
        if len(set(names.values())) != 1:
            return None
        canonical = next(iter(names.values()))
        made = LayerAttribute(reader.visit(node.value), canonical, tuple(names), reader.site(node))
        seen = reader.values(node)
        made.nf_seen = frozenset(seen if all(type(v) is int for v in seen) else ())  # type: ignore[attr-defined]
        return made

    def structure(self, reader: Reader, node: ast.Call, path: str) -> ast.expr | object | None:
        """Containers, parameters, buffers and walks over modules."""
        extended = own_forward(reader, node, path) or holding.method(reader, node, path)
        if extended is not None:
            return extended
        rule = _false if path.endswith(".is_available") else _RULES.get(path)
        if rule is not None:
            return rule(self, reader, node)
        if path.startswith("torch.nn.Module."):
            walked = descending.descend(reader, node, path.rpartition(".")[2])
            if walked is not None:
                return walked
        if path.startswith("torch.nn.Module.") and path.rpartition(".")[2] in _RECEIVER:
            assert isinstance(node.func, ast.Attribute)
            return reader.visit(node.func.value)  # type: ignore[no-any-return]
        if path.endswith(".__init__") and path != "torch.nn.Module.__init__":
            return self._super_init(reader, node, _extended(reader, node) or path.removesuffix(".__init__"))
        if path.startswith(_PLAIN):
            reader.generic_visit(node)
            return node
        if path.startswith("torch.optim.") and not _is_all_parameters(node):
            return reader.hole(node, f"{path} of chosen parameters", "give the optimizer `model.parameters()`")
        return MISSING

    def _super_init(self, reader: Reader, node: ast.Call, path: str) -> ast.expr | object:
        """``super().__init__(...)`` of a class that extends a stock layer."""
        for op, spelling in registry.find(path):
            if spelling.layer:
                try:
                    made = reader.calls.op(node, op, spelling, [torch.nn.Module])
                except CannotBind as error:
                    return reader.hole(node, f"{path}: {error}")
                made.complete = True  # type: ignore[attr-defined]
                return made
        return MISSING

    def applied(self, reader: Reader, node: ast.Call, path: str) -> object:
        """Layers are called with their tensors."""
        return MISSING

    def plain_call(self, reader: Reader, node: ast.Call, callees: Sequence[Any]) -> ast.expr | None:
        """Published weights are not loaded elsewhere."""
        published.leave_out(reader, node, callees)
        return descending.table(reader, node)

    def statement(self, reader: Reader, node: ast.stmt) -> list[ast.stmt] | None:
        """Statements that vanish or change their form."""
        frozen = freezing.statement(reader, node)
        if frozen is not None:
            return frozen
        placed = self._placed(reader, node)
        if placed is not None:
            return placed
        match node:
            case ast.Expr(value=ast.Tuple(elts=[ast.Call() as call])):  # A comma at the end of the line.
                node.value = call
                return self._bare_call(reader, node, call)
            case ast.Expr(value=ast.Call() as call):
                return self._bare_call(reader, node, call)
            case ast.ClassDef():
                functions.without_derivative(reader, node)
                return None
            case ast.With():
                return self._with(reader, node)
            case ast.If():
                return self._if(reader, node)
            case ast.For() if descending.unnamed(reader, node):
                return None
            case ast.For() if self._only_initialises(reader, node):
                reader.note(node, "initial values by parameter name are left out: the target makes its variables later")
                return []
        return None

    def _placed(self, reader: Reader, node: ast.stmt) -> list[ast.stmt] | None:
        """Statements that change what a container holds, or tie two layers."""
        made: ast.stmt | None = None
        if isinstance(node, ast.Assign):
            initial = filling.replaced(reader, node)
            if initial is not None:
                return initial
            made = tying.statement(reader, node) or holding.assigned(reader, node)
        rest = [made] if made is not None else holding.rebuilt(reader, node)
        return None if rest is None else [_replacing(rest[0], node), *rest[1:]]

    def _only_initialises(self, reader: Reader, node: ast.For) -> bool:
        """Whether a loop over parameters by name does nothing but fill them."""
        paths = {callable_path(c) for n in walk(node.iter) if isinstance(n, ast.Call) for c in reader.callees(n)}
        if not paths & {
            "torch.nn.Module.named_parameters",
            "torch.nn.Module.parameters",
            "torch.nn.Module.named_modules",
        }:
            return False
        calls = [n for s in node.body for n in walk(s) if isinstance(n, ast.Call)]
        made = [callable_path(c) or "" for n in calls for c in reader.callees(n)]
        return (
            bool(calls) and all(not p or p.startswith(("torch.nn.init.", "torch.Tensor.")) for p in made) and any(made)
        )

    def _bare_call(self, reader: Reader, node: ast.Expr, call: ast.Call) -> list[ast.stmt] | None:
        callees = reader.facts.callees.get(getattr(call, "nf_id", -1), [])
        callee = callees[0] if callees else reader.static(call.func)
        if self.erased(callee):
            return []
        holds = holding.base_call(reader, call)
        if holds is not None:
            return [_replacing(holds[0], node), *holds[1:]]
        path = callable_path(callee) if callee is not MISSING else None
        name = (path or "").rpartition(".")[2]
        if name == "_assert" and len(call.args) == 2:
            made: ast.stmt = ast.Assert(reader.visit(call.args[0]), reader.visit(call.args[1]))
            return [_replacing(made, node)]
        if (path or "").startswith("torch.nn.") and name in ("register_buffer", "register_parameter"):
            return self._register(reader, node, call, buffer=name == "register_buffer")
        added = self._added(reader, node, call, path or "")
        if added is not None:
            return added
        if name == "flatten_parameters" and (path or "").startswith("torch.nn."):
            return []  # Only how the arrays lie in memory.
        if (path or "").startswith("torch.nn.Module.") and name in _RECEIVER | {"zero_grad"}:
            return []
        if path == "torch.nn.Module.load_state_dict" and callees:
            return published.load(reader, node)
        if path == "torch.nn.Module.apply":
            return self._apply(reader, node, call)
        kept = filling.elsewhere(reader, node, call, callee)
        return filling.fill(reader, node, call) if kept is None else kept

    def _register(self, reader: Reader, node: ast.Expr, call: ast.Call, *, buffer: bool) -> list[ast.stmt]:
        assert isinstance(call.func, ast.Attribute)
        given = dict(zip(("name", "tensor", "persistent"), call.args, strict=False))
        given |= {{"param": "tensor"}.get(k.arg or "", k.arg or ""): k.value for k in call.keywords}
        value = reader.visit(given["tensor"])
        missing = _missing(value, reader.site(call))
        if buffer and not all(missing):
            owned = Op("buffer", {"x": value}, site=reader.site(call))
            owned.nf_id = getattr(call, "nf_id", -1)  # type: ignore[attr-defined]
            optional = any(missing) and isinstance(value, ast.Name | ast.Attribute)
            value = _unless_none(value, owned) if optional else owned
        return [_replacing(_set(reader.visit(call.func.value), given["name"], value, reader), node)]

    def _added(self, reader: Reader, node: ast.Expr, call: ast.Call, path: str) -> list[ast.stmt] | None:
        """``add_module``, and ``setattr`` with a module, in words for what the owner is elsewhere."""
        given = [*call.args, *(k.value for k in call.keywords)]
        match call.func:
            case ast.Attribute(value=owner, attr="add_module" | "register_module") if len(given) == 2:
                name, item = given
            case ast.Name(id="setattr") if len(given) == 3 and holding.held(reader, given[0]) is not None:
                owner, name, item = given
            case _:
                return None
        if not path.startswith("torch.nn.") and path:
            return None
        value = reader.visit(item)
        made = holding.placed(reader, owner, name, value) or _set(reader.visit(owner), name, value, reader)
        return [_replacing(made, node)]

    def _apply(self, reader: Reader, node: ast.Expr, call: ast.Call) -> list[ast.stmt]:
        assert isinstance(call.func, ast.Attribute)
        walk = Op("modules", {"module": reader.visit(call.func.value)})
        body = ast.Expr(ast.Call(reader.visit(call.args[0]), [ast.Name("module", ast.Load())], []))
        return [_replacing(ast.For(ast.Name("module", ast.Store()), walk, [body], []), node)]

    def _with(self, reader: Reader, node: ast.With) -> list[ast.stmt] | None:
        contexts = [i.context_expr for i in node.items]
        if not all(self.erased(reader.static(c.func if isinstance(c, ast.Call) else c)) for c in contexts):
            return None
        made: list[ast.stmt] = []
        for statement in node.body:
            result = reader.visit(statement)
            made.extend(result if isinstance(result, list) else [result] if result is not None else [])
        return [_replacing(s, node) if not hasattr(s, "nf_memory") else s for s in made]

    def _if(self, reader: Reader, node: ast.If) -> list[ast.stmt] | None:
        """Branches on scripting, tracing or devices are decided: generated code is plain Python."""
        answer = decided(reader, node.test)
        if answer is None:
            return None
        made: list[ast.stmt] = []
        for statement in node.body if answer else node.orelse:
            result = reader.visit(statement)
            made.extend(result if isinstance(result, list) else [result] if result is not None else [])
        return made


def _shared_name(owners: Sequence[Any]) -> str | None:
    """The name of the one stock class that an expression was seen to be: elsewhere it is called otherwise."""
    names = {owner.__name__ for owner in owners if isinstance(owner, type) and class_path(owner) is not None}
    return names.pop() if len(names) == 1 and all(isinstance(owner, type) for owner in owners) else None


def _member(reader: Reader, node: ast.Attribute, owners: Sequence[Any]) -> ast.expr | None:
    """``x.max(dim).values`` is the first of a pair elsewhere."""
    if not owners or any(getattr(type(owner), "__module__", "") != "torch.return_types" for owner in owners):
        return None
    position = type(owners[0]).__match_args__.index(node.attr)
    return ast.Subscript(reader.visit(node.value), constant(position), ast.Load())


def _extended(reader: Reader, node: ast.Call) -> str | None:
    """The stock layer that a class extends whose constructor PyTorch defines in a private base of its own."""
    receivers = [getattr(c, "__self__", None) for c in reader.callees(node)]
    kinds = [k for r in receivers for k in type(r).__mro__] or [b for b in reader.bases if isinstance(b, type)]
    return next((path for kind in kinds if (path := class_path(kind)) is not None), None)


_PLAIN = (
    "torch.nn.ModuleList.", "torch.nn.ModuleDict.", "torch.nn.ParameterList.", "torch.nn.Module.__init__",
)  # fmt: skip
_PYTHON_METHODS = set(dir(str)) | set(dir(list)) | set(dir(dict)) | set(dir(set)) | set(dir(int))


def _is_all_parameters(node: ast.Call) -> bool:
    """Whether an optimizer is given ``model.parameters()``: elsewhere it gets the variables when it is used."""
    given = node.args[0] if node.args else next((k.value for k in node.keywords if k.arg == "params"), None)
    return isinstance(given, ast.Call) and isinstance(given.func, ast.Attribute) and given.func.attr == "parameters"


def _missing(value: ast.expr, site: Site) -> list[bool]:
    """Of every buffer that was registered here, whether it was None."""
    if is_literal(value):
        return [literal(value) is None]
    given = [e.kwargs.get("tensor", e.args[2] if len(e.args) > 2 else MISSING) for e in site.events]
    return [v is None for v in given] or [False]


def _unless_none(value: ast.expr, otherwise: ast.expr) -> ast.expr:
    test = ast.Compare(copied(value), [ast.Is()], [constant(None)])
    return ast.IfExp(test, constant(None), otherwise)


def _replacing(made: ast.stmt, original: ast.stmt) -> ast.stmt:
    made.nf_replaces = original  # type: ignore[attr-defined]
    return ast.copy_location(made, original)


def _set(owner: ast.expr, name: ast.expr, value: ast.expr, reader: Reader) -> ast.stmt:
    """``owner.name = value``, or ``setattr`` for a computed name."""
    if isinstance(name, ast.Constant) and isinstance(name.value, str) and name.value.isidentifier():
        return ast.Assign([ast.Attribute(owner, name.value, ast.Store())], value)
    return ast.Expr(ast.Call(ast.Name("setattr", ast.Load()), [owner, reader.visit(name), value], []))


def _sequential(conventions: TorchConventions, reader: Reader, node: ast.Call) -> ast.expr | object:
    if len(node.args) == 1 and not isinstance(node.args[0], ast.Starred):
        seen = reader.values(node.args[0])
        if seen and isinstance(seen[0], dict):
            return _sequential_of_dict(reader, node)
    layers = list_of_arguments(node)
    layers.elts = [reader.visit(e) for e in layers.elts]
    listing: ast.expr = layers
    if len(layers.elts) == 1 and isinstance(layers.elts[0], ast.Starred):
        listing = layers.elts[0].value
        if any(not isinstance(v, list) for v in reader.values(node.args[0].value)):  # type: ignore[attr-defined]
            listing = ast.Call(ast.Name("list", ast.Load()), [listing], [])
    return _layers(reader, node, listing)


def _layers(reader: Reader, node: ast.Call, listing: ast.expr) -> ast.expr:
    instances = reader.values(node)
    empty = isinstance(listing, ast.List) and not listing.elts
    if isinstance(node.func, ast.Attribute) and node.func.attr == "__init__":
        base: ast.expr = reader.visit(node.func)
        made = Op("sequential", {} if empty else {"layers": listing}, layer=True, site=reader.site(node), indirect=base)
        made.complete = True  # type: ignore[attr-defined]
        return made
    if empty and instances and all(len(i) == 0 for i in instances):
        return Op("identity", {}, layer=True, site=reader.site(node))
    made = Op("sequential", {} if empty else {"layers": listing}, layer=True, site=reader.site(node))
    made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    return made


def _sequential_of_dict(reader: Reader, node: ast.Call) -> ast.expr:
    given = node.args[0]
    if isinstance(given, ast.Call) and given.args and isinstance(given.args[0], ast.List):
        pairs = given.args[0].elts
        if all(isinstance(p, ast.Tuple) and len(p.elts) == 2 for p in pairs):
            return _layers(reader, node, ast.List([reader.visit(p.elts[1]) for p in pairs], ast.Load()))  # type: ignore[attr-defined]
    values = ast.Call(ast.Attribute(reader.visit(given), "values", ast.Load()), [], [])
    return _layers(reader, node, ast.Call(ast.Name("list", ast.Load()), [values], []))


def _container(name: str, empty: type[ast.List] | type[ast.Dict]) -> Rule:
    def rule(conventions: TorchConventions, reader: Reader, node: ast.Call) -> ast.expr | object:
        if node.args:
            given = reader.visit(node.args[0])
            if isinstance(given, ast.GeneratorExp):
                given = ast.ListComp(given.elt, given.generators)
            elif not isinstance(given, ast.List | ast.ListComp | ast.Dict | ast.DictComp | ast.Name):
                seen = reader.values(node.args[0])
                if empty is ast.List and any(not isinstance(v, list) for v in seen):
                    given = ast.Call(ast.Name("list", ast.Load()), [given], [])
        else:
            given = ast.List([], ast.Load()) if empty is ast.List else ast.Dict([], [])
        return Op(name, {"modules": given}, layer=True, site=reader.site(node))

    return rule


def _parameter(conventions: TorchConventions, reader: Reader, node: ast.Call) -> ast.expr | object:
    given = dict(zip(("data", "requires_grad"), node.args, strict=False)) | {
        k.arg or "": k.value for k in node.keywords
    }
    attributes = {"trainable": reader.visit(given["requires_grad"])} if "requires_grad" in given else {}
    made = Op("parameter", {"x": reader.visit(given["data"])}, attributes, site=reader.site(node))
    made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    reader.counts.observed += 1
    return made


def _buffer(conventions: TorchConventions, reader: Reader, node: ast.Call) -> ast.expr | object:
    made = Op("buffer", {"x": reader.visit(node.args[0])}, site=reader.site(node))
    made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    return made


def _checkpoint(conventions: TorchConventions, reader: Reader, node: ast.Call) -> ast.expr | object:
    """Gradient checkpointing changes memory, not results."""
    function, *args = [reader.visit(a) for a in node.args]
    return ast.Call(function, args, [])


def _false(conventions: TorchConventions, reader: Reader, node: ast.Call) -> ast.expr | object:
    return ast.Constant(False)


def _argument(conventions: TorchConventions, reader: Reader, node: ast.Call) -> ast.expr | object:
    return reader.visit(node.args[0])  # type: ignore[no-any-return]


def _second_argument(conventions: TorchConventions, reader: Reader, node: ast.Call) -> ast.expr | object:
    return reader.visit(node.args[1])  # type: ignore[no-any-return]


def _pretrained(conventions: TorchConventions, reader: Reader, node: ast.Call) -> ast.expr | object:
    """A checkpoint of the source cannot be loaded into the target as it is."""
    if any(callable_path(c) == _DOWNLOAD for c in reader.callees(node)):
        return published.fetch(reader, node)
    made = reader.hole(node, "a PyTorch checkpoint is loaded here", "convert it with `netferry weights`")
    made.code = "NF037"
    return made


def _forward(conventions: TorchConventions, reader: Reader, node: ast.Call) -> ast.expr | object:
    """``super().forward(x)`` of a class that extends a stock layer."""
    reader.generic_visit(node)
    return node


def _records(conventions: TorchConventions, reader: Reader, node: ast.Call) -> ast.expr | object:
    return reader.hole(node, "whether gradients are recorded is not known elsewhere", "ask self.training instead")


def _builtin(name: str) -> Rule:
    """``self.__getattr__(name)`` is what the builtin does."""

    def rule(conventions: TorchConventions, reader: Reader, node: ast.Call) -> ast.expr | object:
        assert isinstance(node.func, ast.Attribute)
        args = [reader.visit(a) for a in (node.func.value, *node.args)]
        return ast.Call(ast.Name(name, ast.Load()), args, [])

    return rule


_DOWNLOAD = "torch.hub.load_state_dict_from_url"
_RULES: dict[str, Rule] = {
    "torch.nn.Module.__getattr__": _builtin("getattr"),
    "torch.nn.Module.__setattr__": _builtin("setattr"),
    "torch.nn.Module.__delattr__": _builtin("delattr"),
    "torch.nn.Sequential": _sequential,
    "torch.nn.Sequential.__init__": _sequential,
    "torch.nn.ModuleList": _container("module_list", ast.List),
    "torch.nn.ParameterList": _container("module_list", ast.List),
    "torch.nn.ModuleDict": _container("module_dict", ast.Dict),
    "torch.nn.ParameterDict": _container("module_dict", ast.Dict),
    "torch.nn.Parameter": _parameter,
    "torch.nn.parameter.Parameter": _parameter,
    "torch.nn.Buffer": _buffer,
    "torch.utils.checkpoint.checkpoint": _checkpoint,
    "torchvision.models._api.WeightsEnum.verify": _argument,
    "torch.jit.script": _argument,
    "torch.jit.annotate": _second_argument,
    "torch.device": _argument,
    "torch.autograd.Variable": _argument,
    "torch.is_grad_enabled": _records,
    **{path: constructed(path) for path in CONSTRUCTORS},
    **{f"torch.nn.Module.{name}": _pretrained for name in _CHECKPOINTS},
    _DOWNLOAD: _pretrained,
    "torch.jit.is_scripting": _false,
    "torch._jit_internal.is_scripting": _false,
    "torch.jit.is_tracing": _false,
    "torch.nn.Sequential.forward": _forward,
}


def conventions(name: str) -> TorchConventions:
    """The conventions for the source framework."""
    return TorchConventions()
