"""`expression`: a potential from one line of text, such as "0.5*x**2 + 0.1*x**4", read by a whitelist and never executed."""

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

__all__ = ["Expression", "ExpressionError", "expression"]

_MOST_CHARACTERS = 10_000
_MOST_DEPTH = (
    50  # of brackets, signs and powers within each other; sums and products may be as long as the text
)
_MOST_POWER = 64
_MOST_COORDINATES = 1000
_WIDTH = 90  # characters of a long text shown about an error

_LETTERS = {"x": 0, "y": 1, "z": 2}
_CONSTANTS = {"pi": math.pi, "e": math.e}
_FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any], int]] = {
    **{
        name: (getattr(np, name), getattr(jnp, name), 1)
        for name in ("sqrt", "exp", "log", "sin", "cos", "tan", "tanh", "sinh", "cosh", "abs")
    },
    "minimum": (np.minimum, jnp.minimum, 2),
    "maximum": (np.maximum, jnp.maximum, 2),
}
_ARITHMETIC: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: dict[type, Callable[..., Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_JOINED: dict[type, Callable[..., Any]] = {ast.And: jnp.logical_and, ast.Or: jnp.logical_or}

_KNOWN = (
    "x, y, z, or x0, x1, … or x[0], x[1], …; r; pi, e; "
    f"{', '.join(f'{name}(·)' if n == 1 else f'{name}(·, ·)' for name, (_, _, n) in _FUNCTIONS.items())}, "
    "where(condition, ·, ·)"
)
_PREFIXED = "functions are written without a prefix, as exp(x)"
_FOREIGN = {
    "^": "powers are written **",
    "²": "powers are written **, as in x**2",
    "³": "powers are written **, as in x**3",
    "×": "multiplication is written *",
    "·": "multiplication is written *",
    "−": "the minus sign is written -",
    "π": "it is written pi",
}

# Arguments are checked by value, with a message that names them; a run-time check of types would come first.
if TYPE_CHECKING:
    Text = str
    Count = int
else:
    Text = Count = Any

_Part = float | Callable[[Any], Any]  # a number, or a function of the point


class ExpressionError(ValueError):
    """A text that is no formula qspin knows; the message points at the place."""


def expression(text: Text, dim: Count | None = None) -> "Expression":
    """V(x) from a formula in text: a function of one point for `Potential`, that can be compared, hashed and pickled.

    Args:
        text: numbers, + - * / ** and brackets; coordinates x, y, z in up to three dimensions, and x0, x1, … or x[0], x[1], …
            in any; r = √(Σ x_i²); pi, e; sqrt, exp, log, sin, cos, tan, tanh, sinh, cosh, abs, minimum, maximum; and
            where(condition, a, b) with comparisons, `and`, `or` in its condition.
        dim: number of coordinates; None for as many as the text names.

    Raises ExpressionError, a ValueError that shows the place: for anything else in the text, a power of more than 64, a
    constant that is not finite, more than 10,000 characters or 50 levels of brackets, a coordinate past `dim`.

    >>> expression("0.5*x**2 + y", dim=2)(jnp.array([2.0, 1.0])).tolist()
    3.0
    """
    if not isinstance(text, str):
        raise TypeError(f"expression: expected a text such as '0.5*x**2', got {text!r}.")
    text = " ".join(text.split())
    return Expression(text, _dimension(text) if dim is None else dim)


@dataclass(frozen=True)
class Expression:
    """The function of one point x (dim,) that a formula names; `expression` makes it."""

    text: Text
    dim: Count

    def __post_init__(self) -> None:
        if type(self.dim) is not int or not 1 <= self.dim <= _MOST_COORDINATES:
            raise ValueError(
                f"expression: dim must be an integer from 1 to {_MOST_COORDINATES}, got {self.dim!r}."
            )
        read = _read(self.text)
        if read.n_named > self.dim:
            raise _error(
                self.text,
                read.last_named,
                f"coordinate number {read.n_named} in {self.dim} dimension{'s' * (self.dim > 1)}",
            )
        if read.letter is not None and self.dim > 3:
            raise _error(
                self.text,
                read.letter,
                f"x, y and z serve up to three dimensions; in {self.dim} write x0, … x{self.dim - 1} or x[0], …",
            )

    def __call__(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        if jnp.shape(x) != (self.dim,):
            raise ValueError(
                f"expression: {self.text!r} is a function of points of shape ({self.dim},), got {jnp.shape(x)}."
            )
        point = jnp.asarray(x)
        value = _read(self.text).value
        return jnp.asarray(value(point) if callable(value) else value, point.dtype)

    def __repr__(self) -> str:
        return f"expression({self.text!r}, dim={self.dim})"


class _Reading(NamedTuple):
    """What a text means, how many coordinates it names, and where the last of them and an x, y or z stand."""

    value: _Part
    n_named: int
    last_named: tuple[int, int]
    letter: tuple[int, int] | None


def _dimension(text: str) -> int:
    named = _read(text).n_named
    if named == 0:
        raise ExpressionError(
            f"expression: {text!r} names no coordinate, which leaves the number of dimensions open: give dim."
        )
    return named


@lru_cache(maxsize=64)
def _read(text: str) -> _Reading:
    if len(text) > _MOST_CHARACTERS:
        raise ExpressionError(
            f"expression: the text has {len(text)} characters, at most {_MOST_CHARACTERS} are read; write a problem file."
        )
    if not text:
        raise ExpressionError("expression: the text is empty; expected a formula such as 0.5*x**2.")
    strange = re.search(r"[^A-Za-z0-9_.,+\-*/()\[\]<>=! ]", text)
    if strange:
        hint = _FOREIGN.get(strange.group(), "it has no meaning in a formula")
        raise _error(text, strange.span(), f"{strange.group()!r}: {hint}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # "2if" and its like: Python warns before it refuses
            tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        start = max((error.offset or 1) - 1, 0)
        place = (start, max(error.end_offset - 1 if error.end_offset else 0, start + 1))
        raise _error(
            text, place, f"this is no formula: {error.msg} (multiplication is written *, powers **)"
        ) from None
    except (RecursionError, MemoryError):
        raise ExpressionError(
            "expression: the text is nested too deeply, or has too many terms; write a problem file."
        ) from None
    reader = _Reader(text)
    return _Reading(reader.part(tree.body, 0), reader.n_named, reader.last_named, reader.letter)


class _Reader:
    """Walks a syntax tree and builds the function it stands for. What is constant is folded, in floating point."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.n_named = 0
        self.last_named = (0, 0)
        self.letter: tuple[int, int] | None = None

    def refuse(self, node: ast.AST, why: str) -> NoReturn:
        raise _error(self.text, _place(node), why)

    def part(self, node: ast.expr, depth: int) -> _Part:
        if depth > _MOST_DEPTH:
            self.refuse(node, f"more than {_MOST_DEPTH} levels of brackets, signs or powers")
        match node:
            case ast.Constant():
                return self.number(node)
            case ast.Name():
                return self.name(node)
            case ast.Subscript(value=ast.Name(id="x"), slice=ast.Constant(value=int() as index)) if (
                type(index) is int
            ):
                return self.coordinate(node, index)
            case ast.Subscript():
                self.refuse(node, "only x takes an index, a whole number from 0: x[0]")
            case ast.UnaryOp(op=ast.UAdd()):
                return self.part(node.operand, depth + 1)
            case ast.UnaryOp(op=ast.USub()):
                inner = self.part(node.operand, depth + 1)
                return (lambda x: -inner(x)) if callable(inner) else -inner
            case ast.BinOp(op=ast.Pow()):
                return self.power(node, depth + 1)
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return self.chain(node, depth + 1)
            case ast.Call():
                return self.call(node, depth + 1)
            case ast.Compare() | ast.BoolOp():
                self.refuse(node, "a comparison belongs into where(condition, a, b)")
            case ast.Attribute():
                self.refuse(node, _PREFIXED)
        self.refuse(node, f"this is not part of a formula; known are {_KNOWN}")

    def number(self, node: ast.Constant) -> float:
        if type(node.value) not in (int, float):
            self.refuse(node, "expected a number")
        try:
            return self.finite(node, float(node.value))  # type: ignore[arg-type]
        except OverflowError:
            self.refuse(node, "this number is too large")

    def finite(self, node: ast.AST, value: Any) -> float:
        if not np.isfinite(value):
            self.refuse(node, f"this is {float(value)}, not a finite number")
        return float(value)

    def name(self, node: ast.Name) -> _Part:
        word = node.id
        if word in _CONSTANTS:
            return _CONSTANTS[word]
        if word == "r":
            return lambda x: jnp.sqrt(jnp.sum(x**2))
        if word in _LETTERS:
            self.letter = self.letter or _place(node)
            return self.coordinate(node, _LETTERS[word])
        if re.fullmatch(r"x\d{1,4}", word):
            return self.coordinate(node, int(word[1:]))
        if word in _FUNCTIONS or word == "where":
            self.refuse(node, f"{word} is a function: {word}(…)")
        self.refuse(node, f"{word!r} is not known; known are {_KNOWN}")

    def coordinate(self, node: ast.expr, index: int) -> _Part:
        if index >= _MOST_COORDINATES:
            self.refuse(node, f"coordinates are numbered from 0 to {_MOST_COORDINATES - 1}")
        if index >= self.n_named:
            self.n_named, self.last_named = index + 1, _place(node)
        return lambda x: x[index]

    def chain(self, node: ast.expr, depth: int) -> _Part:
        """a + b - c or a * b / c, however long: the tree leans to the left, and is walked in a loop."""
        links = []
        while isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            links.append(node)
            node = node.left
        first = self.part(node, depth)
        rest: list[tuple[Callable[..., Any], _Part]] = []
        for link in reversed(links):
            combine, right = _ARITHMETIC[type(link.op)], self.part(link.right, depth)
            if isinstance(link.op, ast.Div) and right == 0.0:
                self.refuse(link.right, "division by zero")
            if callable(first) or rest or callable(right):
                rest.append((combine, right))
            else:
                first = self.finite(link, combine(first, right))
        if not rest:
            return first

        def value(x: Any) -> Any:
            result = first(x) if callable(first) else first
            for combine, right in rest:
                result = combine(result, right(x) if callable(right) else right)
            return result

        return value

    def power(self, node: ast.BinOp, depth: int) -> _Part:
        base, exponent = self.part(node.left, depth), self.part(node.right, depth)
        if callable(exponent):
            return lambda x: jnp.power(base(x) if callable(base) else base, exponent(x))
        if not callable(base):
            with np.errstate(all="ignore"):
                return self.finite(node, np.power(base, exponent))
        if not exponent.is_integer():
            return lambda x: jnp.power(base(x), exponent)
        if abs(exponent) > _MOST_POWER:
            self.refuse(node.right, f"whole powers go up to {_MOST_POWER}, got {exponent:.6g}")
        whole = int(exponent)
        if isinstance(node.left, ast.Name) and node.left.id == "r" and whole % 2 == 0:
            return lambda x: jnp.sum(x**2) ** (whole // 2)  # smooth at r = 0, where the root is not
        return lambda x: base(x) ** whole

    def call(self, node: ast.Call, depth: int) -> _Part:
        if not isinstance(node.func, ast.Name):
            prefixed = isinstance(node.func, ast.Attribute)
            self.refuse(
                node.func, _PREFIXED if prefixed else "only functions can be called; perhaps a * is missing"
            )
        word = node.func.id
        if word not in _FUNCTIONS and word != "where":
            missing = (
                "perhaps a * is missing" if word in {*_LETTERS, *_CONSTANTS, "r"} else f"known are {_KNOWN}"
            )
            self.refuse(node.func, f"{word!r} is not a function; {missing}")
        expected = 3 if word == "where" else _FUNCTIONS[word][2]
        if node.keywords or len(node.args) != expected:
            got = "a name with =" if node.keywords else len(node.args)
            self.refuse(node, f"{word} takes {expected} argument{'s' * (expected > 1)}, got {got}")
        if word == "where":
            condition = self.condition(node.args[0], depth)
            chosen, other = (self.part(argument, depth) for argument in node.args[1:])
            return lambda x: jnp.where(condition(x), _at(chosen, x), _at(other, x))
        parts = [self.part(argument, depth) for argument in node.args]
        plain, traced, _ = _FUNCTIONS[word]
        if any(callable(part) for part in parts):
            return lambda x: traced(*(_at(part, x) for part in parts))
        with np.errstate(all="ignore"):
            return self.finite(node, plain(*parts))

    def condition(self, node: ast.expr, depth: int) -> Callable[[Any], Any]:
        if depth > _MOST_DEPTH:
            self.refuse(node, f"more than {_MOST_DEPTH} levels of brackets, signs or powers")
        if isinstance(node, ast.BoolOp):
            join, conditions = _JOINED[type(node.op)], [self.condition(v, depth + 1) for v in node.values]
            return lambda x: _joined(join, [condition(x) for condition in conditions])
        if not isinstance(node, ast.Compare) or not all(type(op) in _COMPARISONS for op in node.ops):
            self.refuse(node, "expected a comparison, as x > 0")
        compare = [_COMPARISONS[type(op)] for op in node.ops]
        sides = [self.part(side, depth + 1) for side in (node.left, *node.comparators)]

        def holds(x: Any) -> Any:
            values = [_at(side, x) for side in sides]
            pairs = zip(compare, values, values[1:], strict=False)
            return _joined(jnp.logical_and, [test(left, right) for test, left, right in pairs])

        return holds


def _at(part: _Part, x: Any) -> Any:
    return part(x) if callable(part) else part


def _joined(join: Callable[..., Any], values: list[Any]) -> Any:
    result = values[0]
    for value in values[1:]:
        result = join(result, value)
    return result


def _place(node: ast.AST) -> tuple[int, int]:
    """First column and the one past the last; the text is one line of ASCII by then."""
    return getattr(node, "col_offset", 0), getattr(node, "end_col_offset", 1)


def _error(text: str, place: tuple[int, int], why: str) -> ExpressionError:
    """The reason, the text (of a long one the surroundings) and carets under the place."""
    start, end = place
    first = 0 if len(text) <= _WIDTH else max(0, start - _WIDTH // 3)
    shown = text[first : first + _WIDTH]
    before, after = "…" * (first > 0), "…" * (first + _WIDTH < len(text))
    carets = "^" * max(min(end, first + _WIDTH) - start, 1)
    indent = " " * (4 + len(before) + start - first)
    return ExpressionError(f"expression: {why}.\n    {before}{shown}{after}\n{indent}{carets}")
