"""Final evaluation of trained wavefunctions: Rayleigh–Ritz on fresh points, with an error for each energy."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, PRNGKeyArray

from qspin.methods.locate.survey import survey
from qspin.methods.spin.networks import NETWORKS, Network, activation_name, named_activation
from qspin.methods.spin.wavefunction import Wavefunction
from qspin.numerics.errors import fall_rates
from qspin.numerics.laplacian import Function
from qspin.numerics.pencil import moment, rayleigh_ritz
from qspin.numerics.points import Points
from qspin.numerics.precision import double_precision, evaluated
from qspin.problem.domain import Box, Centre, Cloud, Domain
from qspin.problem.hamiltonian import Operator
from qspin.problem.problem import Problem
from qspin.problem.sampling import Clustered, QuasiRandom, Sampler, Stratified, Uniform
from qspin.spectrum.eigenfunctions import Eigenfunctions, check_shapes, combined
from qspin.spectrum.store import check_region, describe_domain

__all__ = ["Evaluation", "VariationalFunctions", "check_above_potential", "evaluate"]

_BATCH = 1024  # points held at a time
_MOST_FUNCTIONS = 256  # largest size of the enlarged space that gives the variational error


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
    """Σ and Π of all functions (M, M), and ∫ (Hu)(Hu)ᵀ (N, N): JAX arrays of a block, NumPy ones of all."""

    sigma: Any
    pi: Any
    square: Any


@dataclass(frozen=True)
class VariationalFunctions(Eigenfunctions):
    """ψ(x) = rotationᵀ u(x; params): a wavefunction and the combination that makes it orthonormal."""

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

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return evaluated(self._psi(), points)

    @double_precision()
    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        every = self.wavefunction.domain.all_points()
        if every is not None:
            return every, np.ones(len(every))
        points = self.sampler.draw(
            jax.random.key(self.seed + 1), 32_768, self.wavefunction.domain, self.wavefunction.landmarks
        )
        return np.asarray(points.x), np.asarray(points.weights)

    @double_precision()
    def image(self, operator: Operator) -> np.ndarray:
        points, weights = self.quadrature()
        # Integrals over every tenth point keep the cost in bounds.
        few = slice(None, None, 1 if self.wavefunction.domain.all_points() is not None else 10)
        scaled = weights[few] * (weights.sum() / weights[few].sum())
        others = None if operator.is_local else Points(jnp.asarray(points[few]), jnp.asarray(scaled))
        exact, psi = operator.exact(), self._psi()
        return evaluated(lambda x: exact.image(psi, x[None], others)[0], points, 1024)

    def _psi(self) -> Function:
        params = jax.tree.map(lambda leaf: np.asarray(leaf, float), self.params)
        return combined(Partial(self.wavefunction, params), self.rotation)

    def times(self, factors: np.ndarray) -> Eigenfunctions:
        return replace(self, rotation=self.rotation * factors)

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        network, centres = self.wavefunction.network, self.wavefunction.centres
        settings = {
            "network": _to_record(network),
            "domain": describe_domain(self.wavefunction.domain),
            "cloud": None if self.wavefunction.cloud is None else asdict(self.wavefunction.cloud),
            "centres": [[*c.position, c.strength, c.length, c.cusp] for c in centres],
            "sampler": _to_record(self.sampler),
            "seed": self.seed,
        }
        leaves = {f"params/{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(self.params))}
        return settings, {"rotation": self.rotation, **leaves}

    @classmethod
    def from_record(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], domain: Domain
    ) -> "VariationalFunctions":
        """Read back what `record` gave. Raises ValueError for a class that is not known, or walls that are not in the file."""
        check_region(settings["domain"], domain)
        check_shapes(arrays, {"rotation": "functions states"})
        centres = tuple(Centre(tuple(row[:-3]), *row[-3:]) for row in settings["centres"])
        cloud = settings["cloud"] and Cloud(**{key: _from_record(v) for key, v in settings["cloud"].items()})
        network, sampler = _from_record(settings["network"]), _from_record(settings["sampler"])
        rotation = arrays["rotation"]
        wavefunction = Wavefunction(network, domain, len(rotation), centres, cloud)
        with double_precision():
            shape = jax.eval_shape(wavefunction.init, jax.random.key(0))
        leaves, structure = jax.tree.flatten(shape)
        params = [arrays[f"params/{i}"] for i in range(len(leaves))]
        for i, (leaf, given) in enumerate(zip(leaves, params, strict=True)):
            if given.shape != leaf.shape:
                raise ValueError(f"the entry 'params/{i}' has shape {given.shape}, expected {leaf.shape}.")
        return cls(wavefunction, jax.tree.unflatten(structure, params), rotation, sampler, settings["seed"])


_SAMPLERS = {kind.__name__: kind for kind in (Uniform, Stratified, QuasiRandom, Clustered)}


def _to_record(value: Any) -> Any:
    """A network or sampler as its name and settings, a function as its name. ValueError for what no file can name."""
    if not isinstance(value, Network | Sampler):
        return {"function": activation_name(value)} if callable(value) else value
    kind = type(value)
    name = NETWORKS.name_of(kind) if isinstance(value, Network) else kind.__name__
    if name is None or not is_dataclass(value):
        raise ValueError(
            f"save: the network {kind.__name__} is not a registered dataclass, so that a file of it could not be loaded; "
            f'write @NETWORKS("{kind.__name__}") above the class (NETWORKS is in qspin.methods.spin.networks).'
        )
    if isinstance(value, Sampler) and _SAMPLERS.get(name) is not kind:
        raise ValueError(f"save: the sampler {name} is none of qspin's, so that it cannot be saved.")
    return {"class": name, "settings": {f.name: _to_record(getattr(value, f.name)) for f in fields(value)}}


def _from_record(record: Any) -> Any:
    """The inverse of `_to_record`. ValueError or KeyError for a name that is not known."""
    if isinstance(record, list):
        return tuple(map(_from_record, record))
    if not isinstance(record, dict):
        return record
    if "function" in record:
        function = named_activation(record["function"])
        if function is None:
            raise ValueError(
                f"unknown activation {record['function']!r}; expected one of jax.numpy or jax.nn."
            )
        return function
    settings = record.get("settings")
    if settings is None:  # a network in a file of qspin 0.1
        settings = {"hidden": record["hidden"], "activation": {"function": record["activation"]}}
    kind = _SAMPLERS[record["class"]] if record["class"] in _SAMPLERS else NETWORKS[record["class"]]
    return kind(**{name: _from_record(value) for name, value in settings.items()})


@double_precision()
def evaluate(
    problem: Problem,
    wavefunction: Wavefunction,
    params: Any,
    sampler: Sampler,
    n_points: int,
    n_blocks: int = 16,
    seed: int = 0,
    earlier: Any = None,
) -> Evaluation:
    """Rayleigh–Ritz over the N wavefunctions, in float64, on points that were not in training.

    - energies: stationary values of cᵀΠc/cᵀΣc over all points, Σ = ∫uuᵀ, Π = ∫u(Hu)ᵀ, H with exact
      derivatives; the lowest of `problem.minimised`, times its sign;
    - statistical error: jackknife over `n_blocks` independent point sets;
    - variational error: the larger of two estimates of how far E still lies above the exact energy: how far
      it falls when the space is enlarged by the networks' last hidden functions; and, given parameters from
      `earlier` in the training, the extrapolation of E to zero variance ‖Hψ - Eψ‖² along the line through
      then and now;
    - residual: ‖Hψ - Eψ‖.

    A finite domain is summed over, not sampled: no statistical error. Integrals Hu are means over other points; each
    minibatch draws two sets of them, so that their noise does not raise the residual, which has one standard error
    of its square added instead.

    Time O(n_points · (network + M²)), M ≤ 256 + N; memory O(1024 · M · dim) whatever n_points is.
    Raises ValueError where the N functions are not linearly independent, or a number is not finite.
    """
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), params)
    n_states = wavefunction.n_states
    blocks = _blocks(problem, wavefunction, params, sampler, n_points, n_blocks, seed, larger=True)
    mean = _Moments(*(m.mean(0) for m in blocks))
    energies, rotation, variances = _ritz(mean, n_states)
    statistical = np.zeros(n_states)
    if problem.domain.all_points() is None:
        left_out = [_Moments(*((m.sum(0) - m[b]) / (n_blocks - 1) for m in blocks)) for b in range(n_blocks)]
        jackknife = [_ritz(part, n_states) for part in left_out]
        statistical = np.sqrt((n_blocks - 1) * np.var([part[0] for part in jackknife], axis=0))
        if not problem.hamiltonian.is_local:
            # An unbiased estimate of the variance may be too small, or negative.
            variances = np.maximum(variances, 0) + np.sqrt(
                (n_blocks - 1) * np.var([part[2] for part in jackknife], axis=0)
            )
    residuals = np.sqrt(np.maximum(variances, 0))

    # Many of the hidden functions are nearly dependent, and samples of their differences are noise.
    lower, _ = rayleigh_ritz(mean.sigma, mean.pi, n_states, rank_tolerance=1e-8)
    variational = np.maximum(energies - lower, 0)
    if earlier is not None:
        earlier = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), earlier)
        then = _blocks(problem, wavefunction, earlier, sampler, n_points // 4, 4, seed, larger=False)
        energies_then, _, variances_then = _ritz(_Moments(*(m.mean(0) for m in then)), n_states)
        rates = fall_rates(energies, variances, energies_then, variances_then, least_drop=0.2)
        variational = np.maximum(variational, rates * variances)

    arrays = jax.tree.map(np.asarray, params)
    functions = VariationalFunctions(wavefunction, arrays, rotation, sampler, int(seed))
    if problem.is_boxed_hamiltonian and problem.local.is_plain:
        check_above_potential(problem, energies - 5 * statistical, functions)
    return Evaluation(problem.sign * energies, statistical, variational, residuals, functions)


def check_above_potential(problem: Problem, energies: np.ndarray, functions: VariationalFunctions) -> None:
    """Raise ValueError where an energy lies clearly below every value of V, which no state's does: by more than a hundredth of
    the range of the energies and of what a box without V would have."""
    points, _ = functions.quadrature()
    least = min(survey(problem).sample[1].min(), problem.potential_values(points).min())
    assert isinstance(problem.domain, Box)
    empty = np.sum(np.asarray(problem.local.coefficients) * (np.pi / np.asarray(problem.domain.lengths)) ** 2)
    if energies[0] < least - 0.01 * (np.ptp(energies) + empty):
        raise ValueError(
            f"evaluate: an energy, {energies[0]:.6g}, lies below the least value of V, {least:.6g}: the integrals over these "
            "wavefunctions are noise. Try a larger batch or a lower learning rate, or declare the singular points of V."
        )


def _ritz(moments: _Moments, n_states: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies, rotation and variances ‖Hψ - Eψ‖² in the span of the N wavefunctions."""
    within = np.s_[:n_states, :n_states]
    try:
        energies, rotation = rayleigh_ritz(moments.sigma[within], moments.pi[within], n_states)
    except ValueError as error:
        raise ValueError(f"evaluate: {error} Try more steps or a lower learning rate.") from error
    square = np.einsum("ak,ab,bk->k", rotation, moments.square, rotation)
    return energies, rotation, square - energies**2


def _blocks(
    problem: Problem,
    wavefunction: Wavefunction,
    params: Any,
    sampler: Sampler,
    n_points: int,
    n_blocks: int,
    seed: int,
    larger: bool,
) -> _Moments:
    """Moments of each of `n_blocks` independent point sets; `larger` adds the hidden functions."""
    hamiltonian = problem.minimised.exact()
    n_states = wavefunction.n_states
    hidden = jax.eval_shape(wavefunction.hidden_functions, params, jnp.zeros(problem.dim)).size
    chosen = np.unique(np.linspace(0, hidden - 1, min(hidden, _MOST_FUNCTIONS)).round().astype(int))
    block_size = max(_BATCH, n_points // n_blocks // _BATCH * _BATCH)
    every = problem.domain.all_points()

    def functions(x: Float[Array, " dim"]) -> Float[Array, " functions"]:
        u = wavefunction(params, x)
        if not larger:
            return u
        return jnp.concatenate([u, wavefunction.hidden_functions(params, x).reshape(-1)[chosen]])

    def draw(key: PRNGKeyArray, count: int) -> Points:
        if every is None:
            return sampler.draw(key, count, problem.domain, wavefunction.landmarks)
        missing = -len(every) % count  # all nodes; the last batch is filled up with points of weight zero
        padded = np.concatenate([every, np.zeros((missing, 1))])
        return Points(jnp.asarray(padded), jnp.asarray(np.arange(len(padded)) < len(every), float))

    def batch_moments(
        x: Float[Array, "batch dim"], weights: Float[Array, " batch"], key: PRNGKeyArray
    ) -> _Moments:
        f = jax.vmap(functions)(x)
        others = None if hamiltonian.is_local else draw(jax.random.fold_in(key, 0), _BATCH)
        hf = hamiltonian.image(functions, x, others)
        hu = second = hf[:, :n_states]
        if others is not None and every is None:
            second = hamiltonian.image(functions, x, draw(jax.random.fold_in(key, 1), _BATCH))[:, :n_states]
        return _Moments(moment(f, f, weights), moment(f, hf, weights), moment(hu, second, weights))

    @jax.jit
    def block_moments(block_seed: Array) -> _Moments:
        points = draw(jax.random.key(block_seed), block_size if every is None else _BATCH)
        batches = (
            points.x.reshape(-1, _BATCH, problem.dim),
            points.weights.reshape(-1, _BATCH),
            jax.random.split(jax.random.key(block_seed + 1), len(points.x) // _BATCH),
        )
        shapes = jax.eval_shape(batch_moments, *jax.tree.map(lambda b: b[0], batches))
        total, _ = jax.lax.scan(
            lambda sums, batch: (jax.tree.map(jnp.add, sums, batch_moments(*batch)), None),
            jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes),
            batches,
        )
        return total

    # Other seeds than training's, and other points in each block.
    n_blocks = n_blocks if every is None else 1
    blocks = [block_moments(jnp.uint32((seed * 7919 + 2**31 + b) % 2**32)) for b in range(n_blocks)]
    moments = _Moments(*(np.stack([np.asarray(block[i]) for block in blocks]) for i in range(3)))
    if not all(np.isfinite(m).all() for m in moments):
        raise ValueError(
            "evaluate: the wavefunctions or Hψ are not finite at some points. Try a lower learning rate, "
            "or declare the singular points of V."
        )
    return moments
