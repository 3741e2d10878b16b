"""What a PyTorch network is called with, guessed from how its file tries it out, its comments and its first layer."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch

from netferry.frameworks.torch.reading import conventions
from netferry.inputs import InputSpec
from netferry.observe.run import built
from netferry.project import Project
from netferry.project.candidates import Entry, import_paths, is_plain, local_constants, substitute, trial_scopes
from netferry.project.files import SourceFile
from netferry.project.names import dotted
from netferry.walking import walk

BASES: Final = (
    frozenset(
        {
            "torch.nn.Module",
            "torch.nn.Sequential",
            "torch.nn.ModuleList",
            "torch.nn.modules.Module",
            "torch.nn.modules.module.Module",
            "pytorch_lightning.LightningModule",
            "lightning.LightningModule",
            "lightning.pytorch.LightningModule",
        }
    ),
    "nn.Module",
)
"""The classes that networks derive from, and what to call them."""

_CREATORS: Final = {f"torch.{name}": "float32" for name in ("randn", "rand", "zeros", "ones", "empty")}
_DTYPES: Final = {"long": "int64", "int64": "int64", "int": "int32", "int32": "int32", "float64": "float64"}
_SAME: Final = ("to", "cuda", "cpu", "float", "requires_grad_", "detach", "clone", "contiguous", "type", "double")
_IMAGE_SIZES: Final = (32, 28, 64, 224, 96, 128, 227, 299, 256, 48, 512)
_LENGTHS: Final = (128, 64, 100, 256, 1000, 32, 16)


@dataclass(frozen=True)
class Guess:
    """One possible set of inputs, to be tried in the order given."""

    inputs: tuple[InputSpec, ...]
    reason: str
    line: int = 0


def inputs(project: Project, entry: str, call: str) -> tuple[list[InputSpec], str]:
    """The first guess that the network accepts, with its reason; raises NF013."""
    found = Entry(entry, call, project.main)
    shown = next(_tried_out(found), None)
    if shown is not None:
        return list(shown.inputs), shown.reason
    frontend = conventions("torch")
    known = list(_commented(found))
    for real in (False, True):
        with built(project, frontend, entry, call, real=real) as network:
            frontend.set_training(network, False)
            for guess in [*known, *from_network(network)]:
                if _accepts(network, *frontend.arguments(guess.inputs)):
                    return list(guess.inputs), guess.reason
            wanted = ", ".join(inspect.signature(network.forward).parameters)
    node = next((n for n in project.main.tree.body if getattr(n, "name", "") == entry), None)
    raise project.main.error("NF013", node, f"nothing shows the shapes of what {entry} is called with ({wanted})")


def _accepts(network: torch.nn.Module, args: list[Any], kwargs: dict[str, Any]) -> bool:
    try:
        network(*args, **kwargs)
    except Exception:  # noqa: BLE001 - whatever it raises, these are not its inputs
        return False
    return True


def from_file(entry: Entry) -> Iterator[Guess]:
    """The tensors that the file itself hands to the network, then the shapes that its comments name."""
    yield from _tried_out(entry)
    yield from _commented(entry)


def _tried_out(entry: Entry) -> Iterator[Guess]:
    file = entry.file
    paths = import_paths(file.tree)
    module_constants = local_constants(file.tree.body)
    for scope in trial_scopes(file.tree):
        constants = module_constants | local_constants(scope)
        tensors = _Tensors(paths, constants)
        nodes = sorted((n for s in scope for n in walk(s) if hasattr(n, "lineno")), key=_position)
        networks = _holding(nodes, entry.name)
        for node in nodes:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                tensors.note(node.targets[0].id, node.value)
            elif isinstance(node, ast.Call) and _is_run(node, entry.name, networks):
                found = tensors.arguments(node)
                if found:
                    line = tensors.line or node.lineno
                    yield Guess(found, f"line {file.place(line)[1]}, {file.lines[line - 1].strip()}", line)


def _position(node: Any) -> tuple[int, int]:
    return node.lineno, -node.col_offset


def _holding(nodes: Iterable[ast.AST], entry: str) -> set[str]:
    """The local names that hold the network."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Assign) and _mentions_call(node.value, entry, found):
            found.update(t.id for t in node.targets if isinstance(t, ast.Name))
    return found


def _mentions_call(value: ast.expr, entry: str, known: set[str]) -> bool:
    """Whether a value is the entry's call, maybe moved to a device or wrapped."""
    names = {n.func.id for n in walk(value) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    moved = isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and dotted(value.func.value) in known
    return entry in names or moved


def _is_run(node: ast.Call, entry: str, networks: set[str]) -> bool:
    match node.func:
        case ast.Name(id=name):
            return name in networks
        case ast.Attribute(value=ast.Name(id=name), attr="forward"):
            return name in networks
        case ast.Call(func=ast.Name(id=name)):
            return name == entry
    return False


class _Tensors:
    """Reads calls that create tensors of known shape, and remembers the names that hold them."""

    def __init__(self, paths: Mapping[str, str], constants: Mapping[str, ast.expr]) -> None:
        self._paths = paths
        self._constants = constants
        self._held: dict[str, tuple[InputSpec, int]] = {}
        self.line = 0

    def note(self, name: str, value: ast.expr) -> None:
        """Remember what a name holds from here on."""
        found = self._tensor(value)
        self._held.pop(name, None)
        if found:
            self._held[name] = (found, value.lineno)

    def arguments(self, call: ast.Call) -> tuple[InputSpec, ...]:
        """The inputs that a call gives; empty when one of them is not understood."""
        self.line = 0
        given = [("", a) for a in call.args] + [(k.arg or "", k.value) for k in call.keywords]
        found = [self._argument(name, value) for name, value in given]
        known = tuple(spec for spec in found if spec is not None)
        return known if len(known) == len(found) else ()

    def _argument(self, name: str, value: ast.expr) -> InputSpec | None:
        if isinstance(value, ast.Name) and value.id in self._held:
            found, line = self._held[value.id]
        else:
            tensor = self._tensor(value)
            if tensor is None:
                return None
            found, line = tensor, value.lineno
        self.line = self.line or line
        return InputSpec(found.kind, name, found.shape, found.dtype, found.high, found.low)

    def _tensor(self, value: ast.expr) -> InputSpec | None:
        if not isinstance(value, ast.Call):
            return None
        if isinstance(value.func, ast.Attribute) and isinstance(value.func.value, ast.Call):
            return self._converted(value.func.attr, self._tensor(value.func.value))
        path = self._path(value.func)
        if path.endswith("autograd.Variable") and value.args:
            return self._tensor(value.args[0])
        if path == "torch.randint":
            return self._integers(value)
        return self._floats(value) if path in _CREATORS else None

    def _path(self, function: ast.expr) -> str:
        first, _, rest = dotted(function).partition(".")
        return f"{self._paths.get(first, first)}.{rest}".rstrip(".")

    def _converted(self, method: str, spec: InputSpec | None) -> InputSpec | None:
        if spec is None or method in _SAME:
            return spec
        if method in _DTYPES:
            return InputSpec(shape=spec.shape, dtype=_DTYPES[method], high=spec.high or 2, low=spec.low)
        return None

    def _floats(self, call: ast.Call) -> InputSpec | None:
        shape = self._shape(call.args, call.keywords)
        dtype = self._dtype(call.keywords, "float32")
        return None if shape is None else InputSpec(shape=shape, dtype=dtype, high=2 if "int" in dtype else None)

    def _integers(self, call: ast.Call) -> InputSpec | None:
        named = {k.arg: k.value for k in call.keywords}
        size = named.pop("size", None) or (call.args[-1] if len(call.args) > 1 else None)
        bounds = [self._number(a) for a in call.args if a is not size]
        bounds += [self._number(named[k]) for k in ("low", "high") if k in named]
        shape = self._shape([size], []) if size is not None else None
        if shape is None or not bounds or None in bounds:
            return None
        low = bounds[0] if len(bounds) > 1 else 0
        return InputSpec(shape=shape, dtype=self._dtype(call.keywords, "int64"), high=bounds[-1], low=low or 0)

    def _dtype(self, keywords: Iterable[ast.keyword], default: str) -> str:
        given = next((dotted(k.value).rpartition(".")[2] for k in keywords if k.arg == "dtype"), "")
        return _DTYPES.get(given, default)

    def _shape(self, arguments: list[ast.expr], keywords: list[ast.keyword]) -> tuple[int, ...] | None:
        given = arguments or [k.value for k in keywords if k.arg == "size"]
        if len(given) == 1 and isinstance(given[0], ast.Tuple | ast.List):
            given = given[0].elts
        sizes = [self._number(node) for node in given]
        known = tuple(size for size in sizes if size is not None)
        return known if sizes and len(known) == len(sizes) else None

    def _number(self, node: ast.expr) -> int | None:
        plain = substitute(node, self._constants)
        if not is_plain(plain) or any(isinstance(n, ast.Pow) for n in walk(plain)):
            return None
        value = eval(compile(ast.Expression(plain), "shape", "eval"), {})  # noqa: S307 - literals and arithmetic only
        return value if isinstance(value, int) else None


_SYMBOLIC: Final = re.compile(r"[\[(]\s*(?:N|B|b|n|bs|batch|batch_size)\s*,\s*(\d+(?:\s*,\s*\d+)*)\s*,?\s*[\])]")
_CROSSED: Final = re.compile(r"\b(\d+)\s*[x×]\s*(\d+)(?:\s*[x×]\s*(\d+))?\b")


def _commented(entry: Entry) -> Iterator[Guess]:
    """Shapes named in the comments and docstrings of the entry: ``(N, 3, 32, 32)``, ``input: 3x224x224``."""
    for number, text in _prose(entry.file, entry.name):
        reason = f"line {entry.file.place(number)[1]}, {text.strip()}"
        for match in _SYMBOLIC.finditer(text):
            sizes = tuple(int(n) for n in match[1].split(","))
            yield Guess((InputSpec(shape=(2, *sizes)),), reason, number)
        if "input" in text.lower() or "image" in text.lower():
            for match in _CROSSED.finditer(text):
                for sizes in _images([int(n) for n in match.groups() if n]):
                    yield Guess((InputSpec(shape=(2, *sizes)),), reason, number)


def _images(numbers: list[int]) -> list[tuple[int, ...]]:
    """``3x224x224``, ``224x224x3`` and ``224x224`` as channels, height, width."""
    if len(numbers) == 2:
        return [(channels, *numbers) for channels in (3, 1)]
    return [(numbers[2], *numbers[:2])] if numbers[2] < numbers[0] else [tuple(numbers)]


def _prose(file: SourceFile, name: str) -> Iterator[tuple[int, str]]:
    """The lines that hold comments or docstrings, in the entry first."""
    nodes = [n for n in file.tree.body if getattr(n, "name", "") == name]
    spans = [range(n.lineno, (n.end_lineno or n.lineno) + 1) for n in nodes] or [range(1, len(file.lines) + 1)]
    texts = {
        line
        for node in walk(file.tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    for number in (n for span in spans for n in span):
        line = file.lines[number - 1]
        comment = line.partition("#")[2]
        if number in texts or comment:
            yield number, line if number in texts else comment


def from_network(network: torch.nn.Module) -> Iterator[Guess]:
    """Inputs that suit the first layer that fixes one, the likeliest size first."""
    if _required(network) != 1:
        return
    for name, layer in network.named_modules():
        make = _BY_LAYER.get(type(layer).__name__)
        if make is not None:
            reason = f"the first layer, {f'{name}: ' if name else ''}{layer}"
            yield from (Guess((spec,), reason) for spec in make(layer))
            return


def _required(network: torch.nn.Module) -> int:
    parameters = inspect.signature(network.forward).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p for p in parameters if p.kind in positional and p.default is p.empty]
    return len(needed) or min(len(parameters), 1)


def _floats(*shapes: tuple[int, ...]) -> list[InputSpec]:
    return [InputSpec(shape=shape) for shape in shapes]


def _images_of(layer: Any) -> list[InputSpec]:
    return _floats(*((2, layer.in_channels, size, size) for size in _IMAGE_SIZES))


def _linear(layer: Any) -> list[InputSpec]:
    size = layer.in_features
    found = [(2, size), (2, 5, size)]
    for channels in (1, 3):
        side = int((size / channels) ** 0.5)
        if channels * side * side == size and side > 3:
            found.append((2, channels, side, side))
    return _floats(*found)


def _tokens(layer: Any) -> list[InputSpec]:
    shapes = [(2, 7), *((2, n) for n in _LENGTHS), (2,)]
    return [InputSpec(shape=shape, dtype="int64", high=layer.num_embeddings) for shape in shapes]


def _sequences(layer: Any) -> list[InputSpec]:
    batch_first = _floats((2, 5, layer.input_size), *((2, n, layer.input_size) for n in _LENGTHS))
    return batch_first if layer.batch_first else [*_floats((5, 2, layer.input_size)), *batch_first]


_BY_LAYER: Final[Mapping[str, Callable[[Any], list[InputSpec]]]] = {
    "Conv1d": lambda layer: _floats(*((2, layer.in_channels, n) for n in _LENGTHS)),
    "Conv2d": _images_of,
    "Conv3d": lambda layer: _floats(*((2, layer.in_channels, d, s, s) for s in (32, 64, 112, 16) for d in (16, 8, 32))),
    "ConvTranspose1d": lambda layer: _floats(*((2, layer.in_channels, n) for n in (4, 1, 16))),
    "ConvTranspose2d": lambda layer: _floats(*((2, layer.in_channels, n, n) for n in (1, 4, 7, 8))),
    "BatchNorm1d": lambda layer: _floats((2, layer.num_features), (2, layer.num_features, 16)),
    "BatchNorm2d": lambda layer: _floats(*((2, layer.num_features, n, n) for n in _IMAGE_SIZES)),
    "LayerNorm": lambda layer: _floats((2, 5, *layer.normalized_shape), (2, *layer.normalized_shape)),
    "Linear": _linear,
    "Embedding": _tokens,
    "EmbeddingBag": _tokens,
    "LSTM": _sequences,
    "GRU": _sequences,
    "RNN": _sequences,
    "LSTMCell": lambda layer: _floats((2, layer.input_size)),
    "GRUCell": lambda layer: _floats((2, layer.input_size)),
    "MultiheadAttention": lambda layer: _floats((2, 5, layer.embed_dim)),
}
