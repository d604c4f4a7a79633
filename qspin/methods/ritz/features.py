"""Random neural features, tanh(w·f(x) + b) · envelope(x), and their combinations: the trial functions of `Ritz`.

f are a few coordinates of x in which wavefunctions have widths of order one. The envelope vanishes on walls and decays. About
declared centres both have terms linear in the distance, so that features can form cusps. f and the envelope are differentiated
automatically, once for all M features; so values, gradients and Σ_i c_i ∂²φ/∂x_i² of all of them cost a few products of
(points, coordinates) with (coordinates, M).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Num

from qspin.methods.locate.survey import Jump
from qspin.numerics.laplacian import Function
from qspin.problem.domain import Box, Domain, Mask
from qspin.spectrum.eigenfunctions import Eigenfunctions, PointwiseFunctions, check_shapes, combined
from qspin.spectrum.store import check_region, describe_domain

__all__ = ["BLOCK", "Coordinates", "Features", "Frame", "Neurons", "RitzFunctions", "Trial"]

BLOCK = 2048  # points held at a time
_SIZES = (50, 200, 400, 800, 1600)  # feature counts that are compiled for
_SHAPES = {
    "mean": "dim", "whiten": "dim dim", "decay": "decays", "lengths": "lengths", "hidden": "features inputs",
    "biases": "features", "combination": "features states", "points": "points dim", "weights": "points",
}  # fmt: skip

Numbers = Array | np.ndarray


class Neurons(NamedTuple):
    """Hidden weights (M, inputs) and biases (M,)."""

    weights: Float[Numbers, "features inputs"]
    biases: Float[Numbers, " features"]


class Features(NamedTuple):
    """Values, gradients and Σ_i c_i ∂²φ/∂x_i² of all features at a batch of points."""

    values: Float[Array, "batch features"]
    gradients: Float[Array, "batch dim features"]
    laplacians: Float[Array, "batch features"]


class Frame(NamedTuple):
    """Where the states are: mean (dim,), a whitening matrix (dim, dim), decay rates (dim,) or (1,) of the envelope, and the
    distances from the centres at which logarithms begin, (centres,)."""

    mean: Any
    whiten: Any
    decay: Any
    lengths: Any = np.ones(0)


class Coordinates(eqx.Module):
    """Which coordinates and envelope a domain with these centres and jumps has. `Frame` has the scales in them.

    Numbers are arrays, so that problems which differ in nothing else share compiled programs.
    """

    lower: Float[Numbers, " dim"]
    lengths: Float[Numbers, " dim"]
    wave: Float[Numbers, " dim"]
    centres: Float[Numbers, "centres dim"]
    edges: Float[Numbers, " jumps"]
    exponents: Float[
        Numbers, " ends"
    ]  # of ψ at both walls of one dimension, where V is singular at one; else none
    mask: Mask = eqx.field(static=True)
    periodic: tuple[bool, ...] = eqx.field(static=True)
    bends: tuple[tuple[int, int], ...] = eqx.field(static=True)  # axis and order of each jump
    is_bloch: bool = eqx.field(static=True)

    @classmethod
    def of(
        cls,
        box: Box,
        centres: tuple[tuple[float, ...], ...] = (),
        jumps: tuple[Jump, ...] = (),
        exponents: tuple[float, ...] = (),
    ) -> "Coordinates":
        """The coordinates of a box with centres at these positions, or else with jumps of V."""
        return cls(
            np.array(box.lower),
            np.array(box.lengths),
            np.array(box.wave_vector),
            np.reshape(np.array(centres, float), (-1, box.dim)),
            np.array([jump.position for jump in jumps], float),
            np.array(exponents, float),
            box.mask,
            box.periodic,
            tuple((jump.axis, jump.order) for jump in jumps),
            any(box.wave_vector),
        )

    @property
    def n_inputs(self) -> int:
        """The number of coordinates f."""
        dim, n_centres = len(self.periodic), len(self.centres)
        return n_centres * (dim + 1) if n_centres else dim + sum(self.periodic) + len(self.bends)

    def parts(
        self, frame: Frame, x: Float[Array, " dim"]
    ) -> tuple[Float[Array, " inputs"], Float[Array, ""]]:
        """f(x), and the envelope that multiplies every feature."""
        turns, offset = np.asarray(self.periodic), x - self.lower
        if len(self.exponents):
            low, high = jnp.maximum(offset[0], 1e-290), jnp.maximum(self.lengths[0] - offset[0], 1e-290)
            inside = (offset[0] > 0) & (offset[0] < self.lengths[0])
            at_walls = (low / self.lengths[0]) ** self.exponents[0] * (
                high / self.lengths[0]
            ) ** self.exponents[1]
            mask = jnp.where(inside, at_walls, 0.0)
        else:
            mask = jnp.prod(self.mask((2 * offset / self.lengths - 1)[~turns]))
        if len(self.centres):
            inputs, distances = jax.vmap(partial(_about, x))(*map(jnp.asarray, (self.centres, frame.lengths)))
            return inputs.ravel(), mask * jnp.exp(-frame.decay[0] * jnp.mean(distances))
        z = frame.whiten[np.ix_(~turns, ~turns)] @ (x - frame.mean)[~turns]
        angle = (2 * jnp.pi * offset / self.lengths)[turns]
        bends = [self._bend(i, axis, order, frame, x) for i, (axis, order) in enumerate(self.bends)]
        decay = jnp.broadcast_to(frame.decay, len(turns))[~turns]
        inputs = jnp.concatenate([z, jnp.cos(angle), jnp.sin(angle), jnp.array(bends)])
        return inputs, mask * jnp.exp(-jnp.sum(decay * z**2))

    def _bend(
        self, jump: int, axis: int, order: int, frame: Frame, x: Float[Array, " dim"]
    ) -> Float[Array, ""]:
        """A smooth input but for a jump of its second derivative, or of its third, as V causes in ψ."""
        if self.periodic[axis]:
            angle = jnp.pi * (x[axis] - self.edges[jump]) / self.lengths[axis]
            size = jnp.abs(jnp.sin(angle))  # with the period of the axis, as sin 2θ
            return jnp.sin(2 * angle) * size if order == 0 else size**3
        u = (x[axis] - self.edges[jump]) * jnp.linalg.norm(frame.whiten[:, axis])
        bent = u * jnp.abs(u) if order == 0 else jnp.abs(u) ** 3
        return bent / (1 + jnp.abs(u) ** (2 + order))

    def at_walls(self, x: Float[Array, " dim"]) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        """g'/g and g''/g of the factor g of all features that vanishes at walls, where V is singular at one."""
        low, high = x - self.lower, self.lower + self.lengths - x
        a, b = self.exponents
        return a / low - b / high, a * (a - 1) / low**2 + b * (b - 1) / high**2 - 2 * a * b / (low * high)

    @jax.jit
    def inputs(self, frame: Frame, x: Float[Array, "batch dim"]) -> Float[Array, "batch inputs"]:
        """f at a batch of points."""
        return jax.vmap(lambda point: self.parts(frame, point)[0])(x)


def _about(
    x: Float[Array, " dim"], centre: Float[Array, " dim"], length: Float[Array, ""]
) -> tuple[Float[Array, " inputs"], Float[Array, ""]]:
    """Two inputs, direction times log distance and log distance; and the distance.

    Their terms linear in r let features form cusps; without them the same number of features left errors a hundred times as
    large.
    """
    offset = x - centre
    r = jnp.sqrt(jnp.sum(offset**2) + (1e-9 * length) ** 2)  # smooth at the centre itself
    log = jnp.log1p(r / length)
    return jnp.concatenate([offset * (log / r), log[None]]) / 2, r


class Trial(eqx.Module):
    """Features: neurons, and the coordinates that they are functions of."""

    coordinates: Coordinates
    frame: Frame
    neurons: Neurons

    def __len__(self) -> int:
        return len(self.neurons.biases)

    def padded(self) -> "Trial":
        """With neurons of weight zero, up to the next size that is compiled for."""
        missing = next((size for size in _SIZES if size >= len(self)), len(self)) - len(self)
        weights, biases = self.neurons
        return replace(
            self, neurons=Neurons(np.pad(weights, ((0, missing), (0, 0))), np.pad(biases, (0, missing)))
        )

    def at(self, x: Float[Array, " dim"]) -> Float[Array, " features"]:
        """All features at one point."""
        f, e = self.coordinates.parts(self.frame, x)
        return jnp.tanh(self.neurons.weights @ f + self.neurons.biases) * e

    def bloch(self, x: Float[Array, " dim"]) -> Num[Array, " features"]:
        """All features at one point, times exp(ik·x) where the domain has a wave vector k."""
        c = self.coordinates
        return self.at(x) * jnp.exp(1j * jnp.dot(c.wave, x)) if c.is_bloch else self.at(x)

    def features(self, x: Float[Array, "batch dim"], coefficients: Float[Array, " dim"]) -> Features:
        """All features at a batch of points, with derivatives. Cost O(batch · M · dim · inputs)."""

        def parts(point: Float[Array, " dim"]) -> tuple[Float[Array, " inputs"], Float[Array, " 1"]]:
            f, e = self.coordinates.parts(self.frame, point)
            return f, e[None]

        def derivatives(point: Float[Array, " dim"]) -> Any:
            slopes, curves = jax.jacfwd(parts)(point), jax.jacfwd(jax.jacfwd(parts))(point)
            return parts(point), slopes, [jnp.einsum("kii,i->k", curve, coefficients) for curve in curves]

        (f, e), (df, de), (lf, le) = jax.vmap(derivatives)(x)
        de = de[:, 0]  # e and le: (batch, 1); de: (batch, dim)
        weights, biases = self.neurons
        t = jnp.tanh(f @ weights.T + biases)
        first, second = 1 - t**2, -2 * t * (1 - t**2)
        slope = jnp.einsum("bki,mk->bim", df, weights)
        gradients = e[:, :, None] * first[:, None] * slope + de[:, :, None] * t[:, None]
        square = jnp.einsum("bim,i->bm", slope**2, coefficients)
        cross = jnp.einsum("bim,bi,i->bm", slope, de, coefficients)
        laplacians = e * (second * square + first * (lf @ weights.T)) + 2 * first * cross + le * t
        return Features(e * t, gradients, laplacians)


@dataclass(frozen=True, eq=False)
class RitzFunctions(PointwiseFunctions):
    """ψ(x) = combinationᵀ · tanh(W f(x) + b) · envelope(x) · exp(ik·x), with the points and weights that verified them."""

    domain: Box
    trial: Trial
    combination: Num[np.ndarray, "features states"]
    points: Float[np.ndarray, "points dim"]
    weights: Float[np.ndarray, " points"]

    @property
    def n_states(self) -> int:
        return self.combination.shape[1]

    @property
    def dim(self) -> int:
        return self.points.shape[1]

    def psi(self) -> Function:
        return combined(Partial(Trial.bloch, self.trial), self.combination)

    def times(self, factors: np.ndarray) -> Eigenfunctions:
        return replace(self, combination=self.combination * factors)

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        c, frame, neurons = self.trial.coordinates, self.trial.frame, self.trial.neurons
        pairs = zip(c.bends, c.edges.tolist(), strict=True)
        settings = {
            "domain": describe_domain(self.domain),
            "centres": c.centres.tolist(),
            "box": [c.lower.tolist(), (c.lower + c.lengths).tolist()],
            "exponents": c.exponents.tolist(),
            "jumps": [[axis, position, order] for (axis, order), position in pairs],
        }
        arrays = {
            **frame._asdict(), "hidden": neurons.weights, "biases": neurons.biases, "combination": self.combination,
            "points": self.points, "weights": self.weights,
        }  # fmt: skip
        return settings, {name: np.asarray(value) for name, value in arrays.items()}

    @classmethod
    def from_record(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], domain: Domain
    ) -> "RitzFunctions":
        """Read back what `record` gave. Raises ValueError where the region's walls are not in the file."""
        assert isinstance(domain, Box)
        check_region(settings["domain"], domain)
        check_shapes(arrays, _SHAPES, dim=domain.dim)
        centres = tuple(tuple(row[: domain.dim]) for row in settings["centres"])
        jumps = tuple(Jump(*jump) for jump in settings.get("jumps", ()))
        frame = Frame(*(arrays[name] for name in Frame._fields))
        lower, upper = settings.get("box", (domain.lower, domain.upper))  # of the part that the states fill
        box = Box(lower, upper, domain.periodic, domain.mask, domain.wave_vector)
        coordinates = Coordinates.of(box, centres, jumps, tuple(settings.get("exponents", ())))
        trial = Trial(coordinates, frame, Neurons(arrays["hidden"], arrays["biases"]))
        return cls(domain, trial, *(arrays[name] for name in ("combination", "points", "weights")))
