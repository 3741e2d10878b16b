"""Definitions of several files that come together in one."""

from __future__ import annotations

import ast
from pathlib import Path

import netferry
from netferry.naming import Naming, Rename

FILES = {
    "zoo/__init__.py": "",
    "zoo/blocks.py": """
import torch
from torch import nn


def exists(value):
    return value is not None


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x):
        return torch.relu(self.layers[0](x))
""",
    "zoo/heads.py": """
from torch import nn


def exists(value):
    return value is not None


class Block(nn.Module):
    def __init__(self, width, out):
        super().__init__()
        self.fc = nn.Linear(width, out) if exists(out) else None

    def forward(self, x):
        return self.fc(x)
""",
    "zoo/net.py": """
from torch import nn

from . import heads
from .blocks import Block as Body, exists
import zoo.heads as tops


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = Body(6)
        self.head = heads.Block(6, 3)
        self.top = tops.Block(3, 2) if exists(self.head) else None

    def forward(self, x):
        return self.top(self.head(self.body(x)))
""",
}


def test_equal_names_of_different_files(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    migration = netferry.migrate(tmp_path / "zoo" / "net.py", to="keras", entry="Net", call="Net()", inputs=["2x6"])
    assert migration.verification is not None
    assert migration.verification.status == "verified", migration.verification.reason
    classes = [n.name for n in ast.parse(migration.code).body if isinstance(n, ast.ClassDef)]
    assert sorted(classes) == ["Block", "Body", "Net"]
    assert migration.code.count("def exists(") == 1


def test_the_main_file_keeps_its_names() -> None:
    naming = Naming({("a", "f"): ("", "a", "f"), ("main", "f"): ("", "main", "f"), ("a", "g"): ("", "main", "f")})
    naming.settle("main", {})
    assert naming.changes("main") == {}
    assert naming.changes("a") == {"f": "a_f", "g": "f"}


def test_a_name_tells_its_file_where_no_other_is_given() -> None:
    naming = Naming({("main", "Net"): ("", "main", "Net"), ("zoo.res_net", "Net"): ("", "zoo.res_net", "Net")})
    naming.settle("main", {})
    assert naming.changes("zoo.res_net") == {"Net": "ResNetNet"}


def test_local_names_are_left_alone() -> None:
    tree = ast.parse("def use(f):\n    return f\n\ndef other(x):\n    return f(x)\n")
    assert ast.unparse(Rename({"f": "g"}).visit(tree)) == "def use(f):\n    return f\n\ndef other(x):\n    return g(x)"


COMMENTED = """# Copyright (c) The Authors

import torch
from torch import nn

# helpers


def unused():
    return 1


# Keeps the sign.
def act(x):
    return torch.relu(x)


# networks

class Net(nn.Module):
    def forward(self, x):
        return act(x)  # the only step
"""


def test_comments_between_definitions_are_kept(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(COMMENTED)
    code = netferry.migrate(
        tmp_path / "net.py", to="keras", entry="Net", call="Net()", inputs=["2x6"], verify=False
    ).code
    comments = [line[line.index("#") :] for line in code.splitlines() if "#" in line]
    assert comments == ["# Copyright (c) The Authors", "# Keeps the sign.", "# networks", "# the only step"]
    assert code.startswith("# Copyright")
