"""Units of energy: what their names mean in joules, and the factor from one to another."""

from typing import Any

import scipy.constants as constants

from qspin.numerics.checks import check_kind, shown

__all__ = ["factor", "known_units"]


def _constant(name: str) -> float:
    return float(constants.physical_constants[name][0])


_MOLE = 1e3 / constants.N_A  # of kJ/mol
_WAVE = constants.h * constants.c

_WAVENUMBERS = (
    *("cm⁻¹", "cm^-1", "cm-1", "cm−1", "cm^(-1)", "cm^{-1}", "cm**-1", "1/cm"),
    *("wavenumber", "wavenumbers"),
)

# Joules, and how the unit is spelled; the first spelling names it.
_UNITS: tuple[tuple[float, tuple[str, ...]], ...] = (
    (_constant("Hartree energy"), ("hartree", "hartrees", "Ha", "Eh", "E_h")),
    (_constant("Rydberg constant times hc in J"), ("rydberg", "rydbergs", "Ry")),
    (constants.e, ("eV", "electronvolt", "electronvolts", "electron volt")),
    (1e-6 * constants.e, ("µeV", "μeV", "ueV")),
    (1e-3 * constants.e, ("meV",)),
    (1e3 * constants.e, ("keV",)),
    (1e6 * constants.e, ("MeV",)),
    (1e9 * constants.e, ("GeV",)),
    (1e2 * _WAVE, _WAVENUMBERS),
    (1.0, ("J", "joule", "joules")),
    (1e-18, ("aJ", "attojoule", "attojoules")),
    (_MOLE, ("kJ/mol", "kJ mol⁻¹", "kJ mol^-1", "kJ·mol⁻¹")),
    (constants.calorie * _MOLE, ("kcal/mol", "kcal mol⁻¹", "kcal mol^-1", "kcal·mol⁻¹")),
    (constants.k, ("K", "kelvin", "kelvins")),
    (1e-3 * constants.k, ("mK", "millikelvin")),
    (constants.h, ("Hz", "hertz")),
    (1e3 * constants.h, ("kHz",)),
    (1e6 * constants.h, ("MHz",)),
    (1e9 * constants.h, ("GHz",)),
    (1e12 * constants.h, ("THz",)),
)
_EXACTLY = {spelling: joules for joules, spellings in _UNITS for spelling in spellings}


def known_units() -> tuple[str, ...]:
    """The name of every unit, in its first spelling.

    >>> "eV" in known_units()
    True
    """
    return tuple(spellings[0] for _, spellings in _UNITS)


def factor(source: Any, target: Any) -> float:
    """What an energy in the unit `source` is multiplied by to be in `target`; CODATA values, by way of `scipy.constants`.

    Spellings count as written; where that names nothing, without regard to case, if one unit alone is spelled so
    ("HARTREE", but not "MEV"). Wavenumbers, frequencies, temperatures and molar energies stand for hc/λ, hν, kT and E·N_A.

    Raises ValueError for a unit that is not known, with those that are.

    >>> round(factor("hartree", "eV"), 4)
    27.2114
    """
    return _joules(source) / _joules(target)


def _joules(unit: Any) -> float:
    check_kind("units: a unit", unit, str, "a string such as 'eV'")
    spelled = " ".join(unit.split())
    if spelled in _EXACTLY:
        return _EXACTLY[spelled]
    found = {joules for name, joules in _EXACTLY.items() if name.casefold() == spelled.casefold()}
    if len(found) != 1:
        raise ValueError(
            f"units: {shown(unit)} is no unit of energy that is known; known are {', '.join(known_units())}."
        )
    return found.pop()
