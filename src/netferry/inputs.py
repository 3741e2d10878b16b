"""What the network is called with: input specifications, and the random arrays made from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np

from netferry.diagnostics import failure

DEFAULT_HIGH: Final = 10
"""Integers are drawn below this when the specification names no bound."""

_DTYPES: Final = frozenset(
    {"bool", "bfloat16", "float16", "float32", "float64", "complex64", "complex128"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
_ALIASES: Final = {"float": "float32", "double": "float64", "half": "float16", "int": "int64", "long": "int64"}
_SPEC: Final = re.compile(r"(?:(?P<name>[^\W\d]\w*)=)?(?P<shape>\d+(?:x\d+)*)(?::(?P<dtype>\w+)(?::(?P<high>\d+))?)?")

Kind = Literal["random", "value", "expression", "tuple", "list", "dict"]


@dataclass(frozen=True, eq=False)
class InputSpec:
    """One argument of the network's call.

    Attributes:
        kind: what it holds: a random array of a shape, a value (NumPy arrays included), an expression of the source
            framework, or a container of further specifications.
        name: keyword to pass it by; positional without.
        shape, dtype, high, low: of a random array; integers are drawn from ``low`` to below ``high``.
        value, expression: what the kind says.
        items: the members of a container; those of a dict carry their keys as names.
    """

    kind: Kind = "random"
    name: str = ""
    shape: tuple[int, ...] = ()
    dtype: str = "float32"
    high: int | None = None
    low: int = 0
    value: Any = None
    expression: str = ""
    items: tuple[InputSpec, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}={self._text()}" if self.name else self._text()

    def _text(self) -> str:
        match self.kind:
            case "random":
                shown = f"{'x'.join(map(str, self.shape)) or 'scalar'} {self.dtype}"
                return shown if self.high is None else f"{shown} below {self.high}"
            case "value" if isinstance(self.value, np.ndarray):
                return f"{'x'.join(map(str, self.value.shape)) or 'scalar'} {self.value.dtype} (given)"
            case "value":
                return repr(self.value)
            case "expression":
                return self.expression
            case _:
                return f"{self.kind}({', '.join(map(str, self.items))})"

    def to_json(self) -> dict[str, Any]:
        """The form that :func:`from_json` reads (arrays become nested lists)."""
        found: dict[str, Any] = {"name": self.name} if self.name else {}
        match self.kind:
            case "random":
                found |= {"shape": list(self.shape), "dtype": self.dtype}
                found |= {"high": self.high} if self.high is not None else {}
                found |= {"low": self.low} if self.low else {}
            case "value" if isinstance(self.value, np.ndarray):
                found |= {"value": self.value.tolist(), "dtype": str(self.value.dtype)}
            case "value":
                found["value"] = self.value
            case "expression":
                found["expr"] = self.expression
            case "dict":
                found["dict"] = {item.name: replace(item, name="").to_json() for item in self.items}
            case _:
                found[self.kind] = [item.to_json() for item in self.items]
        return found


def parse(text: str) -> InputSpec:
    """Read ``[NAME=]2x3x32x32[:dtype[:high]]``.

    >>> str(parse("tokens=2x7:int64:1000"))
    'tokens=2x7 int64 below 1000'
    """
    match = _SPEC.fullmatch(text.strip())
    if match is None:
        raise _malformed(text, "an input is written [NAME=]2x3x32x32[:dtype[:high]]")
    dtype = _dtype(match["dtype"] or "float32", text)
    high = int(match["high"]) if match["high"] else None
    if high is not None and "int" not in dtype:
        raise _malformed(text, f"an upper bound needs an integer type, not {dtype}")
    if high == 0:
        raise _malformed(text, "the upper bound is exclusive, so it must be at least 1")
    shape = tuple(int(n) for n in match["shape"].split("x"))
    return InputSpec(name=match["name"] or "", shape=shape, dtype=dtype, high=high)


def from_json(entry: Mapping[str, Any]) -> InputSpec:
    """Read one input of a corpus manifest: shape, value, expr, tuple, list or dict; ``name`` makes it a keyword."""
    name = str(entry.get("name", ""))
    if "value" in entry:
        value = entry["value"]
        array = np.asarray(value, dtype=entry["dtype"]) if "dtype" in entry else value
        return InputSpec("value", name, value=array)
    if "expr" in entry:
        return InputSpec("expression", name, expression=str(entry["expr"]))
    for kind in ("tuple", "list"):
        if kind in entry:
            return InputSpec(kind, name, items=tuple(spec(item) for item in entry[kind]))
    if "dict" in entry:
        return InputSpec("dict", name, items=tuple(replace(spec(v), name=k) for k, v in entry["dict"].items()))
    if "shape" not in entry:
        raise _malformed(repr(dict(entry)), "it needs one of: shape, value, expr, tuple, list, dict")
    dtype = _dtype(str(entry.get("dtype", "float32")), repr(dict(entry)))
    shape = tuple(int(n) for n in entry["shape"])
    return InputSpec("random", name, shape, dtype, entry.get("high"), entry.get("low", 0))


def spec(given: Any) -> InputSpec:
    """Whatever a caller may give for one input, as a specification."""
    match given:
        case InputSpec():
            return given
        case str():
            return parse(given)
        case Mapping():
            return from_json(given)
        case tuple() | list():
            kind: Kind = "tuple" if isinstance(given, tuple) else "list"
            return InputSpec(kind, items=tuple(spec(item) for item in given))
        case np.ndarray() | bool() | int() | float() | None:
            return InputSpec("value", value=given)
    raise _malformed(repr(given), "give a text such as 2x3x32x32, a NumPy array or a dict")


def specs(given: Sequence[Any] | None) -> list[InputSpec]:
    """The specifications of all inputs of a call."""
    return [spec(item) for item in given or ()]


def materialise(wanted: InputSpec, random: np.random.Generator, evaluate: Callable[[str], Any]) -> Any:
    """The argument itself: NumPy arrays and plain values; ``evaluate`` runs expressions of the source framework."""
    match wanted.kind:
        case "random":
            return random_array(wanted, random)
        case "value":
            return wanted.value
        case "expression":
            return evaluate(wanted.expression)
        case "dict":
            return {item.name: materialise(item, random, evaluate) for item in wanted.items}
    members = [materialise(item, random, evaluate) for item in wanted.items]
    return tuple(members) if wanted.kind == "tuple" else members


def random_array(wanted: InputSpec, random: np.random.Generator) -> np.ndarray[Any, Any]:
    """Normal floats, integers in the given range, fair booleans (NumPy knows no bfloat16: float32 instead)."""
    dtype = "float32" if wanted.dtype == "bfloat16" else wanted.dtype
    if dtype == "bool":
        return np.asarray(random.integers(0, 2, wanted.shape)).astype(bool)
    if "int" in dtype:
        high = wanted.low + DEFAULT_HIGH if wanted.high is None else wanted.high
        return np.asarray(random.integers(wanted.low, high, wanted.shape)).astype(dtype)
    drawn = np.asarray(random.standard_normal(wanted.shape))
    if dtype.startswith("complex"):
        return (drawn + 1j * np.asarray(random.standard_normal(wanted.shape))).astype(dtype)
    return drawn.astype(dtype)


def _dtype(name: str, text: str) -> str:
    dtype = _ALIASES.get(name, name)
    if dtype not in _DTYPES:
        raise _malformed(text, f"{name!r} is no data type; known are {', '.join(sorted(_DTYPES))}")
    return dtype


def _malformed(text: str, reason: str) -> Exception:
    return failure("NF064", f"the input {text!r} is malformed: {reason}", hint='For example --input "2x3x32x32".')
