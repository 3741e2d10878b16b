"""The network of a pivot: its modules, steps and tensors, and how they are shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netferry.diagnostics import NetferryError
from netferry.pivot.parsing import parse
from tests.pivot.networks import SOURCES, program

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "pivot-schema.json").read_text())
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}


def validate(value: Any, schema: dict[str, Any], place: str = "$") -> None:
    """As much of JSON Schema as the schema uses."""
    assert set(schema) <= {"$schema", "$id", "$defs", "$ref", "title", "description", "type", "const", "minimum",
                           "required", "properties", "additionalProperties", "items", "pattern"}, place  # fmt: skip
    if "$ref" in schema:
        validate(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], place)
    if "const" in schema:
        assert value == schema["const"], place
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        assert type(value) in [TYPES[k] for k in kinds], place
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= set(value), place
        for key, item in value.items():
            rest = schema.get("additionalProperties", {})
            inner = schema.get("properties", {}).get(key, rest)
            assert inner is not False, f"{place}.{key}"
            validate(item, inner if isinstance(inner, dict) else {}, f"{place}.{key}")
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            validate(item, schema["items"], f"{place}[{index}]")


@pytest.mark.parametrize("name", SOURCES)
def test_json_follows_its_schema_and_is_connected(name: str, tmp_path: Path) -> None:
    found = json.loads(json.dumps(program(name, tmp_path).to_json()))
    validate(found, SCHEMA)
    names = {t["name"] for t in found["tensors"]}
    known = set(found["inputs"]) | {t["name"] for t in found["tensors"] if t["source"]}
    for step in found["steps"]:
        given = {v for values in step["inputs"].values() for v in values}
        assert given <= known, step
        known |= set(step["outputs"])
    assert set(found["outputs"]) <= known <= names
    paths = {m["path"] for m in found["modules"]}
    assert {s["layer"] for s in found["steps"]} - {None} <= paths


def test_layers_operations_and_the_flow_between_them(tmp_path: Path) -> None:
    found = program("residual", tmp_path).network()
    block = ["conv2d conv", "batch_norm norm", "relu -", "mul -", "add -"]
    expected = ["conv2d 0", "relu 1", *block, *block, "flatten -", "max_with_positions -", "linear head", "div -"]
    assert [f"{s.op} {(s.layer or '-').rpartition('.')[2]}" for s in found.steps] == expected
    stem = next(m for m in found.modules if m.path == "stem.0")
    assert (stem.kind, stem.op) == ("Conv2d", "conv2d")
    assert (stem.attributes["out_channels"], stem.attributes["stride"]) == (8, 2)
    assert [(a.name, a.shape) for a in stem.arrays] == [("weight", (8, 3, 3, 3)), ("bias", (8,))]
    block = found.steps[2:7]
    assert block[4].inputs == {"x": list(block[0].inputs["x"]), "y": list(block[3].outputs)}
    assert found.values[block[3].inputs["y"][0]].source == "blocks.0.scale"
    assert block[0].place.endswith("residual.py:30:27")


def test_an_op_in_place_makes_a_new_value(tmp_path: Path) -> None:
    found = program("recurrent", tmp_path).network()
    write = next(s for s in found.steps if s.op == "setitem")
    product = next(s for s in found.steps if s.op == "mul")
    assert product.inputs["y"] == list(write.outputs) != write.inputs["x"]


def test_table_counts_every_parameter_once(tmp_path: Path) -> None:
    rows = program("residual", tmp_path).table()
    assert rows[0] == {"layer": "stem.0", "kind": "conv2d", "output": "2x8x4x4", "parameters": 224}
    own = next(r for r in rows if r["layer"] == "blocks.0")
    assert (own["kind"], own["parameters"]) == ("Block", 8)
    assert sum(r["parameters"] for r in rows) == 224 + 2 * (584 + 16 + 8) + 40


def test_diagram_shows_shapes_on_the_edges(tmp_path: Path) -> None:
    lines = program("residual", tmp_path).diagram().splitlines()
    assert lines[:4] == ["graph TD", '  in0(["input 2x3x9x9"])', '  n0["stem.0: conv2d"]', "  in0 -->|2x3x9x9| n0"]
    assert '  out0(["output 2x5"])' in lines


def test_a_text_alone_has_no_network(tmp_path: Path) -> None:
    with pytest.raises(NetferryError, match="not observed"):
        parse(str(program("recurrent", tmp_path))).network()
