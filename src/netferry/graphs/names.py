"""What functions, tensors and networks that are found in a graph are called: by labels, else by what they are."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Sequence
from typing import Final

from netferry.graphs.model import Block, Body, Kind, Step

_NOUNS: Final = ("block", "cell", "unit", "stage", "stack", "module", "layer", "head", "tower", "encoder", "decoder")
_GENERAL: Final = frozenset({"conv", "conv2d", "block", "layer", "dense", "pool", "stage", "stack", "x", "bn"})
"""Words that say less of a function than what it does."""
_ENDS: Final = {"pool": "down_block", "upsample": "up_block", "recurrent": "recurrent_block"}
_SPOKEN: Final = 3
"""Up to how many steps a function is called by all of them: ``conv_bn_relu``."""


class Names:
    """Gives functions names, each its own."""

    def __init__(self, taken: Collection[str] = ()) -> None:
        self.taken = set(taken)

    def of_block(self, body: Body, stems: Sequence[str]) -> str:
        """The name of a function that was found; ``stems`` are what its layers' names begin with at each place."""
        if len(body.steps) > 1 and all(s.block is not None for s in body.steps):
            return self.unique("stage", body)
        return self.unique(_by_labels(stems) or _by_structure(body), body)

    def unique(self, name: str, body: Body | None = None) -> str:
        """The name, told apart from others by what is special about it."""
        qualities = _qualities(body) if body else []
        made = next((n for q in ["", *qualities] if (n := f"{q}_{name}".lstrip("_")) not in self.taken), "")
        number = 2
        while not made or made in self.taken:
            made, number = f"{name}_{number}", number + 1
        self.taken.add(made)
        return made


def kind_of_block(block: Block) -> Kind:
    """How a function that was found is called."""
    positional = tuple(a.name for a in block.arguments if not a.has_default)
    defaults = {a.name: a.default for a in block.arguments if a.has_default}
    return Kind("block", positional, defaults, block.name)


def identifier(text: str) -> str:
    """A label as a name that Python takes, or nothing."""
    made = re.sub(r"\W+|_+", "_", text).strip("_").lower()
    made = f"_{made}" if made[:1].isdigit() else made
    return made if made.isidentifier() and not keyword.iskeyword(made) else ""


def common(labels: Sequence[str]) -> str:
    """What all labels begin with, up to the end of a word or number."""
    if len(labels) < 2:
        return labels[0] if labels else ""
    low, high = min(labels), max(labels)
    length = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    stem = low[:length]
    if stem[-1:].isdigit() and not any(label[length : length + 1].isdigit() for label in (low, high)):
        return stem
    return stem[: max(stem.rfind(c) for c in "_/.") + 1]


def _by_labels(stems: Sequence[str]) -> str:
    """What the labels of all places have in common once their numbers are gone: ``conv2_block1_`` -> ``conv_block``."""
    words = {tuple(w for p in re.split(r"[\W_]+", s) if (w := re.sub(r"\d+[a-z]?$", "", p).lower())) for s in stems}
    found = words.pop() if len(words) == 1 else ()
    name = identifier("_".join(dict.fromkeys(found)))
    if name.strip("_") == "" or set(found) <= _GENERAL:
        return ""
    return name if name.rpartition("_")[2] in _NOUNS else f"{name}_block"


def _by_structure(body: Body) -> str:
    steps = body.steps
    roles = [s.kind.role for s in steps]
    if "attention" in roles:
        return "transformer_block" if "norm" in roles and "dense" in roles else "attention_block"
    if _merges(body, "add"):
        return "residual_block"
    concat = next((s for s in steps if s.kind.role == "concat"), None)
    if concat is not None:
        taken = list(dict.fromkeys(concat.tensors()))
        if set(taken) & set(body.inputs):
            return "concat_block" if len(body.inputs) == 1 else "up_block"
        return "inception_block" if len(taken) > 2 else "branch_block"
    if "multiply" in roles:
        return "squeeze_excite" if "global_pool" in roles else "gate"
    if len(steps) <= _SPOKEN and all(s.kind.short for s in steps) and not any(s.is_loop for s in steps):
        return "_".join(s.kind.short for s in steps)
    for role, name in _ENDS.items():
        if roles[-1] == role or (role != "pool" and role in roles):
            return name
    main = next((s.kind.short for s in steps if s.kind.role in ("conv", "dense", "block")), "")
    return f"{main.removesuffix('_block')}_block" if main else "block"


def _merges(body: Body, role: str) -> bool:
    return any(s.kind.role == role for s in body.steps)


def _qualities(body: Body) -> list[str]:
    """What is special about a function, in words."""
    roles = [s.kind.role for s in body.steps]
    found = []
    add = next((s for s in body.steps if s.kind.role == "add"), None)
    if any(_strided(s) for s in body.steps):
        found.append("strided")
    if add is not None:
        found.append("identity" if set(add.tensors()) & set(body.inputs) else "projection")
    elif len(roles) > 1:
        found.append("plain")
    found += [w for role, w in (("pad", "padded"), ("pool", "pooling"), ("dropout", "dropout")) if role in roles]
    return [*found, "wide" if len(roles) > _SPOKEN else "small"]


def _strided(step: Step) -> bool:
    return isinstance(step.options.get("strides"), int) and step.options["strides"] > 1
