"""A particle in the unit box of five dimensions with hard walls, H = -∇² on [0, 1]⁵: levels π² Σ n_i²."""

import qspin

problem = qspin.Problem(
    hamiltonian=qspin.Kinetic(mass=0.5),
    domain=qspin.Box([0.0] * 5, [1.0] * 5),
    exact=qspin.exact.box([1.0] * 5, mass=0.5),
    name="box_5d",
)
n_states = 6
