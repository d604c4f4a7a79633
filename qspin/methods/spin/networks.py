"""Networks: settings objects that make parameters, a pytree, and map one input vector to N outputs.

Every network ends in a linear layer, so `net(params, z)` is linear in the last hidden activations, which
`net.hidden_activations(params, z)` returns, in one group for all outputs or one group for each output.

The layers are our own. `eqx.nn.MLP` has hidden layers of one width only, and `eqx.nn.Linear` holds its weights transposed: with
it random parameters, and all energies with them, would change.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from qspin.numerics.registry import Registry

__all__ = [
    "MLP",
    "NETWORKS",
    "BlockSparseMLP",
    "Network",
    "SeparateMLPs",
    "activation_name",
    "named_activation",
    "softplus",
]

NETWORKS = Registry("network", "qspin.networks")  # names for files of spectra

Activation = Callable[[Float[Array, "*n"]], Float[Array, "*n"]]
Weights = Float[Array | np.ndarray, "..."]  # of NumPy where a solved spectrum holds them
Layers = tuple[tuple[Weights, Weights], ...]  # ((weight, bias), ...)
_WIDEST = 65_536  # neurons of a layer: the weights between two such layers would fill 16 GB


@jax.custom_jvp
def softplus(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """log(1 + eˣ) to rounding, as `jax.nn.softplus`, in arithmetic that CPUs vectorise (log1p they do not).

    max(x, 0) + 2 artanh(s), s = e/(2 + e) ≤ 1/3 with e = exp(-|x|); the series ends below eps.
    """
    e = jnp.exp(-jnp.abs(x))
    s = e / (2 + e)
    square, series = s * s, jnp.zeros_like(s)
    for n in range(17 if x.dtype == jnp.float64 else 8, 0, -1):
        series = square * (1 / (2 * n + 1) + series)
    return jnp.maximum(x, 0) + 2 * s * (1 + series)


@softplus.defjvp
def _softplus_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (t,) = primals, tangents
    return softplus(x), t * (0.5 + 0.5 * jnp.tanh(0.5 * x))


def activation_name(function: Activation) -> str:
    """The name that files hold for an activation. ValueError where it is not of jax.numpy, jax.nn or qspin."""
    name = getattr(function, "__name__", "")
    if named_activation(name) is not function:
        raise ValueError(
            f"save: activation of the network must be a function of jax.numpy or jax.nn, got {function!r}."
        )
    return name


def named_activation(name: str) -> Activation | None:
    """The activation of this name, `softplus` being qspin's; None where there is none."""
    places: tuple[Any, ...] = ({"softplus": softplus}, vars(jnp), vars(jax.nn))
    return next((place[name] for place in places if callable(place.get(name))), None)


class Network(ABC):
    """Settings of a network. `init` makes its parameters; calling it maps one z (inputs,) to (outputs,).

    Spectra of your own network, a frozen dataclass, can be saved if the class is registered: `@NETWORKS("my network")`.
    """

    @abstractmethod
    def init(self, key: PRNGKeyArray, n_inputs: int, n_outputs: int, dtype: Any = jnp.float32) -> Any:
        """Fresh parameters, a pytree of arrays of the given dtype."""

    @abstractmethod
    def hidden_activations(self, params: Any, z: Float[Array, " inputs"]) -> Float[Array, "groups width"]:
        """The last hidden layer: one group that all outputs read, or one group for each output."""

    @abstractmethod
    def __call__(self, params: Any, z: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        """The outputs at one point."""


@dataclass(frozen=True)
class _Layered(Network):
    """What networks of dense layers share: the settings, and the pickling of them.

    Args:
        hidden: widths of the hidden layers, at most 65,536 each; one number is one layer.
        activation: of hidden layers, a function of jax.numpy or jax.nn, or `softplus`.
    """

    hidden: Any = (64, 64)
    activation: Activation = jnp.tanh

    def __post_init__(self) -> None:
        widths = tuple(self.hidden) if np.iterable(self.hidden) else (self.hidden,)
        if not widths or not all(isinstance(w, int | np.integer) and 0 < w <= _WIDEST for w in widths):
            raise ValueError(
                f"{type(self).__name__}: hidden must be a sequence of positive layer widths of at most {_WIDEST}, "
                f"got {self.hidden!r}."
            )
        object.__setattr__(self, "hidden", tuple(int(w) for w in widths))

    def __reduce__(self) -> tuple[Any, ...]:
        # JAX's functions cannot be pickled, their names can.
        try:
            activation: Any = activation_name(self.activation)
        except ValueError:
            activation = self.activation
        return _unpickled, (type(self), self.hidden, activation)


def _unpickled(kind: Callable[..., Network], hidden: tuple[int, ...], activation: Any) -> Network:
    return kind(hidden, named_activation(activation) if isinstance(activation, str) else activation)


@NETWORKS("MLP")
@dataclass(frozen=True)
class MLP(_Layered):
    """Fully connected layers that all outputs share. `MLP((128,) * 4, softplus)` is the paper's size.

    Cost and memory a point: Σ widths products of neighbouring layers, whatever the number of outputs.
    """

    def init(self, key: PRNGKeyArray, n_inputs: int, n_outputs: int, dtype: Any = jnp.float32) -> Layers:
        return _init_layers(key, (n_inputs, *self.hidden, n_outputs), dtype)

    def hidden_activations(self, params: Layers, z: Float[Array, " inputs"]) -> Float[Array, "groups width"]:
        return _hidden(params, z, self.activation)[None]

    def __call__(self, params: Layers, z: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        return _dense(params, z, self.activation)


@NETWORKS("BlockSparseMLP")
@dataclass(frozen=True)
class BlockSparseMLP(_Layered):
    """The SpIN paper's MLP (appendix C.1): one block of weights for each output; blocks overlap less with depth.

    In layer l of L the block of output k spans a share (L - l + 1)/L of the layer's inputs and of its
    outputs, beginning at a share (k - 1)/(K - 1)·(l - 1)/L; a weight outside every block is zero. The first
    layer is dense. In the last layer output k reads the block of k alone.
    """

    hidden: Any = (128, 128, 128, 128)
    activation: Activation = softplus

    def masks(self, n_inputs: int, n_outputs: int) -> tuple[np.ndarray, ...]:
        """Which weights of each layer may differ from zero: bool arrays (layer's inputs, layer's outputs)."""
        sizes = (n_inputs, *self.hidden, n_outputs)
        depth = len(sizes) - 1
        masks = []
        for layer in range(1, depth + 1):
            share = (depth - layer + 1) / depth
            mask = np.zeros((sizes[layer - 1], sizes[layer]), dtype=bool)
            for k in range(n_outputs):
                start = (k / (n_outputs - 1) if n_outputs > 1 else 0.0) * (1 - share)
                rows, columns = (_span(start, share, size) for size in mask.shape)
                mask[rows, slice(k, k + 1) if layer == depth else columns] = True
            masks.append(mask)
        return tuple(masks)

    def _mask(self, layers: Layers, rescale: bool = False) -> Layers:
        masked = []
        masks = self.masks(layers[0][0].shape[0], layers[-1][1].size)
        for (weight, bias), mask in zip(layers, masks, strict=True):
            # A column with fewer weights keeps its variance through larger ones.
            factor = np.sqrt(mask.shape[0] / np.maximum(mask.sum(0), 1)) if rescale else 1.0
            masked.append((weight * jnp.asarray(mask * factor, weight.dtype), bias))
        return tuple(masked)

    def init(self, key: PRNGKeyArray, n_inputs: int, n_outputs: int, dtype: Any = jnp.float32) -> Layers:
        return self._mask(_init_layers(key, (n_inputs, *self.hidden, n_outputs), dtype), rescale=True)

    def hidden_activations(self, params: Layers, z: Float[Array, " inputs"]) -> Float[Array, "groups width"]:
        return _hidden(self._mask(params), z, self.activation)[None]

    def __call__(self, params: Layers, z: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        return _dense(self._mask(params), z, self.activation)


@NETWORKS("SeparateMLPs")
@dataclass(frozen=True)
class SeparateMLPs(_Layered):
    """One small MLP for each output, evaluated together by one vmap over stacked parameters.

    No output disturbs another's parameters, so with the masked gradient a lower state never feels a higher
    one at all. Cost and memory grow in proportion to the number of outputs.
    """

    hidden: Any = (32, 32)

    def init(self, key: PRNGKeyArray, n_inputs: int, n_outputs: int, dtype: Any = jnp.float32) -> Layers:
        sizes = (n_inputs, *self.hidden, 1)
        return jax.vmap(lambda k: _init_layers(k, sizes, dtype))(jax.random.split(key, n_outputs))

    def hidden_activations(self, params: Layers, z: Float[Array, " inputs"]) -> Float[Array, "groups width"]:
        return jax.vmap(lambda layers: _hidden(layers, z, self.activation))(params)

    def __call__(self, params: Layers, z: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        weight, bias = params[-1]
        hidden = self.hidden_activations(params, z)
        return jnp.einsum("kw,kw->k", hidden, weight[..., 0]) + bias[:, 0]


def _init_layers(key: PRNGKeyArray, sizes: tuple[int, ...], dtype: Any) -> Layers:
    """Weights of variance 1/fan-in; first-layer biases spread the neurons' zeros over inputs in [-1, 1]."""
    layers = []
    for depth, (n_in, n_out) in enumerate(pairwise(sizes)):
        key, weight_key, bias_key = jax.random.split(key, 3)
        weight = jax.random.normal(weight_key, (n_in, n_out), dtype) / math.sqrt(n_in)
        spread = 1.0 if depth == 0 else 0.3
        layers.append((weight, jax.random.uniform(bias_key, (n_out,), dtype, -spread, spread)))
    return tuple(layers)


def _hidden(layers: Layers, z: Float[Array, " inputs"], activation: Activation) -> Float[Array, " width"]:
    for weight, bias in layers[:-1]:
        z = activation(z @ weight + bias)
    return z


def _dense(layers: Layers, z: Float[Array, " inputs"], activation: Activation) -> Float[Array, " outputs"]:
    weight, bias = layers[-1]
    return _hidden(layers, z, activation) @ weight + bias


def _span(start: float, share: float, size: int) -> slice:
    first = int(np.floor(start * size + 1e-9))
    return slice(first, max(int(np.ceil((start + share) * size - 1e-9)), first + 1))
