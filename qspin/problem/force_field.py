"""Force fields of molecules: V as a polynomial in normal coordinates, read from a TOML file."""

import functools
import itertools
import math
import os
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from qspin.numerics.checks import like, one_point

__all__ = ["ForceField", "force_field"]

Point = tuple[float, ...]


def force_field(path: str | os.PathLike[str]) -> "ForceField":
    """The potential of a molecule from a TOML file of force constants in dimensionless normal coordinates.

    The file gives V = Σ_i ω_i q_i²/2 + Σ_terms k Π_i q_i^{n_i}/n_i!, in any number of modes and to any order:

        units = "cm^-1"                               # of V, ω and k; optional, "" if left out
        modes = ["bend", "stretch"]                   # names, one per mode; optional
        frequencies = [455.6, 960.1]                  # ω_i > 0
        terms = [ [[3, 0], 56.0], [[1, 2], 35.5] ]    # [powers n_i, one per mode], force constant k

    The harmonic part comes from `frequencies`: a quadratic term in `terms` is added to it. With
    `Kinetic(mass=V.masses)` the Hamiltonian is Σ_i ω_i/2 (p_i² + q_i²) + …. A truncated expansion is often
    unbounded below far out; keep the box to where it holds.

    Raises FileNotFoundError where there is no such file, and ValueError, naming the file, for one that is not
    TOML, an unknown or missing key, a frequency that is not a positive number, powers that are not one
    non-negative integer per mode, a force constant that is not a finite number, a term given twice, or a
    wrong number of modes.

    >>> V = force_field("problems/data/chlorine_dioxide.toml")
    >>> V.dim, V.order, len(V.terms), V.units
    (3, 6, 43, 'cm^-1')
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"force_field: expected a TOML file at {path}, found none.")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are both
        raise ValueError(f"force_field: {path} is not TOML: {error}") from error
    try:
        return _read(content)
    except ValueError as error:
        raise ValueError(f"force_field: {path}: {error}") from None


@dataclass(frozen=True, repr=False)
class ForceField:
    """V = Σ_i ω_i q_i²/2 + Σ_terms k Π_i q_i^{n_i}/n_i!, read by `force_field`.

    `frequencies` are the ω_i and `terms` pairs (powers n_i, force constant k), all in `units`; `modes` names
    the coordinates q_i, which are dimensionless.
    """

    frequencies: Point
    terms: tuple[tuple[tuple[int, ...], float], ...]
    units: str
    modes: tuple[str, ...]

    @property
    def dim(self) -> int:
        """The number of modes."""
        return len(self.frequencies)

    @property
    def masses(self) -> Point:
        """1/ω_i: with them -∇²/(2 mass) is the kinetic energy Σ_i ω_i p_i²/2 of dimensionless coordinates."""
        return tuple(1 / omega for omega in self.frequencies)

    @property
    def order(self) -> int:
        """The highest total degree in V."""
        return max([2, *(sum(powers) for powers, _ in self.terms)])

    def __call__(self, q: Float[Array, " dim"]) -> Float[Array, ""]:
        q = one_point("force_field", q, self.dim)
        # A table of q^n/n!, n = 0, 1, …, flattened; jnp.power would have nan gradients at q = 0 where n = 0.
        rows = [jnp.ones_like(q)]
        for n in range(1, self._highest_power + 1):
            rows.append(rows[-1] * q / n)
        table = jnp.concatenate(rows)
        anharmonic = like(q, tuple(constant for _, constant in self.terms))
        for places in self._factors:
            anharmonic = anharmonic * table[jnp.asarray(places)]
        return jnp.sum(like(q, self.frequencies) * q**2) / 2 + jnp.sum(anharmonic)

    def __repr__(self) -> str:
        size = f"{self.dim} modes, {len(self.terms)} terms to order {self.order}"
        return f"ForceField({size}, units={self.units!r}, modes={self.modes!r})"

    @functools.cached_property
    def _highest_power(self) -> int:
        return max((max(powers) for powers, _ in self.terms), default=0)

    @functools.cached_property
    def _factors(self) -> tuple[tuple[int, ...], ...]:
        """The first factor of every term, then the second, …, as places in the flattened (power, mode) table.

        A term couples few modes, so these are few however many modes there are. Place 0, a one, pads.
        """
        coupled = [
            [power * self.dim + mode for mode, power in enumerate(powers) if power]
            for powers, _ in self.terms
        ]
        return tuple(itertools.zip_longest(*coupled, fillvalue=0))


def _read(content: dict[str, Any]) -> ForceField:
    known = ("units", "modes", "frequencies", "terms")
    for key in ("frequencies", "terms"):
        if key not in content:
            raise ValueError(f"expected the key {key!r}, got {sorted(content)}.")
    if unknown := sorted(set(content) - set(known)):
        raise ValueError(f"expected the keys {', '.join(known)}, got also {', '.join(unknown)}.")
    frequencies = _frequencies(content["frequencies"])
    dim = len(frequencies)
    units = content.get("units", "")
    if not isinstance(units, str):
        raise ValueError(f"units: expected a string, got {units!r}.")
    modes = content.get("modes", [f"q_{i}" for i in range(1, dim + 1)])
    if not isinstance(modes, list) or not all(isinstance(mode, str) for mode in modes):
        raise ValueError(f"modes: expected a list of names, got {modes!r}.")
    if len(modes) != dim:
        raise ValueError(f"modes: expected {dim} names, one per frequency, got {len(modes)}.")
    return ForceField(frequencies, _terms(content["terms"], dim), units, tuple(modes))


def _frequencies(given: Any) -> Point:
    if not isinstance(given, list) or not given:
        raise ValueError(f"frequencies: expected a list of positive numbers, got {given!r}.")
    for i, omega in enumerate(given, start=1):
        if not _is_finite_number(omega) or omega <= 0:
            raise ValueError(f"frequencies: expected positive numbers, got {omega!r} for mode {i}.")
    return tuple(float(omega) for omega in given)


def _terms(given: Any, dim: int) -> tuple[tuple[tuple[int, ...], float], ...]:
    if not isinstance(given, list):
        raise ValueError(f"terms: expected a list of [powers, force constant], got {given!r}.")
    for i, term in enumerate(given, start=1):
        if not isinstance(term, list) or len(term) != 2 or not isinstance(term[0], list):
            raise ValueError(f"term {i}: expected [powers, force constant], got {term!r}.")
        powers, constant = term
        if len(powers) != dim:
            raise ValueError(f"term {i}: expected {dim} powers, one per frequency, got {powers!r}.")
        if not all(type(power) is int and power >= 0 for power in powers):
            raise ValueError(f"term {i}: expected powers that are integers of at least 0, got {powers!r}.")
        if not _is_finite_number(constant):
            raise ValueError(f"term {i}: expected a finite number as force constant, got {constant!r}.")
    terms = tuple((tuple(powers), float(constant)) for powers, constant in given)
    powers, times = Counter(powers for powers, _ in terms).most_common(1)[0] if terms else ((), 0)
    if times > 1:
        raise ValueError(f"terms: expected each powers once, got {list(powers)} {times} times.")
    return terms


def _is_finite_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
