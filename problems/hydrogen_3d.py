"""The hydrogen atom in atomic units, H = -½∇² - 1/|x|: levels -1/(2n²), each n² times.

Walls shift levels: at a half-width of 25 those at -1/8 lie 1 to 3·10⁻⁷ (relative) over the closed form, that of free space.
At 40 they do not notice.
"""

import qspin

problem = qspin.Problem(
    hamiltonian=qspin.Kinetic()
    + qspin.Potential(qspin.potentials.coulomb(charge=1.0), singularities=[(0.0, 0.0, 0.0)]),
    domain=qspin.Box.cube(40.0, dim=3),
    exact=qspin.exact.hydrogen_3d(),
    name="hydrogen_3d",
)
n_states = 5
