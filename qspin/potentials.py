"""Ready-made potentials: each is V at one point, x of shape (dim,) -> a scalar.

Every factory returns a frozen, hashable object. Calling it with one point gives V there, in the dtype of the
point; it can be traced, mapped with `jax.vmap` and differentiated twice wherever V is smooth. A call raises
TypeError for a point that is not floating-point and ValueError for one of the wrong shape.

>>> import jax, jax.numpy as jnp
>>> V = harmonic(omega=2.0)
>>> jax.vmap(V)(jnp.array([[1.0, 0.0], [0.0, 3.0]])).tolist()
[2.0, 18.0]
"""

import functools
import itertools
import math
import os
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

__all__ = [
    "ForceField",
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
]

Point = tuple[float, ...]

# Arguments are checked by value, with a message that names them; a run-time check of types would come first.
if TYPE_CHECKING:
    Number = float
    Numbers = ArrayLike | Sequence[float]
    Points = Array | Sequence[Numbers]
else:
    Number = Numbers = Points = Any


def harmonic(omega: Numbers = 1.0, mass: Numbers = 1.0, centre: Numbers | None = None) -> "Harmonic":
    """Harmonic well, V = Σ_i ½ m_i ω_i² (x_i - c_i)².

    `omega` and `mass` are positive, `centre` is the point c (None: the origin); each is one number for every
    axis or one per axis. `mass` must be that of the kinetic term for ω to be the frequency. Raises TypeError
    for what is not a number, ValueError for a value or size that cannot be. Closed form: `exact.harmonic`.

    >>> float(harmonic(omega=(1.0, 2.0), centre=(0.0, 1.0))(jnp.array([1.0, 2.0])))
    2.5
    """
    omega = _numbers("harmonic", "omega", omega, positive=True)
    mass = _numbers("harmonic", "mass", mass, positive=True)
    centre = _numbers("harmonic", "centre", 0.0 if centre is None else centre)
    _one_size("harmonic", omega=omega, mass=mass, centre=centre)
    return Harmonic(omega, mass, centre)


def coulomb(charge: Numbers = 1.0, centres: Points | None = None) -> "Coulomb":
    """Attraction to point charges, V = -Σ_a Z_a / |x - R_a|.

    `charge` is Z, one number for all centres or one per centre; a negative one repels. `centres` are the
    points R_a, shape (n, dim); None is one centre at the origin of any dimension. V is -inf at an attracting
    centre and its gradient there is nan; `.singularities` holds the centres for what must step around them.
    Atomic units: hartree and bohr. Raises TypeError for what is not a number, ValueError for a value or size
    that cannot be. Closed forms: `exact.hydrogen_2d`, `exact.hydrogen_3d`.

    >>> float(coulomb(charge=(1.0, 2.0), centres=[(0.0, 0.0), (3.0, 0.0)])(jnp.array([1.0, 0.0])))
    -2.0
    """
    places = None if centres is None else _points("coulomb", "centres", centres)
    count = 1 if places is None else len(places)
    return Coulomb(_one_each("coulomb", "charge", charge, count), places)


def double_well(barrier: Number = 5.0, separation: Number = 4.0) -> "DoubleWell":
    """Two wells on a line, V = b (x²/a² - 1)²: minima V = 0 at x = ±a and a barrier of height b at x = 0.

    `barrier` is b; `separation` is the distance 2a between the minima. Both are positive. Near a minimum ω² =
    8 b/(m a²). Raises TypeError for what is not a number, ValueError for one that is not positive.

    >>> V = double_well(barrier=5.0, separation=4.0)
    >>> float(V(jnp.array([0.0]))), float(V(jnp.array([2.0])))
    (5.0, 0.0)
    """
    return DoubleWell(
        _positive("double_well", "barrier", barrier), _positive("double_well", "separation", separation)
    )


def quartic(strength: Number = 1.0) -> "Quartic":
    """Pure quartic well, V = g Σ_i x_i⁴, g = `strength` > 0.

    Separable; one axis with mass 0.5 and g = 1 has the levels 1.060362, 3.799673, 7.455698, … (C. M. Bender,
    S. A. Orszag, Advanced Mathematical Methods, chapter 10). Raises TypeError for what is not a number,
    ValueError for one that is not positive.

    >>> float(quartic(2.0)(jnp.array([1.0, 2.0])))
    34.0
    """
    return Quartic(_positive("quartic", "strength", strength))


def morse(depth: Number, a: Number, centre: Number = 0.0) -> "Morse":
    """Morse well on a line, V = D (1 - exp(-a (x - x₀)))²: 0 at x₀ = `centre`, D = `depth` far to the right.

    `depth` (energy) and `a` (1/length) are positive. Raises TypeError for what is not a number, ValueError
    for a value that cannot be. Source: P. M. Morse, Phys. Rev. 34, 57 (1929). Closed form:
    `exact.morse(depth, a, mass)`.

    >>> float(morse(depth=10.0, a=1.0, centre=0.5)(jnp.array([0.5])))
    0.0
    """
    depth, a = _positive("morse", "depth", depth), _positive("morse", "a", a)
    return Morse(depth, a, _number("morse", "centre", centre))


def poschl_teller(lam: Number, a: Number = 1.0, mass: Number = 1.0) -> "PoschlTeller":
    """Pöschl-Teller well on a line, V = -a² λ(λ + 1) / (2m cosh²(a x)).

    `lam` is λ, a pure number; `a` is in 1/length; `mass` must be that of the kinetic term. All are positive.
    Raises TypeError for what is not a number, ValueError for one that is not positive. Source: G. Pöschl, E.
    Teller, Z. Phys. 83, 143 (1933). Closed form: `exact.poschl_teller(lam, a, mass)`.

    >>> float(poschl_teller(lam=2.0)(jnp.array([0.0])))
    -3.0
    """
    return PoschlTeller(
        _positive("poschl_teller", "lam", lam),
        _positive("poschl_teller", "a", a),
        _positive("poschl_teller", "mass", mass),
    )


def henon_heiles(lam: Number = 0.0125**0.5) -> "HenonHeiles":
    """Hénon-Heiles well in the plane, V = ½(x² + y²) + λ (x² y - y³/3).

    `lam` is λ. V falls to -∞ beyond its three saddle points, at distance 1/λ and height 1/(6λ²) (8.94 and
    13.33 for the default, which is λ² = 1/80): the states are resonances, sharp far below that height, and
    need walls. Raises TypeError for what is not a number, ValueError for one that is not finite. Source: M.
    Hénon, C. Heiles, Astron. J. 69, 73 (1964), doi:10.1086/109234, with λ = 1.

    >>> round(float(henon_heiles(lam=0.1)(jnp.array([0.0, 10.0]))), 4)    # a saddle point
    16.6667
    """
    return HenonHeiles(_number("henon_heiles", "lam", lam))


def square_well(depth: Number, width: Numbers) -> "SquareWell":
    """Square well, V = -D where |x_i| < w_i/2 on every axis, else 0: an interval, a rectangle, a cuboid.

    `depth` D and `width` w, one number or one per axis, are positive. V jumps, and its derivatives are 0
    where they exist. Raises TypeError for what is not a number, ValueError for one that is not positive.

    >>> V = square_well(depth=3.0, width=2.0)
    >>> float(V(jnp.array([0.5]))), float(V(jnp.array([1.5])))
    (-3.0, 0.0)
    """
    return SquareWell(
        _positive("square_well", "depth", depth), _numbers("square_well", "width", width, positive=True)
    )


def gaussian_wells(depths: Numbers, centres: Points, widths: Numbers) -> "GaussianWells":
    """Gaussian wells, V = -Σ_a D_a exp(-|x - R_a|² / (2 w_a²)).

    `centres` are the points R_a, shape (n, dim); `depths` D and `widths` w are one number for all or one per
    centre. A negative depth is a bump; widths are positive. Raises TypeError for what is not a number,
    ValueError for a value or size that cannot be.

    >>> float(gaussian_wells(depths=2.0, centres=[(0.0,), (9.0,)], widths=0.5)(jnp.array([0.0])))
    -2.0
    """
    places = _points("gaussian_wells", "centres", centres)
    return GaussianWells(
        _one_each("gaussian_wells", "depths", depths, len(places)),
        places,
        _one_each("gaussian_wells", "widths", widths, len(places), positive=True),
    )


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
        return _force_field(content)
    except ValueError as error:
        raise ValueError(f"force_field: {path}: {error}") from None


@dataclass(frozen=True)
class Harmonic:
    """Σ_i ½ m_i ω_i² (x_i - c_i)²; see `harmonic`."""

    omega: float | Point
    mass: float | Point
    centre: float | Point

    @property
    def dim(self) -> int | None:
        values = (self.omega, self.mass, self.centre)
        return next((len(value) for value in values if isinstance(value, tuple)), None)

    def __call__(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        x = _point("harmonic", x, self.dim)
        omega, mass, centre = (_like(x, value) for value in (self.omega, self.mass, self.centre))
        return jnp.sum(0.5 * mass * (omega * (x - centre)) ** 2)


@dataclass(frozen=True)
class Coulomb:
    """-Σ_a Z_a / |x - R_a|; see `coulomb`."""

    charges: Point
    centres: tuple[Point, ...] | None

    @property
    def dim(self) -> int | None:
        return None if self.centres is None else len(self.centres[0])

    @property
    def singularities(self) -> tuple[Point, ...] | None:
        """The centres, where V is infinite; None is the origin of whatever dimension the point has."""
        return self.centres

    def __call__(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        x = _point("coulomb", x, self.dim)
        offsets = x[None, :] if self.centres is None else x - _like(x, self.centres)
        return -jnp.sum(_like(x, self.charges) / jnp.linalg.norm(offsets, axis=-1))


@dataclass(frozen=True)
class DoubleWell:
    """b (x²/a² - 1)² with b = barrier, a = separation/2; see `double_well`."""

    dim: ClassVar[int] = 1
    barrier: float
    separation: float

    def __call__(self, x: Float[Array, " 1"]) -> Float[Array, ""]:
        (x,) = _point("double_well", x, self.dim)
        return self.barrier * ((x / (self.separation / 2)) ** 2 - 1) ** 2


@dataclass(frozen=True)
class Quartic:
    """g Σ_i x_i⁴; see `quartic`."""

    dim: ClassVar[None] = None
    strength: float

    def __call__(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        return self.strength * jnp.sum(_point("quartic", x) ** 4)


@dataclass(frozen=True)
class Morse:
    """D (1 - exp(-a (x - x₀)))²; see `morse`."""

    dim: ClassVar[int] = 1
    depth: float
    a: float
    centre: float

    def __call__(self, x: Float[Array, " 1"]) -> Float[Array, ""]:
        (x,) = _point("morse", x, self.dim)
        return self.depth * jnp.expm1(-self.a * (x - self.centre)) ** 2


@dataclass(frozen=True)
class PoschlTeller:
    """-a² λ(λ + 1) / (2m cosh²(a x)); see `poschl_teller`."""

    dim: ClassVar[int] = 1
    lam: float
    a: float
    mass: float

    def __call__(self, x: Float[Array, " 1"]) -> Float[Array, ""]:
        (x,) = _point("poschl_teller", x, self.dim)
        y = 2 * self.a * x
        # cosh overflows far out and leaves nan gradients; 1/cosh²(y/2) is 4 logistic(y) logistic(-y).
        sech_squared = 4 * jax.nn.sigmoid(y) * jax.nn.sigmoid(-y)
        return -(self.a**2 * self.lam * (self.lam + 1) / (2 * self.mass)) * sech_squared


@dataclass(frozen=True)
class HenonHeiles:
    """½(x² + y²) + λ (x² y - y³/3); see `henon_heiles`."""

    dim: ClassVar[int] = 2
    lam: float

    def __call__(self, x: Float[Array, " 2"]) -> Float[Array, ""]:
        x, y = _point("henon_heiles", x, self.dim)
        return 0.5 * (x**2 + y**2) + self.lam * (x**2 * y - y**3 / 3)


@dataclass(frozen=True)
class SquareWell:
    """-D inside, 0 outside; see `square_well`."""

    depth: float
    width: float | Point

    @property
    def dim(self) -> int | None:
        return len(self.width) if isinstance(self.width, tuple) else None

    def __call__(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        x = _point("square_well", x, self.dim)
        inside = jnp.all(2 * jnp.abs(x) < _like(x, self.width))
        return jnp.where(inside, jnp.asarray(-self.depth, x.dtype), jnp.zeros((), x.dtype))


@dataclass(frozen=True)
class GaussianWells:
    """-Σ_a D_a exp(-|x - R_a|² / (2 w_a²)); see `gaussian_wells`."""

    depths: Point
    centres: tuple[Point, ...]
    widths: Point

    @property
    def dim(self) -> int:
        return len(self.centres[0])

    def __call__(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        x = _point("gaussian_wells", x, self.dim)
        depths, centres, widths = (_like(x, value) for value in (self.depths, self.centres, self.widths))
        return -jnp.sum(depths * jnp.exp(-jnp.sum(((x - centres) / widths[:, None]) ** 2, axis=-1) / 2))


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
        q = _point("force_field", q, self.dim)
        # A table of q^n/n!, n = 0, 1, …, flattened; jnp.power would have nan gradients at q = 0 where n = 0.
        rows = [jnp.ones_like(q)]
        for n in range(1, self._highest_power + 1):
            rows.append(rows[-1] * q / n)
        table = jnp.concatenate(rows)
        anharmonic = _like(q, tuple(constant for _, constant in self.terms))
        for places in self._factors:
            anharmonic = anharmonic * table[jnp.asarray(places)]
        return jnp.sum(_like(q, self.frequencies) * q**2) / 2 + jnp.sum(anharmonic)

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


def _force_field(content: dict[str, Any]) -> ForceField:
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


def _point(owner: str, x: Float[Array, " dim"], dim: int | None = None) -> Float[Array, " dim"]:
    """x, after checking that it is one floating-point point of `dim` coordinates (None: any number)."""
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"{owner}: a point must be floating-point, got dtype {x.dtype}.")
    if x.ndim != 1 or x.shape[0] != (dim or x.shape[0]):
        expected = "(dim,)" if dim is None else f"({dim},)"
        raise ValueError(
            f"{owner}: expected one point of shape {expected}, got {x.shape}; use jax.vmap for many."
        )
    return x


def _like(x: Array, value: Any) -> Any:
    """Numbers as an array in the dtype of x; a single number stays one, as it takes any dtype."""
    return jnp.asarray(value, x.dtype) if isinstance(value, tuple) else value


def _number(owner: str, name: str, value: Any) -> float:
    if hasattr(value, "tolist"):  # NumPy and JAX scalars; jnp.asarray would round a float64 to 32 bits
        value = value.tolist()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{owner}: {name} must be a real number, got {value!r}.")
    if not math.isfinite(value):
        raise ValueError(f"{owner}: {name} must be finite, got {value!r}.")
    return float(value)


def _positive(owner: str, name: str, value: Any) -> float:
    number = _number(owner, name, value)
    if number <= 0:
        raise ValueError(f"{owner}: {name} must be positive, got {number}.")
    return number


def _sequence(owner: str, name: str, value: Any) -> Sequence[Any] | None:
    """The entries of a sequence or array, None for what is not one; an empty one is refused."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return None
    if not value:
        raise ValueError(f"{owner}: {name} is empty.")
    return value


def _numbers(owner: str, name: str, value: Any, positive: bool = False) -> float | Point:
    """One number, or a tuple of them where a sequence was given."""
    check = _positive if positive else _number
    entries = _sequence(owner, name, value)
    if entries is None:
        return check(owner, name, value)
    return tuple(check(owner, name, entry) for entry in entries)


def _one_each(owner: str, name: str, value: Any, count: int, positive: bool = False) -> Point:
    numbers = _numbers(owner, name, value, positive)
    if not isinstance(numbers, tuple):
        return (numbers,) * count
    if len(numbers) != count:
        raise ValueError(f"{owner}: {name} has {len(numbers)} entries for {count} centres.")
    return numbers


def _points(owner: str, name: str, value: Any) -> tuple[Point, ...]:
    rows = _sequence(owner, name, value)
    if rows is None:
        raise TypeError(f"{owner}: {name} must be a sequence of points, got {value!r}.")
    given = [_numbers(owner, name, row) for row in rows]
    points = tuple(point for point in given if isinstance(point, tuple))
    if len(points) < len(given):
        raise ValueError(f"{owner}: {name} must have shape (n, dim), as in [(0.0, 0.0)], got {value!r}.")
    if len({len(point) for point in points}) > 1:
        raise ValueError(f"{owner}: {name} must all have as many coordinates, got {value!r}.")
    return points


def _one_size(owner: str, **values: float | Point) -> None:
    sizes = {name: len(value) for name, value in values.items() if isinstance(value, tuple)}
    if len(set(sizes.values())) > 1:
        counted = ", ".join(f"{name} has {size} entries" for name, size in sizes.items())
        raise ValueError(f"{owner}: {counted}.")
