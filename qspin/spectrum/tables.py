"""Spectra and comparisons as tables: printed, in notebooks, for pandas and for xarray."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Bool

from qspin.numerics.errors import degenerate_groups, energy_scale
from qspin.spectrum.comparison import Comparison
from qspin.spectrum.spectrum import Spectrum

__all__ = [
    "comparison_html",
    "comparison_text",
    "dataframe",
    "dataset",
    "decimals",
    "group_numbers",
    "reasons",
    "spectrum_html",
    "spectrum_text",
]

Columns = Mapping[str, Sequence[str]]

_LARGE = 5e-3  # of the energies' range: an error that explains by itself why a state did not converge
_LEAST = {"energy": 16, "± error": 9}  # widths of printed columns


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


def decimals(error: float) -> int:
    """Decimals to print, so that the claimed error shows in the last two."""
    return int(np.clip(1 - np.floor(np.log10(max(abs(error), 1e-12))), 1, 12)) if np.isfinite(error) else 6


# --- of a spectrum


def _exact(spectrum: Spectrum) -> np.ndarray | None:
    """The closed form's energies (N,), where there are as many."""
    exact, n = spectrum.exact, spectrum.n_states
    return exact[:n] if exact is not None and len(exact) >= n else None


def _numbers(spectrum: Spectrum) -> Columns:
    digits = [decimals(float(error)) for error in spectrum.errors]
    return {
        "level": [str(k) for k in range(spectrum.n_states)],
        "energy": [f"{e:.{d}f}" for e, d in zip(spectrum.energies, digits, strict=True)],
        "± error": [f"{e:.1e}" for e in spectrum.errors],
        "residual": [f"{r:.1e}" for r in spectrum.residuals],
        "group": [str(g) for g in group_numbers(spectrum)],
    }


def _words(spectrum: Spectrum) -> Columns:
    words = {"converged": ["yes" if c else "NO" for c in spectrum.converged]}
    words |= {"quanta": list(spectrum.labels)} if any(spectrum.labels) else {}
    why = reasons(spectrum)
    return words | ({"why not": why} if any(why) else {})


def _title(spectrum: Spectrum) -> str:
    units = f" [{spectrum.units}]" if spectrum.units else ""
    return f"{spectrum.name}: {spectrum.n_states} states by {spectrum.method}{units}"


def spectrum_text(spectrum: Spectrum) -> str:
    """What `print(spectrum)` prints."""
    return "\n".join([_title(spectrum), *_aligned(_numbers(spectrum), _words(spectrum)), spectrum.status])


def spectrum_html(spectrum: Spectrum) -> str:
    """The table of `print`, as HTML, with the closed form's energies where they are known."""
    numbers, exact = dict(_numbers(spectrum)), _exact(spectrum)
    if exact is not None:
        numbers["exact"] = [f"{e:.10g}" for e in exact]
        numbers["off by"] = [f"{d:+.1e}" for d in spectrum.energies - exact]
    return _html(_title(spectrum), numbers, _words(spectrum), spectrum.status, spectrum.converged)


# --- of a comparison


def _comparison_numbers(comparison: Comparison) -> Columns:
    own, ref = comparison.labels
    ref = f"other {ref}" if own == ref else ref
    group_of = {level: g for g, group in enumerate(comparison.groups) for level in group}
    levels = range(len(comparison.energies))
    angles = [comparison.angles[group_of[k]] for k in levels]
    columns = {
        "level": [str(k) for k in levels],
        f"{own} energy": [f"{e:.8g}" for e in comparison.energies],
        "± error": [f"{e:.1e}" for e in comparison.own_errors],
        f"{ref} energy": [f"{e:.8g}" for e in comparison.reference_energies],
        "± error ": [f"{e:.1e}" for e in comparison.reference_errors],
        "difference": [f"{d:+.1e}" for d in comparison.differences],
    }
    if comparison.exact is not None and comparison.exact_differences is not None:
        columns["exact"] = [f"{e:.8g}" for e in comparison.exact]
        columns[f"{own} off by"] = [f"{d:+.1e}" for d in comparison.exact_differences]
    columns["group"] = [str(group_of[k]) for k in levels]
    columns["angle"] = ["-" if np.isnan(a) else f"{a:.1e}" for a in angles]
    return columns


def comparison_text(comparison: Comparison) -> str:
    """What `print(comparison)` prints."""
    lines = _aligned(_comparison_numbers(comparison), {"verdict": comparison.verdicts})
    return "\n".join([*lines, comparison.summary])


def comparison_html(comparison: Comparison) -> str:
    """The table of `print`, as HTML."""
    units = f" [{comparison.units}]" if comparison.units else ""
    title, words = f"{' and '.join(comparison.labels)}{units}", {"verdict": comparison.verdicts}
    return _html(title, _comparison_numbers(comparison), words, comparison.summary, comparison.agrees)


# --- as text and as HTML


def _aligned(numbers: Columns, words: Columns) -> list[str]:
    """Lines of a table: numbers flush right, then words flush left, each column as wide as its widest entry."""
    columns = []
    for side, group in ((">", numbers), ("<", words)):
        for name, entries in group.items():
            width = max(_LEAST.get(name, 0), *map(len, [name, *entries]))
            columns.append([f"{entry:{side}{width}}" for entry in [name, *entries]])
    return ["  ".join(line).rstrip() for line in zip(*columns, strict=True)]


def _html(title: str, numbers: Columns, words: Columns, foot: str, good: Bool[np.ndarray, " n"]) -> str:
    """A table of escaped strings; words of rows that are not good are bold."""
    left = ' style="text-align: left; padding-left: 1em"'
    sides = [""] * len(numbers) + [left] * len(words)

    def cells(tag: str, entries: Sequence[str], bold: bool = False) -> str:
        row = '<tr style="text-align: right; white-space: nowrap">'
        for entry, side in zip(map(escape, map(str.strip, entries)), sides, strict=True):
            shown = f"<strong>{entry}</strong>" if bold and side and entry else entry
            row += f"<{tag}{side}>{shown}</{tag}>"
        return f"{row}</tr>"

    columns = {**numbers, **words}
    rows = zip(*columns.values(), strict=True)
    body = "".join(cells("td", entries, not fine) for entries, fine in zip(rows, good, strict=True))
    caption = f'<caption style="text-align: left; white-space: nowrap">{escape(title)}</caption>'
    head = f"<thead>{cells('th', list(columns))}</thead>"
    return f"<div><table>{caption}{head}<tbody>{body}</tbody></table><p>{escape(foot)}</p></div>"


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
