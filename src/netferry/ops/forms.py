"""Short ways to write the spellings that most tensor functions share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netferry.ops.core import Conversion, Spelling

Maps = Mapping[str, Conversion | str]


def parameters(*parts: str) -> str:
    """Join pieces of a signature, leaving empty ones out."""
    return ", ".join(part for part in parts if part)


def torch_function(
    name: str, rest: str = "", *, maps: Maps | None = None, out: bool = False, ignore: Sequence[str] = (), **options: Any
) -> Spelling:
    """``torch.name(input, rest)``; ``out`` adds the keyword-only ``out=None``."""
    tail = "" if not out else "out=None" if "*" in rest else "*, out=None"
    return Spelling(
        f"torch.{name}",
        parameters("input", rest, tail),
        maps={"input": "x", **(maps or {})},
        ignore=(*ignore, "out") if out else tuple(ignore),
        **options,
    )


def torch_method(name: str, rest: str = "", *, maps: Maps | None = None, **options: Any) -> Spelling:
    """``tensor.name(rest)``."""
    return Spelling(
        f"torch.Tensor.{name}",
        parameters("self", rest),
        maps={"self": "x", **(maps or {})},
        kind="method",
        **options,
    )


def torch_inplace(name: str, rest: str = "", **options: Any) -> Spelling:
    """``tensor.name_(rest)``, only read."""
    return torch_method(name, rest, inplace=True, write=False, **options)


def torch_attribute(name: str, **options: Any) -> Spelling:
    """``tensor.name``."""
    return Spelling(f"torch.Tensor.{name}", "self", maps={"self": "x"}, kind="attribute", **options)


def torch_both(
    name: str, rest: str = "", *, out: bool = False, prefer: str = "function", positional: int = 1, **options: Any
) -> list[Spelling]:
    """The function and the method of one name and signature, the preferred one (to be written) first."""
    function = torch_function(
        name, rest, out=out, write=prefer == "function", positional=positional, **options
    )
    method = torch_method(name, rest, write=prefer == "method", positional=positional, **options)
    return [function, method] if prefer == "function" else [method, function]


def tensorflow(path: str, signature: str, *, ignore: Sequence[str] = (), **options: Any) -> Spelling:
    """``tf.path(signature)``; ``name`` and ``layout`` never change a result."""
    return Spelling(f"tf.{path}", signature, ignore=(*ignore, "name", "layout"), **options)


def keras(path: str, signature: str, **options: Any) -> Spelling:
    """``keras.ops.path(signature)``."""
    return Spelling(f"keras.ops.{path}", signature, **options)


def template(text: str, **options: Any) -> Spelling:
    """A write-only expression."""
    return Spelling("", template=text, read=False, **options)


def supported(name: str, signature: str, **options: Any) -> Spelling:
    """A call of a support definition."""
    return Spelling(name, signature, support=name, read=False, **options)
