"""Where functions live: a box with walls or periodic axes, space under a normal density, a finite set of nodes.

Each is a set of points x (dim,) with a measure; a box also has boundary masks and centres inside it.
"""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import inf, prod
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qspin.numerics.checks import (
    MOST_DIMENSIONS,
    check_sizes,
    real_number,
    set_fields,
    shown,
    table,
    vector,
    whole,
)
from qspin.numerics.points import normal_deviates

__all__ = [
    "Box",
    "Centre",
    "Cloud",
    "Domain",
    "Gaussian",
    "Mask",
    "Nodes",
    "PolynomialMask",
    "Space",
    "SquareRootMask",
]


_MOST_INDICATORS = 10_000  # nodes without features: the table of indicators has so many rows and columns


class Domain(ABC):
    """A set of points x (dim,) with a measure dμ: inner products are ⟨f, g⟩ = ∫ f g dμ."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Number of coordinates of a point."""

    @property
    @abstractmethod
    def volume(self) -> float:
        """The measure of the whole."""

    @abstractmethod
    def from_unit(self, unit: Float[Array, "batch dim"]) -> Float[Array, "batch dim"]:
        """Points spread as the measure, from points spread evenly over the unit cube."""

    @abstractmethod
    def inputs(self, x: Float[Array, " dim"], span: float) -> Float[Array, " inputs"]:
        """What a network sees of x, where nothing more is known; a bounded axis fills [-span, span]."""

    def boundary_mask(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        """A factor that vanishes where functions must; here nowhere."""
        return jnp.ones((), x.dtype)

    def all_points(self) -> np.ndarray | None:
        """Every point (n, dim) of a finite domain, each of measure 1; None where there are infinitely many."""
        return None


@runtime_checkable
class Mask(Protocol):
    """A factor for each walled axis: of t in [-1, 1], zero with finite slope at both ends, and 0 outside."""

    def __call__(self, t: Float[Array, "..."]) -> Float[Array, "..."]: ...


@dataclass(frozen=True)
class SquareRootMask:
    """The SpIN paper's mask, max(√(2 - t²) - 1, 0): with t = x/D it is (√(2D² - x²) - D)/D (appendix C.1)."""

    def __call__(self, t: Float[Array, "..."]) -> Float[Array, "..."]:
        inside = jnp.abs(t) < 1
        return jnp.where(inside, jnp.sqrt(2 - jnp.where(inside, t, 0) ** 2) - 1, 0)


@dataclass(frozen=True)
class PolynomialMask:
    """The lowest polynomial that vanishes on both walls, max(1 - t², 0)."""

    def __call__(self, t: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.maximum(1 - t**2, 0)


@dataclass(frozen=True)
class Centre:
    """A point where V is singular, and how: V ≈ -strength / |x - position| close by.

    `length` is the distance over which a wavefunction changes there (a Bohr radius). `cusp` is the exact
    logarithmic slope d ln ψ / dr at the point (Kato's condition), 0 where none is known.
    """

    position: tuple[float, ...]
    strength: float
    length: float
    cusp: float


@dataclass(frozen=True)
class Cloud:
    """Roughly where the wanted states live: mean (dim,) and covariance (dim, dim) of their density."""

    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Box(Domain):
    """A box ∏_i [lower_i, upper_i]: hard walls (ψ = 0) on every axis, except those that are periodic.

    Args:
        lower, upper: (dim,) corners, in the units of x. A number stands for one dimension.
        periodic: one bool for all axes, or one an axis.
        mask: shape of the boundary mask on walled axes: `SquareRootMask()` (the paper's) or
            `PolynomialMask()`.
        wave_vector: Bloch's k, (dim,) or one number for all axes: ψ(x + L_i e_i) = exp(i k_i L_i) ψ(x) on
            periodic axes. Other than 0 makes wavefunctions complex, which `Grid` and `Ritz` solve for.

    Raises:
        TypeError: corners that are not numbers.
        ValueError: corners of different length, an empty or inverted side, a corner that is not finite, a wave
            vector along an axis with walls.

    >>> Box([-1.0, 0.0], [1.0, 3.0]).volume
    6.0
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    periodic: tuple[bool, ...] = (False,)
    mask: Mask = SquareRootMask()
    wave_vector: tuple[float, ...] = (0.0,)

    def __init__(
        self, lower: Any, upper: Any, periodic: Any = False, mask: Mask | None = None, wave_vector: Any = 0.0
    ) -> None:
        lower, upper = vector("Box: lower", lower), vector("Box: upper", upper)
        dim = check_sizes("Box", lower=lower, upper=upper)
        for axis, (low, high) in enumerate(zip(lower, upper, strict=True)):
            if not low < high:
                raise ValueError(
                    f"Box: on axis {axis} lower must be less than upper, got lower={low:g}, upper={high:g}."
                )
            if high - low == inf:
                raise ValueError(f"Box: axis {axis} is too long, got lower={low:g}, upper={high:g}.")
        given = np.asarray(periodic)
        if given.dtype != bool or given.shape not in ((), (dim,)):
            raise ValueError(f"Box: periodic must be a bool, or {dim} of them, got {shown(periodic)}.")
        flags = tuple(np.broadcast_to(given, (dim,)).tolist())
        k = vector("Box: wave_vector", wave_vector, dim)
        if any(component and not flag for component, flag in zip(k, flags, strict=True)):
            raise ValueError(
                f"Box: wave_vector must be 0 on axes that are not periodic, got {shown(wave_vector)}."
            )
        mask = SquareRootMask() if mask is None else mask
        if not isinstance(mask, Mask) or isinstance(mask, type):
            raise TypeError(f"Box: mask must be SquareRootMask() or PolynomialMask(), got {shown(mask)}.")
        set_fields(self, lower=lower, upper=upper, periodic=flags, mask=mask, wave_vector=k)

    def __repr__(self) -> str:
        """The call that makes it, without what is as by default.

        >>> Box(-6.0, 6.0)
        Box([-6.0], [6.0])
        """
        parts = [str(list(self.lower)), str(list(self.upper))]
        parts += [f"periodic={self.periodic}"] if any(self.periodic) else []
        parts += [f"mask={self.mask!r}"] if self.mask != SquareRootMask() else []
        parts += [f"wave_vector={self.wave_vector}"] if any(self.wave_vector) else []
        return f"Box({', '.join(parts)})"

    @classmethod
    def cube(cls, half_width: Any, dim: Any, periodic: Any = False, mask: Mask | None = None) -> "Box":
        """The cube [-half_width, half_width]^dim about the origin.

        >>> Box.cube(50.0, dim=2) == Box([-50.0, -50.0], [50.0, 50.0])
        True
        """
        dim = whole("Box.cube: dim", dim, most=MOST_DIMENSIONS)
        half_width = real_number("Box.cube: half_width", half_width, above=0)
        return cls([-half_width] * dim, [half_width] * dim, periodic, mask)

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return len(self.lower)

    @property
    def lengths(self) -> tuple[float, ...]:
        """Side lengths, (dim,)."""
        return tuple(high - low for low, high in zip(self.lower, self.upper, strict=True))

    @property
    def phases(self) -> tuple[float, ...]:
        """k_i L_i, by which ψ turns from one end of each axis to the other, (dim,)."""
        return tuple(k * length for k, length in zip(self.wave_vector, self.lengths, strict=True))

    @property
    def centre(self) -> tuple[float, ...]:
        """The middle of the box, (dim,)."""
        return tuple((high + low) / 2 for low, high in zip(self.lower, self.upper, strict=True))

    @property
    def volume(self) -> float:
        """Product of the side lengths."""
        return prod(self.lengths)

    def scaled(self, x: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """x as t in [-1, 1] on each axis."""
        return (x - jnp.asarray(self.centre, x.dtype)) / jnp.asarray(self.lengths, x.dtype) * 2

    def boundary_mask(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        """∏ over walled axes of mask(t_i): zero on the walls with finite slope, and zero outside."""
        walled = ~np.asarray(self.periodic)
        return jnp.prod(jnp.where(walled, self.mask(self.scaled(x)), 1))

    def from_unit(self, unit: Float[Array, "batch dim"]) -> Float[Array, "batch dim"]:
        """Uniform in the box."""
        return jnp.asarray(self.lower, unit.dtype) + unit * jnp.asarray(self.lengths, unit.dtype)

    def inputs(self, x: Float[Array, " dim"], span: float) -> Float[Array, " inputs"]:
        """Walled axes scaled to [-span, span], then cosine and sine of the periodic ones."""
        t, turning = self.scaled(x), np.asarray(self.periodic)
        angle = jnp.pi * t[np.flatnonzero(turning)]
        return jnp.concatenate([span * t[np.flatnonzero(~turning)], jnp.cos(angle), jnp.sin(angle)])

    def contains(self, x: Any) -> Any:
        """Whether points (..., dim) lie inside or on the walls; (...)."""
        return np.all((np.asarray(self.lower) <= x) & (x <= np.asarray(self.upper)), axis=-1)


@dataclass(frozen=True)
class Gaussian(Domain):
    """Space under a normal density of independent coordinates: ⟨f, g⟩ = E[f(x) g(x)], x ~ N(mean, deviation²).

    Args:
        mean: (dim,); a number stands for one dimension.
        deviation: standard deviation of every coordinate, or one a coordinate.

    Raises ValueError for numbers of the wrong count, or a deviation that is not positive.

    >>> Gaussian([0.0, 0.0], 2.0).dim
    2
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    volume = 1.0

    def __init__(self, mean: Any = 0.0, deviation: Any = 1.0) -> None:
        mean = vector("Gaussian: mean", mean)
        deviation = vector("Gaussian: deviation", deviation, len(mean), above=0)
        set_fields(self, mean=mean, deviation=deviation)

    @property
    def dim(self) -> int:
        return len(self.mean)

    def from_unit(self, unit: Float[Array, "batch dim"]) -> Float[Array, "batch dim"]:
        scaled = normal_deviates(unit) * jnp.asarray(self.deviation, unit.dtype)
        return jnp.asarray(self.mean, unit.dtype) + scaled

    def inputs(self, x: Float[Array, " dim"], span: float) -> Float[Array, " inputs"]:
        """Standardised coordinates."""
        return (x - jnp.asarray(self.mean, x.dtype)) / jnp.asarray(self.deviation, x.dtype)


@dataclass(frozen=True)
class Space(Domain):
    """All of space, without walls: ψ vanishes at infinity. Solvers find a box from V that is large enough for the states.

    Args:
        dimension: number of coordinates, at least 1.

    >>> Space(3).dim
    3
    """

    dimension: Any
    volume = inf

    def __post_init__(self) -> None:
        set_fields(self, dimension=whole("Space: dimension", self.dimension, most=MOST_DIMENSIONS))

    @property
    def dim(self) -> int:
        return int(self.dimension)

    def from_unit(self, unit: Float[Array, "batch dim"]) -> Float[Array, "batch dim"]:
        """Space has no uniform points: these are normal ones, of deviation 1."""
        return normal_deviates(unit)

    def inputs(self, x: Float[Array, " dim"], span: float) -> Float[Array, " inputs"]:
        return x


@dataclass(frozen=True, eq=False, repr=False)
class Nodes(Domain):
    """A finite set of n points, each counted once: ⟨f, g⟩ = Σ_i f(i) g(i). A point x (1,) is an index.

    Args:
        features: (n, features), what a network sees of each node, of order one: coordinates, or the frames of a
            film. A number n stands for one indicator a node, with which any function of the nodes can be formed.

    Raises ValueError for features that are not a finite table.

    >>> Nodes(5).volume
    5.0
    """

    features: np.ndarray
    dim = 1

    def __init__(self, features: Any) -> None:
        if isinstance(features, int | np.integer):
            given = np.eye(whole("Nodes: features", features, most=_MOST_INDICATORS))
        else:
            given = table("Nodes: features", features) + 0.0  # a copy of its own, and no negative zeros
            given = given[:, None] if given.ndim == 1 else given
        if given.ndim != 2 or given.size == 0 or np.iscomplexobj(given) or not np.isfinite(given).all():
            raise ValueError(
                f"Nodes: features must be a number of nodes, or a finite table (nodes, features), got {shown(features)}."
            )
        set_fields(self, features=given)

    @property
    def volume(self) -> float:
        return float(len(self.features))

    def from_unit(self, unit: Float[Array, "batch dim"]) -> Float[Array, "batch dim"]:
        return jnp.minimum(jnp.floor(unit * len(self.features)), len(self.features) - 1)

    def inputs(self, x: Float[Array, " dim"], span: float) -> Float[Array, " inputs"]:
        """The node's features."""
        return jnp.asarray(self.features, x.dtype)[jnp.round(x[0]).astype(jnp.int32)]

    def all_points(self) -> np.ndarray:
        return np.arange(float(len(self.features)))[:, None]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Nodes) and np.array_equal(self.features, other.features)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        n, width = self.features.shape
        return (
            f"Nodes({n} nodes, {width} features, {hashlib.sha256(self.features.tobytes()).hexdigest()[:8]})"
        )
