"""Layers with running statistics: in training mode they normalise by the batch and move the statistics as far."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netferry.ops import registry
from netferry.weights.rearrange import Spec, from_framework
from tests.ops.backends import backend
from tests.ops.harness import CHANNELS_LAST, Layer, Trial, compare, first, load, prepared, trials

OPS = [op for op in registry.all_ops() if "running_var" in op.buffers and "torch" in op.spellings]
TRIALS = [t for t in trials(OPS, CHANNELS_LAST) if t.layer]


def _train(trial: Trial) -> tuple[Any, dict[str, Any]]:
    """The output in training mode, and the canonical buffers after it."""
    tool = backend(trial.framework)
    layer, variables = load(trial)
    x = tool.tensor(prepared(trial)[trial.op.operands[0].name])
    if hasattr(layer.object, "train"):
        layer.object.train()
        output = tool.array(layer.object(x))
        output = output if trial.framework == "torch" else first(output)
    else:
        output = first(tool.array(layer.object(x, training=True)))
    return output, _buffers(trial, layer, variables)


def _buffers(trial: Trial, layer: Layer, variables: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, text in layer.specs.items():
        array = np.asarray(layer.framework.array(variables[path]))
        for name, recipe in from_framework(path, Spec.parse(text), layer.layouts, array.shape).items():
            if name in trial.op.buffers:
                found[name] = recipe({path: array})
    return found


@pytest.mark.parametrize("trial", [pytest.param(t, id=t.id) for t in TRIALS])
def test_training_mode(trial: Trial) -> None:
    output, buffers = _train(trial)
    wanted, statistics = _train(Trial(trial.op, "torch", True, trial.case, trial.number))
    compare([output], [wanted], 1e-10, "result in training mode")
    assert buffers.keys() == statistics.keys()
    samples = wanted.size // wanted.shape[1]
    for name, array in buffers.items():
        # Keras moves the variance by the biased one of the batch, PyTorch by the unbiased one.
        tolerance = 1.5 / samples if name.endswith("var") else 1e-10
        compare([array], [statistics[name]], tolerance, name)
