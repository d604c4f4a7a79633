"""Spectra and comparisons as tables: printed, in notebooks, for pandas and for xarray."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from qspin.numerics.errors import energy_scale
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

_WORDS = ("quanta", "verdict", "")  # headings of columns that hold words
_LARGE = 5e-3  # of the energies' range: an error that explains by itself why a state did not converge


# --- what each state is said about


def group_numbers(spectrum: Spectrum) -> list[int]:
    """The number of each state's degenerate group, (N,)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a level that is cut: `groups` warns, tables do not
        groups = spectrum.groups()
    return [g for g, group in enumerate(groups) for _ in group]


def reasons(spectrum: Spectrum) -> list[str]:
    """Why each state did not converge, (N,): the first note about it, or that its error is large against the range of the
    energies; "" where neither tells, and for states that did."""
    said = [""] * spectrum.n_states
    for remark in spectrum.notes:
        for k in remark.states if remark.kind not in ("walls", "cut level") else ():
            said[k] = said[k] or remark.what
    scale = energy_scale(spectrum.energies)
    for k in range(spectrum.n_states):
        error = float(spectrum.errors[k])
        if spectrum.converged[k]:
            said[k] = ""
        elif not said[k] and not np.isfinite(error):
            said[k] = "no error can be told"
        elif not said[k] and scale > 0 and error > _LARGE * scale:
            said[k] = f"error is {error / scale:.2g} of the energies' range"
    return said


def _labels(spectrum: Spectrum) -> list[str]:
    return list(spectrum.labels) or [""] * spectrum.n_states


def _exact(spectrum: Spectrum) -> np.ndarray | None:
    """The closed form's energies (N,), where there are as many."""
    known = spectrum.exact is not None and len(spectrum.exact) >= spectrum.n_states
    return spectrum.exact[: spectrum.n_states] if known and spectrum.exact is not None else None


def decimals(error: float) -> int:
    """Decimals to print, so that the claimed error shows in the last two."""
    return int(np.clip(1 - np.floor(np.log10(max(abs(error), 1e-12))), 1, 12)) if np.isfinite(error) else 6


# --- printed


def _columns(spectrum: Spectrum) -> dict[str, list[str]]:
    """Columns of strings, by heading."""
    digits = [decimals(float(error)) for error in spectrum.errors]
    return {
        "level": [str(k) for k in range(spectrum.n_states)],
        "energy": [f"{e:.{d}f}" for e, d in zip(spectrum.energies, digits, strict=True)],
        "± error": [f"{e:.1e}" for e in spectrum.errors],
        "residual": [f"{r:.1e}" for r in spectrum.residuals],
        "group": [str(g) for g in group_numbers(spectrum)],
    }


def _title(spectrum: Spectrum) -> str:
    units = f" [{spectrum.units}]" if spectrum.units else ""
    return f"{spectrum.name}: {spectrum.n_states} states by {spectrum.method}{units}"


def spectrum_text(spectrum: Spectrum) -> str:
    """What `print(spectrum)` prints."""
    labels, why = _labels(spectrum), reasons(spectrum)
    left = {"converged": ["yes" if c else "NO" for c in spectrum.converged]}
    left |= {"quanta": labels} if any(labels) else {}
    left |= {"why not": why} if any(why) else {}
    return "\n".join(
        [_title(spectrum), *_aligned(_columns(spectrum), left, {"energy": 16, "± error": 9}), spectrum.status]
    )


def _aligned(right: dict[str, list[str]], left: dict[str, list[str]], least: dict[str, int]) -> list[str]:
    """Lines of a table: columns flush right, then columns flush left, each as wide as its widest entry."""

    def column(name: str, entries: list[str], side: str) -> list[str]:
        width = max(least.get(name, 0), *map(len, [name, *entries]))
        return [f"{entry:{side}{width}}" for entry in [name, *entries]]

    columns = [column(name, entries, ">") for name, entries in right.items()]
    columns += [column(name, entries, "<") for name, entries in left.items()]
    return ["  ".join(line).rstrip() for line in zip(*columns, strict=True)]


def _comparison_columns(comparison: Comparison) -> dict[str, list[str]]:
    own, ref = comparison.labels
    if own == ref:
        ref = f"other {ref}"
    n = len(comparison.energies)
    group_of = {level: g for g, group in enumerate(comparison.groups) for level in group}
    angles = [comparison.angles[group_of[k]] for k in range(n)]
    columns = {
        "level": [str(k) for k in range(n)],
        f"{own} energy": [f"{e:.8g}" for e in comparison.energies],
        "± error": [f"{e:.1e}" for e in comparison.own_errors],
        f"{ref} energy": [f"{e:.8g}" for e in comparison.reference_energies],
        "± error ": [f"{e:.1e}" for e in comparison.reference_errors],
        "difference": [f"{d:+.1e}" for d in comparison.differences],
    }
    if comparison.exact is not None and comparison.exact_differences is not None:
        columns["exact"] = [f"{e:.8g}" for e in comparison.exact]
        columns[f"{own} off by"] = [f"{d:+.1e}" for d in comparison.exact_differences]
    columns["group"] = [str(group_of[k]) for k in range(n)]
    columns["angle"] = ["-" if np.isnan(a) else f"{a:.1e}" for a in angles]
    return columns


def comparison_text(comparison: Comparison) -> str:
    """What `print(comparison)` prints."""
    lines = _aligned(_comparison_columns(comparison), {"verdict": list(comparison.verdicts)}, {})
    return "\n".join([*lines, comparison.summary])


# --- in notebooks


def spectrum_html(spectrum: Spectrum) -> str:
    """The table of `print`, as HTML, with the closed form's energies where they are known."""
    columns, exact, labels = _columns(spectrum), _exact(spectrum), _labels(spectrum)
    if exact is not None:
        columns["exact"] = [f"{e:.10g}" for e in exact]
        columns["off by"] = [f"{d:+.1e}" for d in spectrum.energies - exact]
    if any(labels):
        columns["quanta"] = labels
    columns[""] = [
        "converged" if c else "NOT CONVERGED" + (f": {why}" if why else "")
        for c, why in zip(spectrum.converged, reasons(spectrum), strict=True)
    ]
    return _html(_title(spectrum), columns, spectrum.status, [bool(c) for c in spectrum.converged])


def comparison_html(comparison: Comparison) -> str:
    """The table of `print`, as HTML."""
    units = f" [{comparison.units}]" if comparison.units else ""
    columns = {**_comparison_columns(comparison), "verdict": list(comparison.verdicts)}
    title = f"{comparison.labels[0]} and {comparison.labels[1]}{units}"
    return _html(title, columns, comparison.summary, [bool(a) for a in comparison.agrees])


def _html(title: str, columns: dict[str, list[str]], foot: str, good: Sequence[bool]) -> str:
    """A table of escaped strings; the last cell of rows that are not good is bold."""
    row = '<tr style="text-align: right; white-space: nowrap">'
    head = "".join(f"<th{_side(name)}>{escape(name.strip())}</th>" for name in columns)
    rows = []
    for cells, fine in zip(zip(*columns.values(), strict=True), good, strict=True):
        shown = [escape(cell) for cell in cells]
        shown[-1] = shown[-1] if fine else f"<strong>{shown[-1]}</strong>"
        filled = "".join(f"<td{_side(name)}>{cell}</td>" for name, cell in zip(columns, shown, strict=True))
        rows.append(f"{row}{filled}</tr>")
    caption = f'<caption style="text-align: left; white-space: nowrap">{escape(title)}</caption>'
    return (
        f"<div><table>{caption}<thead>{row}{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table><p>{escape(foot)}</p></div>"
    )


def _side(name: str) -> str:
    """Words are flush left, numbers right."""
    return ' style="text-align: left; padding-left: 1em"' if name in _WORDS else ""


# --- for other libraries


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        what = "to_dataframe" if name == "pandas" else "to_xarray"
        raise ImportError(f"Spectrum.{what} needs {name}: pip install {name}, or 'qspin[tables]'.") from error


def _facts(spectrum: Spectrum) -> dict[str, Any]:
    return {
        "name": spectrum.name,
        "method": spectrum.method,
        "units": spectrum.units,
        "status": spectrum.status,
    }


def _numbers(spectrum: Spectrum) -> dict[str, Any]:
    """A column for each quantity, (N,)."""
    exact, labels = _exact(spectrum), _labels(spectrum)
    return {
        "energy": spectrum.energies,
        "error": spectrum.errors,
        "residual": spectrum.residuals,
        "converged": spectrum.converged,
        "group": np.array(group_numbers(spectrum)),
        **({} if exact is None else {"exact": exact}),
        **({"quanta": labels} if any(labels) else {}),
    }


def dataframe(spectrum: Spectrum) -> Any:
    """What `Spectrum.to_dataframe` documents."""
    pandas = _library("pandas")
    frame = pandas.DataFrame(_numbers(spectrum), index=pandas.RangeIndex(spectrum.n_states, name="level"))
    frame.attrs.update(_facts(spectrum))
    return frame


def dataset(spectrum: Spectrum, points: Any = None) -> Any:
    """What `Spectrum.to_xarray` documents."""
    xarray = _library("xarray")
    columns = _numbers(spectrum)
    variables: dict[str, Any] = {
        name: (
            "level",
            values,
            {"units": spectrum.units} if name in ("energy", "error", "residual", "exact") else {},
        )
        for name, values in columns.items()
    }
    coordinates: dict[str, Any] = {"level": np.arange(spectrum.n_states)}
    if points is not None:
        grid = spectrum.on_grid(points)
        names = [f"x{axis}" for axis in range(len(grid.axes))]
        coordinates |= dict(zip(names, grid.axes, strict=True))
        variables["psi"] = ((*names, "level"), grid.values)
    return xarray.Dataset(variables, coords=coordinates, attrs=_facts(spectrum))
