"""`Region`: the part of a box where a function is positive, with hard walls along its zero; and shapes for it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qspin.numerics.checks import check_function, points_of, real_number, set_fields, shown, traced, vector
from qspin.numerics.precision import evaluated
from qspin.problem.domain import Box

__all__ = ["Disk", "Polygon", "Region", "Ring", "disk", "isospectral_drums", "l_shape", "polygon", "ring"]

_SAMPLES = 16_384


@dataclass(frozen=True)
class Region(Box):
    """The region {x in box : inside(x) > 0}: ψ = 0 along inside = 0, and on the walls of the box.

    Args:
        inside: of one point x (dim,) -> scalar, in jax.numpy: positive inside, negative outside, and zero, with a slope, on
            the walls; like the distance from them. `qspin.shapes` has some: disk, ring, polygon.
        box: a `Box` around it, as close as may be; V must be finite in all of it.
        corners: points (n, dim) where walls meet at an angle above 180°, so that ψ is singular there. A grid then shrinks its
            elements towards them, if walls run along the axes.

    Wavefunctions are multiplied by `inside`, or where the region goes on to walls of the box by a smooth function that vanishes
    linearly on both: it and the box's mask joined by an R-function, a + b - √(a² + b²) (Rvachev 1963). Samplers fill the
    box, and points outside count nothing.

    Raises TypeError where `inside` is no function JAX can trace, or gives truth values; ValueError where it is nowhere
    positive, not finite, or a corner has the wrong number of coordinates.

    >>> Region(lambda x: 1 - jnp.sum(x**2), Box.cube(1.0, dim=2)).contains(np.array([0.5, 0.5]))
    True
    """

    inside: Callable[..., Any] = lambda x: 1.0
    corners: tuple[tuple[float, ...], ...] = ()

    def __init__(self, inside: Any, box: Any, corners: Any = ()) -> None:
        check_function("Region: inside", inside, "of a point x (dim,) -> scalar")
        if not isinstance(box, Box) or isinstance(box, Region):
            raise TypeError(f"Region: box must be a Box around the region, got {shown(box)}.")
        super().__init__(box.lower, box.upper, box.periodic, box.mask, box.wave_vector)
        set_fields(self, inside=inside, corners=points_of("Region: corners", corners, box.dim))
        answer = traced("Region: inside(x)", inside, self.dim)
        shape, dtype = getattr(answer, "shape", None), getattr(answer, "dtype", bool)
        if shape != () or not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(
                "Region: inside(x) must be a real number for one point, positive inside and negative outside, such as "
                f"1 - jnp.sum(x**2); got {shown(answer)}."
            )
        if not np.isfinite(self._sampled).all():
            raise ValueError("Region: inside(x) is not finite everywhere in the box.")
        if not (self._sampled > 0).any():
            raise ValueError(
                f"Region: inside(x) is positive at none of {_SAMPLES} points of {Box.__repr__(self)}: the region is empty, "
                "or a very small part of its box."
            )
        _ = self.scale, self.touches_box  # now: later they would be traced

    @cached_property
    def _sampled(self) -> Float[np.ndarray, " samples"]:
        points = np.random.default_rng(0).uniform(self.lower, self.upper, (_SAMPLES, self.dim))
        return self.signed(points)

    @cached_property
    def scale(self) -> float:
        """The largest value of `inside`, about."""
        return float(self._sampled.max())

    @cached_property
    def touches_box(self) -> bool:
        """Whether walls of the box are walls of the region where `inside` is none."""
        points = np.random.default_rng(1).uniform(self.lower, self.upper, (64 * self.dim, self.dim))
        walled = np.flatnonzero(~np.asarray(self.periodic))
        walls = [(axis, wall) for axis in walled for wall in (self.lower[axis], self.upper[axis])]
        on = [np.where(np.arange(self.dim) == axis, wall, points) for axis, wall in walls]
        return bool(on) and bool((self.signed(np.concatenate(on)) > 1e-6 * self.scale).any())

    @property
    def area(self) -> float:
        """The region's own volume, to about a per cent."""
        return self.volume * float((self._sampled > 0).mean())

    def signed(self, points: Float[np.ndarray, "points dim"]) -> Float[np.ndarray, " points"]:
        """`inside` at points."""
        return evaluated(self.inside, points)

    def boundary_mask(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        """Zero on the region's walls and the box's, with finite slope, and zero outside."""
        own = self.inside(x).astype(x.dtype) / self.scale
        if not self.touches_box:
            return jnp.maximum(own, 0)
        box = super().boundary_mask(x)
        within = (own > 0) & (box > 0)
        a, b = jnp.where(within, box, 1), jnp.where(within, own, 1)
        # 2ab/(a + b + √(a² + b²)) is a + b - √(a² + b²) without the difference of nearly equal numbers.
        return jnp.where(within, 2 * a * b / (a + b + jnp.sqrt(a**2 + b**2)), 0)

    def contains(self, x: Any) -> Any:
        points = np.asarray(x, dtype=float)
        signs = self.signed(points.reshape(-1, self.dim)).reshape(points.shape[:-1])
        inside = super().contains(points) & (signs > 0)
        return bool(inside) if inside.ndim == 0 else inside


@dataclass(frozen=True)
class Disk:
    """r² - |x - centre|², over 2r: the distance from the wall, near it. A disk in 2D, a ball in 3D."""

    radius: float
    centre: tuple[float, ...]

    def __call__(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        return (self.radius**2 - jnp.sum((x - jnp.asarray(self.centre)) ** 2)) / (2 * self.radius)


@dataclass(frozen=True)
class Ring:
    """(outer² - r²)(r² - inner²), scaled to a slope of one on the outer wall."""

    inner: float
    outer: float
    centre: tuple[float, ...]

    def __call__(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        r2 = jnp.sum((x - jnp.asarray(self.centre)) ** 2)
        width = self.outer**2 - self.inner**2
        return (self.outer**2 - r2) * (r2 - self.inner**2) / (2 * self.outer * width)


@dataclass(frozen=True)
class Polygon:
    """A smooth distance from the sides of a polygon (in two dimensions, simple, any angles), with slope one on each.

    2/∮ dθ/ρ, ρ the distance to the side in direction θ, which each side has a closed form for (Belyaev, Fayolle and
    Pasko, Signed Lp-distance fields, 2013). Vertices run counter-clockwise.
    """

    vertices: tuple[tuple[float, ...], ...]

    def __call__(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        corners = jnp.asarray(self.vertices, x.dtype) - x
        following = jnp.roll(corners, -1, axis=0)
        tiny = 1e-30 if x.dtype == jnp.float32 else 1e-200
        r, s = (jnp.sqrt(jnp.sum(v**2, axis=1) + tiny) for v in (corners, following))
        cross = corners[:, 0] * following[:, 1] - corners[:, 1] * following[:, 0]
        along = jnp.sum(corners * following, axis=1)
        # tan(γ/2) of the angle γ that the side is seen under: sin γ/(1 + cos γ), or beside the side (1 - cos γ)/sin γ.
        beside = along < 0
        small = 1e-5 * jnp.finfo(x.dtype).eps * (r * s)
        kept = jnp.where(jnp.abs(cross) > small, cross, jnp.where(cross < 0, -small, small))
        half_angle = jnp.where(beside, (r * s - along) / kept, cross / jnp.where(beside, 1, r * s + along))
        total = jnp.sum(half_angle * (1 / r + 1 / s))
        return 2 / jnp.where(jnp.abs(total) > 0, total, 1)


def disk(radius: Any = 1.0, centre: Any = (0.0, 0.0)) -> Region:
    """A disk in its box (a ball, for a centre of three coordinates): eigenvalues of -∇² are (j_{m,s}/radius)²."""
    radius, middle = real_number("disk: radius", radius, above=0), vector("disk: centre", centre)
    return Region(Disk(radius, middle), _cube_about(middle, radius))


def ring(inner: Any, outer: Any, centre: Any = (0.0, 0.0)) -> Region:
    """An annulus (a shell) between two radii."""
    inner, middle = real_number("ring: inner", inner, above=0), vector("ring: centre", centre)
    outer = real_number("ring: outer", outer, above=inner)
    return Region(Ring(inner, outer, middle), _cube_about(middle, outer))


def _cube_about(centre: tuple[float, ...], half_width: float) -> Box:
    return Box([c - half_width for c in centre], [c + half_width for c in centre])


def polygon(vertices: Any) -> Region:
    """A simple polygon in its bounding box, its reentrant corners declared."""
    points = np.array(points_of("polygon: vertices", vertices, dim=2, least=3))
    before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
    area = 0.5 * np.sum(points[:, 0] * after[:, 1] - after[:, 0] * points[:, 1])
    if abs(area) < 1e-12 * np.ptp(points, axis=0).prod():
        raise ValueError(f"polygon: the vertices enclose no area, got {shown(vertices)}.")
    back, on = points - before, after - points
    turn = np.sign(area) * (back[:, 0] * on[:, 1] - back[:, 1] * on[:, 0])
    ordered = points if area > 0 else points[::-1]
    shape = Polygon(tuple(map(tuple, ordered.tolist())))
    return Region(shape, Box(points.min(0), points.max(0)), corners=points[turn < 0])


def l_shape(side: Any = 1.0) -> Region:
    """Three squares of a side around the origin: λ₁ of -∇² is 9.63972384402194… for side 1 (Fox, Henrici and Moler 1967)."""
    s = real_number("l_shape: side", side, above=0)
    return polygon([(-s, -s), (0, -s), (0, 0), (s, 0), (s, s), (-s, s)])


def isospectral_drums() -> tuple[Region, Region]:
    """Two different drums that sound alike (Gordon, Webb and Wolpert 1992), each of seven triangles with legs 1: λ₁ of -∇² is
    10.1517759992 for both, four times the 2.5379439998 of Driscoll (1997), whose legs are 2."""
    first = [(0, 0), (1, 0), (1, 1), (2, 1), (3, 2), (2, 2), (2, 3), (0, 1)]
    second = [(1, 0), (1, 1), (2, 1), (3, 2), (2, 3), (2, 2), (0, 2), (0, 1)]
    return polygon(first), polygon(second)
