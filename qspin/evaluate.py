"""Final evaluation of trained wavefunctions: fresh points, Rayleigh–Ritz, and an error and a residual for each energy."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qspin.hamiltonian import Operator
from qspin.problem import Problem
from qspin.runtime import double_precision
from qspin.sampling import Sampler
from qspin.spectral import moment, rayleigh_ritz
from qspin.spectrum import Eigenfunctions, describe_domain
from qspin.wavefunction import Wavefunction

__all__ = ["Evaluation", "VariationalFunctions", "evaluate"]

_BATCH = 1024  # points held at a time
_MOST_FUNCTIONS = 256  # size of the larger space in which the variational error is read off


class Evaluation(NamedTuple):
    """Energies (N,), their statistical and variational errors (N,), residuals (N,), and the functions."""

    energies: np.ndarray
    statistical: np.ndarray
    variational: np.ndarray
    residuals: np.ndarray
    functions: "VariationalFunctions"

    @property
    def errors(self) -> np.ndarray:
        """√(statistical² + variational²)."""
        return np.hypot(self.statistical, self.variational)


class _Moments(NamedTuple):
    sigma: Float[Array, "m m"]
    pi: Float[Array, "m m"]
    square: Float[Array, "n n"]  # ∫ (Hu)(Hu)ᵀ


@dataclass(frozen=True)
class VariationalFunctions(Eigenfunctions):
    """ψ(x) = rotationᵀ u(x; params): a wavefunction and the Rayleigh–Ritz combination that makes it orthonormal."""

    wavefunction: Wavefunction
    params: Any
    rotation: np.ndarray
    sampler: Sampler
    seed: int = 0

    @property
    def n_states(self) -> int:
        return self.rotation.shape[1]

    @property
    def dim(self) -> int:
        return self.wavefunction.domain.dim

    @double_precision()
    def __call__(self, points: np.ndarray) -> np.ndarray:
        def psi(x: Float[Array, " dim"]) -> Float[Array, " states"]:
            return self.wavefunction(self.params, x) @ self.rotation

        return _in_batches(psi, points)

    @double_precision()
    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        points = self.sampler.draw(
            jax.random.key(self.seed + 1), 32_768, self.wavefunction.domain, self.wavefunction.centres
        )
        return np.asarray(points.x), np.asarray(points.weights)

    @double_precision()
    def image(self, operator: Operator) -> np.ndarray:
        def psi(x: Float[Array, " dim"]) -> Float[Array, " states"]:
            return self.wavefunction(self.params, x) @ self.rotation

        return _in_batches(operator.exact()(psi), self.quadrature()[0])

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        network, centres = self.wavefunction.network, self.wavefunction.centres
        settings = {
            "kind": "variational",
            "network": {
                "class": type(network).__name__,
                "hidden": getattr(network, "hidden", None),
                "activation": getattr(getattr(network, "activation", None), "__name__", None),
            },
            "domain": describe_domain(self.wavefunction.domain),
            "input_range": self.wavefunction.input_range,
            "centres": [list(c.position) + [c.strength, c.length, c.cusp] for c in centres],
            "sampler": type(self.sampler).__name__,
            "seed": self.seed,
        }
        leaves = {f"params/{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(self.params))}
        return settings, {"rotation": self.rotation, **leaves}


def _in_batches(function: Any, points: np.ndarray) -> np.ndarray:
    if len(points) == 0:
        shape = jax.eval_shape(function, jax.ShapeDtypeStruct(points.shape[1:], jnp.float64)).shape
        return np.zeros((0, *shape))
    # One compiled shape: the last batch is filled up with copies of the last point.
    size = min(_BATCH, 1 << (len(points) - 1).bit_length())
    padded = np.concatenate([points, np.repeat(points[-1:], -len(points) % size, axis=0)])
    compiled = jax.jit(lambda x: jax.lax.map(jax.vmap(function), x))
    values = compiled(jnp.asarray(padded, float).reshape(-1, size, points.shape[1]))
    return np.asarray(values).reshape(len(padded), *values.shape[2:])[: len(points)]


@double_precision()
def evaluate(
    problem: Problem,
    wavefunction: Wavefunction,
    params: Any,
    sampler: Sampler,
    n_points: int,
    n_blocks: int = 16,
    seed: int = 0,
) -> Evaluation:
    """Rayleigh–Ritz over the N wavefunctions on points that training never saw, in float64.

    - energies: stationary values of cᵀΠc/cᵀΣc over all points, Σ = ∫uuᵀ, Π = ∫u(Hu)ᵀ, H with exact derivatives;
    - statistical error: jackknife over `n_blocks` independent point sets;
    - variational error: how far the energy falls when the space is enlarged by the networks' last hidden
      functions. The exact energy lies lower still, by what that larger space misses;
    - residual: ‖Hψ - Eψ‖.

    Time O(n_points · (network + M²)), M ≤ 256 + N; memory O(1024 · M · dim) whatever n_points is.
    Raises ValueError where the N functions are not linearly independent, or a number is not finite.
    """
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), params)
    hamiltonian = problem.hamiltonian.exact()
    n_states = wavefunction.n_states
    hidden = jax.eval_shape(wavefunction.hidden_functions, params, jnp.zeros(problem.dim)).size
    chosen = np.unique(np.linspace(0, hidden - 1, min(hidden, _MOST_FUNCTIONS)).round().astype(int))
    block_size = max(_BATCH, n_points // n_blocks // _BATCH * _BATCH)

    def functions(x: Float[Array, " dim"]) -> Float[Array, " functions"]:
        larger = wavefunction.hidden_functions(params, x).reshape(-1)[chosen]
        return jnp.concatenate([wavefunction(params, x), larger])

    def batch_moments(x: Float[Array, "batch dim"], weights: Float[Array, " batch"]) -> _Moments:
        f, hf = jax.vmap(functions)(x), jax.vmap(hamiltonian(functions))(x)
        hu = hf[:, :n_states]
        return _Moments(moment(f, f, weights), moment(f, hf, weights), moment(hu, hu, weights))

    @jax.jit
    def block_moments(block_seed: Array) -> _Moments:
        points = sampler.draw(jax.random.key(block_seed), block_size, problem.domain, wavefunction.centres)
        batches = (points.x.reshape(-1, _BATCH, problem.dim), points.weights.reshape(-1, _BATCH))
        zero = jax.tree.map(
            lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(batch_moments, *jax.tree.map(lambda b: b[0], batches))
        )
        total, _ = jax.lax.scan(
            lambda sums, batch: (jax.tree.map(jnp.add, sums, batch_moments(*batch)), None), zero, batches
        )
        return total

    # Seeds of training count up from `seed`; these start far away from them.
    blocks = [block_moments(jnp.uint32((seed * 7919 + 2**31 + b) % 2**32)) for b in range(n_blocks)]
    moments = _Moments(*(np.stack([np.asarray(block[i]) for block in blocks]) for i in range(3)))
    if not all(np.isfinite(m).all() for m in moments):
        raise ValueError(
            "evaluate: the wavefunctions or Hψ are not finite at some points. Try a lower learning rate, "
            "or declare the singular points of V."
        )

    def ritz(total: _Moments, n_functions: int) -> tuple[np.ndarray, np.ndarray]:
        tolerance = 1e-12 if n_functions == n_states else 1e-8
        return rayleigh_ritz(
            total.sigma[:n_functions, :n_functions], total.pi[:n_functions, :n_functions], n_states, tolerance
        )

    mean = _Moments(*(m.mean(0) for m in moments))
    energies, rotation = ritz(mean, n_states)
    left_out = [
        _Moments(*((m.sum(0) - m[b]) / (n_blocks - 1) for m in moments)) for b in range(n_blocks)
    ]
    jackknife = np.stack([ritz(part, n_states)[0] for part in left_out])
    statistical = np.sqrt((n_blocks - 1) * jackknife.var(0))
    variational = np.maximum(energies - ritz(mean, len(mean.sigma))[0], 0)
    square = np.einsum("ak,ab,bk->k", rotation, mean.square, rotation)
    residuals = np.sqrt(np.maximum(square - energies**2, 0))

    functions_ = VariationalFunctions(
        wavefunction, jax.tree.map(np.asarray, params), rotation, sampler, int(seed)
    )
    points, _ = functions_.quadrature()
    psi = functions_(points[:4096])
    signs = np.sign(psi[np.abs(psi).argmax(0), np.arange(n_states)])  # largest value positive
    functions_ = VariationalFunctions(
        wavefunction, functions_.params, rotation * np.where(signs == 0, 1, signs), sampler, int(seed)
    )
    return Evaluation(energies, statistical, variational, residuals, functions_)
