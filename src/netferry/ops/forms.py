"""Short ways to write the spellings that most tensor functions share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from netferry.ops.core import Conversion, Spelling

NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim", "x": "input", "x1": "input", "x2": "other"}
"""Keywords that PyTorch's built-in functions take besides their own, to please users of NumPy."""
Maps = Mapping[str, Conversion | str]


def parameters(*parts: str) -> str:
    """Join pieces of a signature, leaving empty ones out."""
    return ", ".join(part for part in parts if part)


def torch_function(
    name: str,
    rest: str = "",
    *,
    maps: Maps | None = None,
    out: bool = False,
    ignore: Sequence[str] = (),
    **options: Any,
) -> Spelling:
    """``torch.name(input, rest)``; ``out`` adds the keyword-only ``out=None``."""
    tail = "" if not out else "out=None" if "*" in rest else "*, out=None"
    return Spelling(
        f"torch.{name}",
        parameters("input", rest, tail),
        maps={"input": "x", **(maps or {})},
        ignore=(*ignore, "out") if out else tuple(ignore),
        aliases=NUMPY_NAMES,
        **options,
    )


def torch_method(name: str, rest: str = "", *, maps: Maps | None = None, **options: Any) -> Spelling:
    """``tensor.name(rest)``."""
    return Spelling(
        f"torch.Tensor.{name}",
        parameters("self", rest),
        maps={"self": "x", **(maps or {})},
        kind="method",
        aliases=NUMPY_NAMES,
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
    function = torch_function(name, rest, out=out, write=prefer == "function", positional=positional, **options)
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


def torch_all(
    *names: str, rest: str = "", out: bool = True, inplace: str = "both", ignore: Sequence[str] = (), **options: Any
) -> list[Spelling]:
    """Function, method and in-place forms of a PyTorch operation and of its aliases; the first function is written.

    ``inplace`` tells which in-place forms exist: ``both``, ``method`` or ``none``.
    """
    found: list[Spelling] = []
    for index, name in enumerate(names):
        found.append(torch_function(name, rest, out=out, ignore=ignore, write=index == 0, **options))
        if "." in name:  # torch.special and torch.nn.functional have no methods
            continue
        found.append(torch_method(name, rest, ignore=ignore, write=False, **options))
        if inplace != "none":
            found.append(torch_inplace(f"{name}_", rest, ignore=ignore, **options))
        if inplace == "both":
            found.append(torch_function(f"{name}_", rest, ignore=ignore, inplace=True, write=False, **options))
    return found


def readable(spelling: Spelling) -> Spelling:
    """The same spelling, never written."""
    return replace(spelling, write=False)


def torch_layer(
    name: str, signature: str = "", *, maps: Maps | None = None, ignore: Sequence[str] = (), **options: Any
) -> Spelling:
    """``torch.nn.name(signature)``, called with one tensor."""
    return Spelling(
        f"torch.nn.{name}",
        signature,
        call="input",
        layer=True,
        maps={"input": "x", **(maps or {})},
        ignore=(*ignore, "inplace"),
        **options,
    )


def keras_namespace(framework: str) -> str:
    """Where a Keras target's layers, activations and initialisers are."""
    return "tf.keras" if framework == "tensorflow" else "keras"


def keras_layer(
    framework: str, name: str, signature: str = "", *, call: str = "inputs", maps: Maps | None = None, **options: Any
) -> Spelling:
    """``layers.name(signature)`` of a Keras target, called with one tensor."""
    return Spelling(
        f"{keras_namespace(framework)}.layers.{name}",
        signature,
        call=call,
        layer=True,
        maps={"inputs": "x", **(maps or {})},
        **options,
    )


def keras_layer_template(framework: str, text: str, **options: Any) -> Spelling:
    """A write-only layer expression of a Keras target; ``KERAS.`` stands for its namespace."""
    made = text.replace("KERAS.", keras_namespace(framework) + ".")
    return Spelling("", template=made, call="x", layer=True, read=False, **options)
