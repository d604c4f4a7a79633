"""Two wells and a barrier, H = -½ d²/dx² + 6 (x²/4 - 1)²: pairs of levels split by tunnelling. No closed form."""

import qspin

problem = qspin.Problem(
    hamiltonian=qspin.Kinetic() + qspin.Potential(qspin.potentials.double_well(barrier=6.0, separation=4.0)),
    domain=qspin.Box.cube(6.0, dim=1),
    name="double_well_1d",
)
n_states = 6
