"""Spectra and comparisons as tables: printed, in notebooks, for pandas and for xarray."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from qspin.numerics.errors import degenerate_groups, energy_scale
from qspin.spectrum.comparison import Comparison
from qspin.spectrum.notes import counted
from qspin.spectrum.spectrum import Spectrum

__all__ = [
    "Table",
    "comparison_table",
    "dataframe",
    "dataset",
    "energies_as_text",
    "group_numbers",
    "reasons",
    "spectrum_table",
]

_LARGE = 5e-3  # of the energies' range: an error that explains by itself why a state did not converge
_LEAST = {"energy": 16, "± error": 9}  # widths of printed columns


@dataclass(frozen=True)
class Table:
    """Columns by name, (n,) texts each: `numbers` flush right, then `words` flush left; rows that are not `good` are bold."""

    title: str
    numbers: Mapping[str, Sequence[str]]
    words: Mapping[str, Sequence[str]]
    foot: str
    good: Bool[np.ndarray, " n"]

    def lines(self) -> list[str]:
        """The head and the rows as text, each column as wide as its widest entry."""
        columns = []
        for side, group in ((">", self.numbers), ("<", self.words)):
            for name, entries in group.items():
                width = max(_LEAST.get(name, 0), *map(len, [name, *entries]))
                columns.append([f"{entry:{side}{width}}" for entry in [name, *entries]])
        return ["  ".join(line).rstrip() for line in zip(*columns, strict=True)]

    def html(self) -> str:
        """The whole table, with its title and what stands below it."""
        columns = {**self.numbers, **self.words}
        left = ' style="text-align: left; padding-left: 1em"'
        sides = [left if name in self.words else "" for name in columns]

        def row(tag: str, entries: Sequence[str], bold: bool = False) -> str:
            cells = ""
            for entry, side in zip(map(escape, map(str.strip, entries)), sides, strict=True):
                shown = f"<strong>{entry}</strong>" if bold and side and entry else entry
                cells += f"<{tag}{side}>{shown}</{tag}>"
            return f'<tr style="text-align: right; white-space: nowrap">{cells}</tr>'

        rows = zip(zip(*columns.values(), strict=True), self.good, strict=True)
        body = "".join(row("td", entries, not fine) for entries, fine in rows)
        caption = f'<caption style="text-align: left; white-space: nowrap">{escape(self.title)}</caption>'
        head = f"<thead>{row('th', list(columns))}</thead>"
        return f"<div><table>{caption}{head}<tbody>{body}</tbody></table><p>{escape(self.foot)}</p></div>"


# --- of a spectrum


def group_numbers(spectrum: Spectrum) -> list[int]:
    """The number of each state's degenerate group, (N,)."""
    groups = degenerate_groups(spectrum.energies, spectrum.errors)
    return [number for number, group in enumerate(groups) for _ in group]


def reasons(spectrum: Spectrum) -> list[str]:
    """Why each state did not converge, (N,): the first note about it, or that its error is large against the range of the
    energies; "" where neither tells, and for states that did."""
    scale = energy_scale(spectrum.energies)
    said = [""] * spectrum.n_states
    for k in np.flatnonzero(~spectrum.converged):
        error = float(spectrum.errors[k])
        about = [n.what for n in spectrum.notes if k in n.states and n.kind not in ("walls", "cut level")]
        if about:
            said[k] = about[0]
        elif not np.isfinite(error):
            said[k] = "no error can be told"
        elif scale > 0 and error > _LARGE * scale:
            said[k] = f"error is {error / scale:.2g} of the energies' range"
    return said


def energies_as_text(energies: Float[np.ndarray, " n"], errors: Float[np.ndarray, " n"]) -> list[str]:
    """Each energy with digits as far as the first two of its error; with an exponent where all are very small or large."""
    scale = float(np.abs(energies).max(initial=0.0)) or 1.0
    texts = []
    for energy, error in zip(energies, errors, strict=True):
        known = np.clip(abs(error), 1e-15 * scale, scale) if np.isfinite(error) else 1e-6 * scale
        decimals = 1 - int(np.floor(np.log10(known)))
        if 1e-3 <= scale < 1e9:
            texts.append(f"{energy:.{int(np.clip(decimals, 1, 12))}f}")
        else:
            texts.append(f"{energy:.{max(decimals + int(np.floor(np.log10(abs(energy) or scale))), 1)}e}")
    return texts


def _exact(spectrum: Spectrum) -> np.ndarray | None:
    """The closed form's energies (N,), where there are as many."""
    exact, n = spectrum.exact, spectrum.n_states
    return exact[:n] if exact is not None and len(exact) >= n else None


def spectrum_table(spectrum: Spectrum, with_exact: bool = False) -> Table:
    """A row a state; `with_exact`: also the closed form's energies, where they are known."""
    numbers = {
        "level": [str(k) for k in range(spectrum.n_states)],
        "energy": energies_as_text(spectrum.energies, spectrum.errors),
        "± error": [f"{e:.1e}" for e in spectrum.errors],
        "residual": [f"{r:.1e}" for r in spectrum.residuals],
        "group": [str(g) for g in group_numbers(spectrum)],
    }
    exact, why = _exact(spectrum), reasons(spectrum)
    if with_exact and exact is not None:
        numbers["exact"] = [f"{e:.10g}" for e in exact]
        numbers["off by"] = [f"{d:+.1e}" for d in spectrum.energies - exact]
    words = {"converged": ["yes" if c else "NO" for c in spectrum.converged]}
    words |= {"quanta": list(spectrum.labels)} if any(spectrum.labels) else {}
    words |= {"why not": why} if any(why) else {}
    units = f" [{spectrum.units}]" if spectrum.units else ""
    title = f"{spectrum.name}: {counted(spectrum.n_states, 'state')} by {spectrum.method}{units}"
    return Table(title, numbers, words, spectrum.status, spectrum.converged)


# --- of a comparison


def comparison_table(comparison: Comparison) -> Table:
    """A row a level, with the verdict on it."""
    own, ref = comparison.labels
    ref = f"other {ref}" if own == ref else ref
    group_of = {level: g for g, group in enumerate(comparison.groups) for level in group}
    levels = range(len(comparison.energies))
    angles = [comparison.angles[group_of[k]] for k in levels]
    numbers = {
        "level": [str(k) for k in levels],
        f"{own} energy": [f"{e:.8g}" for e in comparison.energies],
        "± error": [f"{e:.1e}" for e in comparison.own_errors],
        f"{ref} energy": [f"{e:.8g}" for e in comparison.reference_energies],
        "± error ": [f"{e:.1e}" for e in comparison.reference_errors],
        "difference": [f"{d:+.1e}" for d in comparison.differences],
    }
    if comparison.exact is not None and comparison.exact_differences is not None:
        numbers["exact"] = [f"{e:.8g}" for e in comparison.exact]
        numbers[f"{own} off by"] = [f"{d:+.1e}" for d in comparison.exact_differences]
    numbers["group"] = [str(group_of[k]) for k in levels]
    numbers["angle"] = ["-" if np.isnan(a) else f"{a:.1e}" for a in angles]
    units = f" [{comparison.units}]" if comparison.units else ""
    title, words = f"{' and '.join(comparison.labels)}{units}", {"verdict": comparison.verdicts}
    return Table(title, numbers, words, comparison.summary, comparison.agrees)


# --- for other libraries


def _library(name: str, method: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        message = f"Spectrum.{method} needs {name}: pip install {name}, or 'qspin[tables]'."
        raise ImportError(message) from error


def _quantities(spectrum: Spectrum) -> dict[str, Any]:
    """A column for each quantity, (N,)."""
    exact = _exact(spectrum)
    return {
        "energy": spectrum.energies,
        "error": spectrum.errors,
        "residual": spectrum.residuals,
        "converged": spectrum.converged,
        "group": np.array(group_numbers(spectrum)),
        **({} if exact is None else {"exact": exact}),
        **({"quanta": list(spectrum.labels)} if any(spectrum.labels) else {}),
    }


def _facts(spectrum: Spectrum) -> dict[str, str]:
    return {name: getattr(spectrum, name) for name in ("name", "method", "units", "status")}


def dataframe(spectrum: Spectrum) -> Any:
    """What `Spectrum.to_dataframe` documents."""
    pandas = _library("pandas", "to_dataframe")
    frame = pandas.DataFrame(_quantities(spectrum), index=pandas.RangeIndex(spectrum.n_states, name="level"))
    frame.attrs.update(_facts(spectrum))
    return frame


def dataset(spectrum: Spectrum, points: Any = None) -> Any:
    """What `Spectrum.to_xarray` documents."""
    xarray = _library("xarray", "to_xarray")
    variables: dict[str, Any] = {name: ("level", values) for name, values in _quantities(spectrum).items()}
    for name in {"energy", "error", "residual", "exact"} & set(variables):
        variables[name] += ({"units": spectrum.units},)
    coordinates: dict[str, Any] = {"level": np.arange(spectrum.n_states)}
    if points is not None:
        grid = spectrum.on_grid(points)
        names = [f"x{axis}" for axis in range(len(grid.axes))]
        coordinates |= dict(zip(names, grid.axes, strict=True))
        variables["psi"] = ((*names, "level"), grid.values)
    return xarray.Dataset(variables, coords=coordinates, attrs=_facts(spectrum))
