"""A membrane of three unit squares, −∇² with ψ = 0 on the rim: λ₁ = 9.63972384402194 (Fox, Henrici and Moler 1967)."""

import qspin

problem = qspin.Problem(
    hamiltonian=qspin.Kinetic(mass=0.5),
    domain=qspin.shapes.l_shape(1.0),
    name="l_shaped_membrane",
)
n_states = 6
