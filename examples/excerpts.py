"""Keeps the excerpts in README.md current: ``python -m examples.excerpts`` (``--check`` only compares)."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from benchmarks.corpus_environment import define_schemas

README = Path(__file__).parent.parent / "README.md"


@dataclass(frozen=True)
class Excerpt:
    """Definitions of a published file, beside what netferry writes from them."""

    module: str
    call: str
    input: str
    to: str
    names: tuple[str, ...]

    @property
    def key(self) -> str:
        """What its markers in the page are called."""
        return self.module.rpartition(".")[2]

    def text(self) -> str:
        """The table with both sides."""
        import netferry

        import_module("torch")
        define_schemas()  # torchvision's compiled part does not load everywhere; its networks do not need it.
        entry = self.call.partition("(")[0]
        source = inspect.getsource(import_module(self.module))
        code = netferry.migrate(
            self.module, entry=entry, call=self.call, to=self.to, inputs=[self.input], verify=False
        ).code
        sides = [f'<td valign="top">\n\n```python\n{picked(text, self.names)}\n```\n\n</td>' for text in (source, code)]
        head = f"<tr><th>torchvision's {self.key}.py</th><th>what netferry writes for {self.to}</th></tr>"
        return "\n".join(["<table>", head, "<tr>", *sides, "</tr>", "</table>"])


EXCERPTS = (
    Excerpt(
        "torchvision.models.resnet",
        "resnet18(weights=None)",
        "2x3x64x72",
        "keras",
        ("conv3x3", "BasicBlock.forward", "ResNet._make_layer"),
    ),
    Excerpt("torchvision.models.vgg", "vgg11(weights=None)", "1x3x32x40", "tensorflow", ("VGG.forward", "make_layers")),
)


def picked(text: str, names: tuple[str, ...]) -> str:
    """Definitions of a file by name, ``Class.method`` too; ``forward`` may be called ``call``."""
    lines = text.splitlines()
    found = []
    for name in names:
        body = ast.parse(text).body
        for part in name.split("."):
            known = {n.name: n for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef)}
            node = known.get(part) or known["call"]
            body = node.body
        found.append("\n".join(lines[node.lineno - 1 : node.end_lineno]))
    return "\n\n".join(found)


def updated(page: str) -> str:
    """The page with every excerpt written anew between its markers."""
    for excerpt in EXCERPTS:
        begin, end = f"<!-- {excerpt.key} -->", f"<!-- end of {excerpt.key} -->"
        made = f"{begin}\n{excerpt.text()}\n{end}"
        page = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _, made=made: made, page, flags=re.DOTALL)
    return page


def main(check: bool) -> int:
    """Write the page, or say whether it is out of date."""
    page = README.read_text(encoding="utf-8")
    made = updated(page)
    if check:
        return int(made != page)
    README.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
