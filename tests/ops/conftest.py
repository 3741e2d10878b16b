"""Ops are compared in double precision; the frameworks' settings are put back for the tests that follow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def in_double_precision() -> Iterator[None]:
    import jax
    import keras
    import torch

    before = torch.get_default_dtype(), keras.config.floatx(), keras.config.dtype_policy()
    torch.set_default_dtype(torch.float64)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    with jax.enable_x64(True):
        yield
    torch.set_default_dtype(before[0])
    keras.config.set_floatx(before[1])
    keras.config.set_dtype_policy(before[2])
