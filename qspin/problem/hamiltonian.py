"""Operators: what all of them offer, sums, multiples, kinetic energy, potential. `H(f)` is the function Hf.

`LocalForm` is the one description of a Hamiltonian that methods read. An operator that has none says so by None, and is
refused by every method but `SpIN`, which needs Hf only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qspin.numerics.checks import (
    check_function,
    points_of,
    real_number,
    real_numbers,
    set_fields,
    shown,
    traced,
)
from qspin.numerics.laplacian import Function, Laplacian, autodiff
from qspin.numerics.points import Points
from qspin.problem.domain import Box, Domain, Space
from qspin.problem.tables import Tabulated

__all__ = ["Combination", "Kinetic", "LocalForm", "Operator", "Potential", "without_local_form"]

Field = Callable[[Float[Array, " dim"]], Array]  # a function of one point


@dataclass(frozen=True, eq=False)
class LocalForm:
    """A Hamiltonian that acts at a point: ⟨φ|H|ψ⟩ = ∫ w(x) [½ (Dφ)*·G(x)·(Dψ) + φ* V(x) ψ] dx, D = ∇ - iA(x).

    Attributes:
        dim: number of coordinates.
        inverse_mass: G: (dim,) of a constant diagonal, (dim, dim) of a constant matrix, or a function of x giving either.
        potential: V, a function of one point x (dim,) -> real scalar.
        vector_potential: A, a function of x -> (dim,), or None for none.
        weight: w, a function of x -> positive scalar, or None for 1.
        singularities: the points where V is declared singular.
    """

    dim: int
    inverse_mass: np.ndarray | Field
    potential: Field
    vector_potential: Field | None = None
    weight: Field | None = None
    singularities: tuple[tuple[float, ...], ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether H = -Σ_i c_i ∂²/∂x_i² + V with constant c: no A, no weight, a diagonal G that does not depend on x."""
        diagonal = isinstance(self.inverse_mass, np.ndarray) and self.inverse_mass.ndim == 1
        return diagonal and self.vector_potential is None and self.weight is None

    @property
    def coefficients(self) -> np.ndarray:
        """c (dim,) of -Σ_i c_i ∂²/∂x_i², 1/(2 mass); ValueError where H is not of that form (`is_plain`)."""
        if not self.is_plain:
            raise ValueError("LocalForm: a kinetic energy with constant masses, one an axis, was expected.")
        return np.asarray(self.inverse_mass) / 2

    @property
    def has_kinetic_part(self) -> bool:
        """Whether G is anything but zero."""
        return not isinstance(self.inverse_mass, np.ndarray) or bool(self.inverse_mass.any())

    @property
    def knots(self) -> tuple[tuple[float, ...], ...]:
        """For each axis the places where derivatives of V jump because V, or a part of it, is `tabulated`; none elsewhere."""
        parts = self.potential.parts if isinstance(self.potential, _Combination) else ((1.0, self.potential),)
        tables = [
            table for _, part in parts if isinstance(table := getattr(part, "function", part), Tabulated)
        ]
        return tuple(
            tuple(sorted({float(x) for table in tables for x in table.knots[axis]}))
            for axis in range(self.dim)
        )

    def times(self, factor: float) -> LocalForm:
        """The local form of factor·H."""
        return replace(
            self,
            inverse_mass=_times(factor, self.inverse_mass),
            potential=_combined((factor, self.potential)),
        )

    def plus(self, other: LocalForm) -> LocalForm | None:
        """The local form of the sum; None where two kinetic parts differ in A or w, so that one form cannot hold both."""
        forms = [form for form in (self, other) if form.has_kinetic_part] or [self]
        first, last = forms[0], forms[-1]
        if first.vector_potential is not last.vector_potential or first.weight is not last.weight:
            return None
        return LocalForm(
            self.dim,
            _plus(self.inverse_mass, other.inverse_mass),
            _combined((1.0, self.potential), (1.0, other.potential)),
            first.vector_potential,
            first.weight,
            tuple(dict.fromkeys((*self.singularities, *other.singularities))),
        )


@dataclass(frozen=True)
class _Combination:
    """x -> Σ factor · function(x); equal where its parts are, so that it compiles once."""

    parts: tuple[tuple[float, Field], ...]

    def __call__(self, x: Float[Array, " dim"]) -> Any:
        return sum((factor * function(x) for factor, function in self.parts), start=jnp.zeros((), x.dtype))


def _combined(*parts: tuple[float, Field]) -> _Combination:
    flat: list[tuple[float, Field]] = []
    for factor, function in parts:
        inner = function.parts if isinstance(function, _Combination) else ((1.0, function),)
        flat += [(factor * own, part) for own, part in inner]
    return _Combination(tuple(flat))


def _times(factor: float, g: np.ndarray | Field) -> np.ndarray | Field:
    return factor * g if isinstance(g, np.ndarray) else lambda x: factor * g(x)


def _plus(a: np.ndarray | Field, b: np.ndarray | Field) -> np.ndarray | Field:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a + b if a.ndim == b.ndim else _matrix(a) + _matrix(b)
    return lambda x: _matrix(a(x) if callable(a) else a) + _matrix(b(x) if callable(b) else b)


def _matrix(g: Any) -> Any:
    return g if g.ndim == 2 else jnp.diag(g) if isinstance(g, jax.Array) else np.diag(g)


class Operator(ABC):
    """A linear symmetric operator. Operators add, subtract and take real factors: H = 2.0 * T + V."""

    @abstractmethod
    def __call__(self, f: Function) -> Function:
        """The function Hf, for f of one point (dim,) -> () or (N,). TypeError where Hf is an integral."""

    @abstractmethod
    def local_form(self, dim: int) -> LocalForm | None:
        """What methods read of the operator in `dim` dimensions; None where it has no such form (see `LocalForm`): then every
        method but `SpIN` refuses it."""

    def check(self, domain: Domain) -> None:
        """Raise ValueError or TypeError where the operator does not fit the domain."""
        del domain

    @property
    def is_local(self) -> bool:
        """Whether Hf at a point follows from f close by; False where it is an integral over the domain."""
        return True

    def image(
        self, f: Function, x: Float[Array, "batch dim"], others: Points | None
    ) -> Float[Array, "batch *values"]:
        """Hf at many points. An integral is estimated from `others`, independent `Points` of the domain."""
        del others
        return jax.vmap(self(f))(x)

    def exact(self) -> Operator:
        """The same operator with exact derivatives, whatever the training uses: for reported energies."""
        return self

    @property
    def singularities(self) -> tuple[tuple[float, ...], ...]:
        """The points where V is declared singular."""
        return ()

    __array_ufunc__ = None  # NumPy's numbers and arrays leave products with operators to the methods below

    def __add__(self, other: Any) -> Operator:
        return Combination((*_parts(self), *_parts(_as_operator("+", other))))

    def __radd__(self, other: Any) -> Operator:
        return Combination((*_parts(_as_operator("+", other)), *_parts(self)))

    def __mul__(self, factor: Any) -> Operator:
        number = real_number("Operator: the factor", factor)
        return Combination(tuple((number * own, operator) for own, operator in _parts(self)))

    __rmul__ = __mul__

    def __neg__(self) -> Operator:
        return -1.0 * self

    def __sub__(self, other: Any) -> Operator:
        return self + (-_as_operator("-", other))


def _as_operator(sign: str, other: Any) -> Operator:
    """The other part of a sum; TypeError where it is no operator, with how to make one of it."""
    if not isinstance(other, Operator):
        advice = "write Potential(V) for a function V(x) of a point, Potential(lambda x: c) for a number c"
        raise TypeError(
            f"Operator: an operator was expected on the other side of {sign}, got {shown(other)}; {advice}."
        )
    return other


def _parts(operator: Operator) -> tuple[tuple[float, Operator], ...]:
    return operator.parts if isinstance(operator, Combination) else ((1.0, operator),)


@dataclass(frozen=True)
class Combination(Operator):
    """Σ factor · operator, with real factors: (aA + bB)f = a Af + b Bf."""

    parts: tuple[tuple[float, Operator], ...]

    @property
    def operators(self) -> tuple[Operator, ...]:
        """The operators, without their factors."""
        return tuple(operator for _, operator in self.parts)

    def _sum(self, images: list[Any]) -> Any:
        """Σ factor · image; a factor of one costs nothing."""
        terms = [
            image if factor == 1 else factor * image
            for (factor, _), image in zip(self.parts, images, strict=True)
        ]
        return sum(terms[1:], start=terms[0])

    def __call__(self, f: Function) -> Function:
        images = [operator(f) for operator in self.operators]
        return lambda x: self._sum([image(x) for image in images])

    def local_form(self, dim: int) -> LocalForm | None:
        forms = [(factor, operator.local_form(dim)) for factor, operator in self.parts]
        scaled = [form and form.times(factor) for factor, form in forms]
        return reduce(lambda total, form: total and form and total.plus(form), scaled)

    def check(self, domain: Domain) -> None:
        for operator in self.operators:
            operator.check(domain)

    @property
    def is_local(self) -> bool:
        return all(operator.is_local for operator in self.operators)

    def image(
        self, f: Function, x: Float[Array, "batch dim"], others: Points | None
    ) -> Float[Array, "batch *values"]:
        return self._sum([operator.image(f, x, others) for operator in self.operators])

    def exact(self) -> Operator:
        return Combination(tuple((factor, operator.exact()) for factor, operator in self.parts))

    @property
    def singularities(self) -> tuple[tuple[float, ...], ...]:
        return tuple(dict.fromkeys(p for operator in self.operators for p in operator.singularities))


@dataclass(frozen=True)
class Kinetic(Operator):
    """Kinetic energy -Σ_i 1/(2 mass_i) ∂²/∂x_i², ħ = 1.

    Args:
        mass: a number, or one an axis. 1 is atomic units; 0.5 makes -∇², as in the SpIN paper.
        laplacian: `autodiff()` (exact) or `finite_difference(step)`; its cost is stated there.

    Raises:
        TypeError, ValueError: a mass that is no positive number; a number of masses that is not the dimension of the problem.

    >>> Kinetic(mass=0.5)(lambda x: jnp.sin(x[0]))(jnp.array([0.0]))
    Array(0., dtype=float32)
    """

    mass: float | tuple[float, ...]
    laplacian: Laplacian

    def __init__(self, mass: Any = 1.0, laplacian: Laplacian | None = None) -> None:
        if callable(mass):
            raise TypeError(
                f"Kinetic: mass must be a positive number, or one an axis, got {shown(mass)}; a mass that depends on x "
                "needs an operator of your own, which SpIN solves: a subclass of qspin.Operator."
            )
        if laplacian is not None and (not isinstance(laplacian, Laplacian) or isinstance(laplacian, type)):
            raise TypeError(
                f"Kinetic: laplacian must be autodiff() or finite_difference(step), got {shown(laplacian)}."
            )
        set_fields(self, mass=real_numbers("Kinetic: mass", mass, above=0), laplacian=laplacian or autodiff())

    def __call__(self, f: Function) -> Function:
        def image(x: Float[Array, " dim"]) -> Float[Array, "*values"]:
            return self.laplacian(f, -0.5 * self._inverse_masses(x.size))(x)

        return image

    def local_form(self, dim: int) -> LocalForm:
        return LocalForm(dim, self._inverse_masses(dim), _combined())

    def check(self, domain: Domain) -> None:
        if not isinstance(domain, Box | Space):
            raise TypeError(f"Kinetic: the domain must be a Box or Space, got {domain!r}.")
        self._inverse_masses(domain.dim)

    def exact(self) -> Operator:
        return Kinetic(self.mass)

    def _inverse_masses(self, dim: int) -> np.ndarray:
        if isinstance(self.mass, tuple) and len(self.mass) != dim:
            raise ValueError(f"Kinetic: mass has {len(self.mass)} entries, the domain has {dim} axes.")
        return np.broadcast_to(1 / np.asarray(self.mass), (dim,)).copy()


@dataclass(frozen=True)
class Potential(Operator):
    """Multiplication by V(x).

    Args:
        function: V, of one point x (dim,) -> scalar, in jax.numpy (it is traced and vectorised).
        singularities: points (n, dim) where V blows up like a Coulomb centre; sampling, features and
            meshes take care of them.

    Raises, in `check`, which `Problem` calls: TypeError where V cannot be traced by JAX, with how to write it; ValueError
    where V returns an array, needs more coordinates than the domain has, or a singularity has the wrong number of coordinates.

    >>> Potential(lambda x: 0.5 * jnp.sum(x**2))(lambda x: 3.0)(jnp.array([1.0, 1.0]))
    Array(3., dtype=float32)
    """

    function: Callable[..., Any]
    singularities: tuple[tuple[float, ...], ...] = ()  # type: ignore[assignment, misc, unused-ignore]

    def __init__(self, function: Any, singularities: Any = ()) -> None:
        check_function("Potential: function", function, "of a point x (dim,) -> scalar")
        set_fields(
            self, function=function, singularities=points_of("Potential: singularities", singularities)
        )

    def __call__(self, f: Function) -> Function:
        value = _Value(self.function)
        return lambda x: value(x) * f(x)

    def local_form(self, dim: int) -> LocalForm:
        return LocalForm(
            dim, np.zeros(dim), _combined((1.0, _Value(self.function))), singularities=self.singularities
        )

    def check(self, domain: Domain) -> None:
        dim = domain.dim
        for point in self.singularities:
            if len(point) != dim:
                raise ValueError(
                    f"Potential: singularity {point} has {len(point)} coordinates, the domain has {dim}."
                )
        if isinstance(self.function, Tabulated):
            self.function.check(domain)
        # JAX clamps an index past the end, so a V written for more coordinates would be missed; NumPy raises.
        try:
            self.function(np.full(dim, 0.5))
        except IndexError as error:
            raise ValueError(
                f"Potential: V(x) reads a coordinate that is not there: the domain has {dim} axes ({error})."
            ) from error
        except Exception:  # anything else is judged under tracing, below
            pass
        traced("Potential: V(x)", _Value(self.function), dim)


@dataclass(frozen=True)
class _Value:
    """V as a function of one point, after checking that it gives one real number."""

    function: Callable[..., Any]

    def __call__(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        value = self.function(x)
        if value is None:
            raise TypeError("Potential: V(x) must return a real number, got None: its `return` is missing.")
        if not isinstance(
            value, jax.Array | np.ndarray | np.number | np.bool_ | bool | int | float | complex
        ):
            raise TypeError(f"Potential: V(x) must return one real number, got {shown(value)}.")
        if jnp.iscomplexobj(value):
            raise TypeError(
                f"Potential: V(x) must return a real number, got a complex one, {jnp.result_type(value)}: with a complex V the "
                "Hamiltonian is not symmetric. Write jnp.real(V(x)) where the imaginary part is zero."
            )
        value = jnp.asarray(value, x.dtype)
        if value.shape != ():
            raise ValueError(
                f"Potential: V(x) must be a scalar for one point x of shape {x.shape}, "
                f"got an array of shape {value.shape}. Sum over the coordinates, e.g. jnp.sum(x**2)."
            )
        return value


def without_local_form(operator: Operator, dim: int) -> list[Operator]:
    """The parts of sums and multiples that have no local form; none where the operator has one as a whole."""
    if operator.local_form(dim) is not None:
        return []
    inner = operator.operators if isinstance(operator, Combination) else ()
    return [part for term in inner for part in without_local_form(term, dim)] or [operator]
