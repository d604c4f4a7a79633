"""Beads in wells of their own, quartic springs between neighbours: V = Σ ½q_i² + g Σ_{i<d} (q_{i+1} - q_i)⁴.

No closed form. The springs do not see the centre of mass, which oscillates at frequency 1: above every level stand
others at +1, +2, …. With g = 0.1 and d = 6 the lowest seven are 3.77387, 4.77387, 4.85947, 5.06653, 5.30432, 5.50390 and
5.62857 (oscillator functions up to sixteen quanta; from above, by some 10⁻⁶ at most).
"""

import jax.numpy as jnp

import qspin


def make(dim=6, coupling=0.1):
    def potential(q):
        return jnp.sum(q**2) / 2 + coupling * jnp.sum((q[1:] - q[:-1]) ** 4)

    return qspin.Problem(
        hamiltonian=qspin.Kinetic() + qspin.Potential(potential),
        domain=qspin.Box.cube(7.0, dim=dim),
        name="anharmonic_chain",
    )


problem = make(dim=6)
n_states = 7
