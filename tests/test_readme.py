"""The excerpts in README.md are what netferry writes now."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from examples.excerpts import EXCERPTS, README, Excerpt

torchvision = pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")


@torchvision
@pytest.mark.parametrize("excerpt", EXCERPTS, ids=lambda e: e.key)
def test_excerpts_are_current(excerpt: Excerpt) -> None:
    assert excerpt.text() in README.read_text(encoding="utf-8"), "run python -m examples.excerpts"
