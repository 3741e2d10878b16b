"""Short ways to write the spellings of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from netferry.ops.core import Conversion, Spelling
from netferry.ops.forms import parameters

Maps = Mapping[str, Conversion | str]
Make = Callable[[str], Sequence[Spelling]]


def torch_layer(
    name: str, signature: str = "", *, typed: bool = False, maps: Maps | None = None, **options: Any
) -> Spelling:
    """``torch.nn.name(signature)`` called with ``input``; ``typed`` adds ``device`` and ``dtype``."""
    signature = parameters(*(p.strip() for p in (signature, "device=None, dtype=None" if typed else "")))
    ignore = (*options.pop("ignore", ()), *(("device", "dtype") if typed else ()))
    return Spelling(
        f"torch.nn.{name}",
        signature,
        maps={"input": "x", **(maps or {})},
        ignore=ignore,
        call=options.pop("call", "input"),
        layer=True,
        **options,
    )


def functional(name: str, signature: str = "", *, maps: Maps | None = None, **options: Any) -> Spelling:
    """``torch.nn.functional.name(input, signature)``."""
    return Spelling(
        f"torch.nn.functional.{name}", parameters("input", signature), maps={"input": "x", **(maps or {})}, **options
    )


def on_keras(make: Make) -> dict[str, Sequence[Spelling]]:
    """The same spellings for both Keras targets; ``make`` gets the name of the Keras package."""
    return {"tensorflow": make("tf.keras"), "keras": make("keras")}


def keras_layer(package: str, name: str, signature: str = "", *, maps: Maps | None = None, **options: Any) -> Spelling:
    """``keras.layers.name(signature)``; a layer's ``name`` and ``data_format`` never change a result here."""
    ignore = tuple(options.pop("ignore", ()))
    fixed = dict(options.pop("fixed", {}))
    if "data_format" in signature:
        fixed["data_format"] = None
    if "activation" in signature:
        fixed["activation"] = None
    return Spelling(
        f"{package}.layers.{name}",
        parameters(signature, "name=None, dtype=None, trainable=True"),
        maps={"inputs": "x", **(maps or {})},
        ignore=(*ignore, "name", "dtype", "trainable"),
        fixed=fixed,
        call="inputs",
        layer=True,
        **options,
    )


def support_layer(name: str, signature: str = "", **options: Any) -> Spelling:
    """A layer class that the generated file defines."""
    return Spelling(name, signature, call="x", support=name, layer=True, read=False, **options)
