"""`expression`: a potential from one line of text, such as "0.5*x**2 + 0.1*x**4", read by a whitelist and never executed."""

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any, NoReturn

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qspin.numerics.checks import shown

__all__ = ["Expression", "ExpressionError", "expression"]

_MOST_CHARACTERS, _MOST_COORDINATES, _MOST_POWER = 10_000, 1000, 64
_MOST_DEPTH = 50  # of brackets, signs and powers; sums and products may be as long as the text
_WIDTH = 90  # characters of a long text shown about an error

_LETTERS = {"x": 0, "y": 1, "z": 2}
_CONSTANTS = {"pi": math.pi, "e": math.e}
_FUNCTIONS = ("sqrt", "exp", "log", "sin", "cos", "tan", "tanh", "sinh", "cosh", "abs")
_ARGUMENTS = {**dict.fromkeys(_FUNCTIONS, 1), "minimum": 2, "maximum": 2, "where": 3}
_ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_SIGNS = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_COMPARISONS = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge}
_COMPARISONS |= {ast.Eq: operator.eq, ast.NotEq: operator.ne}
_JOINED = {ast.And: jnp.logical_and, ast.Or: jnp.logical_or}
_KNOWN = f"x, y, z, or x0, x1, … or x[0], x[1], …; r; pi, e; {', '.join(_ARGUMENTS)}"
_FOREIGN = {
    **dict.fromkeys("^²³", "powers are written **, as in x**2"),
    **dict.fromkeys("×·", "multiplication is written *"),
    "−": "the minus sign is written -",
    "π": "it is written pi",
}

_Part = float | Callable[[Any], Any]  # a number, or a function of the point


class ExpressionError(ValueError):
    """A text that is no formula qspin knows; the message points at the place."""


def expression(text: Any, dim: Any = None) -> "Expression":
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
        raise TypeError(f"expression: expected a text such as '0.5*x**2', got {shown(text)}.")
    text = " ".join(text.split())
    if dim is None and (dim := _read(text).n_named) == 0:
        why = "names no coordinate, which leaves the number of dimensions open: give dim"
        raise ExpressionError(f"expression: {text!r} {why}.")
    return Expression(text, dim)


@dataclass(frozen=True)
class Expression:
    """The function of one point x (dim,) that a formula names; `expression` makes it."""

    text: str
    dim: Any

    def __post_init__(self) -> None:
        if type(self.dim) is not int or not 1 <= self.dim <= _MOST_COORDINATES:
            most = _MOST_COORDINATES
            raise ValueError(f"expression: dim must be an integer from 1 to {most}, got {shown(self.dim)}.")
        reader = _read(self.text)
        if reader.n_named > self.dim:
            why = f"coordinate number {reader.n_named} in {self.dim} dimension{'s' * (self.dim > 1)}"
            raise _error(self.text, reader.last_named, why)
        if reader.letter is not None and self.dim > 3:
            why = f"x, y and z serve up to three dimensions; in {self.dim} write x0, … x{self.dim - 1} or x[0], …"
            raise _error(self.text, reader.letter, why)

    def __call__(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        if jnp.shape(x) != (self.dim,):
            shapes = f"points of shape ({self.dim},), got {jnp.shape(x)}"
            raise ValueError(f"expression: {self.text!r} is a function of {shapes}.")
        point = jnp.asarray(x)
        return jnp.asarray(_at(_read(self.text).value, point), point.dtype)

    def __repr__(self) -> str:
        return f"expression({self.text!r}, dim={self.dim})"


@lru_cache(maxsize=64)
def _read(text: str) -> "_Reader":
    if len(text) > _MOST_CHARACTERS:
        count = f"{len(text)} characters, at most {_MOST_CHARACTERS} are read"
        raise ExpressionError(f"expression: the text has {count}; write a problem file.")
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
        why = f"this is no formula: {error.msg} (multiplication is written *, powers **)"
        raise _error(text, (start, max((error.end_offset or 1) - 1, start + 1)), why) from None
    except (RecursionError, MemoryError):
        why = "is nested too deeply, or has too many terms; write a problem file"
        raise ExpressionError(f"expression: the text {why}.") from None
    return _Reader(text, tree.body)


class _Reader:
    """Reads a syntax tree: the function that it stands for, with constants folded in floating point; how many coordinates it
    names; and where the last of them and the first x, y or z stand."""

    def __init__(self, text: str, tree: ast.expr) -> None:
        self.text = text
        self.n_named, self.last_named = 0, (0, 0)
        self.letter: tuple[int, int] | None = None
        self.value = self.part(tree, 0)

    def refuse(self, node: ast.AST, why: str) -> NoReturn:
        raise _error(self.text, _place(node), why)

    def part(self, node: ast.expr, depth: int) -> _Part:
        if depth > _MOST_DEPTH:
            self.refuse(node, f"more than {_MOST_DEPTH} levels of brackets, signs or powers")
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return self.applied(node, operator.pos, None, [value])
            case ast.Constant():
                self.refuse(node, "expected a number")
            case ast.Name(id=word) if word in _CONSTANTS:
                return _CONSTANTS[word]
            case ast.Name(id="r"):
                return lambda x: jnp.sqrt(jnp.sum(x**2))
            case ast.Name(id=word) if word in _LETTERS:
                self.letter = self.letter or _place(node)
                return self.coordinate(node, _LETTERS[word])
            case ast.Name(id=word) if re.fullmatch(r"x\d{1,4}", word):
                return self.coordinate(node, int(word[1:]))
            case ast.Name(id=word) if word in _ARGUMENTS:
                self.refuse(node, f"{word} is a function: {word}(…)")
            case ast.Name(id=word):
                self.refuse(node, f"{word!r} is not known; known are {_KNOWN}")
            case ast.Subscript(value=ast.Name(id="x"), slice=ast.Constant(value=int() as index)):
                return self.coordinate(node, int(index))
            case ast.Subscript():
                self.refuse(node, "only x takes an index, a whole number from 0: x[0]")
            case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _SIGNS:
                return self.applied(node, _SIGNS[type(sign)], None, [self.part(operand, depth + 1)])
            case ast.BinOp(op=ast.Pow()):
                return self.power(node, *(self.part(side, depth + 1) for side in (node.left, node.right)))
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return self.chain(node, depth + 1)
            case ast.Call(func=ast.Name(id=word)):
                return self.call(node, word, depth + 1)
            case (ast.Attribute() as place) | ast.Call(func=ast.Attribute() as place):
                self.refuse(place, "functions are written without a prefix, as exp(x)")
            case ast.Call():
                self.refuse(node.func, "only functions can be called; perhaps a * is missing")
            case ast.Compare() | ast.BoolOp():
                self.refuse(node, "a comparison belongs into where(condition, a, b)")
        self.refuse(node, f"this is not part of a formula; known are {_KNOWN}")

    def condition(self, node: ast.expr, depth: int) -> _Part:
        """Comparisons, joined by `and` and `or`."""
        match node:
            case ast.BoolOp(op=join, values=values):
                tests = [self.condition(value, depth + 1) for value in values]
                return lambda x: reduce(_JOINED[type(join)], [_at(test, x) for test in tests])
            case ast.Compare(ops=ops) if all(type(op) in _COMPARISONS for op in ops):
                compare = [_COMPARISONS[type(op)] for op in ops]
                sides = [self.part(side, depth + 1) for side in (node.left, *node.comparators)]
                pairs = list(zip(compare, sides, sides[1:], strict=False))
                return lambda x: reduce(jnp.logical_and, [c(_at(a, x), _at(b, x)) for c, a, b in pairs])
        self.refuse(node, "expected a comparison, as x > 0")

    def applied(self, node: ast.AST, plain: Any, traced: Any, parts: Sequence[int | _Part]) -> _Part:
        """A function of parts: of numbers a number, by NumPy's function; else JAX's function (None: the same) of the point."""
        if any(callable(part) for part in parts):
            return lambda x: (traced or plain)(*(_at(part, x) for part in parts))
        try:
            with np.errstate(all="ignore"):
                number = float(plain(*np.array(parts, float)))
        except OverflowError:
            self.refuse(node, "this number is too large")
        if not math.isfinite(number):
            self.refuse(node, f"this is {number}, not a finite number")
        return number

    def coordinate(self, node: ast.expr, index: int) -> _Part:
        if index >= _MOST_COORDINATES:
            self.refuse(node, f"coordinates are numbered from 0 to {_MOST_COORDINATES - 1}")
        if index >= self.n_named:
            self.n_named, self.last_named = index + 1, _place(node)
        return lambda x: x[index]

    def chain(self, node: ast.expr, depth: int) -> _Part:
        """a + b - c or a * b / c, however long: the tree leans to the left, and a loop goes down that side."""
        links: list[ast.BinOp] = []
        while isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            links.append(node)
            node = node.left
        first, rest = self.part(node, depth), list[tuple[Any, _Part]]()
        for link in reversed(links):
            combine, right = _ARITHMETIC[type(link.op)], self.part(link.right, depth)
            if isinstance(link.op, ast.Div) and right == 0.0:
                self.refuse(link.right, "division by zero")
            if rest or callable(first) or callable(right):
                rest.append((combine, right))
            else:
                first = self.applied(link, combine, None, [first, right])
        if not rest:
            return first
        return lambda x: reduce(lambda sum_, link: link[0](sum_, _at(link[1], x)), rest, _at(first, x))

    def power(self, node: ast.BinOp, base: _Part, exponent: _Part) -> _Part:
        if callable(exponent) or not callable(base) or not exponent.is_integer():
            return self.applied(node, np.power, jnp.power, [base, exponent])
        if abs(exponent) > _MOST_POWER:
            self.refuse(node.right, f"whole powers go up to {_MOST_POWER}, got {exponent:.6g}")
        whole = int(exponent)
        if isinstance(node.left, ast.Name) and node.left.id == "r" and whole % 2 == 0:
            return lambda x: jnp.sum(x**2) ** (whole // 2)  # smooth at r = 0, where the root is not
        return lambda x: base(x) ** whole

    def call(self, node: ast.Call, word: str, depth: int) -> _Part:
        if word not in _ARGUMENTS:
            product = word in {*_LETTERS, *_CONSTANTS, "r"}
            missing = "perhaps a * is missing" if product else f"known are {_KNOWN}"
            self.refuse(node.func, f"{word!r} is not a function; {missing}")
        count, got = _ARGUMENTS[word], "a name with =" if node.keywords else len(node.args)
        if got != count:
            self.refuse(node, f"{word} takes {count} argument{'s' * (count > 1)}, got {got}")
        readers = [self.condition if word == "where" else self.part, self.part, self.part]
        parts = [read(argument, depth) for read, argument in zip(readers, node.args, strict=False)]
        return self.applied(node, getattr(np, word), getattr(jnp, word), parts)


def _at(part: int | _Part, x: Any) -> Any:
    return part(x) if callable(part) else part


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
