"""Tensors that a network keeps as plain attributes: those that are random or trained are state, as parameters are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netferry.ops import registry
from netferry.passes.layout.bound import tensors


def owned(recording: Any, modules: Iterable[Any]) -> dict[int, bool]:
    """Identity of a plain attribute that is state -> whether it is trained."""
    plain = [member for module in modules for member in module.members if member.plain]
    random = _random(recording) if plain else set()
    return {m.identity: m.trainable for m in plain if m.trainable or m.identity in random}


def state(recording: Any, modules: Iterable[Any]) -> frozenset[int]:
    """The identities of all arrays that a network owns."""
    modules = list(modules)
    plain = owned(recording, modules)
    members = (member for module in modules for member in module.members)
    return frozenset(m.identity for m in members if not m.plain or m.identity in plain)


def _random(recording: Any) -> set[int]:
    """The tensors that hold random numbers, or what was computed of such."""
    found: set[int] = set()
    for event in recording.events:
        given = {t.identity for t in tensors([*event.args, *event.kwargs.values()])}
        if given & found or any(op.stochastic for op, _ in registry.find(event.path)[:1]):
            found |= {t.identity for t in tensors(event.result)}
    return found
