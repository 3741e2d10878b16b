"""A changed tree renders as the original text with the changes spliced in."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable

import pytest

from netferry.pivot.nodes import constant
from netferry.pivot.render import Renderer, Text, list_of_arguments, pristine, remember


def parsed(source: str) -> ast.Module:
    """A tree that remembers its text."""
    text = textwrap.dedent(source).strip("\n") + "\n"
    tree = ast.parse(text)
    remember(tree, Text(text))
    return tree


def rendered(source: str, change: Callable[[ast.stmt], object]) -> str:
    """The first statement of ``source`` after ``change``; always code that compiles."""
    statement = parsed(source).body[0]
    change(statement)
    text = Renderer().statement(statement, "")
    compile(text, "<rendered>", "exec")
    return text


def find(tree: ast.AST, kind: type, text: str = "") -> ast.AST:
    """The first node of a kind, with the given text."""
    return next(n for n in ast.walk(tree) if isinstance(n, kind) and (not text or ast.unparse(n) == text))


class Replace(ast.NodeTransformer):
    """Replaces every expression that reads ``old`` by the expression ``new``."""

    def __init__(self, old: str, new: str | ast.expr) -> None:
        self.old = old
        self.new = new

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.expr) and ast.unparse(node) == self.old:
            return ast.parse(self.new, mode="eval").body if isinstance(self.new, str) else self.new
        self.generic_visit(node)
        return node


def replacing(old: str, new: str | ast.expr) -> Callable[[ast.stmt], object]:
    return Replace(old, new).visit


SOURCE = '''
class A(B):  # a class
    """Doc."""

    size = 3   # odd   spacing

    # what it does
    @staticmethod
    def f(x, *rest, k=1):
        y = (x +   # left
             1)
        # between
        for i in range( 3 ):
            y += i


        if x:
            return y
        elif y:  # other
            return [
                1,
                2,  # last
            ]
        else:
            pass  # nothing
        return {"a": y, **{}}
'''


def test_what_did_not_change_is_the_original_text() -> None:
    statement = parsed(SOURCE).body[0]
    assert pristine(statement)
    assert Renderer().statement(statement, "") == SOURCE.strip("\n")


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("1", "2", "             1)", "             2)"),
        ("range(3)", "items", "        for i in range( 3 ):", "        for i in items:"),
        ("3", "n", "        for i in range( 3 ):", "        for i in range( n ):"),
        ("[1, 2]", "z", "                2,  # last\n", ""),
    ],
)
def test_only_the_replaced_expression_changes(old: str, new: str, line: str, expected: str) -> None:
    def change(statement: ast.stmt) -> None:
        assert isinstance(statement, ast.ClassDef)
        replacing(old, new)(statement.body[-1])

    text = rendered(SOURCE, change)
    assert line in SOURCE and line not in text
    assert expected in text
    kept = ["# a class", "# odd   spacing", "# what it does", "# left", "# between", "# other", "# nothing"]
    assert [c for c in kept if c not in text] == []


@pytest.mark.parametrize(
    ("source", "old", "new", "expected"),
    [
        ("y = a * b", "a", "c + d", "y = (c + d) * b"),
        ("y = (a) * b", "a", "c + d", "y = (c + d) * b"),
        ("y = a.b", "a", "-c", "y = (-c).b"),
        ("y = a.b", "a", "1", "y = (1).b"),
        ("y = a(b)", "b", "c if d else e", "y = a(c if d else e)"),
        ("y = -a", "a", "b ** 2", "y = -(b ** 2)"),
        ("y = a and b", "b", "c or d", "y = a and (c or d)"),
        ("y = a @ b", "b", "c.T", "y = a @ c.T"),
        ("y = f'{a}'", "a", "b", "y = f'{b}'"),
        ("y = [a for a in b]", "b", "c", "y = [a for a in c]"),
        ("y = lambda n: a", "a", "b + 1", "y = lambda n: b + 1"),
        ("y = ä + a", "a", "ö", "y = ä + ö"),
    ],
)
def test_a_spliced_expression_binds_as_it_did(source: str, old: str, new: str, expected: str) -> None:
    assert ast.dump(ast.parse(rendered(source, replacing(old, new)))) == ast.dump(ast.parse(expected))


def test_an_added_argument_reprints_only_that_call() -> None:
    def change(statement: ast.stmt) -> None:
        call = find(statement, ast.Call, "g(a)")
        assert isinstance(call, ast.Call)
        call.keywords.append(ast.keyword("k", constant(2)))

    source = "y = f(\n    g(a),  # inner\n    b[ 0 ],\n)"
    assert rendered(source, change) == "y = f(\n    g(a, k=2),  # inner\n    b[ 0 ],\n)"


def test_a_reprinted_call_keeps_the_text_of_its_arguments() -> None:
    def change(statement: ast.stmt) -> None:
        call = find(statement, ast.Call)
        assert isinstance(call, ast.Call)
        call.args.pop()

    assert rendered("y = f(x [1:  2], 'quoted', b)", change) == "y = f(x [1:  2], 'quoted')"


def test_slices_stand_in_subscripts_without_parentheses() -> None:
    index = ast.Tuple([ast.Constant(...), ast.Slice(None, constant(1), None)], ast.Load())

    def change(statement: ast.stmt) -> None:
        subscript = find(statement, ast.Subscript)
        assert isinstance(subscript, ast.Subscript)
        subscript.slice = index

    assert rendered("y = x[:, :1]", change) == "y = x[..., :1]"
    assert rendered("y = x[0]", change) == "y = x[..., :1]"
    assert rendered("x[:, 1:] += f( 2 )", change) == "x[..., :1] += f( 2 )"


def test_targets_change_their_sequence() -> None:
    def change(statement: ast.stmt) -> None:
        assert isinstance(statement, ast.Assign)
        target = statement.targets[0]
        assert isinstance(target, ast.Tuple)
        statement.targets = [ast.Tuple([target.elts[i] for i in (0, 2, 1)], ast.Store())]

    assert rendered("b, c, n = x.shape", change) == "b, n, c = x.shape"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("elif b:\n    y = 2\nelse:\n    y = 3", "else:\n    z = 0"),
        ("elif b:  # why\n    y = 2", "else:\n    z = 0"),
        ("else:\n    y = 2", "else:\n    z = 0"),
    ],
)
def test_another_branch_is_replaced(source: str, expected: str) -> None:
    def change(statement: ast.stmt) -> None:
        assert isinstance(statement, ast.If)
        statement.orelse = ast.parse("z = 0").body

    assert rendered(f"if a:\n    y = 1  # one\n{source}", change) == f"if a:\n    y = 1  # one\n{expected}"


def test_a_condition_of_elif_changes_in_place() -> None:
    source = "if a:\n    y = 1\nelif b:  # why\n    y = 2\nelse:\n    y = 3"
    assert rendered(source, replacing("b", "c(d)")) == source.replace("elif b", "elif c(d)")


def decorated(keep: slice) -> Callable[[ast.stmt], object]:
    def change(statement: ast.stmt) -> None:
        assert isinstance(statement, ast.FunctionDef)
        statement.decorator_list = statement.decorator_list[keep]

    return change


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (slice(0, 0), "def f(x):  # it\n    return x"),
        (slice(0, 1), "@one\ndef f(x):  # it\n    return x"),
        (slice(1, 2), "@two(1)\ndef f(x):  # it\n    return x"),
    ],
)
def test_decorators_are_dropped(keep: slice, expected: str) -> None:
    assert rendered("@one\n@two(1)\ndef f(x):  # it\n    return x", decorated(keep)) == expected


def test_arguments_become_a_list_with_their_comments() -> None:
    def change(statement: ast.stmt) -> None:
        assert isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call)
        made = list_of_arguments(statement.value)
        statement.value = ast.Call(ast.Name("Stack", ast.Load()), [made], [])

    source = "y = Row(\n    a(1),  # first\n    # second\n    b,\n)"
    assert rendered(source, change) == "y = Stack([\n    a(1),  # first\n    # second\n    b,\n])"
    assert rendered("y = Row()", change) == "y = Stack([])"
    assert rendered("y = Row(*rows)", change) == "y = Stack([*rows])"


def parameters(text: str) -> Callable[[ast.stmt], object]:
    def change(statement: ast.stmt) -> None:
        assert isinstance(statement, ast.FunctionDef)
        made = ast.parse(f"def f({text}): pass").body[0]
        assert isinstance(made, ast.FunctionDef)
        statement.args = made.args

    return change


@pytest.mark.parametrize(
    ("before", "after"),
    [("x", "x, training=False"), ("", "self"), ("x, y", "x"), ("x=(1, ')'), *a", "x, **k"), ("x: int = f(1)", "x, /")],
)
def test_parameter_lists_change(before: str, after: str) -> None:
    source = "def call({}) -> int:  # (it)\n    return g( 1 )"
    assert rendered(source.format(before), parameters(after)) == source.format(after)


def test_names_are_changed_where_they_stand() -> None:
    def change(statement: ast.stmt) -> None:
        assert isinstance(statement, ast.FunctionDef)
        statement.name = "call"
        for node in ast.walk(statement):
            if isinstance(node, ast.Attribute) and node.attr == "layers":
                node.attr = "layers_"
            elif isinstance(node, ast.Name | ast.arg) and getattr(node, "id", getattr(node, "arg", "")) == "self":
                setattr(node, "id" if isinstance(node, ast.Name) else "arg", "own")
            elif isinstance(node, ast.keyword):
                node.arg = "axis"

    source = "def forward(self, x):  # self\n    return self.layers[ 0 ](x,  dim=1)"
    assert rendered(source, change) == "def call(own, x):  # self\n    return own.layers_[ 0 ](x,  axis=1)"


BODY = """
def f(x):
    # first
    a = 1  # one

    # second
    b = 2  # two
    c = 3
    # the end
    return a
"""


def body(change: Callable[[list[ast.stmt]], list[ast.stmt]]) -> Callable[[ast.stmt], object]:
    def changed(statement: ast.stmt) -> None:
        assert isinstance(statement, ast.FunctionDef)
        statement.body = change(statement.body)

    return changed


def made(text: str) -> ast.stmt:
    return ast.parse(text).body[0]


def test_a_statement_may_go() -> None:
    text = rendered(BODY, body(lambda b: [s for s in b if s is not b[2]]))
    assert "c = 3" not in text
    assert "    b = 2  # two\n" in text
    assert [c for c in ("# first", "# second", "# two", "# the end") if c not in text] == []


def test_the_comments_above_a_statement_outlive_it() -> None:
    text = rendered(BODY, body(lambda b: [b[0], *b[2:]]))
    assert "b = 2" not in text and "# two" not in text
    assert text.index("# second") < text.index("c = 3")


def test_statements_may_come() -> None:
    text = rendered(BODY, body(lambda b: [b[0], made("new = f(0)"), *b[1:], made("last()")]))
    lines = [line.strip() for line in text.splitlines()]
    assert lines.index("a = 1  # one") < lines.index("new = f(0)") < lines.index("b = 2  # two")
    assert lines[-1] == "last()"


def test_the_first_statement_may_be_another() -> None:
    text = rendered(BODY, body(lambda b: [made("if x:\n    new = 1"), *b[1:]]))
    assert "a = 1" not in text
    assert "    if x:\n        new = 1\n" in text


def test_an_empty_body_passes() -> None:
    assert rendered("def f(x):\n    return x", body(lambda b: [])) == "def f(x):\n    pass"


def test_a_statement_that_replaces_another_keeps_its_place() -> None:
    def change(statements: list[ast.stmt]) -> list[ast.stmt]:
        new = made("b = other()")
        new.nf_replaces = statements[1]  # type: ignore[attr-defined]
        return [statements[0], new, *statements[2:]]

    text = rendered(BODY, body(change))
    assert "\n\n    # second\n    b = other()" in text
    assert "b = 2" not in text


def test_noted_comments_precede_their_statement() -> None:
    statement = made("raise NotImplementedError('x')")
    statement.nf_comment = "# why\n# and how"  # type: ignore[attr-defined]
    assert Renderer().statement(statement, "    ") == "# why\n    # and how\n    raise NotImplementedError('x')"
