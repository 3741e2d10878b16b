"""Import aliases of generated Flax files, and names that modules keep for themselves."""

from __future__ import annotations

import re
from typing import Final

RESERVED: Final = frozenset({
    "deterministic", "eval", "eval_mode", "iter_children", "iter_modules", "lora", "perturb", "pop", "rngs",
    "set_attributes", "set_mode", "sow", "to_device", "train", "use_running_average",
})  # fmt: skip
"""Attributes of ``nnx.Module``, and those that switch its modes, which a network's own must not replace."""

_ALIASES: Final = (
    ("flax.nnx.", "nnx.", "from flax import nnx"),
    ("jax.numpy.", "jnp.", "import jax.numpy as jnp"),
    ("jax.lax.", "lax.", "from jax import lax"),
    ("jax.", "jax.", "import jax"),
    ("np.", "np.", "import numpy as np"),
    ("math.", "math.", "import math"),
    ("dataclasses.", "dataclasses.", "import dataclasses"),
)


def shorten(text: str, taken: set[str]) -> tuple[str, list[str]]:
    """Replace full dotted names by the usual short ones where the short name is free; and the imports they need."""
    imports: list[str] = []
    for full, short, line in _ALIASES:
        pattern = re.compile(rf"(?<![\w.'\"`/]){re.escape(full)}(?=\w)")
        alias = short.rstrip(".")
        if short != full and alias in taken:
            continue
        text, count = pattern.subn(short, text)
        if count or (short == full and pattern.search(text)):
            imports.append(line)
    return text, imports
