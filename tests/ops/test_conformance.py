"""Every op, in every framework that can write it, on every case: as its reference says, with PyTorch's gradients."""

import pytest

from netferry.ops import registry
from tests.ops.harness import Trial, check, trials


@pytest.mark.parametrize("trial", [pytest.param(t, id=t.id) for t in trials(list(registry.all_ops()))])
def test_conformance(trial: Trial) -> None:
    if reason := trial.case.skip.get(trial.framework):
        pytest.skip(reason)
    check(trial)


def test_every_op_with_a_reference_has_cases() -> None:
    assert [op.name for op in registry.all_ops() if op.reference is not None and not op.cases] == []
