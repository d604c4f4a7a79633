"""Tables of spectra and comparisons: printed, in notebooks, for pandas and for xarray."""

import re
import sys
from dataclasses import replace

import numpy as np
import pytest

import qspin
from qspin.spectrum.notes import Note, states_named
from qspin.spectrum.tables import group_numbers, reasons


@pytest.fixture(scope="module")
def spectrum() -> qspin.Spectrum:
    v = qspin.Potential(qspin.potentials.harmonic(omega=1.0))
    problem = qspin.Problem(
        qspin.Kinetic() + v,
        qspin.Box.cube(8.0, dim=1),
        exact=qspin.exact.harmonic(1.0),
        name="oscillator",
        units="hartree",
    )
    return qspin.solve(problem, 4, qspin.Grid(points=60))


@pytest.fixture
def failed(spectrum) -> qspin.Spectrum:
    """As Ritz says it, with a state that nothing is said of."""
    return replace(
        spectrum,
        converged=np.array([True, False, False, False]),
        errors=np.array([1e-9, 1e-7, 1e-6, 0.3]),
        notes=(
            Note(
                "tolerance",
                (1, 2),
                "the claimed error is above the tolerance",
                "raise max_features, or the tolerance",
            ),
            Note("cut level", (3,), "n_states = 4 cuts its level: at least 1 more state belongs to it"),
        ),
    )


# --- why a state did not converge


def test_reasons_by_number_and_by_size(failed):
    above = "the claimed error is above the tolerance"
    assert reasons(failed) == ["", above, above, "error is 0.1 of the energies' range"]
    assert reasons(replace(failed, errors=np.array([1e-9, 1e-7, 1e-6, np.inf])))[3] == "no error can be told"
    assert reasons(replace(failed, errors=np.full(4, 1e-6)))[3] == ""  # nothing tells
    assert reasons(replace(failed, converged=np.ones(4, bool))) == [""] * 4


def test_status_says_each_note_once(failed, spectrum):
    assert failed.status == (
        "States 1, 2: the claimed error is above the tolerance. Raise max_features, or the tolerance. "
        "State 3: n_states = 4 cuts its level: at least 1 more state belongs to it."
    )
    assert spectrum.status == "All states converged."
    assert states_named([0, 1, 2, 3, 7, 9, 10]) == "states 0–3, 7, 9, 10"


# --- printed


def test_the_printed_table_says_why(failed, spectrum):
    lines = str(failed).splitlines()
    assert lines[0] == "oscillator: 4 states by grid [hartree]"
    assert lines[1].split()[-3:] == ["converged", "why", "not"]
    assert lines[3].endswith("  NO         the claimed error is above the tolerance")
    assert lines[2].endswith("  yes") and lines[-1] == failed.status
    assert len({line.index("the claimed") for line in lines[3:5]}) == 1
    assert "why not" not in str(spectrum)


def test_quanta_stand_in_columns(failed):
    lines = str(replace(failed, labels=tuple(["a", "longer", "", "d"]))).splitlines()
    assert lines[1].split()[-4:] == ["converged", "quanta", "why", "not"]
    assert lines[1].index("quanta") == lines[3].index("longer") == lines[5].index("d  ")


def test_two_spectra_of_one_method_can_be_told_apart(spectrum):
    head = str(spectrum.compare(spectrum)).splitlines()[0]
    assert re.split(r"\s{2,}", head.strip()) == [
        "level", "grid energy", "± error", "other grid energy", "± error", "difference", "exact", "grid off by", "group",
        "angle", "verdict",
    ]  # fmt: skip


# --- in notebooks


def cells(html: str) -> list[list[str]]:
    return [re.findall(r"<t[dh].*?>(.*?)</t[dh]>", row) for row in re.findall(r"<tr.*?</tr>", html)]


def test_a_spectrum_in_a_notebook(failed):
    rows = cells(failed._repr_html_())
    numbers = ["level", "energy", "± error", "residual", "group", "exact", "off by"]
    assert rows[0] == [*numbers, "converged", "why not"]
    assert len(rows) == 5 and rows[1][0] == "0" and rows[1][5] == "0.5" and rows[1][-2:] == ["yes", ""]
    why = "<strong>the claimed error is above the tolerance</strong>"
    assert rows[2][-2:] == ["<strong>NO</strong>", why]
    assert float(rows[2][1]) == pytest.approx(1.5) and rows[2][2] == "1.0e-07"
    assert "States 1, 2: the claimed" in failed._repr_html_()
    assert "exact" not in replace(failed, exact=None)._repr_html_()
    assert "exact" not in replace(failed, exact=np.array([0.5]))._repr_html_()


def test_what_is_not_html_is_escaped(spectrum):
    odd = replace(
        spectrum,
        name="<b>V</b> & co",
        units="<u>",
        notes=(Note("remark", (), "a < b"),),
        method="<m>",
        labels=("<i>",) * 4,
    )
    for html in (odd._repr_html_(), odd.compare(odd)._repr_html_()):
        assert not re.search(r"<(b|u|i|m)>", html)
        assert "&lt;" in html
    assert "A &lt; b" in odd._repr_html_() and "&amp; co" in odd._repr_html_()


def test_a_comparison_in_a_notebook(spectrum):
    shifted = replace(spectrum, energies=spectrum.energies + np.array([0, 0, 0, 1e-3]), method="other")
    rows = cells(shifted.compare(spectrum)._repr_html_())
    assert (
        rows[0][:5] == ["level", "other energy", "± error", "grid energy", "± error"]
        and rows[0][-1] == "verdict"
    )
    assert rows[1][-1] == "agrees"
    assert rows[4][-1].startswith("<strong>DIFFERS by ")
    assert "3 of 4 levels agree" in shifted.compare(spectrum)._repr_html_()


def test_group_numbers(spectrum):
    assert group_numbers(spectrum) == [0, 1, 2, 3]
    assert group_numbers(replace(spectrum, errors=np.array([1e-9, 1.0, 1.0, 1e-9]))) == [0, 0, 0, 0]
    assert group_numbers(replace(spectrum, energies=np.array([0.5, 1.5, 1.5, 3.5]))) == [0, 1, 1, 2]


# --- for other libraries


def test_a_pandas_table(failed):
    pytest.importorskip("pandas")
    frame = replace(failed, labels=tuple("abcd")).to_dataframe()
    assert frame.index.name == "level"
    assert list(frame.columns) == ["energy", "error", "residual", "converged", "group", "exact", "quanta"]
    np.testing.assert_array_equal(frame["energy"], failed.energies)
    np.testing.assert_array_equal(frame["exact"], [0.5, 1.5, 2.5, 3.5])
    assert frame[~frame.converged].index.tolist() == [1, 2, 3]
    assert frame.attrs == {
        "name": "oscillator",
        "method": "grid",
        "units": "hartree",
        "status": failed.status,
    }
    assert "exact" not in replace(failed, exact=None).to_dataframe()


def test_an_xarray_dataset(spectrum):
    pytest.importorskip("xarray")
    data = spectrum.to_xarray()
    assert set(data.data_vars) == {"energy", "error", "residual", "converged", "group", "exact"}
    assert data.sizes == {"level": 4}
    assert data.energy.attrs["units"] == "hartree" and data.attrs["name"] == "oscillator"
    np.testing.assert_array_equal(data.error, spectrum.errors)
    np.testing.assert_array_equal(data.group, [0, 1, 2, 3])
    with_states = spectrum.to_xarray(points=201)
    assert with_states.psi.dims == ("x0", "level") and with_states.sizes == {"level": 4, "x0": 201}
    norms = (with_states.psi**2).integrate("x0")
    np.testing.assert_allclose(norms, 1, atol=1e-6)
    np.testing.assert_allclose(
        (with_states.x0**2 * with_states.psi**2).integrate("x0"), data.energy, atol=1e-5
    )


@pytest.mark.parametrize(("method", "library"), [("to_dataframe", "pandas"), ("to_xarray", "xarray")])
def test_what_to_install_is_said(spectrum, monkeypatch, method, library):
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not there
    with pytest.raises(ImportError, match=rf"Spectrum\.{method} needs {library}: pip install {library}"):
        getattr(spectrum, method)()
