"""Resizing for Keras targets, which have a layer for each number of axes."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.frameworks.shapes import ranked
from netferry.pivot.nodes import Op

LEGALISATIONS: dict[str, Callable[[Op, str], ast.expr]] = {"interpolate": ranked}
