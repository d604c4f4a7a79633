"""Enclosures of V on cells: Taylor series in ball arithmetic, read off the program that JAX traces.

A ball is a pair (middle, radius) of arrays (monomials, cells). A `Series` holds one for each total degree in the displacement
from the centre of its cell, None for an exact zero; of two coordinates the monomials of degree k are dx^k, dx^(k-1) dy, …
Every operation adds its rounding error to the radius.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from scipy.special import erf

from qspin.numerics.precision import double_precision

__all__ = ["Enclosure"]

Ball = tuple[np.ndarray, np.ndarray]
Terms = list[Ball | None]
Bare = Callable[[np.ndarray], np.ndarray]

_UNIT, _TINY = 2.0**-52, 1e-300
_ZERO: Ball = (np.zeros((1, 1)), np.zeros((1, 1)))
_ONE: Ball = (np.ones((1, 1)), np.zeros((1, 1)))


def _sum(products: Iterable[tuple[float, Ball | None, Ball | None]]) -> Ball | None:
    """Σ factor · a · b, products of homogeneous polynomials."""
    kept = [(factor, a, b) for factor, a, b in products if a is not None and b is not None and factor]
    if not kept:
        return None
    degree = kept[0][1][0].shape[0] + kept[0][2][0].shape[0] - 1
    middle, radius, weight = np.zeros((3, degree, max(x[0].shape[1] for _, *pair in kept for x in pair)))
    count = 4
    for factor, *pair in kept:
        (am, ar), (bm, br) = sorted(pair, key=lambda ball: len(ball[0]))
        size_a, size_b = np.abs(factor * am), np.abs(bm)
        for i in range(len(am)):
            place = slice(i, i + len(bm))
            middle[place] += factor * am[i] * bm
            weight[place] += size_a[i] * size_b
            radius[place] += size_a[i] * br + abs(factor) * ar[i] * (size_b + br)
        count += len(am)
    return middle, radius * (1 + count * _UNIT) + count * _UNIT * weight + _TINY


class Series:
    """The Taylor series of a number that depends on x. Sums and products are operators, so that NumPy's arrays of series add,
    reduce and contract as arrays of numbers do."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms

    def __add__(self, other: Series) -> Series:
        return Series(
            [_sum([(1.0, a, _ONE), (1.0, b, _ONE)]) for a, b in zip(self.terms, other.terms, strict=True)]
        )

    def __mul__(self, other: Series) -> Series:
        a, b = self.terms, other.terms
        terms = [_sum((1.0, a[i], b[k - i]) for i in range(k + 1)) for k in range(len(a))]
        if self is other:
            terms[0] = _monotone(np.square, a[0], np.abs)
        return Series(terms)

    def times(self, factor: float) -> Series:
        """The series times a number."""
        return Series([_sum([(factor, a, _ONE)]) for a in self.terms])

    def plus(self, number: float) -> Series:
        """The series and a number added."""
        return self + _constant(number, len(self.terms) - 1)

    def power(self, n: int) -> Series:
        """The n-th power, n of either sign; of an even one the range is that of |x|^n."""
        if n < 0:
            return _inverse(self.power(-n))
        if n < 2:
            return self if n else _constant(1.0, len(self.terms) - 1)
        half = self.power(n // 2)
        return half * half * self if n % 2 else half * half


def _constant(value: float, order: int) -> Series:
    return Series([(np.full((1, 1), float(value)), np.zeros((1, 1))), *([None] * order)])


def _monotone(f: Bare, a: Ball | None, first: Bare | None = None) -> Ball:
    """The range of a monotone function, outward by some units; `first` is applied to the range of the argument."""
    middle, radius = a or _ZERO
    slack = radius * (1 + _UNIT) + _UNIT * np.abs(middle)
    low, high = middle - slack, middle + slack
    if first is not None:
        low, high = np.sort([first(low), first(high)], axis=0)
        low = np.where(np.abs(middle) <= slack, 0.0, low)
    low, high = np.sort([f(low), f(high)], axis=0)
    return (low + high) / 2, (high - low) / 2 + 8 * _UNIT * np.maximum(np.abs(low), np.abs(high)) + _TINY


def _chain(rate: Terms, g: Terms, k: int, factor: float = 1.0) -> Ball | None:
    """The term of degree k of f, where f' = factor · rate · g'."""
    return _sum((factor * j / k, g[j], rate[k - j]) for j in range(1, k + 1))


def _integrated(start: Bare, rate: Series, g: Series, factor: float = 1.0) -> Series:
    degrees = range(1, len(g.terms))
    return Series([_monotone(start, g.terms[0]), *(_chain(rate.terms, g.terms, k, factor) for k in degrees)])


def _exp(g: Series) -> Series:
    f: Terms = [_monotone(np.exp, g.terms[0])]
    for k in range(1, len(g.terms)):
        f.append(_chain(f, g.terms, k))
    return Series(f)


def _inverse(g: Series) -> Series:
    middle, radius = g.terms[0] or _ZERO
    apart = np.abs(middle) > radius * (1 + 4 * _UNIT)
    f: Terms = [_monotone(np.reciprocal, (np.where(apart, middle, np.nan), radius))]
    for k in range(1, len(g.terms)):
        f.append(_sum([(-1.0, _sum((1.0, g.terms[j], f[k - j]) for j in range(1, k + 1)), f[0])]))
    return Series(f)


def _waves(g: Series) -> tuple[Series, Series]:
    """sin and cos, whose slopes are at most 1."""
    middle, radius = g.terms[0] or _ZERO
    slack = np.minimum(radius, 2.0) + 4 * _UNIT * (1 + np.abs(middle))
    s, c = Terms([(np.sin(middle), slack)]), Terms([(np.cos(middle), slack)])
    for k in range(1, len(g.terms)):
        s, c = [*s, _chain(c, g.terms, k)], [*c, _chain(s, g.terms, k, -1.0)]
    return Series(s), Series(c)


def _tanh(g: Series) -> Series:
    f: Terms = [_monotone(np.tanh, g.terms[0])]
    slope = [_sum([(1.0, _ONE, _ONE), (-1.0, f[0], f[0])])]  # 1 - f²
    for k in range(1, len(g.terms)):
        f.append(_chain(slope, g.terms, k))
        slope.append(_sum((-1.0, f[i], f[k - i]) for i in range(k + 1)))
    return Series(f)


def _log(g: Series) -> Series:
    return _integrated(np.log, _inverse(g), g)


def _real_power(g: Series, exponent: float) -> Series:
    if exponent == int(exponent):
        return g.power(int(exponent))
    middle, radius = g.terms[0] or _ZERO
    touching = np.abs(radius - middle) < 1e-12 * middle  # a square that reaches 0, and rounding
    start = _monotone(lambda x: np.where(touching & (x < 0), 0.0, x) ** exponent, (middle, radius))
    return Series([start, *_exp(_log(g).times(exponent)).terms[1:]])


_FUNCTIONS: dict[str, Callable[..., Series]] = {
    "add": lambda a, b: a + b,
    "add_any": lambda a, b: a + b,
    "sub": lambda a, b: a + b.times(-1.0),
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a * _inverse(b),
    "neg": lambda g: g.times(-1.0),
    "square": lambda g: g * g,
    "exp": _exp,
    "exp2": lambda g: _exp(g.times(math.log(2.0))),
    "expm1": lambda g: _exp(g).plus(-1.0),
    "log": _log,
    "log1p": lambda g: _log(g.plus(1.0)),
    "sqrt": lambda g: _real_power(g, 0.5),
    "rsqrt": lambda g: _real_power(g, -0.5),
    "cbrt": lambda g: _real_power(g, 1 / 3),
    "sin": lambda g: _waves(g)[0],
    "cos": lambda g: _waves(g)[1],
    "tan": lambda g: _waves(g)[0] * _inverse(_waves(g)[1]),
    "sinh": lambda g: (_exp(g) + _exp(g.times(-1.0)).times(-1.0)).times(0.5),
    "cosh": lambda g: (_exp(g) + _exp(g.times(-1.0))).times(0.5),
    "tanh": _tanh,
    "logistic": lambda g: _tanh(g.times(0.5)).plus(1.0).times(0.5),
    "erf": lambda g: _integrated(erf, _exp((g * g).times(-1.0)), g, 2 / math.sqrt(math.pi)),
    "atan": lambda g: _integrated(np.arctan, _inverse((g * g).plus(1.0)), g),
    "copy": lambda g: g,
    "convert_element_type": lambda g: g,
}
_STRUCTURE = {
    "slice",
    "squeeze",
    "reshape",
    "broadcast_in_dim",
    "concatenate",
    "transpose",
    "rev",
    "gather",
    "dynamic_slice",
}
_STRUCTURE |= {"expand_dims", "split", "stack", "unstack"}
_CALLS = {"jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "remat", "checkpoint"}


class Enclosure:
    """V on many cells at once, from the program that JAX traces.

    `enclosure(centres, half_widths, order)`, both (cells, dim), gives the terms up to this degree of the Taylor series about
    every point of the cells: balls that hold for all of them; with half-widths 0, of the series about the centres. Where V
    has no finite series in a cell the radius is infinite or not a number.

    Raises ValueError, naming the JAX operation, where V is made of anything that has no enclosure here.
    """

    def __init__(self, potential: Callable[[Any], Any], dim: int) -> None:
        self.dim = dim
        with double_precision():
            self.program = jax.make_jaxpr(potential)(np.zeros(dim))

    def __call__(self, centres: np.ndarray, half_widths: np.ndarray, order: int) -> Terms:
        """See the class."""
        x = np.empty(self.dim, object)
        for i in range(self.dim):
            unit = np.eye(self.dim)[:, i : i + 1]
            first: Terms = [(unit, 0 * unit), *([None] * (order - 1))] if order else []
            x[i] = Series([(centres[None, :, i], half_widths[None, :, i]), *first])
        with double_precision(), np.errstate(all="ignore"):
            (value,) = self._run(self.program.jaxpr, self.program.consts, [x], order)
        return _objects(value, order).item().terms

    def _run(self, program: Any, constants: Any, arguments: list[Any], order: int) -> list[Any]:
        values: dict[Any, Any] = dict(zip(program.constvars, constants, strict=True))
        values |= dict(zip(program.invars, arguments, strict=True))

        def read(variable: Any) -> Any:
            return variable.val if hasattr(variable, "val") else values[variable]

        for equation in program.eqns:
            results = self._applied(equation, [read(v) for v in equation.invars], order)
            values |= dict(zip(equation.outvars, results, strict=True))
        return [read(v) for v in program.outvars]

    def _applied(self, equation: Any, inputs: list[Any], order: int) -> list[Any]:
        name, parameters = equation.primitive.name, equation.params
        if name in _CALLS:
            inner = parameters.get("jaxpr", parameters.get("call_jaxpr"))
            return self._run(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), inputs, order)
        varies = [_varies(value) for value in inputs]
        if not any(varies):
            results = equation.primitive.bind(*inputs, **parameters)
            return list(results) if equation.primitive.multiple_results else [results]
        data = inputs[:1] if name in ("gather", "dynamic_slice") else inputs
        arrays = [_objects(value, order) for value in data]
        if name in _STRUCTURE and not any(varies[len(data) :]):  # done on the places of the entries
            starts = np.cumsum([0, *(a.size for a in arrays)])
            places = [s + np.arange(a.size).reshape(a.shape) for s, a in zip(starts, arrays, strict=False)]
            moved = equation.primitive.bind(
                *map(jax.numpy.asarray, places), *inputs[len(data) :], **parameters
            )
            pool = np.concatenate([a.ravel() for a in arrays])
            indices = moved if equation.primitive.multiple_results else [moved]
            return [np.asarray(pool[np.asarray(index)], object) for index in indices]
        result: Any = None
        if (
            name in _FUNCTIONS and parameters.get("new_dtype", np.float64) == np.float64
        ):  # no rounding to another type
            result = np.frompyfunc(_FUNCTIONS[name], len(arrays), 1)(*arrays)
        elif name == "integer_pow":
            result = np.frompyfunc(lambda g: g.power(parameters["y"]), 1, 1)(arrays[0])
        elif name == "pow" and not varies[1]:
            result = np.frompyfunc(_real_power, 2, 1)(arrays[0], np.asarray(inputs[1], float).astype(object))
        elif name == "pow":
            result = np.frompyfunc(lambda g, exponent: _exp(exponent * _log(g)), 2, 1)(*arrays)
        elif name == "reduce_sum":
            result = arrays[0].sum(axis=tuple(parameters["axes"]))
        elif name == "dot_general" and parameters["dimension_numbers"][1] == ((), ()):
            result = np.tensordot(arrays[0], arrays[1], axes=parameters["dimension_numbers"][0])
        else:
            raise ValueError(
                f"bounds: V uses the JAX operation {name!r}, and bounds() encloses smooth functions only: sums, products, "
                "powers, exp, log, sqrt, sin, cos, tanh and their like. Write V without it; where V jumps or bends, use errors."
            )
        return [np.asarray(result, object)]


def _varies(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.hasobject


def _objects(value: Any, order: int) -> np.ndarray:
    """An array of series."""
    if _varies(value):
        return value
    return np.asarray(np.frompyfunc(lambda v: _constant(v, order), 1, 1)(np.asarray(value, float)), object)
