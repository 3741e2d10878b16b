"""A size as a parameter of the function that needs it, where all callers give it in the words that the size has there."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import replace

from netferry.passes.provenance import Provenance, arguments
from netferry.passes.size_sites import Sample, changing, function_around
from netferry.walking import walk

Told = Callable[[Sequence[Sample], int], "ast.expr | None"]
Caller = Callable[[Sample], "tuple[int, Sample] | None"]


class Words:
    """Says sizes in what functions are given; ``told`` tells what layers that gave channels were told."""

    def __init__(
        self, provenance: Provenance, told: Told, caller: Caller, called: Callable[[ast.FunctionDef], str]
    ) -> None:  # fmt: skip
        self.provenance = provenance
        self.told = told
        self.caller = caller
        self.called = called

    def given(self, samples: Sequence[Sample], function: ast.FunctionDef) -> ast.Name | None:
        """The parameter that every call of ``function`` gives as the size is said there, if it is no mere number."""
        by_site = self._calls(samples)
        if not by_site or self.called(function) not in self.provenance.functions:
            return None
        fitting: set[str] | None = None
        for site, outer in by_site.items():
            words = self._at(outer, site)
            if words is None or isinstance(words, ast.Constant):
                return None
            given = arguments(_bound(function), self.provenance.calls[site])
            same = {name for name, value in given.items() if ast.unparse(value) == ast.unparse(words)}
            fitting = same if fitting is None else fitting & same
        kept = (fitting or set()) - changing(function, set(), 0)
        first = next((a.arg for a in [*function.args.args, *function.args.kwonlyargs] if a.arg in kept), None)
        return None if first is None else ast.Name(first, ast.Load())

    def vary(self, samples: Sequence[Sample], sites: Sequence[int]) -> bool:
        """Whether all calls of a function can say the size, and at least one of them in more than a number."""
        by_site = self._calls(samples)
        words = [self._at(outer, site) for site, outer in by_site.items()]
        said = all(w is not None for w in words) and by_site.keys() == set(sites)
        return said and any(not isinstance(w, ast.Constant) for w in words)

    def _calls(self, samples: Sequence[Sample]) -> dict[int, list[Sample]]:
        """The samples as ones of the calls of the function around their site; none where one cannot be told."""
        by_site: dict[int, list[Sample]] = {}
        for found in (self.caller(s) if type(s.value) is int else None for s in samples):
            if found is None or not found[1].terms:
                return {}
            by_site.setdefault(found[1].chain[-1].node, []).append(found[1])
        return by_site

    def _at(self, samples: Sequence[Sample], site: int) -> ast.expr | None:
        """The size at a call, in the words of the function around that call."""
        if site not in self.provenance.calls or not samples:
            return None
        made, function = self.told(samples, site), function_around(self.provenance.scopes.get(site, []))
        if made is not None or function is None:
            return made
        made = self.told([self._outside(s) for s in samples], site)
        if made is not None and not _names(made) & _targets(function):
            return made
        return self.given(samples, function)

    def _outside(self, sample: Sample) -> Sample:
        """A sample of a comprehension as one of the function around it, where layers of that function gave the size."""
        theirs = self.provenance.recording.chains.get(sample.terms[0], ())
        at = len(sample.chain) - 1
        if len(theirs) <= at or [k.serial for k in theirs[:at]] != [k.serial for k in sample.chain[:at]]:
            return sample
        return replace(sample, chain=(*sample.chain[:at], replace(sample.chain[at], body=theirs[at].body)))


def _bound(function: ast.FunctionDef) -> ast.FunctionDef:
    """A function as its callers see it."""
    given = function.args
    first = 1 if function.name == "__init__" else 0
    seen = ast.arguments(
        [], given.args[first:], given.vararg, given.kwonlyargs, given.kw_defaults, given.kwarg, given.defaults
    )
    return ast.FunctionDef(name=function.name, args=seen, body=[], decorator_list=[], returns=None)


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in walk(node) if isinstance(n, ast.Name)}


def _targets(function: ast.AST) -> set[str]:
    """The names that comprehensions bind."""
    return {name for n in walk(function) if isinstance(n, ast.comprehension) for name in _names(n.target)}
