"""What Flax networks derive from; what they are called with, their code does not say."""

from __future__ import annotations

from typing import Any, Final

from netferry.inputs import InputSpec

BASES: Final = (
    frozenset({"flax.nnx.Module", "flax.linen.Module", "flax.nnx.Sequential", "flax.linen.Sequential"}),
    "nnx.Module or nn.Module",
)
"""The classes that networks derive from, and what to call them."""


def inputs(project: Any, entry: str, call: str) -> tuple[list[InputSpec], str]:
    """Raises NF013: sizes are only in the data."""
    node = next((n for n in project.main.tree.body if getattr(n, "name", "") == entry), None)
    raise project.main.error("NF013", node, f"nothing shows the shapes of what {entry} is called with")
