"""What looks on while a method trains: `CSVLog`, `TensorBoard`, `EarlyStop`, or any function callback(step, state, info)."""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from qspin.numerics.checks import check_function, real_number, whole
from qspin.numerics.errors import energy_scale
from qspin.spectrum.eigenfunctions import arrays_under
from qspin.spectrum.store import whole_file

__all__ = ["CSVLog", "Callback", "Callbacks", "EarlyStop", "TensorBoard"]

Info = Mapping[str, np.ndarray]


class Callback(ABC):
    """A callback that also hears where training starts and ends, and may keep numbers in the checkpoint.

    `solve` calls `start(step, memory)` once, then the callback after each chunk of steps, then `end()`. `memory` is what
    `memory()` gave at that step of the run that is resumed; {} in a new run, where `start` forgets everything.
    """

    def start(self, step: int, memory: Mapping[str, np.ndarray]) -> None:
        """Training goes on from `step`; 0 for a new run."""
        del step, memory

    @abstractmethod
    def __call__(self, step: int, state: Any, info: Info) -> bool | None:
        """`step` steps are done; `info` has one row for each step of the last chunk. True stops training."""

    def memory(self) -> dict[str, np.ndarray]:
        """What a resumed run needs to know."""
        return {}

    def end(self) -> None:
        """No more calls, whatever the reason."""
        return


class Callbacks:
    """Several callbacks as one; functions among them."""

    def __init__(self, callbacks: Any) -> None:
        several = callbacks if isinstance(callbacks, Sequence) else [] if callbacks is None else [callbacks]
        for callback in several:
            check_function("solve: callback", callback, "callback(step, state, info), or a list of them", 3)
        self._all = tuple(several)
        self._named = {
            f"{type(c).__name__}.{i}/": c for i, c in enumerate(several) if isinstance(c, Callback)
        }

    def start(self, step: int, memories: Mapping[str, np.ndarray]) -> None:
        """Tell them where training starts."""
        for name, callback in self._named.items():
            callback.start(step, arrays_under(name, memories))

    def __call__(self, step: int, state: Any, info: Info) -> bool:
        """Call every one; whether one of them said True."""
        answers = [callback(step, state, info) for callback in self._all]
        return any(isinstance(answer, bool | np.bool_) and bool(answer) for answer in answers)

    def memories(self) -> dict[str, np.ndarray]:
        """What they want kept."""
        return {name + key: kept for name, one in self._named.items() for key, kept in one.memory().items()}

    def end(self) -> None:
        """Tell them that it is over."""
        for callback in self._named.values():
            callback.end()


def _rows(step: int, info: Info, every: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every `every`-th step of a chunk that ends with `step`, with each number of `info` but the flag by a name of its own."""
    columns: dict[str, np.ndarray] = {}
    for name, values in info.items():
        if name != "ok":
            several = {f"{name}_{k}": column for k, column in enumerate(values.reshape(len(values), -1).T)}
            columns |= {name: values} if values.ndim == 1 else several
    for row, number in enumerate(range(step + 1 - len(info["ok"]), step + 1)):
        if number % every == 0:
            yield number, {name: column[row] for name, column in columns.items()}


class CSVLog(Callback):
    """Write what steps report to a file: a header, then a row for every `every`-th step: step, energies_0, energies_1, ….

    A resumed run appends: rows past the step it starts from are taken out first, so no step is there twice. A new run starts
    the file anew. Where the disk is full, rows wait for the next chunk, with one warning. Raises ValueError where `path` is
    something else than such a log.
    """

    def __init__(self, path: str | os.PathLike[str], every: Any = 1) -> None:
        self._path, self._every = Path(path), whole("CSVLog: every", every)

    def start(self, step: int, memory: Mapping[str, np.ndarray]) -> None:
        text = self._path.read_bytes().decode(errors="replace") if self._path.exists() else ""
        if text and not text.startswith("step,"):
            raise ValueError(f"CSVLog: {self._path} is no training log: it starts with {text[:40]!r}.")
        rows = text.splitlines(keepends=True) if step > 0 else []
        whole_rows = [row for row in rows if row.endswith("\n")]  # the last one may be half written
        kept = whole_rows[:1] + [row for row in whole_rows[1:] if int(row.partition(",")[0]) <= step]
        good = "".join(kept).encode()
        with whole_file(self._path) as file:
            file.write(good)
        self._size = len(good)  # bytes of the file that are good
        self._pending, self._failing = "", False  # text that is not in the file yet; whether writing fails

    def __call__(self, step: int, state: Any, info: Info) -> None:
        for number, values in _rows(step, info, self._every):
            if not self._size and not self._pending:
                self._pending = ",".join(["step", *values]) + "\n"
            self._pending += ",".join(map(str, [number, *values.values()])) + "\n"
        try:
            with open(self._path, "r+b") as file:
                file.seek(self._size)  # over half a row, where the disk was full
                file.truncate()
                file.write(self._pending.encode())
        except OSError as error:
            if not self._failing:
                why = f"cannot be written ({error}); rows are kept, and written when it can"
                warnings.warn(f"CSVLog: {self._path} {why}.", RuntimeWarning, stacklevel=2)
            self._failing = True
            return
        self._size += len(self._pending.encode())
        self._pending, self._failing = "", False


class TensorBoard(Callback):
    """Write what every `every`-th step reports for TensorBoard to look at: energies/0, energies/1, …, gradient_norm.

    Needs tensorboardX, or PyTorch with tensorboard; raises ImportError where neither is installed. What a resumed run does
    again is shown once.
    """

    def __init__(self, folder: str | os.PathLike[str], every: Any = 10) -> None:
        self._folder, self._every = Path(folder), whole("TensorBoard: every", every)
        for module in ("tensorboardX", "torch.utils.tensorboard"):
            with suppress(ImportError):
                self._make: Any = import_module(module).SummaryWriter
                return
        needs = "needs tensorboardX, or PyTorch with tensorboard: pip install tensorboardX"
        raise ImportError(f"TensorBoard: {needs}.")

    def start(self, step: int, memory: Mapping[str, np.ndarray]) -> None:
        self._writer = self._make(str(self._folder), purge_step=step + 1)

    def __call__(self, step: int, state: Any, info: Info) -> None:
        for number, values in _rows(step, info, self._every):
            for name, value in values.items():
                self._writer.add_scalar(name, float(value), number)

    def end(self) -> None:
        self._writer.close()


class EarlyStop(Callback):
    """Stop training once it seems that every energy is within `target_error` (energy units) of where it will end.

    Looked at once in `patience` steps (rounded up to whole chunks), on means over these steps:

    - where the method reports residuals (`SampledRitz`): the mean of residual², over the energies' range. That estimates how
      far an energy lies off, up to a factor; between levels much closer than the range the true error can be larger.
    - elsewhere (`SpIN`): how far the mean running energy of each state moved since the `patience` steps before. That is
      standstill, not an error: training that is slow, or stuck, stands still too.

    Neither is an error bar; `Spectrum.errors`, from the evaluation afterwards, is. A learning rate that falls with steps has
    not fallen when training stops early. `SpIN` keeps parameters from 40 % of its steps for its errors: stop well past them.
    """

    def __init__(self, *, target_error: Any, patience: Any = 1000) -> None:
        self._target = real_number("EarlyStop: target_error", target_error, above=0)
        self._patience = whole("EarlyStop: patience", patience)

    def start(self, step: int, memory: Mapping[str, np.ndarray]) -> None:
        # Sums over the steps since it last looked, and the mean energies "before".
        self._memory = dict(memory)

    def __call__(self, step: int, state: Any, info: Info) -> bool:
        new = {"energies": info["energies"], "steps": np.ones(len(info["energies"]))}
        if "residuals" in info:
            new["squares"] = info["residuals"].astype(float) ** 2
        for name, rows in new.items():
            self._memory[name] = np.asarray(self._memory.get(name, 0.0) + rows.sum(0, dtype=float))
        if (steps := self._memory["steps"]) < self._patience:
            return False
        energies = self._memory["energies"] / steps
        if "squares" in new:
            errors = self._memory["squares"] / steps / max(energy_scale(energies), 1e-300)
        else:
            errors = np.abs(energies - self._memory.get("before", np.inf))
        self._memory = {"before": energies}
        return bool((errors < self._target).all())

    def memory(self) -> dict[str, np.ndarray]:
        return dict(self._memory)
