"""Checkpoints of the source become checkpoints of the target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("keras")

import keras
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

from netferry.diagnostics import NetferryError
from netferry.frameworks.base import runtime
from netferry.weights.checkpoints import convert_checkpoint, open_checkpoint
from netferry.weights.map import Entry, WeightMap
from netferry.weights.place import target_file
from netferry.weights.rearrange import Recipe
from netferry.weights.transfer import transfer
from tests.verify import pairs


@pytest.fixture
def source() -> pairs.Source:
    torch.manual_seed(0)
    return pairs.Source()


def target() -> Any:
    network = pairs.Target()
    network(np.zeros((1, 8, 8, 3), "float32"))
    return network


@pytest.fixture
def map_file(tmp_path: Path) -> Path:
    found = pairs.weight_map()
    place = target_file(found, runtime("keras"), target())
    path = tmp_path / "net.weights.json"
    WeightMap(found.entries, "torch", "keras", target_h5=place).save(path)
    return path


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors", ".npz", "_legacy.pt"])
def test_every_source_format(suffix: str, source: pairs.Source, map_file: Path, tmp_path: Path) -> None:
    state = source.state_dict()
    path = tmp_path / f"net{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    elif suffix == ".npz":
        np.savez(path, **{name: value.numpy() for name, value in state.items()})
    else:
        torch.save(state, path, _use_new_zipfile_serialization="legacy" not in suffix)
    seen: list[tuple[int, int]] = []
    out = tmp_path / "out.safetensors"
    count = convert_checkpoint(path, map_file, out, lambda done, total: seen.append((done, total)))
    assert count == len(pairs.weight_map()) == len(seen)
    arrays = load_file(out)
    assert len(arrays) == count
    np.testing.assert_array_equal(arrays["head.kernel"], state["head.weight"].numpy().T)
    np.testing.assert_array_equal(
        arrays["blocks.1.conv.kernel"], state["blocks.1.conv.weight"].numpy().transpose(2, 3, 1, 0)
    )


def test_npz_is_written(source: pairs.Source, map_file: Path, tmp_path: Path) -> None:
    torch.save(source.state_dict(), tmp_path / "net.pt")
    convert_checkpoint(tmp_path / "net.pt", map_file, tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as arrays:
        np.testing.assert_array_equal(arrays["head.bias"], source.head.bias.detach().numpy())


def test_weights_h5_loads_into_the_target(source: pairs.Source, map_file: Path, tmp_path: Path) -> None:
    torch.save(source.state_dict(), tmp_path / "net.pt")
    convert_checkpoint(tmp_path / "net.pt", map_file, tmp_path / "out.weights.h5")
    loaded, expected = target(), target()
    loaded.load_weights(tmp_path / "out.weights.h5")
    assert transfer(runtime("torch"), source, runtime("keras"), expected, pairs.weight_map()).problems == []
    for one, other in zip(loaded.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("wrap", ["module.", "state_dict"])
def test_wrapped_state_is_found(wrap: str, source: pairs.Source, map_file: Path, tmp_path: Path) -> None:
    state: Any = source.state_dict()
    state = {wrap: state, "epoch": 3} if wrap == "state_dict" else {wrap + k: v for k, v in state.items()}
    torch.save(state, tmp_path / "net.pt")
    assert convert_checkpoint(tmp_path / "net.pt", map_file, tmp_path / "out.npz")


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    values = torch.tensor([1.5, -2.25, 3e38], dtype=torch.bfloat16)
    save_file({"x": values}, tmp_path / "x.safetensors")
    torch.save({"x": values}, tmp_path / "x.pt")
    for name in ("x.safetensors", "x.pt"):
        array = open_checkpoint(tmp_path / name).read("x")
        np.testing.assert_array_equal(array, values.float().numpy())


def test_shards(source: pairs.Source, map_file: Path, tmp_path: Path) -> None:
    state = source.state_dict()
    shards = {name: f"part-{index % 2}.safetensors" for index, name in enumerate(state)}
    for shard in set(shards.values()):
        save_file({name: state[name] for name in state if shards[name] == shard}, tmp_path / shard)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(__import__("json").dumps({"weight_map": shards}))
    assert convert_checkpoint(index, map_file, tmp_path / "out.npz")


class Malicious:
    def __reduce__(self) -> Any:
        return print, ("this must never run",)


@pytest.mark.parametrize(
    ("name", "code"),
    [("whole.pt", "NF060"), ("bad.pt", "NF060"), ("bad.safetensors", "NF060"), ("bad.npz", "NF060"), ("x.txt", "NF060"),
     ("absent.pt", "NF001"), ("other.pt", "NF061")],
)  # fmt: skip
def test_bad_sources(name: str, code: str, map_file: Path, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / name
    match name:
        case "whole.pt":
            torch.save({"x": Malicious()}, path)
        case "other.pt":
            torch.save({"other": torch.zeros(1)}, path)
        case "absent.pt":
            pass
        case _:
            path.write_bytes(b"nothing of the kind")
    with pytest.raises(NetferryError) as raised:
        convert_checkpoint(path, map_file, tmp_path / "out.npz")
    assert raised.value.diagnostic.code == code
    assert "never run" not in capsys.readouterr().out


def test_keras_archive_is_refused_with_advice(map_file: Path, tmp_path: Path) -> None:
    with pytest.raises(NetferryError, match=r"\.keras file also holds the architecture"):
        convert_checkpoint(tmp_path / "net.pt", map_file, tmp_path / "out.keras")


def test_layers_with_random_state_and_lists_are_placed() -> None:
    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = keras.layers.Bidirectional(keras.layers.LSTM(3, dropout=0.2))
            self.drop = keras.layers.Dropout(0.3)
            self.attention = keras.layers.MultiHeadAttention(2, 3)
            self.parts = {"a": [keras.layers.Dense(2), keras.Sequential([keras.layers.Dense(6)])]}
            self.scale = self.add_weight(shape=(2,), name="scale")

        def call(self, x: Any) -> Any:
            x = self.attention(x, x)
            return self.scale * self.parts["a"][0](self.parts["a"][1](self.drop(self.rnn(x))))

    network = Net()
    network(np.zeros((1, 4, 5), "float32"))
    kept = runtime("keras")
    place = kept.weights_file(network)
    assert place is not None
    assert place.paths.keys() == kept.state(network).variables.keys()
    assert len(set(place.paths.values())) == len(place.paths)


def test_map_round_trip(tmp_path: Path) -> None:
    steps = ({"op": "transpose", "axes": [1, 0]},)
    entries = [
        Entry("a.kernel", Recipe((("a.weight", steps),))),
        Entry("b", Recipe((("b", ()), ("c", ())), "sum"), False, "buffer"),
    ]
    first = WeightMap(tuple(entries), "torch", "keras", {"n": "not needed"})
    first.save(tmp_path / "m.weights.json")
    assert WeightMap.load(tmp_path / "m.weights.json") == first


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "other"}', '{"schema": "netferry.weights", "version": 99}'])
def test_bad_map(text: str, tmp_path: Path) -> None:
    path = tmp_path / "m.weights.json"
    path.write_text(text)
    with pytest.raises(NetferryError) as raised:
        WeightMap.load(path)
    assert raised.value.diagnostic.code == "NF062"
