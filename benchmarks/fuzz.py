"""Wrong input to everything public that is built from arguments: it works, or a ValueError or TypeError says what to write.

    python benchmarks/fuzz.py [--examples 250] [--seed 0] [--only TEXT]

Hypothesis draws arguments for each public constructor, for formulas in text, for force fields and tables in files, for
operators and for settings: mostly plausible, some of any kind. An input is counted as

- worked: the call returned, and its result could be used (a potential evaluated, a closed form called),
- clean: ValueError, TypeError or FileNotFoundError whose message names the constructor (and is not from JAX or NumPy),
- wrong: anything else, and whatever takes longer than five seconds of the processor or more than four gigabytes.

The table has one row for each constructor; wrong ones are listed with the arguments that did it. tests/test_fuzz.py runs a
few examples of each.
"""

import argparse
import collections
import fractions
import math
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import qspin
from qspin import exact, potentials, shapes, symmetry, units

SECONDS, GIGABYTES = 5, 4
CLEAN = (ValueError, TypeError, FileNotFoundError)


# --- values of any kind, and plausible ones

huge = st.sampled_from([2**31, -(2**31), 2**63, 10**400, -(10**400), 10**5000])
strange = st.sampled_from(
    [math.nan, math.inf, -math.inf, -0.0, 1e308, 5e-324, np.float32(0.1), np.int8(3), np.float64("nan")]
)
anything = st.one_of(
    st.none(),
    st.booleans(),
    huge,
    strange,
    st.integers(-3, 5),
    st.floats(-5, 5),
    st.text(max_size=4),
    st.sampled_from(
        [
            "1",
            "0.5",
            "x",
            "nan",
            b"1",
            1j,
            fractions.Fraction(1, 3),
            Ellipsis,
            object(),
            object,
            {},
            {1: 2},
            set(),
        ]
    ),
    st.sampled_from(
        [
            lambda: 1,
            lambda x: x,
            lambda x, y: x[0] * y[0],
            lambda x: jnp.sum(x),
            lambda x: 1j * x[0],
            print,
            math.sin,
        ]
    ),
    st.sampled_from(
        [
            np.array([1.0, 2.0]),
            np.array(["a"]),
            np.array([[1, 2], [3]], dtype=object),
            np.array(1j),
            np.zeros((0,)),
        ]
    ),
    st.lists(st.one_of(st.floats(-5, 5), st.none(), st.text(max_size=2), strange), max_size=3),
)
number = st.floats(0.1, 4.0)
share = st.floats(0.01, 0.9)
count = st.integers(1, 6)
coordinates = st.lists(st.floats(-4, 4), min_size=1, max_size=3)
numbers = st.one_of(number, st.lists(number, min_size=1, max_size=3))
pair = st.lists(st.floats(0.1, 4.0), min_size=2, max_size=2)
points = st.lists(st.lists(st.floats(-4, 4), min_size=2, max_size=2), min_size=1, max_size=4)
domains = st.sampled_from(
    [qspin.Box(-4.0, 4.0), qspin.Box.cube(3.0, dim=2), qspin.Space(1), qspin.Gaussian(), qspin.Nodes(3)]
)


def with_branch(x: Any) -> Any:
    return 1.0 if x[0] > 0 else 0.0


functions = st.sampled_from(
    [
        lambda x: jnp.sum(x**2),
        lambda x: 3,
        lambda x: x[0] > 0,
        lambda x: x,
        lambda x: x[1],
        lambda x: None,
        lambda x: "V",
        lambda x: (x[0], 1.0),
        lambda x: 1j * x[0],
        lambda x: math.sqrt(x[0]),
        lambda x: np.sum(x) / 0,
        lambda x, y: x[0] + y,
        lambda x: x @ jnp.ones(7),
        lambda x: {}["V"],
        lambda x: jnp.inf * x[0],
        lambda *, x: x,
        with_branch,
        potentials.harmonic(),
        potentials.double_well(),
        qspin.expression("x**2"),
        potentials.tabulated(range(-4, 5), range(9)),
    ]
)
true_operators = st.sampled_from(
    [
        qspin.Kinetic(),
        qspin.Potential(potentials.harmonic()),
        qspin.Kinetic() + qspin.Potential(potentials.harmonic()),
        qspin.MatrixOperator(np.eye(3)),
        qspin.KernelOperator(lambda x, y: jnp.exp(-jnp.sum((x - y) ** 2))),
    ]
)
operators = st.one_of(true_operators, st.just(symmetry.angular_momentum()))
closed_forms = st.sampled_from(
    [
        exact.harmonic(1.0),
        lambda n: np.ones(1),
        lambda n: [None] * n,
        lambda n: {}[n],
        lambda: 0,
        lambda n: "a" * n,
    ]
)


def formula() -> st.SearchStrategy[str]:
    words = [
        "x",
        "y",
        "z",
        "r",
        "x0",
        "x[1]",
        "x9",
        "pi",
        "e",
        "1",
        "2.5",
        "1e400",
        "9" * 400,
        "0",
        "q",
        "True",
        "1j",
        "x.a",
    ]
    leaves = st.sampled_from(words)

    def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        pairs = st.sampled_from(
            ["{}+{}", "{}-{}", "{}*{}", "{}/{}", "{}**{}", "{}^{}", "{} {}", "({}){}", "minimum({},{})"]
        )
        ones = st.sampled_from(
            ["-{}", "({})", "sqrt({})", "exp({})", "log({})", "abs({})", "x[{}]", "{}()", "where({}>0,1,{})"]
        )
        return st.one_of(
            st.builds(lambda f, a, b: f.format(a, b), pairs, inner, inner),
            st.builds(lambda f, a: f.replace("{}", a), ones, inner),
        )

    return st.one_of(st.recursive(leaves, grown, max_leaves=8), st.text(max_size=12))


def force_field_text() -> st.SearchStrategy[str]:
    value = st.sampled_from(
        [
            "1.0",
            "2",
            "-1.0",
            "0",
            "nan",
            "inf",
            "1e999",
            "true",
            '"a"',
            "[]",
            "1000000",
            "9" * 30,
            "2020-01-01",
        ]
    )
    power = st.sampled_from(["0", "1", "2", "3", "6", "64", "65", "1000000", "-1", "1.5", "true", "9" * 30])

    def text(f: list[str], terms: list[tuple[str, str, str]], extra: str) -> str:
        rows = ", ".join(f"[[{a}, {b}], {k}]" for a, b, k in terms)
        return f"frequencies = [{', '.join(f)}]\nterms = [{rows}]\n{extra}"

    extras = [
        "",
        'units = "cm^-1"',
        "units = 3",
        'modes = ["a"]',
        'modes = ["a", "b"]',
        "more = 1",
        "= 1",
        "\x00",
        'units = "a"\nunits = "b"',
    ]
    whole = st.builds(
        text,
        st.lists(st.one_of(st.just("1.0"), value), min_size=2, max_size=2),
        st.lists(st.tuples(power, power, value), max_size=3),
        st.sampled_from(extras),
    )
    return st.one_of(whole, st.text(max_size=20))


def table_text() -> st.SearchStrategy[str]:
    cell = st.sampled_from(["0", "1", "2", "3", "4", "-1", "nan", "inf", "a", "", "1e400", "#"])
    row = st.lists(cell, min_size=1, max_size=4).map(" ".join)
    good = st.integers(2, 6).map(lambda n: [f"{k} {k * k}" for k in range(n)])
    return st.one_of(good, st.lists(row, max_size=6)).map("\n".join)


# --- what is called


@dataclass(frozen=True)
class Kind:
    """A public constructor with strategies of plausible arguments; `use` does something with the result."""

    call: Callable[..., Any]
    arguments: dict[str, st.SearchStrategy[Any]]
    use: Callable[[Any], Any] = repr
    kept: tuple[str, ...] = ()  # arguments that stay plausible, as Python itself would complain of others


def at_a_point(v: Any) -> float:
    return float(v(jnp.full(getattr(v, "dim", None) or 2, 0.3)))


def levels(form: Any) -> Any:
    return form(min(form.capacity or 3, 3)) if form.capacity != 0 else None


def from_file(read: Callable[..., Any], name: str) -> Callable[..., Any]:
    def call(text: Any, **others: Any) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_text(text if isinstance(text, str) else "", encoding="utf-8", errors="replace")
            return read(path, **others)

    return call


def combined(a: Any, b: Any, factor: Any) -> Any:
    return factor * a + b - a


def refused(**arguments: Any) -> Any:
    """`solve` with a method that is none, so that nothing is solved whatever the other arguments are."""
    problem = qspin.Problem(qspin.Kinetic() + qspin.Potential(potentials.harmonic()), qspin.Box(-4.0, 4.0))
    return qspin.solve(**{"problem": problem, **arguments, "method": "none"})


V = "potentials"
KINDS: dict[str, Kind] = {
    "Box": Kind(
        qspin.Box,
        {
            "lower": st.one_of(coordinates, pair.map(lambda low: [-c for c in low])),
            "upper": st.one_of(coordinates, pair, pair, pair),
            "periodic": st.one_of(st.booleans(), st.lists(st.booleans(), max_size=3)),
            "mask": st.sampled_from([None, qspin.PolynomialMask(), qspin.PolynomialMask, len]),
            "wave_vector": st.one_of(st.just(0.0), numbers),
        },
    ),
    "Box.cube": Kind(qspin.Box.cube, {"half_width": number, "dim": count, "periodic": st.booleans()}),
    "Space": Kind(qspin.Space, {"dimension": count}),
    "Gaussian": Kind(qspin.Gaussian, {"mean": coordinates, "deviation": numbers}),
    "Nodes": Kind(qspin.Nodes, {"features": st.one_of(count, points, coordinates)}),
    "Region": Kind(
        qspin.Region, {"inside": functions, "box": domains, "corners": st.one_of(st.just(()), points)}
    ),
    "Kinetic": Kind(
        qspin.Kinetic,
        {
            "mass": numbers,
            "laplacian": st.sampled_from(
                [None, qspin.autodiff(), qspin.autodiff, qspin.finite_difference(0.1)]
            ),
        },
    ),
    "finite_difference": Kind(qspin.finite_difference, {"step": number}),
    "Potential": Kind(
        qspin.Potential, {"function": functions, "singularities": st.one_of(st.just(()), points)}
    ),
    "KernelOperator": Kind(qspin.KernelOperator, {"kernel": functions}),
    "MatrixOperator": Kind(
        qspin.MatrixOperator,
        {
            "matrix": st.one_of(
                points,
                count.map(np.eye),
                st.lists(
                    st.lists(st.sampled_from(["1", 1, 2.0, None]), min_size=2, max_size=2),
                    min_size=2,
                    max_size=2,
                ),
            )
        },
    ),
    "graph_laplacian": Kind(
        qspin.graph_laplacian,
        {
            "n_nodes": st.one_of(count, huge),
            "edges": st.lists(st.tuples(st.integers(-1, 6), st.integers(0, 6)), max_size=4),
            "weights": st.one_of(st.none(), st.lists(number, max_size=4)),
        },
    ),
    "slowness": Kind(
        qspin.slowness,
        {"n_frames": st.one_of(st.integers(2, 9), st.lists(st.integers(1, 9), max_size=3), huge)},
    ),
    "operators": Kind(
        combined,
        {
            "a": true_operators,
            "b": st.one_of(operators, functions),
            "factor": st.one_of(
                number, st.sampled_from([np.float64(2), np.array([1.0, 2.0]), jnp.array(2.0)])
            ),
        },
        kept=("a",),
    ),
    "Problem": Kind(
        lambda operator, function, **others: qspin.Problem(
            operator if function is None else qspin.Kinetic() + qspin.Potential(function), **others
        ),
        {
            "operator": operators,
            "function": st.one_of(st.none(), functions, functions),
            "domain": domains,
            "exact": st.one_of(st.none(), closed_forms),
            "name": st.just("a"),
            "units": st.sampled_from(["", "eV"]),
            "largest": st.booleans(),
        },
    ),
    "Problem.exact": Kind(
        lambda form, n: qspin.Problem(qspin.Kinetic(), qspin.Box(-4.0, 4.0), exact=form).exact_energies(n),
        {"form": closed_forms, "n": st.integers(1, 5)},
        kept=("n",),
    ),
    "solve": Kind(
        refused,
        {"n_states": st.one_of(count, huge), "seed": st.one_of(count, huge), "checkpoint_every": number},
    ),
    "expression": Kind(
        qspin.expression, {"text": formula(), "dim": st.one_of(st.none(), count, huge)}, at_a_point
    ),
    "force_field": Kind(
        from_file(potentials.force_field, "molecule.toml"), {"text": force_field_text()}, at_a_point
    ),
    "tabulated": Kind(
        potentials.tabulated,
        {
            "x": st.one_of(
                st.integers(2, 7).map(range),
                st.integers(4, 7).map(lambda n: [range(n), range(4)]),
                coordinates,
            ),
            "values": st.one_of(
                st.integers(2, 7).map(range), st.integers(4, 7).map(lambda n: np.ones((n, 4))), coordinates
            ),
            "units": st.just("eV"),
            "degree": st.integers(0, 6),
            "outside": st.sampled_from(["refuse", "nearest", "zero"]),
        },
        at_a_point,
    ),
    "tabulated (file)": Kind(
        from_file(potentials.tabulated, "table.txt"),
        {"text": table_text(), "degree": st.sampled_from([1, 3])},
        at_a_point,
    ),
    "units.factor": Kind(
        units.factor,
        {
            "source": st.sampled_from([*units.known_units(), "MEV", "ev", ""]),
            "target": st.sampled_from(units.known_units()),
        },
    ),
    "harmonic": Kind(
        potentials.harmonic,
        {"omega": numbers, "mass": numbers, "centre": st.one_of(st.none(), coordinates)},
        at_a_point,
    ),
    "coulomb": Kind(
        potentials.coulomb, {"charge": numbers, "centres": st.one_of(st.none(), points)}, at_a_point
    ),
    "double_well": Kind(potentials.double_well, {"barrier": number, "separation": number}, at_a_point),
    "quartic": Kind(potentials.quartic, {"strength": number}, at_a_point),
    "morse": Kind(potentials.morse, {"depth": number, "a": number, "centre": number}, at_a_point),
    "poschl_teller": Kind(potentials.poschl_teller, {"lam": number, "a": number, "mass": number}, at_a_point),
    "henon_heiles": Kind(potentials.henon_heiles, {"lam": number}, at_a_point),
    "square_well": Kind(potentials.square_well, {"depth": number, "width": numbers}, at_a_point),
    "gaussian_wells": Kind(
        potentials.gaussian_wells, {"depths": numbers, "centres": points, "widths": numbers}, at_a_point
    ),
    "exact.box": Kind(exact.box, {"lengths": numbers, "mass": numbers}, levels),
    "exact.torus": Kind(exact.torus, {"lengths": numbers, "mass": numbers}, levels),
    "exact.ring": Kind(exact.ring, {"length": number, "mass": number}, levels),
    "exact.harmonic": Kind(
        exact.harmonic, {"omega": numbers, "dim": st.one_of(st.none(), count, huge)}, levels
    ),
    "exact.coupled_oscillators": Kind(
        exact.coupled_oscillators, {"matrix": st.one_of(points, count.map(np.eye))}, levels
    ),
    "exact.moshinsky": Kind(
        exact.moshinsky,
        {"particles": st.one_of(count, huge), "space": st.one_of(count, huge), "omega": number, "k": number},
        levels,
    ),
    "exact.hooke_atom": Kind(
        exact.hooke_atom,
        {"omega": st.sampled_from([0.5, 0.1, 0.2]), "relative": st.booleans()},
        lambda form: form(1),
    ),
    "exact.hydrogen_2d": Kind(exact.hydrogen_2d, {"charge": number, "mass": number}, levels),
    "exact.hydrogen_3d": Kind(exact.hydrogen_3d, {"charge": number, "mass": number}, levels),
    "exact.morse": Kind(exact.morse, {"depth": number, "a": number, "mass": number}, levels),
    "exact.poschl_teller": Kind(exact.poschl_teller, {"lam": number, "a": number, "mass": number}, levels),
    "levels of exact": Kind(lambda n: exact.harmonic((1.0, 2.0))(n), {"n": st.one_of(count, huge)}),
    "parity": Kind(
        symmetry.parity,
        {
            "axis": st.one_of(st.none(), st.integers(-1, 3), st.lists(count, max_size=3)),
            "centre": st.one_of(st.none(), coordinates),
        },
    ),
    "reflection": Kind(
        symmetry.reflection, {"normal": coordinates, "centre": st.one_of(st.none(), coordinates)}
    ),
    "exchange": Kind(
        symmetry.exchange,
        {"i": st.integers(0, 3), "j": st.one_of(st.integers(0, 3), st.lists(count, max_size=3))},
    ),
    "rotation": Kind(symmetry.rotation, {"angle": number, "plane": st.lists(st.integers(0, 2), max_size=3)}),
    "angular_momentum": Kind(symmetry.angular_momentum, {"plane": st.lists(st.integers(0, 2), max_size=3)}),
    "disk": Kind(shapes.disk, {"radius": number, "centre": coordinates}),
    "ring": Kind(shapes.ring, {"inner": number, "outer": number, "centre": coordinates}),
    "polygon": Kind(shapes.polygon, {"vertices": points}),
    "l_shape": Kind(shapes.l_shape, {"side": number}),
    "Clustered": Kind(qspin.Clustered, {"base": st.just(qspin.Uniform()), "fill": number}),
    "Grid": Kind(
        qspin.Grid,
        {
            "points": st.one_of(st.none(), st.integers(1, 99), huge),
            "scheme": st.sampled_from([None, qspin.dvr(), qspin.dvr, qspin.elements()]),
        },
    ),
    "Ritz": Kind(
        qspin.Ritz,
        {
            "tolerance": share,
            "max_features": st.one_of(st.none(), st.integers(16, 99)),
            "max_points": st.one_of(st.none(), st.integers(100, 999)),
            "train": st.booleans(),
        },
    ),
    "SampledRitz": Kind(
        qspin.SampledRitz,
        {
            "tolerance": share,
            "steps": st.integers(0, 9),
            "batch_size": st.integers(64, 99),
            "n_features": count,
            "widths": st.lists(count, min_size=1, max_size=2).map(tuple),
            "averaging": share,
        },
    ),
    "ProductBasis": Kind(
        qspin.ProductBasis, {"max_functions": st.integers(1, 999), "degree": count, "tolerance": share}
    ),
    "SpIN": Kind(
        qspin.SpIN,
        {
            "steps": st.integers(0, 99),
            "batch_size": st.integers(1, 99),
            "averaging": share,
            "tolerance": share,
            "dtype": st.sampled_from(["float32", "float64", "f8"]),
            "evaluation_points": st.integers(1, 9999),
            "adapt": st.booleans(),
        },
    ),
}

NAMES = {
    "operators": "",
    "levels of exact": "harmonic",
    "Problem.exact": "Problem",
    "tabulated (file)": "tabulated",
}


def owned(name: str, message: str) -> bool:
    """Whether the message begins with the name of something of qspin, as "Box: …" or "Potential: …" do."""
    first = message.split(":")[0].split("(")[0].strip()
    known = {n.split(".")[-1] for n in KINDS} | {*NAMES.values(), "units", "symmetry", "qspin", *dir(qspin)}
    return first.split(".")[0].split(" ")[0] in known or first.split(".")[-1] in known


@contextmanager
def limits() -> Iterator[None]:
    """Five seconds of computing for the block."""

    def expired(*_: object) -> None:
        raise TimeoutError(f"took longer than {SECONDS} s")

    before = signal.signal(signal.SIGPROF, expired)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def outcome(name: str, arguments: dict[str, Any]) -> tuple[str, str]:
    """ "worked", "clean" or "wrong", and what was said."""
    kind = KINDS[name]
    try:
        with limits(), np.errstate(all="ignore"):
            kind.use(kind.call(**arguments))
    except CLEAN as error:
        said = str(error)
        return ("clean" if owned(name, said) else "wrong"), f"{type(error).__name__}: {said}"
    except Exception as error:
        return "wrong", f"{type(error).__name__}: {error}"
    return "worked", ""


def drawn(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments for a constructor: plausible ones, half of the time with one or more of any kind among them."""
    plausible = KINDS[name].arguments
    mixed = {word: s if word in KINDS[name].kept else st.one_of(s, anything) for word, s in plausible.items()}
    return st.one_of(st.fixed_dictionaries(plausible), st.fixed_dictionaries(mixed))


def examples(name: str, number_of: int, seeded: int) -> tuple[collections.Counter[str], list[str]]:
    """How many of so many inputs worked, were refused cleanly, or went wrong; and the wrong ones in words."""
    counts: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []

    @seed(seeded)
    @settings(
        max_examples=number_of,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn(name))
    def run(arguments: dict[str, Any]) -> None:
        verdict, said = outcome(name, arguments)
        counts[verdict] += 1
        if verdict == "wrong":
            shown = ", ".join(f"{k}={_short(v)}" for k, v in arguments.items())
            wrong.append(f"{name}({shown}) -> {said[:160]}")

    run()
    return counts, wrong


def _short(value: object) -> str:
    try:
        return repr(value)[:60]
    except ValueError:
        return type(value).__name__


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=250, help="inputs for each constructor")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="constructors whose name holds this text")
    chosen = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (GIGABYTES * 2**30, resource.getrlimit(resource.RLIMIT_AS)[1]))
    total: collections.Counter[str] = collections.Counter()
    every: list[str] = []
    started = time.perf_counter()
    print(f"{'':28}{'worked':>8}{'clean':>8}{'wrong':>8}")
    for name in KINDS:
        if chosen.only not in name:
            continue
        counts, wrong = examples(name, chosen.examples, chosen.seed)
        total += counts
        every += wrong
        print(f"{name:28}" + "".join(f"{counts[v]:8}" for v in ("worked", "clean", "wrong")), flush=True)
    print(
        f"{'all ' + str(total.total()):28}" + "".join(f"{total[v]:8}" for v in ("worked", "clean", "wrong"))
    )
    print(f"{time.perf_counter() - started:.0f} s")
    print("\n".join(dict.fromkeys(every)))
    return 1 if every else 0


if __name__ == "__main__":
    sys.exit(main())
