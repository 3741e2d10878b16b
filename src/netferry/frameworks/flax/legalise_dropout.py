"""Dropout for NNX."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.frameworks.dropout import CHANNELS
from netferry.pivot.nodes import Op

LEGALISATIONS: dict[str, Callable[[Op, str], ast.expr]] = CHANNELS
