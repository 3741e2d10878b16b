"""The recorder keeps the values of nodes and the calls of the framework, in order and with facts for tensors."""

from __future__ import annotations

import numpy as np
import pytest

from netferry.pivot.facts import Tensor
from tests.observe.running import Double, Run

X = np.zeros((2, 3))


def shapes(run: Run) -> list[object]:
    return [e.result.shape for e in run.recording.events]


def test_calls_are_events_in_order() -> None:
    run = Run("y = np.exp(np.tanh(x))", x=X)
    assert run.paths == ["numpy.tanh", "numpy.exp"]
    inner, outer = run.recording.events
    assert (inner.index, outer.index) == (0, 1)
    assert outer.args == (inner.result,)
    assert inner.result == Tensor(inner.result.identity, (2, 3), "float64")


def test_arguments_are_kept_as_they_were_given() -> None:
    run = Run("y = np.concatenate(*[[x, x]], **{'axis': 1})", x=X)
    (event,) = run.recording.events
    assert [t.shape for t in event.args[0]] == [(2, 3), (2, 3)]
    assert event.kwargs == {"axis": 1}
    assert event.result.shape == (2, 6)


def test_the_users_own_functions_are_no_events() -> None:
    run = Run("def f(x):\n    return x\ny = f(x)", x=X)
    assert run.paths == []
    assert run.recording.callees and run["f"] in next(iter(run.recording.callees.values()))


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("y = x + 1", "operator.Add"),
        ("y = 2 ** x", "operator.Pow"),
        ("y = x @ x.T", "operator.MatMult"),
        ("y = -x", "operator.USub"),
        ("y = x > 0", "operator.Gt"),
        ("y = x[:, 1]", "operator.getitem"),
        ("x[0] = 1", "operator.setitem"),
        ("x[0] *= 2", "operator.setitem_Mult"),
        ("x -= 1", "operator.Sub"),
    ],
)
def test_operators_are_events(source: str, path: str) -> None:
    assert path in Run(source, x=X.copy()).paths


def test_operators_on_plain_values_are_none() -> None:
    run = Run("n = 2 * 3\nk = [n][0]\nm = n > k\nn += 1")
    assert run.paths == []
    assert run.values("2 * 3") == [6]
    assert run.values("n > k") == [False]


def test_reading_an_attribute_of_a_tensor_is_an_event() -> None:
    run = Run("n = x.shape[0]", x=X)
    (event,) = run.recording.events
    assert (event.path, event.kwargs) == ("numpy.ndarray", {"attribute": "numpy.ndarray.shape"})
    assert run.values("x.shape[0]") == [2]


def test_a_method_gets_its_receiver() -> None:
    import types

    tensors = types.SimpleNamespace(add=X.__add__)
    run = Run("y = tensors.add(1)", tensors=tensors)
    assert run.values("tensors.add(1)")[0].shape == (2, 3)


def test_layers_know_where_they_were_made() -> None:
    run = Run("layer = Double()\ny = layer(x)\nz = layer(y)", x=X)
    made = next(iter(run.recording.constructed.values()))
    assert run.paths == ["numpy.Double"] * 2
    assert {e.construction for e in run.recording.events} == {made}
    assert list(run.recording.instances.values()) == [run["layer"]]
    assert isinstance(run["layer"], Double)


def test_a_loop_leaves_every_value_up_to_a_limit() -> None:
    run = Run("for i in range(1000):\n    n = i\n    y = x * n", x=X)
    assert run.values("n")[:3] == [0, 1, 2]
    assert 10 < len(run.values("n")) < 100
    assert len(run.paths) == 1000


def test_identities_follow_values() -> None:
    run = Run("a = np.exp(x)\nb = a\nc = np.sqrt(b)\nd = np.sqrt(a)", x=X)
    exp, first, second = run.recording.events
    assert exp.result == first.args[0] == second.args[0]
    assert first.result.identity != second.result.identity


def test_a_run_that_raises_inside_a_call_goes_on() -> None:
    run = Run(
        """
        def fails(x):
            raise KeyError(x)
        try:
            np.exp(fails(1))
        except KeyError:
            y = np.tanh(x)
        z = np.exp(y)
        """,
        x=X,
    )
    assert run.paths == ["numpy.tanh", "numpy.exp"]
    assert shapes(run) == [(2, 3), (2, 3)]


def test_an_idle_recorder_notes_nothing() -> None:
    run = Run("def f(x):\n    x = np.exp(x)[0] + 1\n    x += 2\n    return np.sum(*[x], **{'axis': 0})", x=X)
    run.recorder.active = False
    assert run["f"](X) == pytest.approx(12.0)
    assert run.paths == []


def test_nested_structures_hold_facts() -> None:
    recorder = Run("", x=X).recorder
    facts = recorder.facts({"a": [X, (X, 1)], "b": None})
    assert facts["a"][0] is facts["a"][1][0]
    assert (facts["a"][1][1], facts["b"]) == (1, None)
