"""Networks are read and compared with values of our own: published checkpoints are neither downloaded nor loaded."""

from __future__ import annotations

import functools
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch.hub

_NAMES = ("load_state_dict_from_url", "load_url")
"""What the function that downloads a checkpoint is called where it is imported."""


class Checkpoint(OrderedDict[str, Any]):
    """Stands for a checkpoint that was not downloaded: it holds nothing, whatever part of it is asked for."""

    def __missing__(self, key: str) -> Checkpoint:
        return Checkpoint()

    def __delitem__(self, key: str) -> None:
        return None

    def pop(self, key: str, default: Any = None) -> Any:
        """Nothing is there to be taken out."""
        return default


@contextmanager
def without_checkpoints() -> Iterator[None]:
    """Let code that asks for published weights get none, and keep those that its networks have."""
    download, load = torch.hub.load_state_dict_from_url, torch.nn.Module.load_state_dict

    @functools.wraps(download)
    def nothing(*args: Any, **options: Any) -> Checkpoint:
        return Checkpoint()

    @functools.wraps(load)
    def unless_empty(module: Any, state_dict: Any, *args: Any, **options: Any) -> Any:
        return load(module, state_dict, *args, **options) if state_dict else None

    _replace(download, nothing)
    try:
        with mock.patch.object(torch.nn.Module, "load_state_dict", unless_empty):
            yield
    finally:
        _replace(nothing, download)


def _replace(old: Callable[..., Any], new: Callable[..., Any]) -> None:
    """Rebind a function in every module that has imported it."""
    for module in list(sys.modules.values()):
        for name in _NAMES:
            if getattr(module, "__dict__", {}).get(name) is old:
                setattr(module, name, new)
