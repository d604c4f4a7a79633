"""The hydrogen atom in atomic units, H = -½∇² - 1/|x|: levels -1/(2n²), each n² times."""

import qspin

problem = qspin.Problem(
    hamiltonian=qspin.Kinetic()
    + qspin.Potential(qspin.potentials.coulomb(charge=1.0), singularities=[(0.0, 0.0, 0.0)]),
    domain=qspin.Box.cube(25.0, dim=3),
    exact=qspin.exact.hydrogen_3d(),
    name="hydrogen_3d",
)
n_states = 5
