"""The harmonic oscillator in one dimension, H = -½ d²/dx² + ½ x²: levels n + ½."""

import qspin

problem = qspin.Problem(
    hamiltonian=qspin.Kinetic() + qspin.Potential(qspin.potentials.harmonic(omega=1.0)),
    domain=qspin.Box.cube(8.0, dim=1),
    exact=qspin.exact.harmonic(1.0, dim=1),
    name="harmonic_1d",
)
n_states = 6
