"""Ready-made potentials: each is V at one point, x of shape (dim,) -> a scalar.

Every function here returns a frozen, hashable object. Calling it with one point gives V there, in the dtype of the
point; it can be traced, mapped with `jax.vmap` and differentiated twice wherever V is smooth. A call raises
TypeError for a point that is not floating-point and ValueError for one of the wrong shape. Arguments that are not numbers
raise TypeError, and numbers or sizes that cannot be ValueError.

>>> import jax, jax.numpy as jnp
>>> V = harmonic(omega=2.0)
>>> jax.vmap(V)(jnp.array([[1.0, 0.0], [0.0, 3.0]])).tolist()
[2.0, 18.0]
"""

import itertools
import os
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qspin.numerics.checks import (
    check_kind,
    check_sizes,
    points_of,
    positive,
    real_number,
    real_numbers,
    shown,
    vector,
    whole,
)
from qspin.problem.tables import Tabulated, tabulated

__all__ = [
    "ForceField",
    "Formula",
    "Tabulated",
    "coulomb",
    "double_well",
    "force_field",
    "gaussian_wells",
    "harmonic",
    "henon_heiles",
    "morse",
    "poschl_teller",
    "quartic",
    "square_well",
    "tabulated",
]

Point = tuple[float, ...]
_MOST_POWER = 64  # of a coordinate in a force field


# V at the point x. A single number among the parameters stays one, as it takes any dtype; tuples come as arrays.
_FORMULAS: dict[str, Callable[..., Array]] = {
    "harmonic": lambda x, omega, mass, centre: jnp.sum(0.5 * mass * (omega * (x - centre)) ** 2),
    "coulomb": lambda x, charge, centres: (
        -jnp.sum(charge / jnp.linalg.norm(x[None, :] if centres is None else x - centres, axis=-1))
    ),
    "double_well": lambda x, barrier, separation: barrier * ((x[0] / (separation / 2)) ** 2 - 1) ** 2,
    "quartic": lambda x, strength: strength * jnp.sum(x**4),
    "morse": lambda x, depth, a, centre: depth * jnp.expm1(-a * (x[0] - centre)) ** 2,
    "poschl_teller": lambda x, lam, a, mass: -(a**2 * lam * (lam + 1) / (2 * mass)) * _sech_squared(a * x[0]),
    "henon_heiles": lambda x, lam: 0.5 * (x[0] ** 2 + x[1] ** 2) + lam * (x[0] ** 2 * x[1] - x[1] ** 3 / 3),
    "square_well": lambda x, depth, width: jnp.where(
        jnp.all(2 * jnp.abs(x) < width), jnp.asarray(-depth, x.dtype), 0
    ),
    "gaussian_wells": lambda x, depths, centres, widths: (
        -jnp.sum(depths * jnp.exp(-jnp.sum(((x - centres) / widths[:, None]) ** 2, axis=-1) / 2))
    ),
}


def _sech_squared(y: Array) -> Array:
    """1/cosh²(y) as 4 logistic(2y) logistic(-2y), as cosh overflows far out and leaves nan gradients."""
    return 4 * jax.nn.sigmoid(2 * y) * jax.nn.sigmoid(-2 * y)


@dataclass(frozen=True, repr=False)
class Formula:
    """One of the potentials of this module at one point x (dim,), shown as the call that makes it.

    `dim` is the number of coordinates, None for any. `singularities` are the points where V is infinite; None is the origin,
    of whatever dimension the point has.
    """

    name: str
    parameters: tuple[tuple[str, Any], ...]
    dim: int | None = None
    singularities: tuple[Point, ...] | None = ()

    def __call__(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        x = _one_point(self.name, x, self.dim)
        return _FORMULAS[self.name](x, **{name: _like(x, value) for name, value in self.parameters})

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value}' for name, value in self.parameters)})"


def _one_point(owner: str, x: Float[Array, " dim"], dim: int | None) -> Float[Array, " dim"]:
    """x, after checking that it is one floating-point point of `dim` coordinates (None: any number)."""
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"{owner}: a point must be floating-point, got dtype {x.dtype}.")
    if x.ndim != 1 or x.shape[0] != (dim or x.shape[0]):
        shape = f"({'dim' if dim is None else dim},)"
        raise ValueError(
            f"{owner}: expected one point of shape {shape}, got {x.shape}; use jax.vmap for many."
        )
    return x


def _like(x: Array, value: Any) -> Any:
    """A tuple of numbers as an array in the dtype of x."""
    return jnp.asarray(value, x.dtype) if isinstance(value, tuple) else value


def harmonic(omega: Any = 1.0, mass: Any = 1.0, centre: Any = None) -> Formula:
    """Harmonic well, V = Σ_i ½ m_i ω_i² (x_i - c_i)².

    `omega` and `mass` are positive, `centre` is the point c (None: the origin); each is one number for every
    axis or one per axis. `mass` must be that of the kinetic term for ω to be the frequency. Closed form: `exact.harmonic`.

    >>> float(harmonic(omega=(1.0, 2.0), centre=(0.0, 1.0))(jnp.array([1.0, 2.0])))
    2.5
    """
    parameters = {
        "omega": real_numbers("harmonic: omega", omega, above=0),
        "mass": real_numbers("harmonic: mass", mass, above=0),
        "centre": real_numbers("harmonic: centre", 0.0 if centre is None else centre),
    }
    size = check_sizes("harmonic", **parameters)
    one_each = any(isinstance(value, tuple) for value in parameters.values())
    return Formula("harmonic", tuple(parameters.items()), size if one_each else None)


def coulomb(charge: Any = 1.0, centres: Any = None) -> Formula:
    """Attraction to point charges, V = -Σ_a Z_a / |x - R_a|.

    `charge` is Z, one number for all centres or one per centre; a negative one repels. `centres` are the
    points R_a, shape (n, dim); None is one centre at the origin of any dimension. V is -inf at an attracting
    centre and its gradient there is nan; `.singularities` holds the centres for what must step around them.
    Atomic units: hartree and bohr. Closed forms: `exact.hydrogen_2d`, `exact.hydrogen_3d`.

    >>> float(coulomb(charge=(1.0, 2.0), centres=[(0.0, 0.0), (3.0, 0.0)])(jnp.array([1.0, 0.0])))
    -2.0
    """
    places = None if centres is None else points_of("coulomb: centres", centres, least=1)
    charges = vector("coulomb: charge", charge, 1 if places is None else len(places))
    dim = None if places is None else len(places[0])
    return Formula("coulomb", (("charge", charges), ("centres", places)), dim, places)


def double_well(barrier: Any = 5.0, separation: Any = 4.0) -> Formula:
    """Two wells on a line, V = b (x²/a² - 1)²: minima V = 0 at x = ±a and a barrier of height b at x = 0.

    `barrier` is b; `separation` is the distance 2a between the minima. Both are positive. Near a minimum ω² =
    8 b/(m a²).

    >>> V = double_well(barrier=5.0, separation=4.0)
    >>> float(V(jnp.array([0.0]))), float(V(jnp.array([2.0])))
    (5.0, 0.0)
    """
    parameters = positive("double_well", barrier=barrier, separation=separation)
    return Formula("double_well", tuple(parameters.items()), 1)


def quartic(strength: Any = 1.0) -> Formula:
    """Pure quartic well in any dimension, V = g Σ_i x_i⁴, g = `strength` > 0.

    Separable; one axis with mass 0.5 and g = 1 has the levels 1.060362, 3.799673, 7.455698, … (C. M. Bender,
    S. A. Orszag, Advanced Mathematical Methods, chapter 10).

    >>> float(quartic(2.0)(jnp.array([1.0, 2.0])))
    34.0
    """
    return Formula("quartic", tuple(positive("quartic", strength=strength).items()))


def morse(depth: Any, a: Any, centre: Any = 0.0) -> Formula:
    """Morse well on a line, V = D (1 - exp(-a (x - x₀)))²: 0 at x₀ = `centre`, D = `depth` far to the right.

    `depth` (energy) and `a` (1/length) are positive. Source: P. M. Morse, Phys. Rev. 34, 57 (1929). Closed form:
    `exact.morse(depth, a, mass)`.

    >>> float(morse(depth=10.0, a=1.0, centre=0.5)(jnp.array([0.5])))
    0.0
    """
    parameters = positive("morse", depth=depth, a=a) | {"centre": real_number("morse: centre", centre)}
    return Formula("morse", tuple(parameters.items()), 1)


def poschl_teller(lam: Any, a: Any = 1.0, mass: Any = 1.0) -> Formula:
    """Pöschl-Teller well on a line, V = -a² λ(λ + 1) / (2m cosh²(a x)).

    `lam` is λ, a pure number; `a` is in 1/length; `mass` must be that of the kinetic term. All are positive.
    Source: G. Pöschl, E. Teller, Z. Phys. 83, 143 (1933). Closed form: `exact.poschl_teller(lam, a, mass)`.

    >>> float(poschl_teller(lam=2.0)(jnp.array([0.0])))
    -3.0
    """
    return Formula("poschl_teller", tuple(positive("poschl_teller", lam=lam, a=a, mass=mass).items()), 1)


def henon_heiles(lam: Any = 0.0125**0.5) -> Formula:
    """Hénon-Heiles well in the plane, V = ½(x² + y²) + λ (x² y - y³/3).

    `lam` is λ. V falls to -∞ beyond its three saddle points, at distance 1/λ and height 1/(6λ²) (8.94 and
    13.33 for the default, which is λ² = 1/80): the states are resonances, sharp far below that height, and
    need walls. Source: M. Hénon, C. Heiles, Astron. J. 69, 73 (1964), doi:10.1086/109234, with λ = 1.

    >>> round(float(henon_heiles(lam=0.1)(jnp.array([0.0, 10.0]))), 4)    # a saddle point
    16.6667
    """
    return Formula("henon_heiles", (("lam", real_number("henon_heiles: lam", lam)),), 2)


def square_well(depth: Any, width: Any) -> Formula:
    """Square well, V = -D where |x_i| < w_i/2 on every axis, else 0: an interval, a rectangle, a cuboid.

    `depth` D and `width` w, one number or one per axis, are positive. V jumps, and its derivatives are 0
    where they exist.

    >>> V = square_well(depth=3.0, width=2.0)
    >>> float(V(jnp.array([0.5]))), float(V(jnp.array([1.5])))
    (-3.0, 0.0)
    """
    width = real_numbers("square_well: width", width, above=0)
    parameters = positive("square_well", depth=depth) | {"width": width}
    return Formula("square_well", tuple(parameters.items()), len(width) if isinstance(width, tuple) else None)


def gaussian_wells(depths: Any, centres: Any, widths: Any) -> Formula:
    """Gaussian wells, V = -Σ_a D_a exp(-|x - R_a|² / (2 w_a²)).

    `centres` are the points R_a, shape (n, dim); `depths` D and `widths` w are one number for all or one per
    centre. A negative depth is a bump; widths are positive.

    >>> float(gaussian_wells(depths=2.0, centres=[(0.0,), (9.0,)], widths=0.5)(jnp.array([0.0])))
    -2.0
    """
    places = points_of("gaussian_wells: centres", centres, least=1)
    depths = vector("gaussian_wells: depths", depths, len(places))
    widths = vector("gaussian_wells: widths", widths, len(places), above=0)
    parameters = {"depths": depths, "centres": places, "widths": widths}
    return Formula("gaussian_wells", tuple(parameters.items()), len(places[0]))


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

    Raises FileNotFoundError where there is no such file, and ValueError, naming the file, for one that is not TOML or
    does not hold the above: an unknown or missing key, a wrong number, a term given twice.

    >>> V = force_field("problems/data/chlorine_dioxide.toml")
    >>> V.dim, V.order, len(V.terms), V.units
    (3, 6, 43, 'cm^-1')
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"force_field: expected a TOML file at {path}, found none.")
    try:
        return _force_field(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"force_field: {path} is not TOML: {error}") from error
    except (TypeError, ValueError) as error:
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
        q = _one_point("force_field", q, self.dim)
        # A table of q^n/n!, n = 0, 1, …, flattened; jnp.power would have nan gradients at q = 0 where n = 0.
        rows = [jnp.ones_like(q)]
        for n in range(1, max((max(powers) for powers, _ in self.terms), default=0) + 1):
            rows.append(rows[-1] * q / n)
        table = jnp.concatenate(rows)
        anharmonic = _like(q, tuple(constant for _, constant in self.terms))
        # The first factor of every term, then the second, …, as places in the table; place 0, a one, pads.
        coupled = [
            [power * self.dim + mode for mode, power in enumerate(powers) if power]
            for powers, _ in self.terms
        ]
        for places in itertools.zip_longest(*coupled, fillvalue=0):
            anharmonic = anharmonic * table[jnp.asarray(places)]
        return jnp.sum(_like(q, self.frequencies) * q**2) / 2 + jnp.sum(anharmonic)

    def __repr__(self) -> str:
        size = f"{self.dim} modes, {len(self.terms)} terms to order {self.order}"
        return f"ForceField({size}, units={self.units!r}, modes={self.modes!r})"


def _force_field(content: dict[str, Any]) -> ForceField:
    known = ("units", "modes", "frequencies", "terms")
    for key in ("frequencies", "terms"):
        if key not in content:
            raise ValueError(f"expected the key {key!r}, got {sorted(content)}.")
        check_kind(key, content[key], list, "a list")
    if unknown := sorted(set(content) - set(known)):
        raise ValueError(f"expected the keys {', '.join(known)}, got also {', '.join(unknown)}.")
    frequencies = vector("frequencies", content["frequencies"], above=0)
    dim, units = len(frequencies), content.get("units", "")
    check_kind("units", units, str, "a string")
    modes = content.get("modes", [f"q_{i}" for i in range(1, dim + 1)])
    if not isinstance(modes, list) or len(modes) != dim or not all(isinstance(mode, str) for mode in modes):
        raise ValueError(f"modes must be {dim} names, one per frequency, got {shown(modes)}.")
    terms = tuple(_term(f"term {i}", term, dim) for i, term in enumerate(content["terms"], start=1))
    powers, times = Counter(powers for powers, _ in terms).most_common(1)[0] if terms else ((), 0)
    if times > 1:
        raise ValueError(f"terms must give each powers once, got {list(powers)} {times} times.")
    return ForceField(frequencies, terms, units, tuple(modes))


def _term(what: str, given: Any, dim: int) -> tuple[tuple[int, ...], float]:
    paired = isinstance(given, list) and len(given) == 2 and isinstance(given[0], list)
    if not paired or len(given[0]) != dim:
        raise ValueError(f"{what} must be [{dim} powers, force constant], got {shown(given)}.")
    powers = tuple(whole(f"{what}: each power", power, least=0, most=_MOST_POWER) for power in given[0])
    return powers, real_number(f"{what}: force constant", given[1])
