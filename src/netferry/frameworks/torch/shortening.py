"""Import aliases of generated PyTorch files, and names that modules keep for themselves."""

from __future__ import annotations

import re
from typing import Final

RESERVED: Final = frozenset({
    "training", "parameters", "modules", "children", "buffers", "state_dict", "load_state_dict", "named_parameters",
    "named_modules", "named_children", "named_buffers", "register_buffer", "register_parameter", "register_module",
    "add_module", "apply", "type", "float", "double", "half", "bfloat16", "to", "cuda", "cpu", "train", "eval",
    "requires_grad_", "zero_grad", "share_memory", "extra_repr", "get_submodule", "get_parameter", "get_buffer",
    "compile", "dump_patches", "ipu", "xpu", "mtia", "set_submodule", "to_empty",
})  # fmt: skip
"""Attributes of ``nn.Module`` that a network's own attribute must not replace."""

_ALIASES: Final = (
    ("torch.nn.functional.", "F.", "import torch.nn.functional as F"),
    ("torch.nn.", "nn.", "from torch import nn"),
    ("torch.", "torch.", "import torch"),
    ("np.", "np.", "import numpy as np"),
    ("math.", "math.", "import math"),
    ("dataclasses.", "dataclasses.", "import dataclasses"),
)


def shorten(text: str, taken: set[str]) -> tuple[str, list[str]]:
    """Replace full dotted names by the usual short ones where the short name is free; and the imports they need."""
    imports: list[str] = []
    for full, short, line in _ALIASES:
        pattern = re.compile(rf"(?<![\w.'\"`/]){re.escape(full)}(?=\w)")
        if short != full and short.rstrip(".") in taken:
            continue
        text, count = pattern.subn(short, text)
        if count:
            imports.append(line)
    return text, imports
