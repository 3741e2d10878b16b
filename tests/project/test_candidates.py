"""Guessing the entry and how it is built, with the reason, or an error that lists the choices."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from netferry.diagnostics import NetferryError
from netferry.project import load
from netferry.project.candidates import Entry, guess_entry

BASES = {"lib.nn.Module", "lib.nn.Sequence"}


def guess(tmp_path: Path, text: str) -> Entry:
    path = tmp_path / "net.py"
    path.write_text("import lib\nfrom lib import nn\n" + textwrap.dedent(text))
    return guess_entry(load(path), BASES, "nn.Module")


def code(tmp_path: Path, text: str) -> tuple[str, str]:
    with pytest.raises(NetferryError) as caught:
        guess(tmp_path, text)
    return caught.value.diagnostic.code, caught.value.diagnostic.message


BLOCKS = """
class Block(nn.Module): pass
class Net(nn.Module):
    def __init__(self, block=Block): self.b = Block()
"""


@pytest.mark.parametrize(
    ("text", "call", "reason"),
    [
        ("class Net(nn.Module): pass", "Net()", "the only nn.Module"),
        ("class Net(lib.nn.Module): pass\nclass Data: pass", "Net()", "the only nn.Module"),
        (BLOCKS, "Net()", "the only nn.Module nobody else uses"),
        (
            BLOCKS + "def small(): return Net()\ndef large(): return Net(2)\ndef test():\n    n = small()",
            "small()",
            "the only one that the file itself runs",
        ),
        (
            "class Net(nn.Module):\n    def __init__(self, kind, size): pass\n"
            "if __name__ == '__main__':\n    width = 4\n    net = Net('a', size=2 * width)",
            "Net('a', size=2 * 4)",
            "the only nn.Module",
        ),
        ("SIZE = 3\nclass Net(nn.Module):\n    def __init__(self, n): pass\nnet = Net(SIZE)", "Net(3)", "the only"),
        ("net = nn.Sequence(1, 2)", "net", "the only nn.Module"),
    ],
)
def test_guesses(tmp_path: Path, text: str, call: str, reason: str) -> None:
    found = guess(tmp_path, text)
    assert found.call == call
    assert found.reason.startswith(reason)


def test_a_base_class_in_another_file_counts(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text("from lib import nn\nclass Base(nn.Module): pass\n")
    assert guess(tmp_path, "from base import Base\nclass Net(Base): pass").name == "Net"


def test_no_network(tmp_path: Path) -> None:
    assert code(tmp_path, "class Data: pass")[0] == "NF010"


def test_several_candidates_are_listed(tmp_path: Path) -> None:
    found = code(tmp_path, "class Generator(nn.Module): pass\nclass Discriminator(nn.Module): pass")
    assert found == ("NF011", "which one to migrate? There are Generator, Discriminator")


def test_missing_arguments_are_named(tmp_path: Path) -> None:
    text = "class Net(nn.Module):\n    def __init__(self, a, b=1, *, c): pass\nx = Net(unknown(), c=2)"
    assert code(tmp_path, text) == ("NF014", "Net needs a, c, and the file shows no call with plain values")
