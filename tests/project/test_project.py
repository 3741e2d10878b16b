"""Sources of every form are found and parsed without running them; what cannot be read has its own code."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from netferry.diagnostics import NetferryError
from netferry.project import definitions, load, split


def code_of(source: str | Path, entry: str | None = None) -> str:
    with pytest.raises(NetferryError) as caught:
        load(source, entry)
    return caught.value.diagnostic.code


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    write(tmp_path / "zoo" / "__init__.py", "from .nets import *\nfrom .parts import Part as Piece\n")
    nets = "import math\nfrom .parts import Part\n\nclass Net(Part):\n    size = math.pi\n"
    write(tmp_path / "zoo" / "nets.py", nets)
    write(tmp_path / "zoo" / "parts.py", "class Part:\n    pass\n\n\nclass Other:\n    pass\n")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a/b.py:Net", ("a/b.py", "Net")),
        ("a/b.py", ("a/b.py", None)),
        ("pkg.mod:make_net", ("pkg.mod", "make_net")),
        ("C:Net", ("C:Net", None)),
        ("a.ipynb:Outer.Inner", ("a.ipynb", "Outer.Inner")),
    ],
)
def test_split(source: str, expected: tuple[str, str | None]) -> None:
    assert split(source) == expected


def test_a_file_in_a_package_knows_its_module(package: Path) -> None:
    project = load(package / "zoo" / "nets.py", "Net")
    assert (project.main.module, project.package, project.root) == ("zoo.nets", "zoo", package)
    assert project.owns("zoo.parts")
    assert not project.owns("numpy")
    assert not project.owns("zoo.missing")
    assert list(project.modules()) == ["zoo", "zoo.nets", "zoo.parts"]


def test_an_entry_is_followed_through_star_imports(package: Path) -> None:
    assert load(f"{package / 'zoo'}:Net").main.module == "zoo.nets"


def test_a_module_name_is_found_without_importing_it(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(package / "zoo" / "__init__.py", "raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(package))
    assert load("zoo.nets:Net").main.path == package / "zoo" / "nets.py"


def test_node_ids_are_unique_across_files(package: Path) -> None:
    project = load(package / "zoo" / "nets.py")
    project.file("zoo.parts")
    placed = [n for f in project.files for n in ast.walk(f.tree) if isinstance(n, ast.expr | ast.stmt)]
    ids = [n.nf_id for n in placed]  # type: ignore[union-attr]
    assert len(ids) == len(set(ids))
    part = project.file("zoo.parts").tree.body[0]
    assert project.located(part).module == "zoo.parts"


def test_siblings_of_a_script_belong_to_it(tmp_path: Path) -> None:
    write(tmp_path / "layers.py", "x = 1\n")
    project = load(write(tmp_path / "my-net.py", "import layers\n"))
    assert project.main.module == "my_net"
    assert project.owns("layers")
    assert not project.owns("json")


def test_bad_sources_have_their_codes(tmp_path: Path) -> None:
    assert code_of(tmp_path / "missing.py") == "NF001"
    assert code_of(write(tmp_path / "broken.py", "def f(:\n")) == "NF002"
    assert code_of(write(tmp_path / "net.txt", "")) == "NF004"
    assert code_of("no_such_module_anywhere") == "NF005"
    assert code_of("json.no_such_part") == "NF005"
    assert code_of("not a module") == "NF004"
    assert code_of(write(tmp_path / "bad.ipynb", "{}")) == "NF006"
    (tmp_path / "latin.py").write_bytes(b"x = '\xe9'\n")
    assert code_of(tmp_path / "latin.py") == "NF006"
    (tmp_path / "nul.py").write_bytes(b"x = 1\0\n")
    assert code_of(tmp_path / "nul.py") in {"NF002", "NF006"}
    (tmp_path / "empty").mkdir()
    assert code_of(tmp_path / "empty") == "NF004"
    assert code_of(write(tmp_path / "net.py", "class Network: pass\n"), "Netwrk") == "NF012"


@pytest.mark.parametrize(
    "line",
    ["print 'loss', 3", "print x", "exec 'x = 1'", "raise ValueError, 'no'", "x = 10L", "x = 0777", "if a <> b: pass",
     "try:\n    pass\nexcept ValueError, e:\n    pass", "x = ur'text'", "f = lambda (a, b): a", "x = `y`"],
)  # fmt: skip
def test_python_2_is_recognised(tmp_path: Path, line: str) -> None:
    assert code_of(write(tmp_path / "old.py", f"import os\n{line}\n")) == "NF003"


def test_a_syntax_error_shows_its_place(tmp_path: Path) -> None:
    with pytest.raises(NetferryError) as caught:
        load(write(tmp_path / "broken.py", "x = 1\ny = (2\n"))
    found = caught.value.diagnostic
    assert (found.line, found.column, found.text) == (2, 5, "y = (2")


def test_an_unknown_entry_suggests_near_names(tmp_path: Path) -> None:
    with pytest.raises(NetferryError, match="Did you mean Network"):
        load(write(tmp_path / "net.py", "class Network: pass\n"), "Netwrk")


def test_notebooks_lose_magics_and_keep_places(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": "# Title"},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "!pip install x\n", "files = !ls\n", "import os"]},
        {"cell_type": "code", "source": "%%bash\nls"},
        {"cell_type": "code", "source": "%%time\nclass Net:\n    x = (5\n         % 3)"},
        {"cell_type": "code", "source": "this is no Python"},
    ]
    file = load(write(tmp_path / "nb.ipynb", json.dumps({"cells": cells})), "Net").main
    tree = definitions(file, "Net")
    assert ast.unparse(tree[0]) == "class Net:\n    x = 5 % 3"
    assert file.place(tree[0].lineno) == (f"{tmp_path / 'nb.ipynb'}[cell 4]", 2)
    assert file.diagnostic("NF030", tree[0], "x").text == "class Net:"
    assert [n.file for n in file.code.notes] == [f"{tmp_path / 'nb.ipynb'}[cell 5]"]


PAGE = """# A page
```python
import math
```
text
```{.python .input}
%%tab one
class Net:
    variant = 1
```
```{.python .input}
%%tab two, three
class Net:
    variant = 2
```
```bash
ls
```
"""


def test_markdown_pages_give_the_chosen_variant(tmp_path: Path) -> None:
    page = write(tmp_path / "page.md", PAGE)
    assert code_of(page) == "NF004"
    main = load(page, "Net", tab="three").main
    net = definitions(main, "Net")[-1]
    assert ast.unparse(net) == "class Net:\n    variant = 2"
    assert main.place(net.lineno) == (str(page), 13)


def test_branches_for_other_variants_are_left_out(tmp_path: Path) -> None:
    page = write(
        tmp_path / "page.md",
        """```{.python .input}
%%tab all
class Net:
    def __init__(self):
        if tab.selected('one'):
            self.kind = 1
        elif tab.selected('two', 'three'):
            # what this one needs
            self.kind = call(2,
                             3)
        else:
            self.kind = 3
        if tab.selected('two'):
            self.more = 4

    def skipped(self):
        if tab.selected('one'):
            return 5

%%tab one
x = 1

%%tab two, three
x = 2
```
""".replace("\n%%tab one\n", "```\n\n```python\n%%tab one\n").replace("\n%%tab two", "```\n\n```python\n%%tab two"),
    )
    main = load(page, "Net", tab="three").main
    network = next(s for s in main.tree.body if isinstance(s, ast.ClassDef))
    text = ast.unparse(network)
    assert text == (
        "class Net:\n\n    def __init__(self):\n        self.kind = call(2, 3)\n\n    def skipped(self):\n        pass"
    )
    assert "            # what this one needs" not in main.lines and "        # what this one needs" in main.lines
    assert main.place(network.body[0].body[0].lineno)[1] == 9  # type: ignore[attr-defined]
