"""Runs a source instrumented, with arrays of NumPy standing in for a framework's tensors."""

from __future__ import annotations

import ast
import textwrap
from typing import Any

import numpy as np

from netferry.observe.instrument import RECORDER, instrument
from netferry.observe.recorder import Recorder


class Double:
    """A stock layer of the pretended framework."""

    def __call__(self, x: Any) -> Any:
        return x * 2


class Probe:
    """NumPy as a framework: its functions have paths, ``Double`` is a layer."""

    def is_tensor(self, value: Any) -> bool:
        return isinstance(value, np.ndarray)

    def describe(self, value: Any) -> tuple[tuple[int, ...], str]:
        return value.shape, str(value.dtype)

    def path(self, function: Any) -> str | None:
        name = getattr(function, "__name__", "")
        return f"numpy.{name}" if getattr(np, name, None) is function else None

    def array(self, value: Any) -> Any:
        return value

    def inherited(self, function: Any) -> None:
        """No class extends another here."""

    def layer_path(self, instance: Any) -> str | None:
        return "numpy.Double" if isinstance(instance, Double) else None

    def tensor_path(self, attribute: str) -> str:
        return f"numpy.ndarray.{attribute}"

    def is_module(self, value: Any) -> bool:
        return isinstance(value, Double)


class Run:
    """A finished run: its names, and what was recorded at each node."""

    def __init__(self, source: str, **names: Any) -> None:
        self.tree = ast.parse(textwrap.dedent(source))
        for number, node in enumerate(ast.walk(self.tree)):
            node.nf_id = number  # type: ignore[attr-defined]
        self.recorder = Recorder(Probe())
        self.names: dict[str, Any] = {"np": np, "Double": Double, RECORDER: self.recorder, **names}
        exec(compile(instrument(self.tree), "<run>", "exec"), self.names)  # noqa: S102 - the code under test
        self.recording = self.recorder.recording

    def __getitem__(self, name: str) -> Any:
        return self.names[name]

    @property
    def paths(self) -> list[str]:
        """The paths of the framework's calls, in order."""
        return [event.path for event in self.recording.events]

    def values(self, text: str) -> list[Any]:
        """What was observed at the expression that reads ``text``."""
        reads = (n for n in ast.walk(self.tree) if isinstance(getattr(n, "ctx", ast.Load()), ast.Load))
        node = next(n for n in reads if isinstance(n, ast.expr) and ast.unparse(n) == text)
        return self.recording.values.get(node.nf_id, [])  # type: ignore[attr-defined]


def plain(source: str, **names: Any) -> dict[str, Any]:
    """The names of a source that is run as it is."""
    scope: dict[str, Any] = {"np": np, "Double": Double, **names}
    exec(compile(textwrap.dedent(source), "<run>", "exec"), scope)  # noqa: S102 - the code under test
    return scope
