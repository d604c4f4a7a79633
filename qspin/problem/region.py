"""`Region`: the part of a box where a function is positive, with hard walls along its zero."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qspin.numerics.precision import double_precision, evaluated, vectorised
from qspin.problem.domain import Box

__all__ = ["Region"]

if TYPE_CHECKING:  # arguments are checked by value, with a message
    Points = Sequence[Sequence[float]]
    Inside = Callable[..., Any]
    Around = Box
else:
    Points = Inside = Around = Any

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

    def __init__(self, inside: Inside, box: Around, corners: Points = ()) -> None:
        if not callable(inside):
            raise TypeError(
                f"Region: inside must be a function of a point x (dim,) -> scalar, got {inside!r}."
            )
        if not isinstance(box, Box) or isinstance(box, Region):
            raise TypeError(f"Region: box must be a Box around the region, got {box!r}.")
        super().__init__(box.lower, box.upper, box.periodic, box.mask, box.wave_vector)
        points = np.asarray(corners, dtype=float)
        if points.size and (points.ndim != 2 or points.shape[1] != box.dim or not np.isfinite(points).all()):
            raise ValueError(
                f"Region: corners must be a list of points of {box.dim} coordinates, got {corners!r}."
            )
        object.__setattr__(self, "inside", inside)
        object.__setattr__(self, "corners", tuple(tuple(float(c) for c in point) for point in points))
        self._check()

    def _check(self) -> None:
        try:
            answer = jax.eval_shape(self.inside, jax.ShapeDtypeStruct((self.dim,), jnp.result_type(float)))
        except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
            raise TypeError(
                "Region: inside(x) cannot be traced by JAX; write it with jax.numpy. JAX said: "
                f"{str(error).splitlines()[0]}"
            ) from error
        if answer.shape != () or not jnp.issubdtype(answer.dtype, jnp.floating):
            raise TypeError(
                "Region: inside(x) must be a real number for one point, positive inside and negative outside, such as "
                f"1 - jnp.sum(x**2); got shape {answer.shape} of {answer.dtype}."
            )
        values = self._sampled
        if not np.isfinite(values).all():
            raise ValueError("Region: inside(x) is not finite everywhere in the box.")
        if not (values > 0).any():
            raise ValueError(
                f"Region: inside(x) is positive at none of {_SAMPLES} points of {Box.__repr__(self)}: the region is empty, "
                "or a very small part of its box."
            )
        _ = self.scale, self.touches_box  # now: later they would be traced

    @cached_property
    def _sampled(self) -> np.ndarray:
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
        on = []
        for axis in np.flatnonzero(~np.asarray(self.periodic)):
            for wall in (self.lower[axis], self.upper[axis]):
                on.append(points.copy())
                on[-1][:, axis] = wall
        return bool(on) and bool((self.signed(np.concatenate(on)) > 1e-6 * self.scale).any())

    @property
    def area(self) -> float:
        """The region's own volume, to about a per cent."""
        return self.volume * float((self._sampled > 0).mean())

    @double_precision()
    def signed(self, points: np.ndarray) -> np.ndarray:
        """`inside` at points (P, dim), float64 (P,)."""
        return evaluated(vectorised(self.inside), points)

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
