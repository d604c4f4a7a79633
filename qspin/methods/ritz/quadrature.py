"""Integration rules for smooth functions in a box: lattices, products of Gauss–Legendre panels, and rules about centres.

Each is a finite set of points with weights, Σ w f(x) ≈ ∫ f dx over the box. Where functions vanish before they reach a wall,
equally spaced points are as exact as Gauss–Legendre with π/2 times as many along each axis.
"""

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise, product

import equinox as eqx
import numpy as np
from jaxtyping import Float

from qspin.problem.domain import Box, Centre

__all__ = ["Rule", "about_centres", "in_box", "lattice", "nearest_centre", "panels"]

# Columns generate the lattices whose reciprocals pack most densely: as few points as isotropic functions allow.
_LATTICES = {
    1: np.eye(1),
    2: np.array([[1.0, 0.5], [0.0, np.sqrt(0.75)]]),
    3: np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]]),
}
_FADES = 0.6  # of the reach: functions are negligible at walls beyond, whatever their shape
_SAUSAGE = np.polynomial.Polynomial([0, 40320, 0, 6720, 0, 3024, 0, 1800, 0, 1225]) / 53089

Vector = Float[np.ndarray, " dim"]
Points = Float[np.ndarray, "points dim"]
Weights = Float[np.ndarray, " points"]


class Rule(eqx.Module):
    """Points, weights, and V at the points (empty before it is evaluated)."""

    points: Float[np.ndarray, "points dim"]
    weights: Float[np.ndarray, " points"]
    potential: Float[np.ndarray, " known"] = eqx.field(default_factory=lambda: np.zeros(0))

    def __len__(self) -> int:
        return len(self.weights)


def _product(*axes: tuple[Float[np.ndarray, "_"], Float[np.ndarray, "_"]]) -> tuple[Points, Weights]:
    """The product of rules on single axes."""
    if not axes:
        return np.zeros((1, 0)), np.ones(1)
    points = np.stack(np.meshgrid(*(x for x, _ in axes), indexing="ij"), -1).reshape(-1, len(axes))
    return points, reduce(np.multiply.outer, (w for _, w in axes)).ravel()


def _midpoints(low: float, high: float, n: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """The rule of the midpoints of n equal intervals."""
    return low + (high - low) * (np.arange(n) + 0.5) / n, np.full(n, (high - low) / n)


def panels(edges: Sequence[float], n: int) -> tuple[Weights, Weights]:
    """Gauss rules on each of the intervals between `edges`, about n points in all, at least four each.

    From 12 points on they are transplanted by the sausage map of degree 9, which makes them almost equally spaced in the
    middle: about 3/4 of the points of Gauss–Legendre for smooth functions that wiggle everywhere alike (Hale and Trefethen,
    SIAM J. Numer. Anal. 46, 930, 2008).
    """
    widths = np.diff(np.asarray(edges, float))
    share = np.maximum(np.round(n * widths / widths.sum()).astype(int), min(4, n))
    points, weights = [], []
    for low, width, count in zip(edges, widths, share, strict=False):
        t, w = np.polynomial.legendre.leggauss(int(count))
        if count >= 12:
            t, w = _SAUSAGE(t), w * _SAUSAGE.deriv()(t)
        points.append(low + width * (t + 1) / 2)
        weights.append(w * width / 2)
    return np.concatenate(points), np.concatenate(weights)


def lattice(
    mean: Vector,
    shape: Float[np.ndarray, "dim dim"],
    wave: Float[np.ndarray, "dim dim"],
    reach: float,
    count: float,
    shift: Vector,
) -> Rule:
    """About `count` points of a lattice in the ellipsoid |shape·(x - mean)| ≤ reach, for functions that vanish outside it.

    Points are as close along each direction as waves of momentum covariance waveᵀ·wave are short: hexagonal in two,
    body-centred in three dimensions of the space where that is isotropic. `shift` (dim,) in lattice cells.
    """
    dim = len(mean)
    step = np.linalg.inv(wave) @ _LATTICES[dim]
    ball = {1: 2.0, 2: np.pi, 3: 4 * np.pi / 3}[dim] * reach**dim
    volume = ball / abs(np.linalg.det(shape))
    step *= (volume / count / abs(np.linalg.det(step))) ** (1 / dim)
    half = reach * np.linalg.norm(np.linalg.inv(shape @ step), axis=1)  # of the ellipsoid, in cells
    cells = np.meshgrid(*(np.arange(-np.ceil(h) - 1, np.ceil(h) + 2) for h in half), indexing="ij")
    offset = (np.stack(cells, -1).reshape(-1, dim) + shift) @ step.T
    offset = offset[np.linalg.norm(offset @ shape.T, axis=1) <= reach]
    return Rule(mean + offset, np.full(len(offset), abs(np.linalg.det(step))))


def in_box(
    domain: Box,
    window: Sequence[Sequence[float]],
    counts: Sequence[int],
    breaks: Sequence[Sequence[float]] | None = None,
    faded: Sequence[bool] | None = None,
) -> Rule:
    """A product of Gauss–Legendre panels over `window`; of equally spaced points on periodic axes (over all of the box), and on
    `faded` ones, where functions vanish at both ends of the window.

    `breaks` are places on each axis where V or its slope jumps: panels end there.
    """
    axes = []
    for i, ((low, high), n) in enumerate(zip(window, counts, strict=True)):
        inner = [b for b in (breaks[i] if breaks else ()) if domain.periodic[i] or low < b < high]
        if domain.periodic[i] and inner:
            start, period = domain.lower[i], domain.lengths[i]
            x, w = panels([*inner, inner[0] + period], n)
            axes.append((start + (x - start) % period, w))
        elif domain.periodic[i]:
            axes.append(_midpoints(domain.lower[i], domain.upper[i], n))
        elif faded is not None and faded[i] and not inner:
            axes.append(_midpoints(low, high, n))
        else:
            axes.append(panels([low, *inner, high], n))
    return Rule(*_product(*axes))


def about_centres(
    domain: Box, centres: Sequence[Centre], n_radial: int, n_angular: int, reach: float
) -> Rule:
    """Rules about each centre, radius × direction, put together by Becke's partition (J. Chem. Phys. 88, 2547, 1988).

    Radii are Gauss–Legendre points in log(1 + r/length) up to `reach`, or to the wall if that is nearer: directions are then
    points of pyramids over the walls of the box. Points outside the box are left out. Two centres far from walls
    share confocal coordinates instead, in which functions smooth in both distances are smooth.
    """
    if len(centres) == 2 and domain.dim > 1:
        confocal = _confocal(domain, centres, n_radial, n_angular, reach)
        if confocal is not None:
            return confocal
    points, weights = [], []
    for i, centre in enumerate(centres):
        x, w = _about(domain, centre, n_radial, n_angular, reach)
        inside = np.all((np.asarray(domain.lower) <= x) & (x <= np.asarray(domain.upper)), axis=-1)
        x, w = x[inside], w[inside]
        points.append(x)
        weights.append(w * _becke(centres, x, i) if len(centres) > 1 else w)
    return Rule(np.concatenate(points), np.concatenate(weights))


def _confocal(
    domain: Box, centres: Sequence[Centre], n_radial: int, n_angular: int, reach: float
) -> Rule | None:
    """A product rule in (r_a + r_b)/R = cosh μ, (r_a - r_b)/R = η and the angle about the axis, R the distance of the centres;
    None where walls are so near that functions do not vanish before them."""
    here, there = (np.asarray(c.position) for c in centres)
    half = float(np.linalg.norm(there - here)) / 2
    middle, axis = (here + there) / 2, (there - here) / (2 * half)
    margins = np.stack([np.asarray(domain.upper) - middle, middle - np.asarray(domain.lower)])
    if margins.min() < _FADES * (reach + half):
        return None
    across = np.linalg.svd(axis[None])[2][1:]  # orthonormal
    angle, turn = _midpoints(0.0, 2 * np.pi, n_angular)
    t, w = np.polynomial.legendre.leggauss(n_radial)
    scale = min(c.length for c in centres) / half
    if domain.dim == 2:
        eta, share = np.cos(angle), turn
        sideways = np.sin(angle)[:, None] * across[0]
    else:
        s, d_s = np.polynomial.legendre.leggauss(n_angular)
        span = np.arctanh(1 / np.sqrt(1 + scale))  # then η is as fine at the centres as cosh μ
        eta = np.tanh(span * s) / np.tanh(span)
        d_eta = d_s * span / np.cosh(span * s) ** 2 / np.tanh(span)
        around = np.stack([np.cos(angle), np.sin(angle)], -1) @ across
        sideways = (np.sqrt(1 - eta**2)[:, None, None] * around).reshape(-1, 3)
        eta, share = np.repeat(eta, n_angular), np.repeat(d_eta * turn[0] * half, n_angular)
    # Each hyperbola ends at the wall, or where functions vanish: where a·cosh μ + b·sinh μ = c, a quadratic in e^μ.
    a, b = half * eta[:, None] * axis, half * sideways
    ends = np.full(len(eta), np.arccosh(1 + reach / half))
    for sign, margin in zip((1, -1), margins, strict=True):
        p, q = sign * (a + b), sign * (a - b)
        rising = p > 0
        out = (margin + np.sqrt(np.maximum(margin**2 - p * q, 0))) / np.where(rising, p, 1)
        ends = np.minimum(ends, np.where(rising, np.log(np.maximum(out, 1)), np.inf).min(1))
    if domain.dim == 2:
        mu = np.multiply.outer(ends, (t + 1) / 2)
        share = np.multiply.outer(share * ends / 2, w)
    else:
        log = np.log1p((np.cosh(ends) - 1) / scale)
        outer = scale * np.expm1(np.multiply.outer(log, (t + 1) / 2))
        mu = np.arccosh(1 + outer)
        share = np.multiply.outer(share * log / 2, w) * (scale + outer)
    share = share * (np.cosh(mu) ** 2 - eta[:, None] ** 2) * half**2
    points = middle + np.cosh(mu)[..., None] * a[:, None] + np.sinh(mu)[..., None] * b[:, None]
    return Rule(points.reshape(-1, domain.dim), share.ravel())


def _about(
    domain: Box, centre: Centre, n_radial: int, n_angular: int, reach: float
) -> tuple[Points, Weights]:
    dim, position = domain.dim, np.asarray(centre.position)
    directions, areas, ends = _directions(domain, position, n_angular, reach)
    t, w = np.polynomial.legendre.leggauss(n_radial)
    log = np.log1p(ends / centre.length)  # (directions,)
    radius = centre.length * np.expm1(np.multiply.outer(log, (t + 1) / 2))
    dr = np.multiply.outer(log / 2, w) * (centre.length + radius)
    x = position + radius[..., None] * directions[:, None, :]
    return x.reshape(-1, dim), (areas[:, None] * dr * radius ** (dim - 1)).ravel()


def _directions(domain: Box, position: Vector, n: int, reach: float) -> tuple[Points, Weights, Weights]:
    """Unit vectors, their shares of the sphere, and the distance to integrate along each."""
    dim, lower, upper = domain.dim, np.asarray(domain.lower), np.asarray(domain.upper)
    nearest = float(np.minimum(position - lower, upper - position).min())
    if dim == 1 or _FADES * reach > nearest:
        return _pyramids(domain, position, n, reach)
    circle = _midpoints(0.0, 2 * np.pi, n)
    if dim == 2:
        angle, areas = circle
        directions = np.stack([np.cos(angle), np.sin(angle)], -1)
    else:
        polar, areas = _product(np.polynomial.legendre.leggauss(max(n // 2, 2)), circle)
        z, angle = polar.T
        ring = np.sqrt(1 - z**2)
        directions = np.stack([ring * np.cos(angle), ring * np.sin(angle), z], -1)
    wall_distance = np.where(directions > 0, upper - position, position - lower)
    with np.errstate(divide="ignore"):
        return directions, areas, np.minimum((wall_distance / np.abs(directions)).min(1), reach)


def _pyramids(domain: Box, position: Vector, n: int, reach: float) -> tuple[Points, Weights, Weights]:
    """Directions to points of the walls; each wall is split at the foot of the perpendicular from the centre."""
    dim, parts = domain.dim, []
    for axis, side in product(range(dim), (0, 1)):
        height = abs((domain.lower, domain.upper)[side][axis] - position[axis])
        if height == 0:
            continue
        others = [i for i in range(dim) if i != axis]
        rules = []
        for i in others:
            low, foot, high = domain.lower[i], position[i], domain.upper[i]
            edges = [low, foot, high] if low < foot < high else [low, high]
            rules.append(_angular_rule(edges, foot, height, max(-(-n // 4), 4)))
        wall, w = _product(*rules)
        offset = np.zeros((len(w), dim))
        offset[:, others] = wall - position[others]
        offset[:, axis] = height if side else -height
        distance = np.linalg.norm(offset, axis=1)
        share = w * height / distance**dim  # of the unit sphere
        parts.append((offset / distance[:, None], share, np.minimum(distance, reach)))
    directions, areas, ends = (np.concatenate(part) for part in zip(*parts, strict=True))
    return directions, areas, ends


def _angular_rule(edges: Sequence[float], foot: float, height: float, n: int) -> tuple[Weights, Weights]:
    """Gauss–Legendre points in the angle at which a wall appears from a centre; far walls need few."""
    t, w = np.polynomial.legendre.leggauss(n)
    points, weights = [], []
    for low, high in pairwise(np.arctan((np.asarray(edges) - foot) / height)):
        angle = low + (high - low) * (t + 1) / 2
        points.append(foot + height * np.tan(angle))
        weights.append(w * (high - low) / 2 * height / np.cos(angle) ** 2)
    return np.concatenate(points), np.concatenate(weights)


def _distances(centres: Sequence[Centre], x: Points) -> Float[np.ndarray, "points centres"]:
    return np.linalg.norm(x[:, None] - np.array([c.position for c in centres]), axis=-1)


def nearest_centre(centres: Sequence[Centre], x: Points) -> Weights:
    """The distance of each point from the centre nearest to it."""
    return _distances(centres, x).min(1)


def _becke(centres: Sequence[Centre], x: Points, own: int) -> Weights:
    """The share of each point that belongs to a centre: smooth, 1 at it and 0 at the others."""
    distance = _distances(centres, x)
    cells = np.ones_like(distance)
    for i, j in product(range(len(centres)), repeat=2):
        if i == j:
            continue
        apart = np.subtract(centres[i].position, centres[j].position)
        mu = (distance[:, i] - distance[:, j]) / np.linalg.norm(apart)
        for _ in range(3):
            mu = 1.5 * mu - 0.5 * mu**3
        cells[:, i] *= (1 - mu) / 2
    return cells[:, own] / cells.sum(1)
