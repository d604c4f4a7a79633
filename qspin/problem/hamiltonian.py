"""Operators: what all of them offer, sums, multiples, kinetic energy, potential. `H(f)` is the function Hf."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qspin.numerics.laplacian import Function, Laplacian, autodiff
from qspin.problem.domain import Box, Domain, Space

__all__ = ["Kinetic", "Operator", "Potential", "Scaled", "Sum"]

# Arguments are checked by value, with a message that names them; a run-time check of types would come first.
if TYPE_CHECKING:
    Number = float
    Numbers = float | Sequence[float]
    Points = Sequence[Sequence[float]]
else:
    Number = Numbers = Points = Any


class Operator(ABC):
    """A linear symmetric operator. Operators add, subtract and take real factors: H = 2.0 * T + V."""

    @abstractmethod
    def __call__(self, f: Function) -> Function:
        """The function Hf, for f of one point (dim,) -> () or (N,). TypeError where Hf is an integral."""

    @abstractmethod
    def matrix(self, mesh: Any) -> Any:
        """The same operator on a mesh (`qspin.methods.grid.mesh.Mesh`): a sparse symmetric matrix, (points, points)."""

    @abstractmethod
    def check(self, domain: Domain) -> None:
        """Raise ValueError or TypeError where the operator does not fit the domain."""

    @property
    def is_local(self) -> bool:
        """Whether Hf at a point follows from f close by; False where it is an integral over the domain."""
        return True

    def image(self, f: Function, x: Float[Array, "batch dim"], others: Any) -> Float[Array, "batch *values"]:
        """Hf at many points. An integral is estimated from `others`, independent `Points` of the domain."""
        del others
        return jax.vmap(self(f))(x)

    def exact(self) -> Operator:
        """The same operator with exact derivatives, whatever the training uses: for reported energies."""
        return self

    def kinetic_coefficients(self, dim: int) -> np.ndarray:
        """c (dim,) of the part -Σ_i c_i ∂²/∂x_i² : 1/(2 mass)."""
        return np.zeros(dim)

    def potential(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        """The part that multiplies by a function, V(x), at one point."""
        return jnp.zeros((), x.dtype)

    @property
    def singularities(self) -> tuple[tuple[float, ...], ...]:
        """The points where V is declared singular."""
        return ()

    def __add__(self, other: Operator) -> Operator:
        if not isinstance(other, Operator):
            return NotImplemented
        return Sum((*_terms(self), *_terms(other)))

    def __mul__(self, factor: Number) -> Operator:
        if not isinstance(factor, Real):
            return NotImplemented
        return Scaled(float(factor), self)

    __rmul__ = __mul__

    def __neg__(self) -> Operator:
        return Scaled(-1.0, self)

    def __sub__(self, other: Operator) -> Operator:
        return self + (-other) if isinstance(other, Operator) else NotImplemented


def _terms(operator: Operator) -> tuple[Operator, ...]:
    return operator.terms if isinstance(operator, Sum) else (operator,)


@dataclass(frozen=True)
class Sum(Operator):
    """(A + B)f = Af + Bf."""

    terms: tuple[Operator, ...]

    def __call__(self, f: Function) -> Function:
        images = [term(f) for term in self.terms]
        return lambda x: sum((image(x) for image in images[1:]), start=images[0](x))

    def matrix(self, mesh: Any) -> Any:
        first, *rest = (term.matrix(mesh) for term in self.terms)
        return sum(rest, start=first)

    def check(self, domain: Domain) -> None:
        for term in self.terms:
            term.check(domain)

    @property
    def is_local(self) -> bool:
        return all(term.is_local for term in self.terms)

    def image(self, f: Function, x: Float[Array, "batch dim"], others: Any) -> Float[Array, "batch *values"]:
        first, *rest = (term.image(f, x, others) for term in self.terms)
        return sum(rest, start=first)

    def exact(self) -> Operator:
        return Sum(tuple(term.exact() for term in self.terms))

    def kinetic_coefficients(self, dim: int) -> np.ndarray:
        return np.sum([term.kinetic_coefficients(dim) for term in self.terms], axis=0)

    def potential(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        return sum((term.potential(x) for term in self.terms), start=jnp.zeros((), x.dtype))

    @property
    def singularities(self) -> tuple[tuple[float, ...], ...]:
        return tuple(dict.fromkeys(point for term in self.terms for point in term.singularities))


@dataclass(frozen=True)
class Scaled(Operator):
    """(cA)f = c Af, for a real c."""

    factor: float
    operator: Operator

    def __call__(self, f: Function) -> Function:
        image = self.operator(f)
        return lambda x: self.factor * image(x)

    def matrix(self, mesh: Any) -> Any:
        return self.factor * self.operator.matrix(mesh)

    def check(self, domain: Domain) -> None:
        self.operator.check(domain)

    @property
    def is_local(self) -> bool:
        return self.operator.is_local

    def image(self, f: Function, x: Float[Array, "batch dim"], others: Any) -> Float[Array, "batch *values"]:
        return self.factor * self.operator.image(f, x, others)

    def exact(self) -> Operator:
        return Scaled(self.factor, self.operator.exact())

    def kinetic_coefficients(self, dim: int) -> np.ndarray:
        return self.factor * self.operator.kinetic_coefficients(dim)

    def potential(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        return self.factor * self.operator.potential(x)

    @property
    def singularities(self) -> tuple[tuple[float, ...], ...]:
        return self.operator.singularities


@dataclass(frozen=True)
class Kinetic(Operator):
    """Kinetic energy -Σ_i 1/(2 mass_i) ∂²/∂x_i², ħ = 1.

    Args:
        mass: a number, or one an axis. 1 is atomic units; 0.5 makes -∇², as in the SpIN paper.
        laplacian: `autodiff()` (exact) or `finite_difference(step)`; its cost is stated there.

    Raises:
        ValueError: a mass that is not positive; a number of masses that is not the dimension of the problem.

    >>> Kinetic(mass=0.5)(lambda x: jnp.sin(x[0]))(jnp.array([0.0]))
    Array(0., dtype=float32)
    """

    mass: float | tuple[float, ...]
    laplacian: Laplacian

    def __init__(self, mass: Numbers = 1.0, laplacian: Laplacian | None = None) -> None:
        masses = np.asarray(mass, dtype=float)
        if masses.ndim > 1 or masses.size == 0 or not (np.isfinite(masses) & (masses > 0)).all():
            raise ValueError(f"Kinetic: mass must be a positive number, or one an axis, got {mass!r}.")
        object.__setattr__(
            self, "mass", float(masses) if masses.ndim == 0 else tuple(float(m) for m in masses)
        )
        object.__setattr__(self, "laplacian", autodiff() if laplacian is None else laplacian)

    def __call__(self, f: Function) -> Function:
        def image(x: Float[Array, " dim"]) -> Float[Array, "*values"]:
            return self.laplacian(f, -self.kinetic_coefficients(x.size))(x)

        return image

    def matrix(self, mesh: Any) -> Any:
        return mesh.kinetic(self.kinetic_coefficients(mesh.dim))

    def check(self, domain: Domain) -> None:
        if not isinstance(domain, Box | Space):
            raise TypeError(f"Kinetic: the domain must be a Box or Space, got {domain!r}.")
        self.kinetic_coefficients(domain.dim)

    def exact(self) -> Operator:
        return Kinetic(self.mass)

    def kinetic_coefficients(self, dim: int) -> np.ndarray:
        if isinstance(self.mass, tuple) and len(self.mass) != dim:
            raise ValueError(f"Kinetic: mass has {len(self.mass)} entries, the domain has {dim} axes.")
        return np.broadcast_to(0.5 / np.asarray(self.mass), (dim,)).copy()


@dataclass(frozen=True)
class Potential(Operator):
    """Multiplication by V(x).

    Args:
        function: V, of one point x (dim,) -> scalar, in jax.numpy (it is traced and vectorised).
        singularities: points (n, dim) where V blows up like a Coulomb centre; sampling, features and
            meshes take care of them.

    Raises, in `check`, which `Problem` calls: TypeError where V cannot be traced by JAX, with how to write it; ValueError
    where V returns an array, needs more coordinates than the domain has, or a singularity has the wrong number of coordinates.

    >>> Potential(lambda x: 0.5 * jnp.sum(x**2)).potential(jnp.array([1.0, 1.0]))
    Array(1., dtype=float32)
    """

    function: Callable[..., Any]
    singularities: tuple[tuple[float, ...], ...] = ()  # type: ignore[assignment, misc, unused-ignore]

    def __init__(self, function: Callable[..., Any], singularities: Points = ()) -> None:
        if not callable(function):
            raise TypeError(
                f"Potential: expected a function of a point x (dim,) -> scalar, got {function!r}."
            )
        points = np.asarray(singularities, dtype=float)
        if points.size and (points.ndim != 2 or not np.isfinite(points).all()):
            raise ValueError(
                f"Potential: singularities must be a list of points, as [(0.0, 0.0)], got {singularities!r}."
            )
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "singularities", tuple(tuple(float(c) for c in point) for point in points))

    def __call__(self, f: Function) -> Function:
        return lambda x: self.potential(x) * f(x)

    def potential(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        value = self.function(x)
        if value is None or jnp.iscomplexobj(value):  # no `return`; not a symmetric operator
            raise TypeError(f"Potential: V(x) must return a real number, got {value!r}.")
        value = jnp.asarray(value, x.dtype)
        if value.shape != ():
            raise ValueError(
                f"Potential: V(x) must be a scalar for one point x of shape {x.shape}, "
                f"got an array of shape {value.shape}. Sum over the coordinates, e.g. jnp.sum(x**2)."
            )
        return value

    def matrix(self, mesh: Any) -> Any:
        return mesh.multiplication(self.potential)

    def check(self, domain: Domain) -> None:
        dim = domain.dim
        for point in self.singularities:
            if len(point) != dim:
                raise ValueError(
                    f"Potential: singularity {point} has {len(point)} coordinates, the domain has {dim}."
                )
        # JAX clamps an index past the end, so a V written for more coordinates would be missed; NumPy raises.
        try:
            self.function(np.full(dim, 0.5))
        except IndexError as error:
            raise ValueError(
                f"Potential: V(x) reads a coordinate that is not there: the domain has {dim} axes ({error})."
            ) from error
        except Exception:  # anything else is judged under tracing, below
            pass
        try:
            jax.eval_shape(self.potential, jax.ShapeDtypeStruct((dim,), jnp.result_type(float)))
        except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
            raise TypeError(
                "Potential: V(x) cannot be traced by JAX: it turns x into a Python number or branches on it. "
                "Write it with jax.numpy: jnp.sqrt(x[0]) for math.sqrt(x[0]) or float(x[0]), "
                "jnp.where(x[0] > 0, a, b) for `a if x[0] > 0 else b`. "
                f"JAX said: {str(error).splitlines()[0]}"
            ) from error
