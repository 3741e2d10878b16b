"""Normalisation for Keras targets."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.frameworks import switches
from netferry.pivot.nodes import Op

LEGALISATIONS: dict[str, Callable[[Op, str], ast.expr]] = {
    **dict.fromkeys(("batch_norm", "group_norm", "instance_norm"), switches.channels),
    "layer_norm": switches.layer,
    "rms_norm": switches.root_mean_square,
}
