"""Names of lifted classes and of the layers in them: what the source calls them, or what they are."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Collection

from netferry.pivot.nodes import LayerCall, Op
from netferry.walking import walk

_VERBS = ("build_", "make_", "create_", "get_", "define_", "construct_")
_KINDS = {
    "linear": "fc", "batch_norm": "bn", "layer_norm": "norm", "dropout": "dropout", "embedding": "embedding",
    "flatten": "flatten", "reshape": "reshape", "transpose": "permute",
}  # fmt: skip


def class_name(function: str, taken: Collection[str]) -> str:
    """``build_residual_net`` -> ``ResidualNet``; a name that starts with a capital is a class's already."""
    bare = function.lstrip("_")
    verb = next((v for v in _VERBS if bare.startswith(v) and len(bare) > len(v)), "")
    words = [w for w in re.split(r"_+", bare.removeprefix(verb)) if w]
    made = "".join(w[:1].upper() + w[1:] for w in words) or "Net"
    while made in taken and made != function:
        made += "Module"
    return made


class Namer:
    """Gives the layers of one class names: their own, else what they are, numbered where there are several."""

    def __init__(self) -> None:
        self.wanted: list[tuple[str, ast.Attribute | None]] = []
        self.places: list[list[ast.Attribute]] = []

    def place(self, layer: ast.expr, label: ast.expr | None, result: str = "") -> int:
        """Note a layer, and what its result is called; its number stands for it until :meth:`settle`."""
        self.wanted.append((_label(label) or _after(result, layer) or _kind(layer), None))
        self.places.append([])
        return len(self.wanted) - 1

    def rename(self, number: int, name: str) -> None:
        """Call a layer something else."""
        self.wanted[number] = (_label(ast.Constant(name)) or self.wanted[number][0], None)

    def attribute(self, number: int) -> ast.Attribute:
        """``self.name`` of a layer, to be filled in later."""
        made = ast.Attribute(ast.Name("self", ast.Load()), "", ast.Load())
        self.places[number].append(made)
        return made

    def settle(self, taken: Collection[str], plural: Collection[int] = ()) -> dict[int, str]:
        """Decide all names."""
        names = [f"{w}s" if n in plural and not w.endswith("s") else w for n, (w, _) in enumerate(self.wanted)]
        counts = Counter(names)
        numbered = {re.sub(r"\d+$", "", name) for name in names if name[-1:].isdigit()}
        final: dict[int, str] = {}
        used = set(taken)
        for number, name in enumerate(names):
            made, suffix = name, 0
            while made in used or (not suffix and (counts[name] > 1 or name in numbered)) or (suffix and made in names):
                suffix += 1
                made = f"{name}_{suffix}" if name[-1:].isdigit() else f"{name}{suffix}"
            used.add(made)
            final[number] = made
            for attribute in self.places[number]:
                attribute.attr = made
        return final


_VAGUE = re.compile(
    r"[a-z]{1,2}\d*(_\d+)*|(out|output|in|inp|input|net|res|ret|result|tensor|tmp|temp|layer|model|img|image|feat)s?\d*",
    re.I,
)
"""Names of variables that say nothing about what they hold."""


def _after(result: str, layer: ast.expr) -> str:
    """``branch = block(x)`` applies ``self.branch``, ``shortcut = Conv2D(...)(x)`` ``self.shortcut_conv``; empty where vague."""
    if not result or _VAGUE.fullmatch(result):
        return ""
    kind, bare = _kind(layer), result.strip("_").lower()
    return bare if isinstance(layer, ast.Call) or kind in bare or bare in kind else f"{bare}_{kind}"


def _label(label: ast.expr | None) -> str:
    """The constant parts of a layer's own name as an identifier."""
    if label is None:
        return ""
    parts = [n.value for n in walk(label) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    text = re.sub(r"\W+", "_", "_".join(parts)).strip("_").lower()
    text = re.sub(r"_+", "_", text)
    match = re.fullmatch(r"(\d+)_(.*)", text)
    if match:
        text = f"{match[2]}_{match[1]}"
    return text if text.isidentifier() and len(text) < 32 else ""


def _kind(layer: ast.expr) -> str:
    if isinstance(layer, LayerCall):
        return _kind(layer.callee)
    if isinstance(layer, Op):
        if layer.name == "sequential":
            listing = layer.operand("layers")
            if isinstance(listing, ast.List) and listing.elts:
                return _kind(listing.elts[0])
        if layer.name in _KINDS:
            return _KINDS[layer.name]
        bare = re.sub(r"\d?d$|\d$", "", layer.name).removesuffix("_layer")
        for word in ("conv_transpose", "conv", "pool", "norm", "pad", "dropout", "crop", "lstm", "gru"):
            if word in bare:
                return {"conv_transpose": "deconv", "dropout": "dropout"}.get(word, word)
        return bare
    if isinstance(layer, ast.Call):
        name = ast.unparse(layer.func).rpartition(".")[2]
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    return "layer"
