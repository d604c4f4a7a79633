"""The isotropic oscillator in two dimensions, H = -½∇² + ½|x|²: levels n + 1, each n + 1 times."""

import qspin

problem = qspin.Problem(
    hamiltonian=qspin.Kinetic() + qspin.Potential(qspin.potentials.harmonic(omega=1.0)),
    domain=qspin.Box.cube(8.0, dim=2),
    exact=qspin.exact.harmonic(1.0, dim=2),
    name="harmonic_2d",
)
n_states = 10
