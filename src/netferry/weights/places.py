"""Where the layers of generated code come to be, found by running it."""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Callable
from typing import Any

from netferry.reporting import MADE
from netferry.writer import Written

Report = Callable[[int, Any], Any]


def places(written: Written, locate: Callable[[Callable[[Report], Any]], dict[int, list[str]]]) -> dict[int, list[str]]:
    """Site -> the paths of the layers that it makes; empty where the code cannot be run."""
    if written.reporting is None:
        return {}
    code, call = written.reporting

    def build(report: Report) -> Any:
        module = types.ModuleType("netferry_reporting")
        module.__dict__[MADE] = report
        sys.modules[module.__name__] = module  # dataclasses look their module up there
        exec(compile(code, "<reporting>", "exec"), module.__dict__)  # noqa: S102 - our own generated code
        tree = ast.parse(call, mode="eval")
        return eval(compile(tree, "<call>", "eval"), module.__dict__)  # noqa: S307 - our own generated call

    try:
        return locate(build)
    except Exception:  # noqa: BLE001 - verification runs the code proper, and tells what is wrong with it
        return {}
