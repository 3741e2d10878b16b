"""Instrumented code does what the code does, whatever it is made of."""

from __future__ import annotations

import ast
import sys
import traceback
from typing import Any

import pytest

from netferry.observe.instrument import instrument
from tests.observe.running import Run, plain

SAME = {
    "super": """
        class A:
            def f(self, n): return n + 1
        class B(A):
            def f(self, n): return super().f(n) * 10
        got = B().f(2)
        """,
    "super with arguments": """
        class A:
            def f(self): return "A"
        class B(A):
            def f(self): return super(B, self).f() + __class__.__name__
        got = B().f()
        """,
    "locals": """
        def f(a, b=2):
            c = a + b
            return sorted(locals().items())
        got = f(1)
        """,
    "frames": """
        import sys
        def caller(): return sys._getframe(1).f_code.co_name, sorted(sys._getframe(1).f_locals)
        def f(a, b):
            return caller()
        got = f(1, b=2)
        """,
    "name mangling": """
        class _Own:
            def __init__(self): self.__secret = 3
            def read(self): return self.__secret + self._Own__secret
            def method(self): return self.__hidden(2)
            def __hidden(self, n): return n * self.__secret
            def add(self):
                self.__secret += 4
                return self.__secret
        own = _Own()
        got = own.read(), own.method(), own.add(), sorted(vars(own))
        """,
    "slices": """
        x = list(range(10))
        class Items:
            def __getitem__(self, index): return index
        at = Items()
        got = x[1:7:2], x[-1], x[:], x[2:], at[..., None, 1:2], at[:, 3], at[(1, 2)], at[1:2, ::3]
        """,
    "starred index": """
        class Items:
            def __getitem__(self, index): return index
        got = Items()[(0, *[1, 2])]
        """,
    "augmented assignment": """
        class Box: n = 2
        order = []
        def at(value):
            order.append(value)
            return value
        n = 5
        n //= 2
        box = Box()
        box.n **= 5
        items = [1, 2, 3]
        items[at(1)] += 10
        alias = items
        items += [4]
        got = n, box.n, items, alias is items, order
        """,
    "comprehensions": """
        def f(rows, k):
            nested = [[k * x for x in row if x > 1] for row in rows]
            return nested, {x: y for x, y in zip("ab", rows)}, {len(r) for r in rows}
        got = f([[1, 2], [3]], 2), sum(x for x in range(4)), [y := 3, y + 1]
        """,
    "arguments": """
        def f(a, /, b, *rest, c=0, **others): return a, b, rest, c, others
        got = f(1, *[2, 3], c=4, **{"d": 5}), f(*(1, 2)), (lambda n, k=3: n * k)(2)
        """,
    "evaluation order": """
        order = []
        def note(value):
            order.append(value)
            return value
        def f(*args, **kwargs): return list(args), kwargs
        got = f(note(1), note(2), k=note(3)), {note(4): note(5)}, note(6) < note(7), order
        """,
    "generators": """
        def rising(n):
            for i in range(n):
                got = yield i * 2
        def all_of(n):
            yield from rising(n)
        got = list(all_of(3))
        """,
    "exceptions": """
        def f(n):
            try:
                return 1 // n
            except ZeroDivisionError as error:
                return type(error).__name__
            finally:
                n = 2
        got = f(0), f(1)
        """,
    "matching": """
        def f(value):
            match value:
                case {"kind": str() as kind, **rest}: return kind, rest
                case [first, *_] if first > 1: return first
                case int(n) | float(n): return -n
            return None
        got = f({"kind": "a", "n": 1}), f([2, 3]), f(4), f("x")
        """,
    "conditions": """
        a, b = 3, None
        got = 1 < a < 5, a is not None and b is None, not a, -a, ~a, a if b else -1, 2 in [a], a != b
        """,
    "chained assignment": """
        a = b = [1, 2]
        a[0], (c, *d) = 5, (6, 7, 8)
        a[1]: int = 9
        del a[0]
        got = a, b, c, d
        """,
    "decorators and properties": """
        import functools
        def twice(f):
            @functools.wraps(f)
            def g(*a): return f(*a) * 2
            return g
        class A:
            @property
            def n(self): return 3
            @staticmethod
            @twice
            def s(k): return k
            @classmethod
            def c(cls): return cls.__name__
        got = A().n, A.s(4), A.c(), A.s.__name__
        """,
    "globals and closures": """
        n = 1
        def count():
            global n
            n += 1
            k = 0
            def inner():
                nonlocal k
                k += n
                return k
            return inner(), inner()
        got = count(), n, "count" in globals()
        """,
    "evaluated text": """
        k = 4
        got = eval("k + 1"), isinstance(k, int), hasattr(k, "real"), f"{k + 1:>3}|{k!r}"
        """,
    "a class body": """
        class A:
            size = 3
            sizes = [size] * size
            total: int = size + 1
        got = A.size, A.sizes, A.total
        """,
    "context managers": """
        import contextlib
        @contextlib.contextmanager
        def opened(n): yield n + 1
        with opened(1) as a, opened(a) as b:
            got = a, b
        """,
}


@pytest.mark.parametrize("source", SAME.values(), ids=SAME)
def test_instrumented_code_computes_the_same(source: str) -> None:
    assert Run(source)["got"] == plain(source)["got"]


def test_the_tree_itself_is_left_alone() -> None:
    tree = ast.parse("class A:\n    def f(self, x):\n        x[1:] += self.__n * 2\n        return g(x, *[1])")
    before = ast.dump(tree)
    instrument(tree)
    assert ast.dump(tree) == before


def test_an_exception_keeps_its_line() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        Run("a = 1\n\nb = a // 0")
    frames = traceback.extract_tb(caught.tb)
    assert [f.lineno for f in frames if f.filename == "<run>"] == [3]


def test_the_call_is_made_by_the_users_own_frame() -> None:
    seen: list[str] = []

    def note(*args: Any) -> None:
        seen.append(sys._getframe(1).f_code.co_name)

    Run("def forward(x):\n    note(x, x + 1)\nforward(1)", note=note)
    assert seen == ["forward"]
