"""`solve`: checks, then the one loop that trains (compiled chunks, progress, checkpoints), then `finish`."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from qspin import runtime
from qspin.domain import Space
from qspin.method import DirectMethod, IterativeMethod, Method, Run
from qspin.phases import with_fixed_phases
from qspin.problem import Problem
from qspin.sampling import Points
from qspin.spectrum import Spectrum, npz_path, write_npz
from qspin.spin import SpIN

__all__ = ["TrainingError", "boxed", "default_method", "solve"]

_MOST_RECORDS = 1000  # rows of history kept
_CHECKPOINT_EVERY = 30.0  # seconds

Callback = Callable[[int, Any, Mapping[str, np.ndarray]], None]


# Arguments are checked by value, with a message that names them; a run-time check of types would come first.
if TYPE_CHECKING:
    SomeProblem = Problem
    Integer = int
    SomeMethod = Method
else:
    SomeProblem = Integer = SomeMethod = Any


class TrainingError(RuntimeError):
    """Training produced numbers that are not finite; the message says when, and what to try.

    `spectrum` is the evaluation of the last good state, where there is one.
    """

    spectrum: Spectrum | None = None


def solve(
    problem: SomeProblem,
    n_states: Integer,
    method: SomeMethod | None = None,
    *,
    seed: Integer = 0,
    progress: bool | None = None,
    callback: Callback | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> Spectrum:
    """The lowest `n_states` states of a problem.

    Args:
        problem: what to solve.
        n_states: N, at least 1.
        method: `Ritz(...)`, `SpIN(...)` or `Grid(...)`; by default `default_method(problem, n_states)`.
        seed: one seed in, the same numbers out, on one machine.
        progress: a bar with the running energies on stderr; by default only where stderr is a terminal.
        callback: for methods that train: called after each chunk of steps as callback(step, state, info), info with one
            row a step.
        checkpoint: for methods that train: a file that training is saved to every 30 seconds, and resumed from where
            it exists; ".npz" is appended where it is missing.

    Raises ValueError or TypeError for input that cannot work, before anything is trained; `TrainingError`
    where training breaks down. Time and memory: see the method.
    """
    if not isinstance(problem, Problem):
        raise TypeError(f"solve: problem must be a qspin.Problem, got {problem!r}.")
    if isinstance(n_states, bool) or not isinstance(n_states, int | np.integer) or n_states < 1:
        raise ValueError(f"solve: n_states must be an integer of at least 1, got {n_states!r}.")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"solve: seed must be an integer from 0 to 2³² - 1, got {seed!r}.")
    if method is not None and not isinstance(method, Method):
        raise TypeError(
            f"solve: method must be settings such as qspin.Ritz(), qspin.SpIN() or qspin.Grid(), got {method!r}."
        )
    n_states = int(n_states)
    problem = boxed(problem, n_states)
    method = default_method(problem, n_states) if method is None else method
    method = method.for_problem(problem)
    method.check(problem, n_states)
    problem.check_potential()

    started = time.perf_counter()
    if isinstance(method, DirectMethod):
        spectrum = method.solve(problem, n_states, int(seed))
    elif isinstance(method, IterativeMethod):
        run = method.bind(problem, n_states)
        identity = _identity(problem, n_states, method, seed)
        with tqdm(total=run.steps, desc=problem.name, unit="step", disable=_quiet(progress)) as bar:
            state, history, broken = _train(run, int(seed), bar, callback, checkpoint, identity)
        try:
            spectrum = run.finish(state, history)
        except ValueError as error:  # the input was checked; these are numbers that training left behind
            raise TrainingError(
                broken
                or f"Training ended with functions that cannot be evaluated. {error} Try a lower learning rate, "
                "more steps, or a wider network."
            ) from error
        if broken:
            failure = TrainingError(broken)
            failure.spectrum = replace(
                spectrum,
                status=broken,
                converged=np.zeros(n_states, bool),
                eigenfunctions=with_fixed_phases(spectrum.eigenfunctions),
                exact=problem.exact_energies(n_states),
            )
            raise failure
    else:
        raise TypeError(f"solve: {method!r} is neither a DirectMethod nor an IterativeMethod.")
    spectrum = replace(spectrum, eigenfunctions=with_fixed_phases(spectrum.eigenfunctions))
    provenance = {
        **spectrum.provenance,
        "seed": int(seed),
        "seconds": round(time.perf_counter() - started, 3),
        **runtime.describe(),
    }
    return replace(spectrum, exact=problem.exact_energies(n_states), provenance=provenance)


def default_method(problem: Problem, n_states: int) -> Method:
    """The best variational method for a problem: `Ritz()` for Hamiltonians in a box or in space of one to three dimensions,
    `SampledRitz()` past them, where these serve (no region; past three dimensions no singular centres); `SpIN()` for everything
    else."""
    from qspin.ritz import Ritz  # SciPy's linear algebra: not before it is needed
    from qspin.sampled_ritz import SampledRitz

    method = Ritz() if problem.dim <= 3 else SampledRitz()
    try:
        method.check(boxed(problem, n_states), n_states)
    except ValueError:
        return SpIN()
    return method


def boxed(problem: Problem, n_states: int) -> Problem:
    """The problem in a box that its states do not feel, where its domain is `Space`; else itself."""
    if not isinstance(problem.domain, Space):
        return problem
    from qspin.surroundings import in_box  # SciPy, as above

    return in_box(problem, n_states)


def _quiet(progress: bool | None) -> bool | None:
    return None if progress is None else not progress  # None: tqdm looks whether stderr is a terminal


def _train(
    run: Run,
    seed: int,
    bar: Any,
    callback: Callback | None,
    checkpoint: str | os.PathLike[str] | None,
    identity: str,
) -> tuple[Any, dict[str, np.ndarray], str]:
    """The last good state, the history, and what went wrong ("" for nothing)."""
    state, seconds = run.init(seed), 0.0
    records: list[dict[str, np.ndarray]] = []
    if checkpoint is not None and npz_path(checkpoint).exists():
        state, records, seconds = _restore(npz_path(checkpoint), state, identity)
        bar.update(int(state.step))
    stride = max(1, run.steps // _MOST_RECORDS)
    clock = saved = time.perf_counter()
    failure = ""
    done = False
    while int(state.step) < run.steps and not (failure or done):
        first, before = int(state.step), state
        state, info = run.advance(before)
        if not info["ok"].all():
            broken = first + int(np.argmin(info["ok"]))
            failure = (
                f"Training broke down at step {broken}: the moments or the gradient are not finite, or "
                "Σ lost its rank. Try a lower learning rate, a larger batch_size, or averaging closer to 1; "
                "declare singular points of V through Potential(V, singularities=...)."
            )
            if checkpoint is not None:
                failure += f" The last good state is in {npz_path(checkpoint)}."
            state, info = run.advance(before, until=broken)  # the same steps again, up to the last good one
        taken = len(info["ok"])
        done = taken > 0 and not failure and run.enough(info)
        now = time.perf_counter()
        seconds, clock = seconds + now - clock, now
        steps = first + 1 + np.arange(taken)
        kept = np.flatnonzero((steps % stride == 0) | (steps == run.steps))
        if len(kept):
            rows = {name: values[kept] for name, values in info.items() if name != "ok"}
            records.append({"step": steps[kept], "seconds": np.full(len(kept), seconds), **rows})
        bar.update(taken)
        bar.set_postfix_str("E " + " ".join(f"{e:.4g}" for e in info["energies"][-1:].ravel()[:9]))
        if callback is not None and taken:
            callback(first + taken, state, info)
        if checkpoint is not None and now - saved > _CHECKPOINT_EVERY:
            _save(checkpoint, state, records, seconds, identity)
            saved = now
    if checkpoint is not None:
        _save(checkpoint, state, records, seconds, identity)
    return state, _joined(records), failure


def _joined(records: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([r[name] for r in records]) for name in records[0]} if records else {}


def _identity(problem: Problem, n_states: int, method: Method, seed: int) -> str:
    """A fingerprint of what is being trained, so that a checkpoint is not taken up by another run."""
    rng = np.random.default_rng(0)
    with runtime.double_precision():
        unit = rng.uniform(
            1e-9, 1 - 1e-9, (64, problem.dim)
        )  # in a box `check_potential` found V finite there
        points = np.asarray(problem.domain.from_unit(jnp.asarray(unit)))
    potential = " ".join(f"{v:.6g}" for v in problem.potential_values(points))
    with (
        runtime.double_precision()
    ):  # what an integral operator does to x ↦ x, from one half of the points to the other
        halves = [Points(jnp.asarray(half), jnp.ones(32)) for half in np.split(points, 2)]
        image: Any = ()
        if not problem.hamiltonian.is_local:
            image = problem.hamiltonian.image(lambda x: x, halves[0].x, halves[1])
    potential += " ".join(f"{v:.6g}" for v in np.ravel(image))
    asked = f"{n_states} {'largest' if problem.largest else 'lowest'}"
    text = f"{problem.name}|{problem.domain}|{problem.hamiltonian}|{potential}|{asked}|{method}|{seed}"
    return hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", text).encode()).hexdigest()


def _save(
    path: str | os.PathLike[str], state: Any, records: list[Any], seconds: float, identity: str
) -> None:
    leaves = {f"state/{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
    history = {f"history/{name}": values for name, values in _joined(records).items()}
    write_npz(path, {"identity": np.array(identity), "seconds": np.array(seconds), **leaves, **history})


def _restore(
    path: str | os.PathLike[str], fresh: Any, identity: str
) -> tuple[Any, list[dict[str, np.ndarray]], float]:
    with np.load(path, allow_pickle=False) as file:
        if str(file.get("identity")) != identity:
            raise ValueError(
                f"solve: the checkpoint {path} belongs to a run with another problem, n_states, method or "
                "seed. Use the same settings, or another checkpoint file."
            )
        leaves, structure = jax.tree.flatten(fresh)
        # The leaves of the fresh state carry the types; float64 ones need the flag to stay float64.
        with runtime.precision("float64"):
            restored = [jnp.asarray(file[f"state/{i}"], leaf.dtype) for i, leaf in enumerate(leaves)]
        history = {
            name.removeprefix("history/"): file[name] for name in file.files if name.startswith("history/")
        }
        return jax.tree.unflatten(structure, restored), [history] if history else [], float(file["seconds"])
