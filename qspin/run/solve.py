"""`solve`: checks, then the one loop that trains (compiled chunks, progress, checkpoints), then `finish`."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from tqdm import tqdm

from qspin.methods.base import DirectMethod, IterativeMethod, Method, Run, all_bound
from qspin.methods.locate.survey import survey
from qspin.methods.locate.walls import noting_walls
from qspin.numerics import precision
from qspin.numerics.checks import shown, whole
from qspin.problem.domain import Space
from qspin.problem.problem import Problem
from qspin.run.callbacks import Callbacks
from qspin.run.checkpoint import Checkpoints, Interrupted, Progress, Watch, identity_of, joined
from qspin.run.default import solve_by_default
from qspin.spectrum.notes import Note
from qspin.spectrum.rotation import with_fixed_phases
from qspin.spectrum.spectrum import Spectrum

__all__ = ["MOST_STATES", "TrainingError", "boxed", "check_arguments", "solve"]

MOST_STATES = 100_000  # asked for at once
_MOST_RECORDS = 1000  # rows of history kept

_BREAKDOWN = (
    "the moments or the gradient are not finite, or Σ lost its rank. Try a lower learning rate, a larger batch_size, or "
    "averaging closer to 1; declare singular points of V through Potential(V, singularities=...)."
)

_log = logging.getLogger(__name__)


class TrainingError(RuntimeError):
    """Training produced numbers that are not finite; the message says when, and what to try.

    `spectrum` is the evaluation of the last good state, where there is one.
    """

    spectrum: Spectrum | None = None


def solve(
    problem: Any,
    n_states: Any,
    method: Any = None,
    *,
    seed: Any = 0,
    progress: bool | None = None,
    callback: Callable[..., Any] | Sequence[Callable[..., Any]] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: Any = 30.0,
) -> Spectrum:
    """The lowest `n_states` states of a problem.

    Args:
        problem: the `Problem` to solve.
        n_states: N, at least 1; or `qspin.all_bound()`, for every bound state of a potential in `Space`.
        method: settings such as `Ritz(...)`, `SpIN(...)` or `Grid(...)`; without one, by the rule below.
        seed: one seed in, the same numbers out, on one machine.
        progress: a bar with the running energies on stderr; by default only where stderr is a terminal.
        callback: for methods that train: called after each chunk of steps as callback(step, state, info), info with one
            row a step; or a list of callbacks. Where one returns True, training ends with this chunk and is evaluated.
            `qspin.callbacks` has some ready-made.
        checkpoint: for methods that train: a file that training is saved to, and resumed from where it exists; ".npz" is
            appended where it is missing. A resumed run ends where one that nothing stopped ends, to the last bit on one
            machine. The file before is kept as NAME.previous.npz, and taken up, with a warning, where the newest is
            damaged. A run that ended, be it through a callback, is only evaluated again.
        checkpoint_every: seconds between checkpoints; written between chunks.

    Without a method (the tolerance is a millionth of each energy, or of a hundredth of their
    range where that is more):

    ==========================================  ===============  ================================  ==========================
    problem                                     first            where that misses the tolerance   checked by
    ==========================================  ===============  ================================  ==========================
    V smooth, no centres, 1D or 2D              `Grid()`         `Ritz()`                          `Grid(scheme=elements(12))`
    V smooth, no centres, 3D                    `Grid()`         `Ritz()`                          the second, if it was run
    centres, or jumps or kinks across an axis   `Ritz()`         `Grid()`                          `Grid()` (3D: if it was run)
    a `Region`, one to three dimensions         `Grid()`         stays                             its own meshes
    four dimensions and more                    `SampledRitz()`  stays                             fresh points
    matrices, kernels, other operators          `SpIN()`         stays                             fresh points
    ==========================================  ===============  ================================  ==========================

    A method that does not serve is passed over. If both miss the tolerance, the result is the one that another agrees with, or
    that of the smaller errors, and states outside the tolerance are not converged. Where two differ by more than three combined
    errors and 1e-9 of the largest energy, in one and two dimensions a third is solved, on elements; the state is not converged,
    and its error is at least the distance to the nearest of the others. Notes say what happened; `provenance["checked_by"]` has
    the others' energies.

    Ctrl-C or SIGTERM while it trains (in the main thread, where nobody else handles them) drops the chunk, saves a checkpoint
    and raises KeyboardInterrupt, which says how to go on (`checkpoint.Interrupted`: `step`, `steps`, `checkpoint`); a second
    one stops at once. A disk that is full is a warning. What happens is told to the logger "qspin": INFO for beginnings,
    ends and checkpoints, DEBUG for each chunk.

    Raises ValueError or TypeError for input that cannot work, OSError for a checkpoint that can never be written, both before
    anything is trained; ValueError where every checkpoint is damaged; `TrainingError` where training breaks down. Time and
    memory: see the method.
    """
    if isinstance(n_states, all_bound) and isinstance(problem, Problem):
        from qspin.methods.locate.space import bound_states  # SciPy's sparse code: not before it is needed

        n_states = bound_states(problem)
    check_arguments(problem, n_states, method, seed, checkpoint_every)
    n_states, seed, callbacks = int(n_states), int(seed), Callbacks(callback)
    started, in_space = time.perf_counter(), isinstance(problem.domain, Space)
    problem = boxed(problem, n_states)
    if problem.is_boxed_hamiltonian:
        survey(problem).check()

    def solve_by(method: Method) -> Spectrum:
        method = method.for_problem(problem)
        method.check(problem, n_states)
        if isinstance(method, DirectMethod):
            spectrum = method.solve(problem, n_states, seed)
        elif isinstance(method, IterativeMethod):
            files = None
            if checkpoint is not None:
                identity = identity_of(problem, n_states, method, seed)
                files = Checkpoints(checkpoint, identity, float(checkpoint_every))
            run = method.bind(problem, n_states)
            quiet = None if progress is None else not progress  # None: tqdm looks for a terminal
            with tqdm(total=run.steps, desc=problem.name, unit="step", disable=quiet) as bar:
                reached, failure = _train(run, seed, bar, callbacks, files)
            spectrum = _finished(run, reached, failure, problem)
        else:
            raise TypeError(f"solve: {method!r} is neither a DirectMethod nor an IterativeMethod.")
        probes = [*method.probes, *(["the box that Space chose by V"] if in_space else [])]
        spectrum = replace(spectrum, provenance={**spectrum.provenance, "probes": probes})
        return survey(problem).noting_missed_wells(spectrum) if problem.is_boxed_hamiltonian else spectrum

    spectrum = solve_by(method) if method is not None else solve_by_default(problem, n_states, solve_by)
    spectrum = replace(spectrum, eigenfunctions=with_fixed_phases(spectrum.eigenfunctions))
    if problem.is_boxed_hamiltonian:
        spectrum = _noting_single_precision(problem, noting_walls(problem, spectrum, meant=not in_space))
    seconds = round(time.perf_counter() - started, 3)
    provenance = {**spectrum.provenance, "seed": seed, "seconds": seconds, **precision.describe()}
    return replace(spectrum, exact=problem.exact_energies(n_states), provenance=provenance)


def check_arguments(problem: Any, n_states: Any, method: Any, seed: Any, checkpoint_every: Any = 0.0) -> None:
    """Raise ValueError or TypeError, with what was expected, for arguments of `solve` that cannot work."""
    if not isinstance(problem, Problem):
        raise TypeError(f"solve: problem must be a qspin.Problem, got {shown(problem)}.")
    whole("solve: n_states", n_states)
    if n_states > MOST_STATES:
        raise ValueError(f"solve: n_states must be at most {MOST_STATES:,}, got {shown(n_states)}.")
    problem.exact_energies(n_states)  # a closed form that fails is refused before anything is solved
    whole("solve: seed", seed, 0, 2**32 - 1)
    if method is not None and not isinstance(method, Method):
        settings = "settings such as qspin.Ritz(), qspin.SpIN() or qspin.Grid()"
        raise TypeError(f"solve: method must be {settings}, got {shown(method)}.")
    number = isinstance(checkpoint_every, Real) and not isinstance(checkpoint_every, bool)
    if not number or not checkpoint_every >= 0:
        raise ValueError(
            f"solve: checkpoint_every must be a number of seconds, got {shown(checkpoint_every)}."
        )


def _noting_single_precision(problem: Problem, spectrum: Spectrum) -> Spectrum:
    """The spectrum, with errors not below what V is rounded by where it is in single precision, and a note that says so.

    V is off by 6e-8 of itself, and ∫ |V| ψ² is at most |E| and twice the depth of V below zero.
    """
    if not problem.in_single_precision:
        return spectrum
    depth = max(-float(survey(problem).sample[1].min()), 0.0)
    rounding = np.finfo(np.float32).eps / 2 * (np.abs(spectrum.energies) + 2 * depth)
    what = "V computes in single precision (float32), so energies have seven digits at most"
    advice = "make its numbers with NumPy, np.array or np.load in float64, or inside of V; or use qspin.potentials.tabulated"
    return replace(
        spectrum,
        errors=np.maximum(spectrum.errors, rounding),
        notes=(*spectrum.notes, Note("single precision", (), what, advice)),
    )


def _finished(run: Run, reached: Progress, failure: str, problem: Problem) -> Spectrum:
    """The evaluation of what training left. Raises TrainingError where training or the evaluation broke down."""
    try:
        spectrum = run.finish(reached.state, joined(reached.records))
    except ValueError as error:  # the input was checked; these are numbers that training left behind
        ended = f"Training ended with functions that cannot be evaluated. {error}"
        advice = "Try a lower learning rate, more steps, or a wider network."
        raise TrainingError(failure or f"{ended} {advice}") from error
    if failure:
        broken = TrainingError(failure)
        broken.spectrum = replace(
            spectrum,
            notes=(Note("broken", (), failure.rstrip(".")),),
            converged=np.zeros(spectrum.n_states, bool),
            eigenfunctions=with_fixed_phases(spectrum.eigenfunctions),
            exact=problem.exact_energies(spectrum.n_states),
        )
        raise broken
    return replace(spectrum, provenance={**spectrum.provenance, "steps_taken": reached.step})


def _running(energies: np.ndarray) -> str:
    """The energies of a chunk (steps, N), as mean ± spread over its steps: of many states the first six."""
    if not len(energies):
        return ""
    pairs = zip(energies.mean(0)[:6], energies.std(0)[:6], strict=True)
    return " ".join(f"{e:.5g}±{s:.0e}" for e, s in pairs) + (" …" if energies.shape[1] > 6 else "")


def boxed(problem: Problem, n_states: int) -> Problem:
    """The problem in a box that its states do not feel, where its domain is `Space`; else itself."""
    if not isinstance(problem.domain, Space):
        return problem
    from qspin.methods.locate.space import in_box  # SciPy's sparse code: not before it is needed

    return in_box(problem, n_states)


def _train(
    run: Run, seed: int, bar: Any, callbacks: Callbacks, files: Checkpoints | None
) -> tuple[Progress, str]:
    """Where training ended, and what went wrong ("" for nothing)."""
    progress, failure = Progress(run.init(seed)), ""
    if files is not None:
        progress = files.restore(progress.state) or progress
        bar.update(progress.step)
    callbacks.start(progress.step, progress.memories)
    ended = progress.finished or progress.step >= run.steps
    begins = "training had ended already, at" if ended else "training starts at"
    _log.info("%s step %d of %d", begins, progress.step, run.steps)
    with Watch() as watch:
        try:
            while not (watch.stop or progress.finished or failure or progress.step >= run.steps):
                progress, failure = _chunk(run, progress, bar, callbacks, watch)
                if files is not None and files.due:
                    files.save(progress)
        except KeyboardInterrupt:  # the chunk is dropped; a resumed run does it again
            if watch.stop and not watch.dropped:
                raise  # the second one
            watch.stop = True
        finally:
            callbacks.end()
        if files is not None:
            files.save(progress)
        if watch.stop:
            raise _interrupted(run, progress, files) from None
    if failure and files is not None:
        failure += f" The last good state is in {files.path}."
    _log.info("training ends at step %d of %d", progress.step, run.steps)
    return progress, failure


def _chunk(
    run: Run, progress: Progress, bar: Any, callbacks: Callbacks, watch: Watch
) -> tuple[Progress, str]:
    """A chunk of steps further; and what went wrong."""
    clock, first, failure = time.perf_counter(), progress.step, ""
    with watch.droppable():
        state, info = run.advance(progress.state)
        if not info["ok"].all():
            broken = first + int(np.argmin(info["ok"]))
            failure = f"Training broke down at step {broken}: {_BREAKDOWN}"
            # The same steps again, up to the last good one.
            state, info = run.advance(progress.state, until=broken)
    taken, seconds = len(info["ok"]), progress.seconds + time.perf_counter() - clock
    steps, stride = first + 1 + np.arange(taken), max(1, run.steps // _MOST_RECORDS)
    kept = np.flatnonzero((steps % stride == 0) | (steps == run.steps))
    records = progress.records
    if len(kept):
        rows = {name: values[kept] for name, values in info.items() if name != "ok"}
        records = (*records, {"step": steps[kept], "seconds": np.full(len(kept), seconds), **rows})
    running = _running(info["energies"])
    bar.update(taken)
    bar.set_postfix_str("E " + running)
    _log.debug("step %d of %d: E %s", first + taken, run.steps, running)
    stop = callbacks(first + taken, state, info) if taken else False
    finished = taken > 0 and not failure and (stop or run.enough(info))
    return Progress(state, records, seconds, finished, callbacks.memories()), failure


def _interrupted(run: Run, progress: Progress, files: Checkpoints | None) -> Interrupted:
    path, text = None, f"solve: interrupted at step {progress.step} of {run.steps}"
    if files is None:
        text += "; nothing was saved: no checkpoint was asked for."
    elif files.latest is None:
        text += f"; nothing could be saved to {files.path}."
    else:
        path = files.path
        text += f". The same call, with checkpoint={str(path)!r}, goes on from step {files.latest.step}."
        _log.info(text)
    return Interrupted(text, progress.step, run.steps, path)
