"""Networks: settings objects that make parameters, a pytree, and map one input vector to N outputs.

Every network ends in a linear layer, so `net(params, z)` is linear in the last hidden activations, which
`net.hidden_activations(params, z)` shows, in one group for all outputs or one group an output.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

__all__ = ["MLP", "BlockSparseMLP", "Network", "SeparateMLPs"]

# Checked by value, with a message that says what is wrong; a run-time check of types would come first.
if TYPE_CHECKING:
    Widths = tuple[int, ...]
else:
    Widths = Any

Layers = tuple[tuple[Float[Array, "..."], Float[Array, "..."]], ...]  # ((weight, bias), ...)


def _check_hidden(name: str, hidden: Any) -> tuple[int, ...]:
    widths = tuple(hidden) if np.iterable(hidden) else (hidden,)
    if not widths or not all(isinstance(w, int | np.integer) and w > 0 for w in widths):
        raise ValueError(f"{name}: hidden must be a sequence of positive layer widths, got {hidden!r}.")
    return tuple(int(w) for w in widths)


def _init_layers(key: PRNGKeyArray, sizes: tuple[int, ...], dtype: Any) -> Layers:
    """Weights of variance 1/fan-in; first-layer biases spread the neurons' zeros over inputs in [-1, 1]."""
    layers = []
    for depth, (n_in, n_out) in enumerate(pairwise(sizes)):
        key, weight_key, bias_key = jax.random.split(key, 3)
        weight = jax.random.normal(weight_key, (n_in, n_out), dtype) / math.sqrt(n_in)
        spread = 1.0 if depth == 0 else 0.3
        layers.append((weight, jax.random.uniform(bias_key, (n_out,), dtype, -spread, spread)))
    return tuple(layers)


def _hidden(
    layers: Layers, z: Float[Array, " inputs"], activation: Callable[..., Any]
) -> Float[Array, " width"]:
    for weight, bias in layers[:-1]:
        z = activation(z @ weight + bias)
    return z


class Network(ABC):
    """Settings of a network. `init` makes its parameters; calling it maps one z (inputs,) to (outputs,)."""

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
class MLP(Network):
    """Fully connected layers that all outputs share. `MLP((128,) * 4, jax.nn.softplus)` is the paper's size.

    Cost and memory a point: Σ widths products of neighbouring layers, whatever the number of outputs.
    """

    hidden: Widths = (64, 64)
    activation: Callable[..., Any] = jnp.tanh

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", _check_hidden("MLP", self.hidden))

    def init(self, key: PRNGKeyArray, n_inputs: int, n_outputs: int, dtype: Any = jnp.float32) -> Layers:
        return _init_layers(key, (n_inputs, *self.hidden, n_outputs), dtype)

    def hidden_activations(self, params: Layers, z: Float[Array, " inputs"]) -> Float[Array, "groups width"]:
        return _hidden(params, z, self.activation)[None]

    def __call__(self, params: Layers, z: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        weight, bias = params[-1]
        return _hidden(params, z, self.activation) @ weight + bias


@dataclass(frozen=True)
class BlockSparseMLP(Network):
    """The SpIN paper's MLP (appendix C.1): overlapping blocks of weights, one an output, parting with depth.

    In layer l of L the block of output k spans a share (L - l + 1)/L of the layer's inputs and of its
    outputs, beginning at a share (k - 1)/(K - 1)·(l - 1)/L; a weight outside every block is zero. The first
    layer is dense. In the last layer output k reads the block of k alone.
    """

    hidden: Widths = (128, 128, 128, 128)
    activation: Callable[..., Any] = jax.nn.softplus

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", _check_hidden("BlockSparseMLP", self.hidden))

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

    def init(self, key: PRNGKeyArray, n_inputs: int, n_outputs: int, dtype: Any = jnp.float32) -> Layers:
        layers = _init_layers(key, (n_inputs, *self.hidden, n_outputs), dtype)
        return self._masked(layers, n_inputs, n_outputs, rescale=True)

    def _masked(self, layers: Layers, n_inputs: int, n_outputs: int, rescale: bool = False) -> Layers:
        masked = []
        for (weight, bias), mask in zip(layers, self.masks(n_inputs, n_outputs), strict=True):
            # A column with fewer weights keeps its variance through larger ones.
            factor = np.sqrt(mask.shape[0] / np.maximum(mask.sum(0), 1)) if rescale else 1.0
            masked.append((weight * jnp.asarray(mask * factor, weight.dtype), bias))
        return tuple(masked)

    def hidden_activations(self, params: Layers, z: Float[Array, " inputs"]) -> Float[Array, "groups width"]:
        layers = self._masked(params, z.size, params[-1][1].size)
        return _hidden(layers, z, self.activation)[None]

    def __call__(self, params: Layers, z: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        layers = self._masked(params, z.size, params[-1][1].size)
        weight, bias = layers[-1]
        return _hidden(layers, z, self.activation) @ weight + bias


def _span(start: float, share: float, size: int) -> slice:
    first = int(np.floor(start * size + 1e-9))
    return slice(first, max(int(np.ceil((start + share) * size - 1e-9)), first + 1))


@dataclass(frozen=True)
class SeparateMLPs(Network):
    """One small MLP for each output, evaluated together by one vmap over stacked parameters.

    No output disturbs another's parameters, so with the masked gradient a lower state never feels a higher
    one at all. Cost and memory grow in proportion to the number of outputs.
    """

    hidden: Widths = (32, 32)
    activation: Callable[..., Any] = jnp.tanh

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", _check_hidden("SeparateMLPs", self.hidden))

    def init(self, key: PRNGKeyArray, n_inputs: int, n_outputs: int, dtype: Any = jnp.float32) -> Layers:
        sizes = (n_inputs, *self.hidden, 1)
        return jax.vmap(lambda k: _init_layers(k, sizes, dtype))(jax.random.split(key, n_outputs))

    def hidden_activations(self, params: Layers, z: Float[Array, " inputs"]) -> Float[Array, "groups width"]:
        return jax.vmap(lambda layers: _hidden(layers, z, self.activation))(params)

    def __call__(self, params: Layers, z: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        weight, bias = params[-1]
        hidden = self.hidden_activations(params, z)
        return jnp.einsum("kw,kw->k", hidden, weight[..., 0]) + bias[:, 0]
