"""The SpIN paper's experiment on 2D hydrogen: both estimators, with and without bias correction; and what a step costs.

    python benchmarks/spin_paper.py train [NAME ...] [--steps 1000000] [--budget SECONDS] [--out FOLDER]
    python benchmarks/spin_paper.py speed

`train` runs the preset under each name (all of them by default; see RUNS), at most `--steps` steps and, by a measurement
at the start, about `--budget` seconds, and saves FOLDER/NAME.npz: the Spectrum with the traces of the running energies. A
run that is killed goes on where it was; one that breaks down is saved as of its last good step. `speed` measures steps per
second, compilation not included, and the size of the state. Both print Markdown tables.
"""

import argparse
import dataclasses
import time
from pathlib import Path

import jax
import numpy as np

import qspin
from qspin.run.problem_file import load_problem

BARE = qspin.AveragedCovariance(project=False, gauge=0.0)
GAUGED = qspin.AveragedCovariance(project=False)
RUNS = {
    "covariance_0.01": (BARE, 0.01),
    "covariance_1": (BARE, 1.0),
    "projected_0.01": (qspin.AveragedCovariance(), 0.01),
    "projected_1": (qspin.AveragedCovariance(), 1.0),
    "gauged_0.01": (GAUGED, 0.01),
    "gauged_1": (GAUGED, 1.0),
    "jacobian_0.01": (qspin.AveragedJacobian(), 0.01),
    "jacobian_1": (qspin.AveragedJacobian(), 1.0),
}
RESULTS = Path(__file__).parent / "results" / "spin_paper"
N_STATES = 9


def paper_problem() -> qspin.Problem:
    return load_problem("hydrogen_2d").presets["paper"][0]


def speed_of(
    method: qspin.SpIN, problem: qspin.Problem, n_states: int, seconds: float = 5.0
) -> tuple[float, float]:
    """(steps/s after compilation, megabytes of state)."""
    run = method.bind(problem, n_states)
    state = run.init(0)
    size = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(state)) / 1e6
    state, _ = run.advance(state, until=1)  # compiles
    taken, spent, some = 0, 0.0, 4
    while spent < seconds:
        first, started = int(state.step), time.perf_counter()
        state, _ = run.advance(state, until=first + some)
        taken, spent = taken + int(state.step) - first, spent + time.perf_counter() - started
        some = min(2 * some, 1000)
    return taken / spent, size


def train(names: list[str], steps: int, budget: float | None, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    problem = paper_problem()
    exact = problem.exact(N_STATES)
    print(
        "| run | steps | s | steps/s | state, MB | running energies off: worst, median | Ritz energies off: worst, median |"
    )
    print("|---|---|---|---|---|---|---|", flush=True)
    details = []
    for name in names:
        estimator, averaging = RUNS[name]
        preset = qspin.presets.spin_paper_hydrogen(steps, averaging, estimator)
        rate, size = speed_of(preset, problem, N_STATES)
        if budget is not None:
            preset = dataclasses.replace(preset, steps=int(min(steps, round(rate * budget, -3))))
        broken = ""
        try:
            spectrum = qspin.solve(problem, N_STATES, preset, checkpoint=out / f"{name}.checkpoint.npz")
        except qspin.TrainingError as error:
            if error.spectrum is None:
                raise
            spectrum, broken = error.spectrum, " (broke down)"
        spectrum.save(out / f"{name}.npz")
        (out / f"{name}.checkpoint.npz").unlink()
        running = spectrum.history["energies"][-50:].mean(0)  # of the last twentieth of the run
        cells = []
        for energies in (running, spectrum.energies):
            off = np.abs(energies - exact) / np.abs(exact)
            cells.append(f"{off.max():.1%}, {np.median(off):.1%}")
        done, seconds = int(spectrum.history["step"][-1]), spectrum.history["seconds"][-1]
        print(
            f"| {name} | {done}{broken} | {seconds:.0f} | {rate:.0f} | {size:.1f} | {' | '.join(cells)} |",
            flush=True,
        )
        details.append((name, running, spectrum.energies))
    print(
        "\n| run | "
        + " | ".join(f"E{k} off" for k in range(N_STATES))
        + " |\n"
        + "|---" * (N_STATES + 1)
        + "|"
    )
    for name, running, ritz in details:
        for label, energies in (("running", running), ("Ritz", ritz)):
            off = (energies - exact) / np.abs(exact)
            print(f"| {name}, {label} | " + " | ".join(f"{o:+.1%}" for o in off) + " |")


def speed() -> None:
    problem = paper_problem()
    paper = qspin.presets.spin_paper_hydrogen(steps=10**8)
    small = dataclasses.replace(paper, network=qspin.MLP((64,) * 3, qspin.softplus))
    exact_laplacian = dataclasses.replace(
        problem, hamiltonian=problem.hamiltonian.exact()
    )  # the original code's default
    labels = {
        BARE: "covariance (Jacobian-free)",
        qspin.AveragedCovariance(): "covariance, projected",
        qspin.AveragedJacobian(): "Algorithm 1",
    }
    rows = [
        ("4×128 block-sparse", problem, paper, estimator, 9, 128)
        for estimator in (BARE, qspin.AveragedCovariance(), qspin.AveragedJacobian())
    ]
    dense = dataclasses.replace(paper, network=qspin.MLP((128,) * 4, qspin.softplus))
    rows += [
        ("4×128 dense", problem, dense, estimator, 9, 128) for estimator in (BARE, qspin.AveragedJacobian())
    ]
    rows += [
        (f"3×64 dense, {label} Laplacian", where, small, estimator, 9, 128)
        for label, where in (("finite-difference", problem), ("exact", exact_laplacian))
        for estimator in (BARE, qspin.AveragedJacobian())
    ]
    rows += [("4×128 block-sparse", problem, paper, BARE, n, 128) for n in (25, 49)]
    rows += [("4×128 block-sparse", problem, paper, qspin.AveragedJacobian(), n, 128) for n in (25,)]
    rows += [("4×128 block-sparse", problem, paper, BARE, 9, batch) for batch in (1024, 8192)]
    separate = dataclasses.replace(paper, network=qspin.SeparateMLPs((32, 32)))
    rows += [("N × (32, 32) separate", problem, separate, BARE, n, 128) for n in (9, 25, 49)]
    print("| network | estimator | states | batch | steps/s | µs/step | state, MB |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for network, where, method, estimator, n_states, batch in rows:
        method = dataclasses.replace(method, estimator=estimator, batch_size=batch)
        rate, size = speed_of(method, where, n_states)
        label = labels[estimator]
        print(
            f"| {network} | {label} | {n_states} | {batch} | {rate:.0f} | {1e6 / rate:.0f} | {size:.2f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mode", choices=("train", "speed"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RUNS)}")
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--budget", type=float, help="seconds a run")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(RUNS)
    if unknown:
        parser.error(f"unknown names {sorted(unknown)}; known are {', '.join(RUNS)}")
    if arguments.mode == "speed":
        speed()
    else:
        train(arguments.names or list(RUNS), arguments.steps, arguments.budget, arguments.out)


if __name__ == "__main__":
    main()
