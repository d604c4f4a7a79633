"""A particle in a square box with hard walls, H = -½∇² on [0, 1]²: levels π²(n² + m²)/2."""

import qspin

problem = qspin.Problem(
    hamiltonian=qspin.Kinetic(),
    domain=qspin.Box([0.0, 0.0], [1.0, 1.0]),
    exact=qspin.exact.box([1.0, 1.0]),
    name="box_2d",
)
n_states = 8
