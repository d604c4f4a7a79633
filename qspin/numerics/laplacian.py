"""The Laplacian of a function at one point: exact, by forward-mode derivatives, or by central differences.

Both are objects L with `L(f, coefficients)`: the function x ↦ Σ_i c_i ∂²f/∂x_i², for f of one point (dim,)
with a scalar or (N,) value. All N outputs go through one pass.

A function that is written in `Jet`s carries its values, gradients and Laplacians along instead: the forward Laplacian.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from qspin.numerics.checks import real_number, set_fields

__all__ = [
    "Autodiff",
    "FiniteDifference",
    "Function",
    "Jet",
    "Laplacian",
    "autodiff",
    "concatenate",
    "finite_difference",
    "seed",
]

Function = Callable[[Float[Array, " dim"]], Float[Array, "*values"]]


@runtime_checkable
class Laplacian(Protocol):
    """f, c ↦ the function x ↦ Σ_i c_i ∂²f/∂x_i²(x); without c the Laplacian ∇²f."""

    def __call__(self, f: Function, coefficients: ArrayLike | None = None) -> Function: ...


@dataclass(frozen=True)
class Autodiff:
    """Exact Laplacian: second directional derivatives by forward over forward mode, the axes under one vmap.

    Costs about 3·dim evaluations of f for all N outputs together; memory dim·N a point.

    >>> autodiff()(lambda x: jnp.sum(x**3))(jnp.array([1.0, 2.0]))
    Array(18., dtype=float32)
    """

    def __call__(self, f: Function, coefficients: ArrayLike | None = None) -> Function:
        def laplacian(x: Float[Array, " dim"]) -> Float[Array, "*values"]:
            def second_derivative(direction: Float[Array, " dim"]) -> Float[Array, "*values"]:
                def slope(y: Float[Array, " dim"]) -> Float[Array, "*values"]:
                    return jax.jvp(f, (y,), (direction,))[1]

                return jax.jvp(slope, (x,), (direction,))[1]

            return _weighted_sum(jax.vmap(second_derivative)(jnp.eye(x.size, dtype=x.dtype)), coefficients)

        return laplacian


@dataclass(frozen=True)
class FiniteDifference:
    """Central differences, Σ_i (f(x + h e_i) + f(x - h e_i) - 2 f(x))/h² (the SpIN paper's Eq. 36).

    Error h²/12 Σ_i ∂⁴f/∂x_i⁴ + O(h⁴), plus rounding of about 4 eps |f|/h². Costs 2·dim + 1 evaluations of f.
    """

    step: Any

    def __post_init__(self) -> None:
        set_fields(self, step=real_number("finite_difference: step", self.step, above=0))

    def __call__(self, f: Function, coefficients: ArrayLike | None = None) -> Function:
        def laplacian(x: Float[Array, " dim"]) -> Float[Array, "*values"]:
            steps = self.step * jnp.eye(x.size, dtype=x.dtype)
            ahead, behind = jax.vmap(f)(x + steps), jax.vmap(f)(x - steps)
            return _weighted_sum((ahead + behind - 2 * f(x)) / self.step**2, coefficients)

        return laplacian


autodiff, finite_difference = Autodiff, FiniteDifference  # as users write them


def _weighted_sum(
    second: Float[Array, "dim *values"], coefficients: ArrayLike | None
) -> Float[Array, "*values"]:
    if coefficients is None:
        return second.sum(0)
    c = jnp.broadcast_to(jnp.asarray(coefficients, second.dtype), second.shape[:1])
    return jnp.tensordot(c, second, 1)


class Jet(NamedTuple):
    """f (*shape) at one point, with ∇f (dim, *shape) and Δf (*shape). Sums, products and functions follow the chain rule.

    The cost is that of about dim + 2 evaluations of f, for all outputs together; memory dim + 2 values an output (Li et al.,
    Nat. Mach. Intell. 6, 209, 2024). With a kinetic energy -Σ c_i ∂_i² the rows of the gradient carry √c_i, so that Δ is
    Σ c_i ∂_i².
    """

    value: Any
    slope: Any
    bend: Any

    def at(self, index: Any) -> Jet:
        """Entries of the last axis."""
        return Jet(self.value[..., index], self.slope[..., index], self.bend[..., index])

    def plus(self, other: Jet) -> Jet:
        return Jet(self.value + other.value, self.slope + other.slope, self.bend + other.bend)

    def times(self, other: Jet) -> Jet:
        """(fg)Δ = fΔg + 2∇f·∇g + gΔf."""
        return Jet(
            self.value * other.value,
            self.value * other.slope + self.slope * other.value,
            self.value * other.bend + 2 * jnp.sum(self.slope * other.slope, axis=0) + self.bend * other.value,
        )

    def raised(self, constant: Any) -> Jet:
        """Plus a constant."""
        return Jet(self.value + constant, self.slope, self.bend)

    def scaled(self, factor: Any) -> Jet:
        return Jet(self.value * factor, self.slope * factor, self.bend * factor)

    def linear(self, matrix: Any) -> Jet:
        """Of values (n,), n inputs: values @ matrix (n, m)."""
        return Jet(self.value @ matrix, self.slope @ matrix, self.bend @ matrix)

    def apply(self, value: Any, first: Any, second: Any) -> Jet:
        """Of an elementwise function with these values and derivatives: Δφ(f) = φ'Δf + φ''|∇f|²."""
        return Jet(value, first * self.slope, first * self.bend + second * jnp.sum(self.slope**2, axis=0))

    def tanh(self) -> Jet:
        t = jnp.tanh(self.value)
        return self.apply(t, 1 - t**2, -2 * t * (1 - t**2))


def seed(y: Any, rates: Any) -> Jet:
    """The coordinates y (dim,) themselves, each with ∇y_i = rate_i along its own axis."""
    return Jet(y, jnp.diag(rates), jnp.zeros_like(y))


def concatenate(jets: list[Jet]) -> Jet:
    """Along the last axis."""
    return Jet(*(jnp.concatenate(parts, axis=-1) for parts in zip(*jets, strict=True)))
