"""How an op is declared: canonical meaning, spellings per framework, parameters, layout behaviour, cases.

A declaration is data. Readers bind source calls through a spelling into canonical attributes, writers go
the other way through the target's spelling; both directions come from the same lines.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final


class _Marker:
    """A named singleton used as a default that is not a value."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


REQUIRED: Final = _Marker("REQUIRED")
INFERRED: Final = _Marker("INFERRED")
"""Default of an attribute that some frameworks deduce from the data (``in_channels`` of a Keras layer)."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a signature: ``name``, ``name=default``, ``*name`` or (keyword-only and variadic) ``**name``."""

    name: str
    default: Any = REQUIRED
    variadic: bool = False
    keyword_only: bool = False


@dataclass(frozen=True)
class Signature:
    """An ordered list of parameters, parsed from ``"x, axis=-1, *, keepdims=False"``.

    A default written ``...`` stands for :data:`INFERRED`.
    """

    parameters: tuple[Parameter, ...]

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Parse the text of a parameter list; defaults must be literals."""
        arguments = ast.parse(f"def f({text}): pass").body[0].args  # type: ignore[attr-defined]
        plain = [*arguments.posonlyargs, *arguments.args]
        missing = len(plain) - len(arguments.defaults)
        defaults = [None] * missing + list(arguments.defaults)
        found = [Parameter(a.arg, _default(d)) for a, d in zip(plain, defaults, strict=True)]
        if arguments.vararg:
            found.append(Parameter(arguments.vararg.arg, variadic=True))
        for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            found.append(Parameter(a.arg, _default(d), keyword_only=True))
        if arguments.kwarg:
            found.append(Parameter(arguments.kwarg.arg, variadic=True, keyword_only=True))
        return cls(tuple(found))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The parameter names in order."""
        return tuple(p.name for p in self.parameters)

    def __getitem__(self, name: str) -> Parameter:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @cached_property
    def _by_name(self) -> dict[str, Parameter]:
        return {p.name: p for p in self.parameters}


def _default(node: ast.expr | None) -> Any:
    if node is None:
        return REQUIRED
    value = ast.literal_eval(node)
    return INFERRED if value is ... else value


@dataclass(frozen=True)
class Conversion:
    """How a framework's argument relates to a canonical attribute.

    ``read`` and ``write`` are expression templates with ``{}`` for the value: ``"1 - {}"``. They are applied to
    literals (evaluated) and to source expressions (spliced) alike, and must be inverse to each other.
    A dict maps literal values instead: ``{"zeros": "constant"}`` (an unknown value cannot be translated).
    """

    attribute: str
    read: str | Mapping[Any, Any] = "{}"
    write: str | Mapping[Any, Any] = "{}"


def renamed(attribute: str) -> Conversion:
    """The same value under another name."""
    return Conversion(attribute)


def complement(attribute: str) -> Conversion:
    """``1 - value``, as for momentum."""
    return Conversion(attribute, "1 - {}", "1 - {}")


def values(attribute: str, pairs: Mapping[Any, Any]) -> Conversion:
    """A table from this framework's literal values to canonical ones, and back."""
    return Conversion(attribute, dict(pairs), {v: k for k, v in pairs.items()})


DynamicParams = Callable[[Mapping[str, Any]], Mapping[str, str]]
"""From the values of all canonical attributes of a layer to its parameters: name or path -> layout or spec."""


@dataclass(frozen=True)
class Spelling:
    """One way a framework writes an op.

    Attributes:
        path: dotted public name: ``torch.nn.Conv2d``, ``torch.Tensor.view``, ``keras.ops.relu``.
        signature: the callable's full positional signature with *its own* defaults (``self`` left out for layers;
            for tensor methods the tensor is the first parameter). Tested against the live signature.
        maps: framework argument -> conversion (or canonical name). Arguments with a canonical name need no entry.
        ignore: arguments without meaning for the result; dropped when read, never written.
        fixed: arguments that must have this value to be readable (any other value is a hole).
        call: for layers, the signature of calling the instance (``"input, hx=None"``).
        params: for layers, the framework's parameter name -> ``"canonical: layout"`` (or an expression over
            canonical parameters, ``"bias_ih + bias_hh: (g:ifgo H)"``). Buffers too.
        dynamic_params: more of them, from the values of all attributes, where which ones there are depends on these.
            A path may lead into sub-layers and lists: ``"layers.0.cell.kernel"``.
        template: write-only; an expression text with ``{x}`` placeholders for operands and attributes, used
            instead of a call of ``path``. Placeholders used more than once get a simple name first.
        support: name of a :class:`Support` whose definition the generated file needs.
        kind: ``call``, ``method`` (first operand is ``self``), ``attribute`` (property of a tensor), ``operator``.
        layer: True when ``path`` is a layer class to be constructed and then called.
        write: False for a spelling that is only read (aliases, in-place forms).
        when: restricts writing to ops whose given attributes are literals with the given values
            (``{"approximate": "none"}``); the first spelling whose condition holds is written.
        inplace: the callable changes its first operand (``add_``) and returns it.
        implies: canonical attribute values that the callable stands for without an argument (``Tensor.float`` is a
            cast to ``"float32"``); it is written only where the attributes have these values.
        threaded: keyword arguments that code hands on under their own name (``rngs``); written, ignored when read.
        silent: attributes that this spelling need not say: they follow from others, or mean nothing in this form. Any
            other that differs from its default and is not said makes the spelling unfit.
        ranks: how many axes the first operand must be seen to have for this spelling to be the one meant.
        kinds: argument -> kind its observed value must have for this spelling to be the one meant: ``tensor``,
            ``dtype``, ``int``, ``bool``, ``sequence``, ``axes2`` (a number for each of two axes). Tells overloads apart
            (``split(2)`` and ``split([1, 2])``), and layers of one class (a convolution over one axis, and over two).
    """

    path: str
    signature: str = ""
    maps: Mapping[str, Conversion | str] = field(default_factory=dict)
    ignore: Sequence[str] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    call: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    dynamic_params: DynamicParams | None = None
    template: str = ""
    support: str = ""
    kind: str = "call"
    layer: bool = False
    write: bool = True
    read: bool = True
    when: Mapping[str, Any] = field(default_factory=dict)
    inplace: bool = False
    implies: Mapping[str, Any] = field(default_factory=dict)
    threaded: Sequence[str] = ()
    silent: Sequence[str] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other keywords that the framework takes for an argument (PyTorch's ``axis`` for ``dim``)."""
    ranks: Sequence[int] = ()
    positional: int = 1
    """How many leading arguments an idiomatic call gives by position when written."""

    @cached_property
    def parsed(self) -> Signature:
        """The parsed constructor or function signature."""
        return Signature.parse(self.signature)

    @cached_property
    def parsed_call(self) -> Signature:
        """The parsed signature of calling a layer's instance."""
        return Signature.parse(self.call)

    def conversion(self, argument: str) -> Conversion | None:
        """How ``argument`` maps to a canonical attribute or operand; None when ignored or fixed."""
        if argument in self.ignore or argument in self.fixed or argument in self.threaded:
            return None
        found = self.maps.get(argument, argument)
        return Conversion(found) if isinstance(found, str) else found


@dataclass(frozen=True)
class Support:
    """A small definition that generated files carry when they use it (readable, documented, standalone).

    ``code`` is Python per framework; ``imports`` follow from the names used in it. ``requires`` names the other
    definitions that it uses.
    """

    name: str
    code: Mapping[str, str]
    requires: Sequence[str] = ()
    also: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Further definitions that the text for a framework uses."""

    def needs(self, framework: str) -> tuple[str, ...]:
        """The other definitions that the text for ``framework`` uses."""
        return (*self.requires, *self.also.get(framework, ()))


@dataclass(frozen=True)
class Case:
    """An input for the generated conformance tests.

    ``operands`` are shapes (tuples), ``Ints(shape, high)`` or concrete arrays, by operand name; ``attributes`` canonical values.
    Shapes are in the canonical (channels-first) layout.
    """

    operands: Mapping[str, Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    gradients: bool = True
    skip: Mapping[str, str] = field(default_factory=dict)
    """framework -> reason why it cannot express this case (shown in the support table)."""


@dataclass(frozen=True)
class Ints:
    """An integer operand of a case: shape, exclusive upper bound."""

    shape: tuple[int, ...]
    high: int
    dtype: str = "int64"


@dataclass(frozen=True)
class OpDef:
    """One op of the vocabulary.

    Attributes:
        name: canonical name (ONNX or array-API standard where one exists, snake case).
        signature: operands, then ``*``-separated canonical attributes with their canonical defaults:
            ``"x, *, axis=-1, keepdims=False"``. An optional operand has the default None. ``*xs`` is a list operand.
        doc: one sentence of meaning.
        layout: how the op treats axis order; see ``passes/layout.py`` for the rules by name:
            elementwise, channels, last, axis, reduce, concat, stack, split, permute, swap, reshape, flatten, squeeze,
            unsqueeze, expand, matmul, einsum, shape, size, create, index, pad, opaque, none.
        reference: float64 NumPy reference ``f(*operands, **attributes)`` in canonical layout; layers get their
            parameters as keyword arguments.
        params: canonical parameters of a layer: name -> layout string (``"O I K1 K2"``).
        dynamic_params: more of them, from the values of all attributes (layers with a number of stacked parts).
        buffers: names among ``params`` that are not trained.
        optional: parameter name -> attribute that must be truthy for it to exist (``{"bias": "bias"}``), or several
            with blanks between.
        spellings: framework -> spellings, the first writable one that applies is written.
        cases: inputs of the generated tests.
        tolerance: relative tolerance in float64 with its reason when not rounding alone.
        stochastic: the result is random, so frameworks agree on its shape, type and distribution only.
    """

    name: str
    signature: str
    doc: str
    layout: str = "opaque"
    reference: Callable[..., Any] | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    dynamic_params: DynamicParams | None = None
    buffers: Sequence[str] = ()
    optional: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, str] = field(default_factory=dict)
    """Factors of axes whose sizes do not follow from the arrays: factor -> attribute."""
    spellings: Mapping[str, Sequence[Spelling]] = field(default_factory=dict)
    cases: Sequence[Case] = ()
    tolerance: tuple[float, str] = (1e-12, "rounding only")
    stochastic: bool = False

    @cached_property
    def parsed(self) -> Signature:
        """The canonical signature."""
        return Signature.parse(self.signature)

    @cached_property
    def operands(self) -> tuple[Parameter, ...]:
        """The tensor operands, in order."""
        return tuple(p for p in self.parsed.parameters if not p.keyword_only)

    @cached_property
    def attributes(self) -> tuple[Parameter, ...]:
        """The canonical attributes, in order."""
        return tuple(p for p in self.parsed.parameters if p.keyword_only)

    def values(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """``attributes`` with the canonical defaults of those left out."""
        defaults = {p.name: p.default for p in self.attributes if p.default not in (REQUIRED, INFERRED)}
        return defaults | dict(attributes)

    def layouts(self, attributes: Mapping[str, Any]) -> dict[str, str]:
        """The layouts of the canonical parameters that exist with these attribute values."""
        found = self.values(attributes)
        made = {n: text for n, text in self.params.items() if n not in self._absent(found)}
        return made | dict(self.dynamic_params(found) if self.dynamic_params else {})

    def specs(self, spelling: Spelling, attributes: Mapping[str, Any]) -> dict[str, str]:
        """A framework's parameters that exist with these attribute values: path -> spec over canonical ones."""
        found = self.values(attributes)
        absent = self._absent(found)
        made = {
            path: text
            for path, text in spelling.params.items()
            if not any(name in re.findall(r"[\w.]+", text.partition(":")[0]) for name in absent)
        }
        return made | dict(spelling.dynamic_params(found) if spelling.dynamic_params else {})

    def _absent(self, values: Mapping[str, Any]) -> list[str]:
        """The parameters that do not exist with these values."""
        return [n for n, names in self.optional.items() if not all(values[name] for name in names.split())]

    @property
    def has_parameters(self) -> bool:
        """Whether its layer form owns arrays."""
        return bool(self.params) or self.dynamic_params is not None
