"""Units of energy against their published values."""

import numpy as np
import pytest

from qspin.problem.units import factor, known_units


@pytest.mark.parametrize(
    ("unit", "one_hartree"),
    [
        ("eV", 27.211386246),
        ("meV", 27211.386246),
        ("rydberg", 2.0),
        ("cm⁻¹", 219474.6313632),
        ("J", 4.3597447222e-18),
        ("aJ", 4.3597447222),
        ("kJ/mol", 2625.4996395),
        ("kcal/mol", 627.5094741),
        ("K", 315775.02480),
        ("THz", 6579.683920502),
        ("Hz", 6.579683920502e15),
    ],
)
def test_one_hartree(unit, one_hartree):
    assert factor("hartree", unit) == pytest.approx(one_hartree, rel=1e-9)


def test_factors_compose():
    for source in known_units():
        for target in known_units():
            assert factor(source, "eV") * factor("eV", target) == pytest.approx(
                factor(source, target), rel=1e-13
            )
        assert factor(source, source) == 1


@pytest.mark.parametrize(
    "spellings",
    [
        ("hartree", "Hartree", "HARTREE", "Ha", "Eh", "E_h"),
        ("cm⁻¹", "cm^-1", "cm-1", "1/cm", " cm^-1 ", "CM-1"),
        ("eV", "ev", "electron  volt"),
        ("kJ/mol", "kj/mol", "kJ mol^-1"),
        ("µeV", "μeV", "ueV"),
    ],
)
def test_spellings(spellings):
    """The two signs for micro are different characters."""
    assert {factor(spelling, "J") for spelling in spellings} == {factor(spellings[0], "J")}


def test_case_counts_where_it_must():
    assert factor("MeV", "meV") == pytest.approx(1e9)
    with pytest.raises(ValueError, match="'mev' is no unit"):
        factor("mev", "eV")


@pytest.mark.parametrize("unit", ["furlong", "", "cm", "hartree/bohr"])
def test_an_unknown_unit_is_refused_with_what_is_known(unit):
    with pytest.raises(ValueError, match=r"known are hartree, rydberg, eV.*THz"):
        factor("eV", unit)


def test_a_unit_is_a_string():
    with pytest.raises(TypeError, match="got 3"):
        factor("eV", 3)


def test_room_temperature():
    """kT at 300 K is 25.85 meV, 208.5 cm⁻¹."""
    np.testing.assert_allclose(
        [300 * factor("K", "meV"), 300 * factor("K", "cm^-1")], [25.852, 208.51], rtol=1e-4
    )
