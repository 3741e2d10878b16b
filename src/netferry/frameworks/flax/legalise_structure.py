"""Merged lists, the way they are written in JAX."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.frameworks.merged import MERGED
from netferry.pivot.nodes import Op

LEGALISATIONS: dict[str, Callable[[Op, str], ast.expr]] = MERGED
