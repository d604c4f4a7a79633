"""SpIN and its rivals in one program: equal network, batch, sampler, optimizer (but where named) and wall clock.

    python benchmarks/objectives.py [--seconds 60] [--seed 0] [NAME ...]
    python benchmarks/objectives.py bias

Problems: the 2D oscillator -∇² + r² (10 states) and 2D hydrogen -∇² - 1/r (9 states). The steps of each run are set by a
measurement of its speed, so that every learning-rate schedule ends within the same seconds, compilation not counted.

`own` is the method as it stands: Rayleigh quotients of its own functions in their own order (for SpIN v = L⁻¹u with its
averaged Σ), and the largest overlap between two of them. `Ritz` is after Rayleigh-Ritz in their span, as `qspin.solve`
reports. `angle` is the largest principal angle (radians) between a degenerate level's span and the grid's. All on fresh
points. `bias` measures what the projection of the default estimator costs where a network is too small to be exact.
"""

import argparse
import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

import qspin
from qspin.numerics import precision as runtime
from qspin.numerics.pencil import order
from qspin.run.problem_file import load_problem

OSCILLATOR = qspin.Problem(
    hamiltonian=qspin.Kinetic(mass=0.5) + qspin.Potential(lambda x: jnp.sum(x**2)),
    domain=qspin.Box.cube(6.0, dim=2),
    exact=lambda n: np.sort([2.0 * (i + j + 1) for i in range(n) for j in range(n)])[:n],
    name="oscillator_2d",
)
BARE = qspin.AveragedCovariance(project=False, gauge=0.0)


def adam(rate: float, steps: int) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(rate, steps, alpha=1e-3))


def methods(shift: float, steps: int) -> dict[str, qspin.SpIN]:
    """Everyone with Adam at 3e-3 and cosine decay, unless the name says otherwise."""
    base = qspin.SpIN(steps=steps, optimizer=adam(3e-3, steps))
    jacobian = dataclasses.replace(base, estimator=qspin.AveragedJacobian())
    return {
        "spin": base,
        "spin-bare": dataclasses.replace(base, estimator=BARE),
        "spin-bare-3e-4": dataclasses.replace(base, estimator=BARE, optimizer=adam(3e-4, steps)),
        "spin-bare-no-averaging": dataclasses.replace(base, estimator=BARE, averaging=1.0),
        "algorithm1-3e-4": dataclasses.replace(jacobian, optimizer=adam(3e-4, steps)),
        "algorithm1-rmsprop-1e-5": dataclasses.replace(jacobian, optimizer=optax.rmsprop(1e-5, decay=0.999)),
        "neuralef": dataclasses.replace(base, estimator=qspin.NeuralEF(shift)),
        "nestedlora-sequential": dataclasses.replace(base, estimator=qspin.NestedLoRA("sequential", shift)),
        "nestedlora-joint": dataclasses.replace(base, estimator=qspin.NestedLoRA("joint", shift)),
    }


def steps_within(seconds: float, method: qspin.SpIN, problem: qspin.Problem, n_states: int) -> int:
    run = method.bind(problem, n_states)
    state, _ = run.advance(run.init(0), until=1)  # compiles
    first, started = int(state.step), time.perf_counter()
    while time.perf_counter() - started < 2:
        state, _ = run.advance(state, until=int(state.step) + 100)
    rate = (int(state.step) - first) / (time.perf_counter() - started)
    return max(100, int(rate * seconds))


def own_functions(method: qspin.SpIN, state: object, functions: object, n_states: int) -> object:
    """The method's own functions, before Rayleigh-Ritz."""
    rotation = np.eye(n_states)
    if method.estimator.name == "spin":
        with runtime.double_precision():
            sigma, pi = (np.asarray(a.value, float) for a in (state.sigma, state.pi))
            rotation = np.asarray(order(jnp.asarray(sigma), jnp.asarray(pi)).inverse).T
    return dataclasses.replace(functions, rotation=rotation)


def train(
    method: qspin.SpIN, problem: qspin.Problem, n_states: int, seed: int
) -> tuple[object, object, float, int]:
    run = method.bind(problem, n_states)
    state = run.init(seed)
    state, _ = run.advance(state, until=1)
    started = time.perf_counter()
    while int(state.step) < run.steps:
        before = state
        state, info = run.advance(before)
        if not info["ok"].all():
            broken = int(before.step) + int(np.argmin(info["ok"]))
            state, _ = run.advance(before, until=broken)
            break
    seconds = time.perf_counter() - started
    return run.finish(state, {}), state, seconds, int(state.step)


def compare(names: list[str], seconds: float, seed: int) -> None:
    for problem, n_states, shift in ((OSCILLATOR, 10, 16.0), (load_problem("hydrogen_2d").problem, 9, 0.0)):
        exact = np.asarray(problem.exact(n_states))
        grid = qspin.solve(problem, n_states, qspin.Grid())
        print(f"\n{problem.name}, {n_states} states, seed {seed}\n")
        print(
            "| method | steps | s | own off: worst, median | overlap | Ritz off: worst, median | claimed, worst | angle |"
        )
        print("|---|---|---|---|---|---|---|---|", flush=True)
        for name in names or list(methods(shift, 1)):
            steps = steps_within(seconds, methods(shift, 10**6)[name], problem, n_states)
            method = methods(shift, steps)[name]
            try:
                spectrum, state, taken, done = train(method, problem, n_states, seed)
            except ValueError as error:
                print(f"| {name} | {steps} | – | {error} | – | – | – | – |", flush=True)
                continue
            own = own_functions(method, state, spectrum.eigenfunctions, n_states)
            points, weights = own.quadrature()
            values, images = own(points), own.image(problem.hamiltonian)
            norm = np.sqrt(weights @ values**2)
            quotients = weights @ (values * images) / norm**2
            overlap = np.abs(
                (values * weights[:, None]).T @ values / norm / norm[:, None] - np.eye(n_states)
            ).max()
            cells = []
            for energies in (quotients, spectrum.energies):
                off = np.abs(energies - exact) / np.abs(exact)
                cells.append(f"{off.max():.1e}, {np.median(off):.1e}")
            claimed = (spectrum.errors / np.abs(exact)).max()
            angle = np.nanmax(dataclasses.replace(spectrum, exact=grid.exact).compare(grid).angles)
            broke = "" if done == steps else f" (broke down at {done})"
            print(
                f"| {name} | {steps}{broke} | {taken:.0f} | {cells[0]} | {overlap:.1e} | {cells[1]} | {claimed:.1e} "
                f"| {angle:.1e} |",
                flush=True,
            )


def bias(seed: int) -> None:
    """Three states of the oscillator by networks of four neurons, which cannot be exact: the sum of their Ritz energies
    (statistical error below 1e-3), by batch size. Without the projection the limit does not depend on the batch."""
    print("| batch | steps | E1 + E2 + E3, projected | not projected |\n|---|---|---|---|")
    for batch in (16, 64, 256, 1024):
        steps = 40_000 if batch < 1024 else 20_000
        cells = []
        for project in (True, False):
            method = qspin.SpIN(
                steps=steps,
                batch_size=batch,
                averaging=0.1,
                network=qspin.SeparateMLPs((4,)),
                estimator=qspin.AveragedCovariance(project=project),
                optimizer=adam(1e-3, steps),
            )
            try:
                spectrum = qspin.solve(OSCILLATOR, 3, method, seed=seed)
                cells.append(f"{spectrum.energies.sum():.4f}")
            except qspin.TrainingError:
                cells.append("broke down")
        print(f"| {batch} | {steps} | {cells[0]} | {cells[1]} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [*methods(0.0, 1), "bias"]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(known)
    if unknown:
        parser.error(f"unknown names {sorted(unknown)}; known are {', '.join(known)}")
    print(f"JAX {jax.__version__} on {jax.devices()[0].device_kind}")
    if arguments.names == ["bias"]:
        bias(arguments.seed)
    else:
        compare(arguments.names, arguments.seconds, arguments.seed)


if __name__ == "__main__":
    main()
