"""What the Flax runtime tells of compiling a network, and where its variables are first found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

nnx = pytest.importorskip("flax.nnx")

from netferry.frameworks.flax.runtime import FlaxRuntime  # noqa: E402

_X = np.ones((2, 3), "float32")


class Plain(nnx.Module):
    def __init__(self, rngs: Any) -> None:
        self.fc = nnx.Linear(3, 3, rngs=rngs)
        self.tied = self.fc

    def __call__(self, x: Any) -> Any:
        return self.tied(self.fc(x))


class Counting(Plain):
    def __init__(self, rngs: Any) -> None:
        super().__init__(rngs)
        self.calls = 0

    def __call__(self, x: Any) -> Any:
        self.calls += 1
        return super().__call__(x)


class Looking(Plain):
    def __call__(self, x: Any) -> Any:
        return super().__call__(x) if float(x.sum()) > 0 else x


@pytest.mark.parametrize(
    ("kind", "said"), [(Plain, "once for all calls"), (Counting, "anew in every call"), (Looking, "cannot compile")]
)
def test_compilation_is_told(kind: type, said: str) -> None:
    runtime = FlaxRuntime()
    network = runtime.build(lambda: kind(nnx.Rngs(0)), "float32")
    assert runtime.compilation(network) == []
    outputs = [runtime.run(network, ((_X,), {}), training=False) for _ in range(2)]
    np.testing.assert_array_equal(*outputs)
    (remark,) = runtime.compilation(network)
    assert said in remark


def test_a_compiled_call_sees_new_values_and_shapes() -> None:
    runtime = FlaxRuntime()
    network = runtime.build(lambda: Plain(nnx.Rngs(0)), "float32")
    first = runtime.run(network, ((_X,), {}), training=False)
    runtime.assign(network, "fc.bias", np.full(3, 2.0))
    assert not np.allclose(first, runtime.run(network, ((_X,), {}), training=False))
    assert runtime.run(network, ((_X[:1],), {}), training=False).shape == (1, 3)


def test_a_shared_variable_has_one_first_path_that_follows_changes() -> None:
    runtime = FlaxRuntime()
    network = runtime.build(lambda: Plain(nnx.Rngs(0)), "float32")
    assert runtime.resolve(network, "tied.kernel") == "fc.kernel"
    network.fc = nnx.Linear(3, 3, rngs=nnx.Rngs(1))
    assert runtime.resolve(network, "tied.kernel") == "tied.kernel"
    with pytest.raises(KeyError):
        runtime.resolve(network, "absent.kernel")
