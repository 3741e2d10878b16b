"""Initialisers draw from the distribution that PyTorch draws from, also where fan-in and fan-out differ."""

from __future__ import annotations

import ast

import numpy as np
import pytest

from netferry.ops import registry
from netferry.ops.lowering import lower_expression
from netferry.pivot.nodes import Op, constant
from tests.ops.backends import BACKEND, Array, backend
from tests.ops.harness import Trial, evaluate, trials, with_supports

_SHAPE = (400, 160)
"""PyTorch's output and input size; the targets have them the other way round."""


def _target(trial: Trial) -> Array:
    framework = backend(trial.framework)
    given = {"x": ast.Name("x", ast.Load())} if trial.framework == "flax" else {}
    node = Op(trial.op.name, given, {k: constant(v) for k, v in trial.case.attributes.items()})
    expression = lower_expression(node, trial.framework)
    scope = with_supports(expression, trial.framework, framework.names)
    if trial.framework == "flax":  # Its spellings are the values themselves, drawn for the shape of a variable.
        return np.asarray(evaluate(expression, scope, {"x": np.empty(_SHAPE[::-1])})).T
    initializer = evaluate(expression, scope, {})
    return np.asarray(initializer(_SHAPE[::-1], dtype="float32")).T


def _source(trial: Trial) -> Array:
    import torch

    spelling = trial.op.spellings["torch"][0]
    function = getattr(torch.nn.init, spelling.path.rpartition(".")[2])
    attributes = {c.attribute: name for name in spelling.parsed.names if (c := spelling.conversion(name))}
    torch.manual_seed(0)
    made = function(torch.empty(_SHAPE), **{attributes[k]: v for k, v in trial.case.attributes.items()})
    return made.detach().numpy()


def _trials() -> list[Trial]:
    ops = [op for op in registry.all_ops() if op.name.startswith("init_")]
    targets = ("tensorflow", "keras", "flax") if BACKEND == "tensorflow" else ("keras",)
    return list(trials(ops, targets))


@pytest.mark.parametrize("trial", [pytest.param(t, id=t.id) for t in _trials()])
def test_same_distribution(trial: Trial) -> None:
    mine, theirs = _target(trial), _source(trial)
    assert mine.shape == theirs.shape
    spread = max(float(theirs.std()), 1e-6)
    assert abs(mine.mean() - theirs.mean()) < 0.03 * spread
    assert mine.std() == pytest.approx(theirs.std(), rel=0.02, abs=1e-6)
    for share in (0.01, 0.25, 0.5, 0.75, 0.99):
        assert np.quantile(mine, share) == pytest.approx(np.quantile(theirs, share), rel=0.04, abs=0.04 * spread)
