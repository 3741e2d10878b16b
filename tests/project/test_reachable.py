"""Only what the entry needs is kept: no training, no command line, and nothing missing."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest

from netferry.project import closure, definitions, load
from netferry.project.names import bound_names, free_names

SCRIPT = '''
"""A training script."""
from __future__ import annotations
import argparse
import sys, os
from functools import partial

parser = argparse.ArgumentParser()
parser.add_argument("--width", default=3)
args = parser.parse_args()
print("starting")

WIDTHS = {"small": 3}
WIDTHS["large"] = 9
TABLE = []
TABLE.append(WIDTHS)
try:
    from fast import relu
except ImportError:
    relu = max

class Base: pass

class Base:
    width = WIDTHS["small"]
    def make(self, device, args):
        sys.stdout
        return [relu(x, y) for x in args for y in self.all()]

class Net(Base):
    head = partial(Base)
    def __init__(self, device=None):
        global TABLE
        lr = device
        self.f = lambda os: os + lr

class Unrelated(Net): pass

lr = args.width
device = lr
model = Net(device)
model.train()

if __name__ == "__main__":
    relu = None
'''


def excerpt(text: str, *names: str, tmp_path: Path, given: tuple[str, ...] = ()) -> list[str]:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(text))
    return [ast.unparse(s) for s in definitions(load(path).main, names, given)]


def test_the_excerpt_of_a_training_script(tmp_path: Path) -> None:
    kept = excerpt(SCRIPT, "Net", tmp_path=tmp_path)
    text = "\n".join(kept)
    for wanted in ("from __future__", "import sys, os", "WIDTHS['large'] = 9", "TABLE.append", "relu = max", "partial"):
        assert wanted in text
    for dropped in ("argparse", "parse_args", "starting", "Unrelated", "model", "__main__", "device = lr"):
        assert dropped not in text
    assert text.count("class Base") == 1
    assert kept[0] == "'A training script.'"


def test_what_is_needed_of_the_command_line_comes_whole(tmp_path: Path) -> None:
    text = "\n".join(excerpt(SCRIPT, "lr", tmp_path=tmp_path))
    assert "import argparse" in text
    assert "add_argument('--width'" in text


def test_given_names_are_not_followed(tmp_path: Path) -> None:
    assert "argparse" not in "\n".join(excerpt(SCRIPT, "lr", tmp_path=tmp_path, given=("args",)))


def test_functions_registered_on_a_class_belong_to_it(tmp_path: Path) -> None:
    text = "class Net: pass\n\n@add_to(Net)\ndef forward(self): return helper\n\nhelper = 1\nother = 2\n"
    assert excerpt(text, "Net", tmp_path=tmp_path)[1:] == [
        "@add_to(Net)\ndef forward(self):\n    return helper",
        "helper = 1",
    ]


def test_star_imports_are_kept_where_a_name_is_unexplained(tmp_path: Path) -> None:
    text = "from mystery import *\nclass A(Hidden): pass\nclass B: pass\n"
    assert "from mystery import *" in excerpt(text, "A", tmp_path=tmp_path)
    assert excerpt(text, "B", tmp_path=tmp_path) == ["class B:\n    pass"]


@pytest.mark.parametrize(
    ("code", "free"),
    [
        ("def f(a, *b, c=d, **e): return a + b + g", {"d", "g"}),
        ("def f():\n    x = y\n    return x", {"y"}),
        ("def f():\n    global x\n    x = 1", {"x"}),
        ("[a for a in b if (c := a)]", {"b"}),
        ("class A:\n    x = 1\n    def f(self): return x", {"x"}),
        ("class A:\n    x = x", {"x"}),
        ("class A(B, metaclass=C):\n    y: D = 1", {"B", "C", "D"}),
        ("x += 1", {"x"}),
        ("lambda a, b=c: a + d", {"c", "d"}),
        ("def f():\n    def g(): return h\n    return g", {"h"}),
        ("def f():\n    import os\n    with a as b: return os, b", {"a"}),
        ("def f(x):\n    match x:\n        case [1, *rest]: return rest", set()),
    ],
)
def test_free_names(code: str, free: set[str]) -> None:
    assert free_names(ast.parse(code).body[0]) == free


def test_bound_names() -> None:
    code = "import a.b, c as d\nfrom e import f\nfor g in h: i = 1\ndef j(k): l = 1\n(m := 1)\n[n for n in o]"
    assert bound_names(ast.parse(code).body) == {"a", "d", "f", "g", "i", "j", "m"}


def test_the_closure_crosses_files(tmp_path: Path) -> None:
    files = {
        "zoo/__init__.py": "",
        "zoo/net.py": "from .parts import Part, Unused\nfrom . import ops\nimport zoo.deep.more as more\n"
        "class Net(Part):\n    def f(self): return ops.relu(more.value)\n",
        "zoo/parts.py": "from .ops import *\nclass Part: x = relu\nclass Unused: pass\n",
        "zoo/ops.py": "def relu(x): return x\ndef gelu(x): return x\n",
        "zoo/deep/__init__.py": "",
        "zoo/deep/more.py": "value = 1\nother = train()\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = closure(load(tmp_path / "zoo" / "net.py"), ["Net"])
    defined = {r.file.module: sorted(bound_names(r.statements)) for r in found}
    assert defined["zoo.ops"] == ["relu"]
    assert defined["zoo.parts"] == ["Part"]
    assert defined["zoo.deep.more"] == ["value"]
    order = list(defined)
    assert order.index("zoo.ops") < order.index("zoo.parts") < order.index("zoo.net")


def test_names_bound_anew_after_the_network_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "script.py"
    file.write_text(
        textwrap.dedent("""
        x = make(3)
        width = 4
        model = build(x, lambda: width)
        width = 5
        for x, y in load("data"):
            print(x)
        x = 0
    """)
    )
    found = [ast.unparse(s) for s in definitions(load(file).main, "model")]
    assert found == ["x = make(3)", "width = 4", "model = build(x, lambda: width)", "width = 5", *found[4:]]
    plain = tmp_path / "plain.py"
    plain.write_text("x = make(3)\nmodel = build(x)\nfor x, y in load('data'):\n    print(x)\n")
    assert [ast.unparse(s) for s in definitions(load(plain).main, "model")] == ["x = make(3)", "model = build(x)"]
