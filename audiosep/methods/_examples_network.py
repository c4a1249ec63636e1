"""A small fully connected network with rectifiers, and how it is trained. NumPy only.

References
----------
.. [1] D. P. Kingma and J. Ba (2015), "Adam: a method for stochastic optimization", ICLR.
.. [2] N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov (2014),
   "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

__all__ = ["Network", "train_network"]

_Matrix = npt.NDArray[np.float32]

_FIRST, _SECOND = 0.9, 0.999
_TINY = 1e-8
_LAST_SCALE = 0.1


class Network:
    """Layers of weights; every one but the last is followed by a rectifier.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, units of each hidden layer, outputs.
    rng : numpy.random.Generator
        Source of the first weights and of dropout.
    dropout : float in [0, 1)
        Share of the hidden units that are left out in training.
    dtype : data type
        float32, or float64 to check gradients.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        rng: np.random.Generator,
        *,
        dropout: float = 0.0,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self._rng, self._dropout = rng, dropout
        self.weights: list[_Matrix] = []
        self.biases: list[_Matrix] = []
        for fan_in, fan_out in pairwise(sizes):
            spread = np.sqrt(2.0 / fan_in)
            self.weights.append((rng.standard_normal((fan_in, fan_out)) * spread).astype(dtype))
            self.biases.append(np.zeros(fan_out, dtype=dtype))
        self.weights[-1] *= _LAST_SCALE
        self._steps = 0
        self._moments = [(np.zeros_like(p), np.zeros_like(p)) for p in self._parameters()]
        self._inputs: list[_Matrix] = []
        self._kept: list[_Matrix] = []

    def _parameters(self) -> list[_Matrix]:
        return [*self.weights, *self.biases]

    def outputs(self, inputs: _Matrix) -> _Matrix:
        """Outputs (n, n_outputs) for inputs (n, n_inputs); remembers nothing."""
        x = inputs
        for W, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = x @ W
            x += b
            np.maximum(x, 0, out=x)
        return np.asarray(x @ self.weights[-1] + self.biases[-1])

    def forward(self, inputs: _Matrix) -> _Matrix:
        """As :meth:`outputs`, with dropout, and remembered for :meth:`backward`."""
        x = inputs
        self._inputs, self._kept = [x], []
        for W, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = x @ W
            x += b
            np.maximum(x, 0, out=x)
            if self._dropout:
                kept = self._rng.random(x.shape, dtype=np.float32) >= self._dropout
                x *= kept * np.float32(1 / (1 - self._dropout))
            self._inputs.append(x)
        return np.asarray(x @ self.weights[-1] + self.biases[-1])

    def backward(self, gradient: _Matrix) -> list[_Matrix]:
        """Gradients of the weights, then of the biases.

        Parameters
        ----------
        gradient : np.ndarray [shape=(n, n_outputs)]
            Of the error, with respect to what :meth:`forward` has just returned.

        Returns
        -------
        list of np.ndarray
        """
        of_weights: list[_Matrix] = []
        of_biases: list[_Matrix] = []
        scale = np.float32(1 / (1 - self._dropout))
        for layer in range(len(self.weights) - 1, -1, -1):
            x = self._inputs[layer]
            of_weights.insert(0, x.T @ gradient)
            of_biases.insert(0, gradient.sum(axis=0))
            if layer:
                gradient = gradient @ self.weights[layer].T
                # Units that were left out are zero here too, like those below zero.
                gradient *= x > 0
                if self._dropout:
                    gradient *= scale
        return [*of_weights, *of_biases]

    def step(self, gradients: Sequence[_Matrix], rate: float) -> None:
        """Change the parameters by one step of Adam."""
        self._steps += 1
        k = self._steps
        rate = rate * np.sqrt(1 - _SECOND**k) / (1 - _FIRST**k)
        for p, g, (mean, square) in zip(self._parameters(), gradients, self._moments, strict=True):
            mean += (1 - _FIRST) * (g - mean)
            square += (1 - _SECOND) * (np.square(g) - square)
            p -= np.asarray(rate * mean / (np.sqrt(square) + _TINY), dtype=p.dtype)


def train_network(
    network: Network,
    gradient_at: Callable[[npt.NDArray[np.intp]], _Matrix],
    n: int,
    rng: np.random.Generator,
    *,
    epochs: int,
    batch: int,
    rate: float,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Train a network in steps that become smaller to the end, along half a cosine.

    Parameters
    ----------
    network : Network
        Is changed.
    gradient_at : callable
        Runs :meth:`Network.forward` for these of the examples, and returns the gradient of the
        error with respect to the outputs.
    n : int > 0
        Number of examples.
    rng : numpy.random.Generator
        Source of their order, another one in each epoch.
    epochs, batch : int > 0
        How often each example is used, and how many at once.
    rate : float > 0
        Of the first step.
    progress : callable, optional
        Called with a number from 0 to 1.
    """
    batches = max(1, n // batch)
    n_steps = epochs * batches
    order = np.arange(n)
    for step in range(n_steps):
        if step % batches == 0:
            order = rng.permutation(n)
            if progress is not None:
                progress(step / n_steps)
        at = order[(step % batches) * batch :][:batch]
        gradient = gradient_at(at)
        slower = rate * 0.5 * (1 + np.cos(np.pi * step / n_steps))
        network.step(network.backward(gradient), slower)
