"""Generated code that tells, while it runs, which layer each site of the source has become."""

from __future__ import annotations

import ast
from collections.abc import Collection
from typing import Final

from netferry.pivot.nodes import Op, constant

MADE: Final = "__netferry_made__"
"""What such code calls with a site's number and the layer."""


def reported(made: ast.expr, number: int) -> ast.expr:
    """A construction that tells about its result, once."""
    if isinstance(made, ast.Call) and isinstance(made.func, ast.Name) and made.func.id == MADE:
        return made
    return ast.Call(ast.Name(MADE, ast.Load()), [constant(number), made], [])


def is_site(node: Op) -> bool:
    """Whether an op constructs the layer of a site, not a part of what the layer became."""
    return node.layer and getattr(node, "nf_id", -1) >= 0 and not getattr(node, "nf_path", ())


def is_instance(node: ast.Call, sites: Collection[int]) -> bool:
    """Whether a call makes an instance of a class of the user's."""
    return getattr(node, "nf_id", -1) in sites
