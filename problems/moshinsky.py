"""Three particles in a plane, a harmonic well and springs: V = ½ω² Σ r_i² + ½k Σ_{i<j} (r_i - r_j)². Moshinsky's atom.

The particles are distinguishable: every symmetry under exchange is among the states. The coordinates are those of the first
particle, then of the second, …; the centre of mass oscillates at ω, relative motion at √(ω² + N k).
"""

import math

import jax.numpy as jnp

import qspin


def make(particles=3, space=2, omega=1.0, k=0.5):
    def potential(x):
        r = x.reshape(particles, space)
        springs = jnp.sum((r[:, None] - r) ** 2) / 2  # every pair is met twice
        return 0.5 * omega**2 * jnp.sum(r**2) + 0.5 * k * springs

    slowest = min(omega, math.sqrt(omega**2 + particles * k))
    return qspin.Problem(
        hamiltonian=qspin.Kinetic() + qspin.Potential(potential),
        domain=qspin.Box.cube(7 / math.sqrt(slowest), dim=particles * space),
        exact=qspin.exact.moshinsky(particles, space, omega, k),
        name="moshinsky",
    )


problem = make()
n_states = 7
