"""Vibrations of chlorine dioxide (OClO) on a published sixth-order force field: levels in cm⁻¹ above the potential's minimum.

The coordinates are the dimensionless normal coordinates of bend, symmetric and antisymmetric stretch; the data file
names its sources. The polynomial is only good near the minimum, and falls without end far out: the box ends before.
"""

from pathlib import Path

import qspin

field = qspin.potentials.force_field(Path(__file__).parent / "data" / "chlorine_dioxide.toml")

problem = qspin.Problem(
    hamiltonian=qspin.Kinetic(mass=field.masses) + qspin.Potential(field),
    domain=qspin.Box([-7.0, -5.0, -5.5], [7.0, 6.5, 5.5]),
    name="chlorine_dioxide",
    units="cm⁻¹",
)
n_states = 20
