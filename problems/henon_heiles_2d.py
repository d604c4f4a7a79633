"""The Hénon–Heiles potential, ½(x² + y²) + λ(x²y - y³/3) with λ = √0.0125: chaos in two dimensions. No closed form.

The potential falls without end beyond its saddles, 1/λ = 8.9 from the middle; the walls stand inside them.
"""

import qspin

problem = qspin.Problem(
    hamiltonian=qspin.Kinetic() + qspin.Potential(qspin.potentials.henon_heiles()),
    domain=qspin.Box.cube(7.5, dim=2),
    name="henon_heiles_2d",
)
n_states = 10
