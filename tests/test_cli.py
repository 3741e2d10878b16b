"""The commands: options reach the API, results reach stdout, and every end has its exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import netferry
from netferry import cli
from netferry.diagnostics import Diagnostic, failure
from netferry.verify.report import Divergence, Verification

VERIFIED = Verification(
    "verified", max_abs_diff=9e-15, max_rel_diff=2.8e-15, float32=3.1e-06, gradients=4.4e-15, training=1.9e-15
)


class FakeMap:
    def save(self, path: Path) -> None:
        path.write_text("{}")


@dataclass
class FakeMigration:
    status: int = 0
    code: str = "import numpy\n"
    diagnostics: list[Diagnostic] = field(default_factory=list)
    verification: Verification | None = field(default_factory=lambda: VERIFIED)
    weight_map: FakeMap = field(default_factory=FakeMap)
    summary: dict[str, Any] = field(
        default_factory=lambda: {
            "source_framework": "A",
            "target_framework": "B",
            "entry": "Net()",
            "entry_reason": "the only one",
            "inputs": ["2x3 float32"],
            "input_reason": "given",
            "classes": 1,
            "calls": 4,
            "observed": 4,
            "assumed": 0,
            "unsupported": 0,
            "arrays": 2,
            "numbers": 11_200_000,
        }
    )


class Api:
    """Stands in for the Python API and remembers how it was called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.result: Any = FakeMigration()
        self.error: Exception | None = None
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        for name in ("migrate", "check", "verify", "inspect"):
            monkeypatch.setattr(netferry, name, self, raising=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        print("the user's code prints this")
        self.calls.append((args, kwargs))
        if self.error:
            raise self.error
        return self.result


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(cli, "TARGETS", ["one", "other"])
    return Api(monkeypatch)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


def test_migrate_writes_code_and_map_and_shows_the_summary(api: Api, tmp_path: Path) -> None:
    output = tmp_path / "net_other.py"
    result = run("migrate", "net.py:Net", "--to", "other", "-o", str(output), "--call", "Net(1)", "--input", "2x3",
                 "--input", "t=2x7:int64:9", "--layout", "source", "--static")  # fmt: skip
    assert result.exit_code == 0
    assert output.read_text() == "import numpy\n"
    assert (tmp_path / "net_other.weights.json").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net_other.py", "net_other.weights.json"]
    args, kwargs = api.calls[0]
    kwargs.pop("progress")
    assert args == ("net.py:Net",)
    assert kwargs == {
        "to": "other", "call": "Net(1)", "inputs": ["2x3", "t=2x7:int64:9"], "layout": "source",
        "verify": True, "static": True,
    }  # fmt: skip
    shown = result.stdout.splitlines()
    assert shown[0] == "net.py -> net_other.py   A -> B"
    assert "found: the only one" in shown[1]
    assert "11.2 M" in shown[4]
    assert "forward 3.1e-06 (float32) 2.8e-15 (float64) · gradients 4.4e-15" in shown[5]
    assert "prints this" not in result.stdout


def test_migrate_without_output_prints_the_code_alone(api: Api) -> None:
    result = run("migrate", "net.py", "--to", "one")
    assert result.stdout == "import numpy\n"
    assert "translated" in result.stderr


def test_json_holds_everything(api: Api) -> None:
    api.result = FakeMigration(status=1, verification=None, diagnostics=[Diagnostic("NF030", file="net.py", line=3)])
    result = run("migrate", "net.py", "--to", "one", "--json", "--no-verify")
    data = json.loads(result.stdout)
    assert result.exit_code == 1
    assert data["diagnostics"][0]["code"] == "NF030"
    assert data["code"] == "import numpy\n"
    assert data["verification"] is None
    assert api.calls[0][1]["verify"] is False


def test_existing_output_is_refused_before_any_work(api: Api, tmp_path: Path) -> None:
    output = tmp_path / "out.py"
    output.write_text("precious")
    result = run("migrate", "net.py", "--to", "one", "-o", str(output))
    assert (result.exit_code, output.read_text()) == (2, "precious")
    assert "NF040" in result.stderr
    assert not api.calls
    assert run("migrate", "net.py", "--to", "one", "-o", str(output), "--force").exit_code == 0
    assert output.read_text() == "import numpy\n"


def test_nothing_is_left_when_the_second_file_fails(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: FakeMap, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FakeMap, "save", fail)
    result = run("migrate", "net.py", "--to", "one", "-o", str(tmp_path / "out.py"))
    assert result.exit_code == 2
    assert "NF041" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [("--json",), ()])
def test_errors_are_diagnostics(api: Api, options: tuple[str, ...]) -> None:
    api.error = failure("NF021", "the forward pass raises ValueError", file="net.py", line=3)
    result = run("migrate", "net.py", "--to", "one", *options)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert "NF021" in (result.stdout if options else result.stderr)


def test_internal_errors_show_a_traceback_only_when_debugging(api: Api) -> None:
    api.error = ZeroDivisionError("oops")
    result = run("check", "net.py")
    assert result.exit_code == 2
    assert "NF099" in result.stderr and "Traceback" not in result.stderr
    assert "Traceback" in run("check", "net.py", "--debug").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("migrate",), ("migrate", "net.py"), ("migrate", "net.py", "--to", "nowhere"), ("unknown",),
        ("migrate", "net.py", "--to", "one", "--layout", "diagonal"), ("check", "net.py", "--nonsense"),
    ],
)  # fmt: skip
def test_wrong_usage_exits_with_64(api: Api, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 64
    assert "Traceback" not in result.output


def test_wrong_usage_as_json(api: Api) -> None:
    data = json.loads(run("migrate", "net.py", "--to", "nowhere", "--json").stdout)
    assert (data["status"], data["diagnostics"][0]["code"]) == (64, "NF064")


def test_a_malformed_input_is_wrong_usage(api: Api) -> None:
    api.error = failure("NF064", "the input 'x' is malformed")
    assert run("migrate", "net.py", "--to", "one", "--input", "x").exit_code == 64


def test_version_and_help() -> None:
    assert run("--version").stdout.startswith("netferry ")
    shown = run("migrate", "--help")
    assert shown.exit_code == 0
    assert "--no-verify" in shown.output


def test_check_reports_without_writing(api: Api) -> None:
    result = run("check", "net.py", "--to", "one")
    assert result.exit_code == 0
    assert "1 class, 4 calls" in result.stdout
    assert "weights" not in result.stdout


def test_verify_shows_what_agrees(api: Api) -> None:
    api.result = VERIFIED
    result = run("verify", "a.py:Net", "b.py:Net", "--input", "2x3")
    assert result.exit_code == 0
    assert result.stdout.startswith("  verified   forward 3.1e-06 (float32) 2.8e-15 (float64)")


def test_verify_names_the_first_divergence(api: Api) -> None:
    place = Divergence("layer1.conv", "layer1.conv", "Conv", 0.5, inside=True)
    api.result = Verification("mismatch", "the outputs differ", first_divergence=place)
    result = run("verify", "a.py:Net", "b.py:Net")
    assert result.exit_code == 1
    assert "DIFFERS    the outputs differ" in result.stdout
    assert "in layer1.conv (Conv)" in result.stdout


def test_what_was_not_run_is_not_called_verified(api: Api) -> None:
    api.result = Verification("unverified", "random by design")
    result = run("verify", "a.py:Net", "b.py:Net")
    assert result.exit_code == 1
    assert "not verified  random by design" in result.stdout


def test_weights_needs_its_files(api: Api, tmp_path: Path) -> None:
    result = run("weights", str(tmp_path / "no.pt"), "--map", "m.json", "-o", str(tmp_path / "o.safetensors"))
    assert result.exit_code == 2
    assert "NF001" in result.stderr


class FakeProgram:
    def __str__(self) -> str:
        return "class Net: ..."

    def to_json(self) -> dict[str, Any]:
        return {"version": 1}

    def table(self) -> list[dict[str, Any]]:
        return [{"layer": "conv", "numbers": 12}]

    def diagram(self) -> str:
        return "graph TD"


@pytest.mark.parametrize(
    ("options", "expected"),
    [((), "class Net"), (("--json",), '"version": 1'), (("--as", "table"), "conv"), (("--as", "diagram"), "graph TD")],
)
def test_inspect_has_four_views(api: Api, options: tuple[str, ...], expected: str) -> None:
    api.result = FakeProgram()
    assert expected in run("inspect", "net.py", *options).stdout


def test_the_package_runs_as_the_command() -> None:
    found = subprocess.run([sys.executable, "-m", "netferry", "--help"], capture_output=True, text=True, check=True)
    assert "Usage: netferry" in found.stdout
