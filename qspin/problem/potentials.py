"""Ready-made potentials: each is V at one point, x of shape (dim,) -> a scalar.

Every factory returns a frozen, hashable object. Calling it with one point gives V there, in the dtype of the
point; it can be traced, mapped with `jax.vmap` and differentiated twice wherever V is smooth. A call raises
TypeError for a point that is not floating-point and ValueError for one of the wrong shape.

>>> import jax, jax.numpy as jnp
>>> V = harmonic(omega=2.0)
>>> jax.vmap(V)(jnp.array([[1.0, 0.0], [0.0, 3.0]])).tolist()
[2.0, 18.0]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from qspin.numerics.checks import (
    like,
    one_each,
    one_point,
    one_size,
    points_of,
    positive_number,
    real_number,
    real_numbers,
)
from qspin.problem.force_field import ForceField, force_field

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
    omega = real_numbers("harmonic", "omega", omega, positive=True)
    mass = real_numbers("harmonic", "mass", mass, positive=True)
    centre = real_numbers("harmonic", "centre", 0.0 if centre is None else centre)
    one_size("harmonic", omega=omega, mass=mass, centre=centre)
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
    places = None if centres is None else points_of("coulomb", "centres", centres)
    count = 1 if places is None else len(places)
    return Coulomb(one_each("coulomb", "charge", charge, count), places)


def double_well(barrier: Number = 5.0, separation: Number = 4.0) -> "DoubleWell":
    """Two wells on a line, V = b (x²/a² - 1)²: minima V = 0 at x = ±a and a barrier of height b at x = 0.

    `barrier` is b; `separation` is the distance 2a between the minima. Both are positive. Near a minimum ω² =
    8 b/(m a²). Raises TypeError for what is not a number, ValueError for one that is not positive.

    >>> V = double_well(barrier=5.0, separation=4.0)
    >>> float(V(jnp.array([0.0]))), float(V(jnp.array([2.0])))
    (5.0, 0.0)
    """
    return DoubleWell(
        positive_number("double_well", "barrier", barrier),
        positive_number("double_well", "separation", separation),
    )


def quartic(strength: Number = 1.0) -> "Quartic":
    """Pure quartic well, V = g Σ_i x_i⁴, g = `strength` > 0.

    Separable; one axis with mass 0.5 and g = 1 has the levels 1.060362, 3.799673, 7.455698, … (C. M. Bender,
    S. A. Orszag, Advanced Mathematical Methods, chapter 10). Raises TypeError for what is not a number,
    ValueError for one that is not positive.

    >>> float(quartic(2.0)(jnp.array([1.0, 2.0])))
    34.0
    """
    return Quartic(positive_number("quartic", "strength", strength))


def morse(depth: Number, a: Number, centre: Number = 0.0) -> "Morse":
    """Morse well on a line, V = D (1 - exp(-a (x - x₀)))²: 0 at x₀ = `centre`, D = `depth` far to the right.

    `depth` (energy) and `a` (1/length) are positive. Raises TypeError for what is not a number, ValueError
    for a value that cannot be. Source: P. M. Morse, Phys. Rev. 34, 57 (1929). Closed form:
    `exact.morse(depth, a, mass)`.

    >>> float(morse(depth=10.0, a=1.0, centre=0.5)(jnp.array([0.5])))
    0.0
    """
    depth, a = positive_number("morse", "depth", depth), positive_number("morse", "a", a)
    return Morse(depth, a, real_number("morse", "centre", centre))


def poschl_teller(lam: Number, a: Number = 1.0, mass: Number = 1.0) -> "PoschlTeller":
    """Pöschl-Teller well on a line, V = -a² λ(λ + 1) / (2m cosh²(a x)).

    `lam` is λ, a pure number; `a` is in 1/length; `mass` must be that of the kinetic term. All are positive.
    Raises TypeError for what is not a number, ValueError for one that is not positive. Source: G. Pöschl, E.
    Teller, Z. Phys. 83, 143 (1933). Closed form: `exact.poschl_teller(lam, a, mass)`.

    >>> float(poschl_teller(lam=2.0)(jnp.array([0.0])))
    -3.0
    """
    return PoschlTeller(
        positive_number("poschl_teller", "lam", lam),
        positive_number("poschl_teller", "a", a),
        positive_number("poschl_teller", "mass", mass),
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
    return HenonHeiles(real_number("henon_heiles", "lam", lam))


def square_well(depth: Number, width: Numbers) -> "SquareWell":
    """Square well, V = -D where |x_i| < w_i/2 on every axis, else 0: an interval, a rectangle, a cuboid.

    `depth` D and `width` w, one number or one per axis, are positive. V jumps, and its derivatives are 0
    where they exist. Raises TypeError for what is not a number, ValueError for one that is not positive.

    >>> V = square_well(depth=3.0, width=2.0)
    >>> float(V(jnp.array([0.5]))), float(V(jnp.array([1.5])))
    (-3.0, 0.0)
    """
    return SquareWell(
        positive_number("square_well", "depth", depth),
        real_numbers("square_well", "width", width, positive=True),
    )


def gaussian_wells(depths: Numbers, centres: Points, widths: Numbers) -> "GaussianWells":
    """Gaussian wells, V = -Σ_a D_a exp(-|x - R_a|² / (2 w_a²)).

    `centres` are the points R_a, shape (n, dim); `depths` D and `widths` w are one number for all or one per
    centre. A negative depth is a bump; widths are positive. Raises TypeError for what is not a number,
    ValueError for a value or size that cannot be.

    >>> float(gaussian_wells(depths=2.0, centres=[(0.0,), (9.0,)], widths=0.5)(jnp.array([0.0])))
    -2.0
    """
    places = points_of("gaussian_wells", "centres", centres)
    return GaussianWells(
        one_each("gaussian_wells", "depths", depths, len(places)),
        places,
        one_each("gaussian_wells", "widths", widths, len(places), positive=True),
    )


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
        x = one_point("harmonic", x, self.dim)
        omega, mass, centre = (like(x, value) for value in (self.omega, self.mass, self.centre))
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
        x = one_point("coulomb", x, self.dim)
        offsets = x[None, :] if self.centres is None else x - like(x, self.centres)
        return -jnp.sum(like(x, self.charges) / jnp.linalg.norm(offsets, axis=-1))


@dataclass(frozen=True)
class DoubleWell:
    """b (x²/a² - 1)² with b = barrier, a = separation/2; see `double_well`."""

    dim: ClassVar[int] = 1
    barrier: float
    separation: float

    def __call__(self, x: Float[Array, " 1"]) -> Float[Array, ""]:
        (x,) = one_point("double_well", x, self.dim)
        return self.barrier * ((x / (self.separation / 2)) ** 2 - 1) ** 2


@dataclass(frozen=True)
class Quartic:
    """g Σ_i x_i⁴; see `quartic`."""

    dim: ClassVar[None] = None
    strength: float

    def __call__(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        return self.strength * jnp.sum(one_point("quartic", x) ** 4)


@dataclass(frozen=True)
class Morse:
    """D (1 - exp(-a (x - x₀)))²; see `morse`."""

    dim: ClassVar[int] = 1
    depth: float
    a: float
    centre: float

    def __call__(self, x: Float[Array, " 1"]) -> Float[Array, ""]:
        (x,) = one_point("morse", x, self.dim)
        return self.depth * jnp.expm1(-self.a * (x - self.centre)) ** 2


@dataclass(frozen=True)
class PoschlTeller:
    """-a² λ(λ + 1) / (2m cosh²(a x)); see `poschl_teller`."""

    dim: ClassVar[int] = 1
    lam: float
    a: float
    mass: float

    def __call__(self, x: Float[Array, " 1"]) -> Float[Array, ""]:
        (x,) = one_point("poschl_teller", x, self.dim)
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
        x, y = one_point("henon_heiles", x, self.dim)
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
        x = one_point("square_well", x, self.dim)
        inside = jnp.all(2 * jnp.abs(x) < like(x, self.width))
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
        x = one_point("gaussian_wells", x, self.dim)
        depths, centres, widths = (like(x, value) for value in (self.depths, self.centres, self.widths))
        return -jnp.sum(depths * jnp.exp(-jnp.sum(((x - centres) / widths[:, None]) ** 2, axis=-1) / 2))
