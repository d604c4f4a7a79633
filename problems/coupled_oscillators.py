"""Oscillators of unlike frequencies, each coupled to every other: H = Σ ½p_i² + ½ω_i²q_i² + a Σ_{i>j} √(ω_iω_j) q_iq_j.

ω_i = √(i/2) and a = 0.1, any number of dimensions; normal modes give the closed form, Σ (n_i + ½) ν_i.
"""

import jax.numpy as jnp
import numpy as np

import qspin


def make(dim=6, coupling=0.1):
    omega = np.sqrt(np.arange(1, dim + 1) / 2)
    matrix = np.diag(omega**2) + coupling * (np.sqrt(np.outer(omega, omega)) - np.diag(omega))

    def potential(q):
        q = jnp.asarray(q)
        w = jnp.asarray(omega, q.dtype)
        # 2 Σ_{i>j} √(ω_iω_j) q_iq_j as the square of a sum, less the terms i = j: dim operations instead of dim².
        pairs = jnp.sum(jnp.sqrt(w) * q) ** 2 - jnp.sum(w * q**2)
        return 0.5 * jnp.sum((w * q) ** 2) + 0.5 * coupling * pairs

    walls = 7 / np.sqrt(omega)  # where exp(-½ω_i q_i²) is 2·10⁻¹¹
    return qspin.Problem(
        hamiltonian=qspin.Kinetic() + qspin.Potential(potential),
        domain=qspin.Box(-walls, walls),
        exact=qspin.exact.coupled_oscillators(matrix),
        name="coupled_oscillators",
    )


problem = make(dim=6)
n_states = 8
