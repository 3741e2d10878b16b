"""What can go wrong: codes, diagnostics with their place, and how they are shown to people and machines."""

from __future__ import annotations

import linecache
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from rich.text import Text

Severity = Literal["error", "warning", "info"]

MIGRATED: Final = 0
INCOMPLETE: Final = 1
FAILED: Final = 2
USAGE: Final = 64


@dataclass(frozen=True)
class Code:
    """What one code stands for: a title, what to do about it, and the exit status when it ends the command."""

    title: str
    hint: str
    status: int = FAILED


CODES: Final[Mapping[str, Code]] = {
    # Reading the source.
    "NF001": Code("missing file", "Check the path; it is relative to the folder netferry runs in."),
    "NF002": Code("syntax error", "Correct the line shown; the file must run under the Python that runs netferry."),
    "NF003": Code("Python 2 code", "Port the file to Python 3 first, for example with the tool 2to3."),
    "NF004": Code("unsupported kind of source", "Give a .py file, a package folder, a module name, .ipynb or .md."),
    "NF005": Code("module not found", "Install the package, or run netferry in the folder that holds it."),
    "NF006": Code("unreadable file", "The file must be UTF-8 text (or declare its encoding); notebooks must be valid."),
    # What to migrate.
    "NF010": Code("no network in the source", "Name the class or builder function: SOURCE:ENTRY."),
    "NF011": Code("several candidate entries", "Choose one of them: SOURCE:ENTRY."),
    "NF012": Code("entry not found", "Name a class or function that the source defines: SOURCE:ENTRY."),
    "NF013": Code("input cannot be guessed", 'Give every input, for example --input "2x3x32x32" or "2x7:int64:1000".'),
    "NF014": Code("constructor arguments cannot be guessed", 'Say how to build it: --call "Entry(num_classes=10)".'),
    "NF015": Code("source framework cannot be told", "The file must import the framework of its network."),
    # Running the source.
    "NF020": Code("the constructor raises", "Correct the arguments with --call, or the network itself."),
    "NF021": Code("the forward pass raises", "Correct the shapes or types with --input, or the network itself."),
    "NF022": Code("the source cannot be loaded", "Its definitions must load without training or a command line."),
    "NF023": Code("framework not installed", "Install the extra that brings it."),
    "NF024": Code("the run takes too long or too much memory", "Give smaller inputs with --input, or use --static."),
    # Translating.
    "NF030": Code("unknown operation", "Rewrite the call with known operations, or declare the op.", INCOMPLETE),
    "NF031": Code("argument cannot be translated", "Use a value that the target can express.", INCOMPLETE),
    "NF032": Code(
        "the target cannot express it", "Write this by hand; the generated file marks the place.", INCOMPLETE
    ),
    "NF033": Code("assumed, not observed", "Give a --call or --input that makes the run reach it.", INCOMPLETE),
    "NF034": Code(
        "Python that cannot be translated", "Write this by hand; the generated file marks the place.", INCOMPLETE
    ),
    "NF035": Code("malformed pivot", "See the place; a pivot that netferry made itself is a fault to report."),
    "NF036": Code("changed on purpose", "Nothing needs to be done; the result of the network is the same.", MIGRATED),
    "NF037": Code(
        "a checkpoint is loaded here", "Convert it with netferry weights, and load the result instead.", MIGRATED
    ),
    # Writing.
    "NF040": Code("output exists", "Choose another name with -o, or replace it with --force."),
    "NF041": Code("output cannot be written", "Check that the folder exists and that you may write there."),
    # Verifying.
    "NF050": Code("the networks differ", "Look at the first diverging place; please report it as a fault.", INCOMPLETE),
    "NF051": Code("not verified", "Nothing was compared; see the reason.", INCOMPLETE),
    "NF052": Code("the generated network cannot be built or run", "See the reason; please report it.", INCOMPLETE),
    "NF053": Code("partly verified", "See which part was left out, and why.", INCOMPLETE),
    # Weights.
    "NF060": Code("not a checkpoint", "Give a weights file: .pt (weights only), .safetensors, .weights.h5, .keras."),
    "NF061": Code("the weight map does not fit", "Use the map that was written together with this network's code."),
    "NF062": Code("not a weight map", "Give the .weights.json that migrate wrote."),
    # Networks without source.
    "NF070": Code(
        "no graph of layers", "Give the network's source code, or a functional or sequential model (.keras, .h5)."
    ),
    "NF071": Code(
        "class of the user's own",
        "Run netferry where the module that defines the class can be imported, or give its source.",
    ),
    "NF072": Code(
        "function without source",
        "Give the source code that makes the network, or a layer class instead of the function.",
    ),
    "NF073": Code("layer that cannot be written", "Give the source code that makes the network."),
    "NF074": Code(
        "read from the graph",
        "The code was written from the layers of the built network; compare it with the source.",
        MIGRATED,
    ),
    # Usage, and ourselves.
    "NF064": Code("wrong usage", "See netferry --help.", USAGE),
    "NF099": Code("internal error", "This is a fault of netferry; run again with --debug and report what it prints."),
}


@dataclass(frozen=True)
class Diagnostic:
    """One finding: what is wrong, where, and what to do about it.

    ``line`` and ``column`` count from 1 (0: no place). ``text`` is the source line, where the file alone does not
    give it (a notebook's cell).
    """

    code: str
    severity: Severity = "error"
    file: str = ""
    line: int = 0
    column: int = 0
    message: str = ""
    hint: str = ""
    text: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.hint:
            object.__setattr__(self, "hint", CODES[self.code].hint)
        if not self.message:
            object.__setattr__(self, "message", CODES[self.code].title)

    @property
    def title(self) -> str:
        """What the code stands for."""
        return CODES[self.code].title

    @property
    def place(self) -> str:
        """``file:line:column``, as far as it is known."""
        return ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)]) if self.file else ""

    def source_line(self) -> str:
        """The line of source it is about, or nothing."""
        if self.text or not self.line:
            return self.text
        return linecache.getline(self.file, self.line).rstrip("\n")

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return asdict(self) | {"title": self.title}

    def __str__(self) -> str:
        return render(self).plain


class NetferryError(Exception):
    """A command cannot go on; carries the diagnostic and the exit status."""

    def __init__(self, diagnostic: Diagnostic, status: int | None = None) -> None:
        super().__init__(diagnostic)
        self.diagnostic = diagnostic
        self.status = CODES[diagnostic.code].status if status is None else status

    def __str__(self) -> str:
        return str(self.diagnostic)


def failure(
    code: str, message: str = "", *, file: object = "", line: int = 0, column: int = 0, hint: str = "", text: str = ""
) -> NetferryError:
    """The error to raise for ``code``."""
    return NetferryError(Diagnostic(code, "error", str(file), line, column, message, hint, text))


def not_installed(framework: str, extra: str) -> NetferryError:
    """The error for a framework that cannot be imported; names the extra to install."""
    return failure("NF023", f"{framework} is not installed", hint=f'Install it: pip install "netferry[{extra}]"')


_STYLES: Final[Mapping[str, str]] = {"error": "bold red", "warning": "bold yellow", "info": "bold blue"}


def render(diagnostic: Diagnostic) -> Text:
    """The diagnostic for a terminal: message, place, source line with a caret, hint."""
    style = _STYLES[diagnostic.severity]
    text = Text()
    text.append(f"{diagnostic.severity}[{diagnostic.code}]", style=style)
    text.append(f": {diagnostic.message}\n", style="bold")
    if diagnostic.place:
        text.append(f"  --> {diagnostic.place}\n", style="cyan")
    line = diagnostic.source_line()
    if line.strip():
        text.append_text(_excerpt(diagnostic, line, style))
    text.append("  hint: ", style="green")
    text.append(diagnostic.hint)
    return text


def _excerpt(diagnostic: Diagnostic, line: str, style: str) -> Text:
    number = str(diagnostic.line)
    margin = " " * len(number)
    shown = line.expandtabs(4)
    text = Text(f" {margin} |\n {number} | {shown}\n", style="dim")
    if diagnostic.column:
        before = len(line[: diagnostic.column - 1].expandtabs(4))
        text.append(f" {margin} | {' ' * before}")
        text.append("^\n", style=style)
    return text


def render_all(diagnostics: Iterable[Diagnostic]) -> Text:
    """All diagnostics, a blank line between them."""
    return Text("\n\n").join([render(d) for d in diagnostics])
