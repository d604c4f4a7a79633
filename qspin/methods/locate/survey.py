"""What all methods need to know of V in a box: whether it is finite, where it is lowest, where it jumps, where the states are.

All methods share one `Survey` of a problem, which evaluates V once, at quasi-random points, and caches its results.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import gamma, pi
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from qspin.numerics.points import golden_lattice
from qspin.problem.domain import Box, Cloud
from qspin.problem.problem import Problem
from qspin.spectrum.notes import Note
from qspin.spectrum.spectrum import Spectrum

__all__ = ["Jump", "Pole", "Survey", "survey"]

_POINTS = 1 << 15
_CLOUD_POINTS = 1 << 14
_CLOUD_PASSES = 4
_DEEPER = 0.5  # of E_0 - min V: a well that much below the solution's own points was missed
_HOLDS = 0.3  # of a state, by Weyl's law: a smaller well that was missed changes little
_SCAN = 2049  # points along each line that is searched for jumps
_ZOOMS = 24  # by four each
_LINES = 6
_MOST_JUMPS = 8  # along an axis; more than that are treated as noise


class Jump(NamedTuple):
    """V jumps (order 0) or its slope does (order 1) where x[axis] = position."""

    axis: int
    position: float
    order: int


class Pole(NamedTuple):
    """V is singular at a wall of a one-dimensional box: ψ begins as |x - position|^exponent, and changes over a length."""

    position: float
    exponent: float
    length: float


def survey(problem: Problem) -> Survey:
    """The survey of a problem; the same one for equal problems."""
    try:
        return _survey_once(problem)
    except TypeError:  # not hashable
        return Survey(problem)


@lru_cache(maxsize=16)
def _survey_once(problem: Problem) -> Survey:
    return Survey(problem)


@dataclass(frozen=True, eq=False)
class Survey:
    """What V of a problem with a local form in a box looks like. Costs 32,768 evaluations of V, half as many past
    three dimensions, once."""

    problem: Problem

    @property
    def box(self) -> Box:
        """The domain of the problem."""
        assert isinstance(self.problem.domain, Box)
        return self.problem.domain

    @cached_property
    def _unit(self) -> Float[np.ndarray, "points dim"]:
        return golden_lattice(_POINTS if self.problem.dim <= 3 else _CLOUD_POINTS, self.problem.dim)

    @cached_property
    def sample(self) -> tuple[Float[np.ndarray, "points dim"], Float[np.ndarray, " points"]]:
        """Quasi-random points of the box, and V there; infinite outside a region. Raises ValueError where V is not finite."""
        x = _inside(self._unit, np.asarray(self.box.lower), np.asarray(self.box.upper))
        valid = np.asarray(self.box.contains(x))
        for place in self.problem.hamiltonian.singularities:  # the first point is the middle of the box
            valid &= np.abs(x - np.asarray(place)).max(axis=1) > 1e-8 * min(self.box.lengths)
        v = np.full(len(x), np.inf)
        v[valid] = self.problem.potential_values(x[valid])
        return x, v

    def check(self) -> None:
        """Raise ValueError where V is nan or infinite at the sample, in the middle or in two corners; and for an attractive
        1/|x| inside a one-dimensional box, whose energy is not bounded below."""
        lower, upper = np.asarray(self.box.lower), np.asarray(self.box.upper)
        corners = _inside(np.stack([np.zeros(self.problem.dim), np.ones(self.problem.dim)]), lower, upper)
        middle = [c for c in [self.box.centre] if c not in self.problem.hamiltonian.singularities]
        self.problem.potential_values(np.concatenate([corners, np.reshape(middle, (-1, self.problem.dim))]))
        assert len(self.sample) == 2 and len(self.poles) <= 2
        for centre in self.problem.centres if self.problem.dim == 1 else ():
            inside = self.box.lower[0] < centre.position[0] < self.box.upper[0]
            if inside and centre.strength * self.box.lengths[0] > 1e-3:
                raise ValueError(
                    f"Potential: -{centre.strength:.3g}/|x - {centre.position[0]:g}| inside a one-dimensional box has no "
                    "lowest level. Put a wall on the centre, Box([centre], [end]), or soften V."
                )

    @cached_property
    def poles(self) -> tuple[Pole, ...]:
        """Walls of a one-dimensional box at which V goes as g/d² - Z/d with their distance d, read off V.

        ψ ∝ d^s with c·s(s - 1) = g, the larger root. Raises ValueError where g < -c/4, for which there is no lowest level.
        """
        if self.problem.dim > 1 or self.box.periodic[0]:
            return ()
        (low,), (high,), (c,) = self.box.lower, self.box.upper, self.problem.local.coefficients
        size, poles = high - low, []
        steps = np.array([1.0, 2.0, 4.0])
        for wall, inward in ((low, 1.0), (high, -1.0)):
            terms = []
            for d in (1e-4 * size * steps, 1e-5 * size * steps):
                v = self.problem.potential_values((wall + inward * d)[:, None])
                terms.append(np.linalg.solve(np.stack([d**-2.0, d**-1.0, d**0.0], 1), v)[:2])
            (g, z), (square, inverse) = terms
            told = np.abs([square / c, inverse * size / c])
            settled = np.abs([g - square, z - inverse]) < 0.05 * np.abs([square, inverse])
            is_square, is_inverse = settled & (told > (1e-4, 1e-1))
            if is_square and square < -0.2501 * c:
                raise ValueError(
                    f"Potential: V goes as {square:.4g}/d² with the distance d from the wall at x = {wall:g}, which is below "
                    f"-{c / 4:.4g}/d²: there is no lowest level. Move the wall, or soften V."
                )
            if is_square or is_inverse:
                excess = (
                    0.25 + is_square * square / c
                )  # its rounding, 1e-15 at the critical g, would be 3e-8 in the exponent
                exponent = 0.5 + float(np.sqrt(excess if excess > 1e-12 else 0.0))
                length = c / max(abs(inverse), c / size) if is_inverse else size
                poles.append(Pole(wall, exponent, float(np.clip(length, 1e-5 * size, 0.05 * size))))
        return tuple(poles)

    def check_bounded_below(self) -> None:
        """Raise ValueError where V falls without bound at a point that is no declared centre; ever closer points show it."""
        rng = np.random.default_rng(0)
        lower, upper = np.asarray(self.box.lower), np.asarray(self.box.upper)
        x, v = self.sample
        best, lowest, radius = x[v.argmin()], [float(v.min())], (upper - lower) / 16
        for _ in range(14):
            x = best + radius * rng.uniform(-1, 1, (1000, self.problem.dim))
            x = np.clip(x, lower + 1e-9 * (upper - lower), upper - 1e-9 * (upper - lower))
            v = self.problem.potential_values(x)
            if v.min() < lowest[-1]:
                best = x[v.argmin()]
            lowest.append(min(float(v.min()), lowest[-1]))
            radius = radius / 4
        size = np.linalg.norm(upper - lower)
        known = [c.position for c in self.problem.centres] + [(pole.position,) for pole in self.poles]
        near = any(np.linalg.norm(best - np.asarray(place)) < 1e-3 * size for place in known)
        first, second, third = (lowest[k] - lowest[k + 4] for k in (-13, -9, -5))
        if not near and third > 8 * second > 64 * first > 0:  # like 1/r, by about 256
            where = ", ".join(f"{c:.6g}" for c in best)
            raise ValueError(
                f"Potential: V falls without bound near x = ({where}): {lowest[-3]:.3g}, {lowest[-2]:.3g}, {lowest[-1]:.3g}, "
                "closer and closer. Declare a Coulomb-like centre in Potential(V, singularities=[...]), or soften V."
            )

    def noting_missed_wells(self, spectrum: Spectrum) -> Spectrum:
        """The spectrum, marked as not converged if V has a well in which its quadrature has no point; energies may then be too
        high by the depth of that well, and their errors are set to it.

        Wells are searched for in boxes of up to three dimensions without declared centres. A well narrower than a thousandth of
        the box in each of three directions is missed here too.
        """
        if self.problem.dim > 3 or self.problem.hamiltonian.singularities:
            return spectrum
        x, v = self.sample
        where, deepest = x[v.argmin()], float(v.min())
        own = self.problem.potential_values(spectrum.eigenfunctions.quadrature()[0])
        seen, power = float(own[np.isfinite(own)].min()), self.problem.dim / 2
        # Rounding may put E_0 below a flat V; and where V falls to a wall, what lies below may be too narrow for a state.
        room = self._per_volume * (np.maximum(seen - v, 0) ** power).mean() * self.box.volume
        if not seen - deepest > max(_DEEPER * (spectrum.energies[0] - deepest), 0) or room < _HOLDS:
            return spectrum
        place = ", ".join(f"{c:.4g}" for c in where)
        what = f"V is {deepest:.4g} at x = ({place}), far below what the points of this solution see: a well was missed"
        return replace(
            spectrum,
            errors=np.maximum(spectrum.errors, spectrum.energies - deepest),
            converged=np.zeros(spectrum.n_states, bool),
            notes=(Note("missed", (), what, "try a smaller box, or more points"), *spectrum.notes),
        )

    def cloud(self, n_states: int) -> Cloud | None:
        """Mean and covariance of the semiclassical density of the lowest states (Thomas–Fermi); None with singular centres or
        periodic axes."""
        if self.problem.hamiltonian.singularities or any(self.box.periodic):
            return None
        x, density, _ = self._semiclassical(n_states)
        mean = density @ x
        offset = x - mean
        covariance = (density * offset.T) @ offset
        return Cloud(tuple(map(float, mean)), tuple(tuple(map(float, row)) for row in covariance))

    def level(self, n_states: int) -> float:
        """The semiclassical energy of the highest of the lowest states, and a little more."""
        return self._semiclassical(n_states)[2]

    def momenta(self, n_states: int) -> Float[np.ndarray, " dim"]:
        """The root mean square momentum of the lowest states along each axis, semiclassically."""
        x, density, level = self._semiclassical(n_states)
        kinetic = density @ np.maximum(level - self.problem.potential_values(x), 0)
        return np.sqrt(kinetic / (self.problem.dim + 2) / self.problem.local.coefficients)

    def _semiclassical(
        self, n_states: int
    ) -> tuple[Float[np.ndarray, "points dim"], Float[np.ndarray, " points"], float]:
        """Points, the density of the lowest states there, and the energy that bounds them.

        A Hamiltonian Σ_i c_i p_i² + V has about N(E) = ω_d ∏ c_i^(-1/2) ∫ (E - V)₊^(d/2) dx / (2π)^d states below E (Weyl's
        law; ω_d the volume of the unit ball). The energy at which N(E) reaches the number wanted, and the density
        ∝ (E - V)₊^(d/2) that goes with it, give scales for the inputs of networks and for sampling; nothing more is assumed.
        """
        problem, dim = self.problem, self.problem.dim
        wanted = 1.5 * n_states + dim  # beyond N, so that the tails of the last state are inside
        lower, upper = np.asarray(self.box.lower), np.asarray(self.box.upper)
        x, v = (part[:_CLOUD_POINTS] for part in self.sample)
        for attempt in range(_CLOUD_PASSES):
            if attempt:
                x = _inside(self._unit[:_CLOUD_POINTS], lower, upper)
                v = np.where(self.box.contains(x), problem.potential_values(x), np.inf)
            cell = float((upper - lower).prod()) / _CLOUD_POINTS
            energy = _level(v, self._per_volume * cell, dim / 2, wanted)
            density = np.maximum(energy - v, 0) ** (dim / 2)
            inside = density > 0
            if inside.mean() > 0.1:
                break
            # The well fills little of the box: sample its surroundings only.
            low, high = x[inside].min(0), x[inside].max(0)
            margin = 0.25 * (high - low) + (upper - lower) * _CLOUD_POINTS ** (-1 / dim)
            lower, upper = np.maximum(lower, low - margin), np.minimum(upper, high + margin)
        return x, density / density.sum(), energy

    @property
    def _per_volume(self) -> float:
        """States for each volume and each (E - V)^(dim/2)."""
        dim = self.problem.dim
        root = np.sqrt(self.problem.local.coefficients).prod()
        return float(pi ** (dim / 2) / gamma(dim / 2 + 1) / root / (2 * pi) ** dim)

    @cached_property
    def jumps(self) -> tuple[Jump, ...]:
        """Jumps and kinks of V across an axis that at least two parallel lines share, by axis and position; none where centres
        are declared. It takes some thousand evaluations of V for each axis.

        There is a jump where a difference of V does not vanish as the interval shrinks, a kink where one of slopes does not.
        """
        if self.problem.centres or self.poles:
            return ()
        rng = np.random.default_rng(0)
        lower, upper = np.asarray(self.box.lower), np.asarray(self.box.upper)
        every: list[Jump] = []
        for axis in range(self.problem.dim):
            count = _LINES if self.problem.dim > 1 else 1
            lines = lower + (upper - lower) * rng.uniform(0.3, 0.7, (count, self.problem.dim))
            by_line = [_jumps_along(self.problem, line, axis, lower[axis], upper[axis]) for line in lines]
            near = 1e-6 * (upper[axis] - lower[axis])
            shared: list[Jump] = []
            for jump in (jump for line in by_line for jump in line):
                times = sum(any(abs(jump.position - o.position) < near for o in line) for line in by_line)
                new = all(abs(jump.position - s.position) >= near for s in shared)
                if new and times >= min(2, count):
                    shared.append(jump)
            if len(shared) <= _MOST_JUMPS:
                every.extend(sorted(shared, key=lambda jump: jump.position))
        return tuple(every)


def _inside(
    unit: Float[np.ndarray, "points dim"], lower: Float[np.ndarray, " dim"], upper: Float[np.ndarray, " dim"]
) -> Float[np.ndarray, "points dim"]:
    """Points of the unit cube, mapped into a box; none lies on its walls."""
    return lower + (upper - lower) * (1e-9 + (1 - 2e-9) * unit)


def _level(v: Float[np.ndarray, " points"], states_per_point: float, power: float, wanted: float) -> float:
    """E with states_per_point · Σ (E - v)₊^power = wanted, by bisection: the left side rises with E."""
    v = v[np.isfinite(v)]
    low, high = float(v.min()), float(v.min()) + (wanted / states_per_point) ** (1 / power)
    for _ in range(200):
        middle = (low + high) / 2
        if states_per_point * (np.maximum(middle - v, 0) ** power).sum() < wanted:
            low = middle
        else:
            high = middle
    return high


def _jumps_along(
    problem: Problem, line: Float[np.ndarray, " dim"], axis: int, low: float, high: float
) -> list[Jump]:
    assert isinstance(problem.domain, Box)
    turns, period = problem.domain.periodic[axis], high - low

    def v(t: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        points = np.tile(line, (len(t), 1))
        points[:, axis] = low + (t - low) % (high - low) if turns else t
        return problem.potential_values(points)

    # Of a circle a little more than all is scanned, so that every place has neighbours.
    beyond = period / 16 if turns else -1e-9 * period
    t = np.linspace(low - beyond, high + beyond, _SCAN)
    values = v(t)
    jumps: list[Jump] = []
    for order, sizes in ((0, np.abs(np.diff(values))), (1, np.abs(np.diff(values, 2)))):
        # Larger than its neighbours two steps away, as a jump is and a steep slope is not.
        beside = np.maximum(np.roll(sizes, 3), np.roll(sizes, -3))
        beside[:3], beside[-3:] = sizes[3:6].max(), sizes[-6:-3].max()
        floor = 1e-9 * np.ptp(values)
        places = np.flatnonzero(sizes > np.maximum(1.5 * beside, np.maximum(2 * np.median(sizes), floor)))
        for place in places[:64]:
            position = _zoom(v, t[max(place - 1, 0)], t[min(place + 2 + order, _SCAN - 1)], order)
            if position is None:
                continue
            position = low + (position - low) % period if turns else position
            apart = [abs(position - j.position) for j in jumps]
            if all(min(d, period - d if turns else d) >= 1e-6 * period for d in apart):
                jumps.append(Jump(axis, float(position), order))
    return sorted(jumps, key=lambda j: j.position)


def _zoom(v, low: float, high: float, order: int) -> float | None:  # type: ignore[no-untyped-def]
    """The place of a jump between low and high, or None if the difference fades as the interval shrinks."""
    first = None
    for zoom in range(_ZOOMS):
        t = np.linspace(low, high, 13)
        step = t[1] - t[0]
        differences = np.abs(np.diff(v(t), order + 1))
        largest = int(differences.argmax())
        size = differences[largest] / step**order
        if first is None:
            first = size
        elif size < 0.4 * first:
            return None
        middle, half = t[largest] + (order + 1) * step / 2, 1.5 * step
        fine = 1e-13 * max(abs(low), abs(high)) if order == 0 else 1e-5 * max(abs(low), abs(high), 1e-3)
        low, high = middle - half, middle + half
        if half < fine and zoom > 3:
            break
    return (low + high) / 2
