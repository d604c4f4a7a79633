"""Shapes for `Region`: callable settings, positive inside, zero with a slope along the walls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qspin.problem.domain import Box
from qspin.problem.region import Region

__all__ = ["Disk", "Polygon", "Ring", "disk", "isospectral_drums", "l_shape", "polygon", "ring"]

if TYPE_CHECKING:
    Corners = Sequence[Sequence[float]]
else:
    Corners = Any


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

    vertices: tuple[tuple[float, float], ...]

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
        total = jnp.sum(
            jnp.where(beside, (r * s - along) / kept, cross / jnp.where(beside, 1, r * s + along))
            * (1 / r + 1 / s)
        )
        return 2 / jnp.where(jnp.abs(total) > 0, total, 1)


def disk(radius: float = 1.0, centre: Sequence[float] = (0.0, 0.0)) -> Region:
    """A disk in its box (a ball, for a centre of three coordinates): eigenvalues of -∇² are (j_{m,s}/radius)²."""
    _positive("disk", radius=radius)
    middle = np.asarray(centre, float)
    return Region(
        Disk(float(radius), tuple(middle.tolist())),
        Box((middle - radius).tolist(), (middle + radius).tolist()),
    )


def ring(inner: float, outer: float, centre: Sequence[float] = (0.0, 0.0)) -> Region:
    """An annulus (a shell) between two radii."""
    _positive("ring", inner=inner, outer=outer, width=outer - inner)
    middle = np.asarray(centre, float)
    shape = Ring(float(inner), float(outer), tuple(middle.tolist()))
    return Region(shape, Box((middle - outer).tolist(), (middle + outer).tolist()))


def polygon(vertices: Corners) -> Region:
    """A simple polygon in its bounding box, its reentrant corners declared."""
    points = np.asarray(vertices, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3 or not np.isfinite(points).all():
        raise ValueError(f"polygon: vertices must be at least three points (x, y), got {vertices!r}.")
    back, on = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    area = 0.5 * np.sum(points[:, 0] * np.roll(points[:, 1], -1) - np.roll(points[:, 0], -1) * points[:, 1])
    if abs(area) < 1e-12 * np.ptp(points, axis=0).prod():
        raise ValueError(f"polygon: the vertices enclose no area, got {vertices!r}.")
    turn = np.sign(area) * (back[:, 0] * on[:, 1] - back[:, 1] * on[:, 0])
    ordered = points if area > 0 else points[::-1]
    shape = Polygon(tuple((float(x), float(y)) for x, y in ordered))
    return Region(shape, Box(points.min(0), points.max(0)), corners=points[turn < 0].tolist())


def l_shape(side: float = 1.0) -> Region:
    """Three squares of a side around the origin: λ₁ of -∇² is 9.63972384402194… for side 1 (Fox, Henrici and Moler 1967)."""
    _positive("l_shape", side=side)
    s = float(side)
    return polygon([(-s, -s), (0, -s), (0, 0), (s, 0), (s, s), (-s, s)])


def isospectral_drums() -> tuple[Region, Region]:
    """Two different drums that sound alike (Gordon, Webb and Wolpert 1992), each of seven triangles with legs 1: λ₁ of -∇² is
    10.1517759992 for both, four times the 2.5379439998 of Driscoll (1997), whose legs are 2."""
    first = [(0, 0), (1, 0), (1, 1), (2, 1), (3, 2), (2, 2), (2, 3), (0, 1)]
    second = [(1, 0), (1, 1), (2, 1), (3, 2), (2, 3), (2, 2), (0, 2), (0, 1)]
    return polygon(first), polygon(second)


def _positive(name: str, **numbers: float) -> None:
    for what, value in numbers.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name}: {what} must be positive, got {value!r}.")
