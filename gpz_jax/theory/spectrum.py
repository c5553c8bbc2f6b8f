"""Spectra of covariances, also where dimensions outnumber examples by far.

The D x D covariance of N examples is never formed where D >= N. The N x N Gram matrix
has the same non-zero eigenvalues, and is summed over blocks of columns in float64.
Covariances have the factor 1/N.
"""

from typing import NamedTuple

import chex
import numpy as np
import threadpoolctl

from gpz_jax.theory.examples import Examples, blocks, check
from gpz_jax.types import InputError


class Spectrum(NamedTuple):
  """What the estimators need to know of the covariance of a set of examples."""

  eigenvalues: np.ndarray  # [min(N, D)] ascending; the others are 0
  fourth: float  # mean over examples of the fourth power of the distance to the mean
  count: int  # N
  dim: int  # D

  @property
  def trace(self) -> float:
    """Total variance: the mean squared distance to the mean."""
    return float(self.eigenvalues.sum())

  @property
  def square(self) -> float:
    """Trace of the squared covariance."""
    return float(np.square(self.eigenvalues).sum())


class Spectra(NamedTuple):
  """The spectrum of a sample of all examples, and one of every class."""

  total: Spectrum
  classes: list[Spectrum]  # K


def estimate_spectrum(activations) -> Spectrum:
  """The spectrum of the covariance of activations [N, ...].

  Raises:
    InputError: The activations are empty or not finite.
  """
  N = len(np.atleast_1d(activations))
  return _from_rows(check(activations, np.zeros(N, int)).flat)


def estimate_spectra(
  data: Examples, *, max_examples: int = 4_000, seed: int = 0
) -> Spectra:
  """The spectra of all examples and of every class, from one Gram where that serves.

  Args:
    data: N examples of K classes.
    max_examples: Sample size of the whole, and of each class. The number of
      eigenvalues grows with it, so compare only what was measured with one size.
    seed: Seed of the sample.

  Returns:
    The spectrum of all examples, and K spectra of the classes.

  Raises:
    InputError: `max_examples` is below 2.
  """
  if max_examples < 2:
    raise InputError(f'max_examples must be at least 2, got {max_examples}')
  rng = np.random.default_rng(seed)
  N, D = data.flat.shape
  classes = [
    subsample(np.flatnonzero(data.label == k), max_examples, rng)
    for k in range(len(data.classes))
  ]
  if min(D, max_examples) >= N:
    products = gram(data.flat)
    total = _from_gram(products, D)
    if len(classes) == 1:
      return Spectra(total, [total])
    parts = (_centre(products[np.ix_(c, c)]) for c in classes)
    return Spectra(total, [_from_gram(part, D) for part in parts])
  total = _from_rows(data.flat, subsample(np.arange(N), max_examples, rng))
  return Spectra(total, [_from_rows(data.flat, c) for c in classes])


def gram(
  flat: np.ndarray, rows: np.ndarray | None = None, scale: np.ndarray | None = None
) -> np.ndarray:
  """Inner products of examples about their mean: [n, n] float64.

  Args:
    flat: [N, D] of any real type, perhaps a memory map, read in blocks of columns.
    rows: [n], the examples to take; all by default.
    scale: [D], the factor of each column; 1 by default.
  """
  chex.assert_rank(flat, 2, custom_message='flat [N, D]')
  if scale is not None:
    chex.assert_shape(scale, flat.shape[1:], custom_message='scale [D]')
  n = len(flat) if rows is None else len(rows)
  products = np.zeros((n, n))
  for columns in blocks(flat.shape[1], n):
    block = flat[:, columns] if rows is None else flat[rows, columns]
    block = _about_mean(block)
    if scale is not None:
      block *= scale[columns]
    products += block @ block.T
  return products


def effective_rank(spectrum: Spectrum) -> float:
  """Exponential of the entropy of the normalised eigenvalues, in [1, D].

  It is nan where nothing varies.

  Source: Roy and Vetterli 2007, with the eigenvalues of the covariance.
  """
  if not spectrum.trace:
    return float('nan')
  share = spectrum.eigenvalues[spectrum.eigenvalues > 0] / spectrum.trace
  return float(np.exp(-(share * np.log(share)).sum()))


def participation_ratio(spectrum: Spectrum) -> float:
  """Squared trace over trace of the square, in [1, D]; nan where nothing varies."""
  return spectrum.trace**2 / spectrum.square if spectrum.square else float('nan')


def shrink_ledoit_wolf(spectrum: Spectrum) -> float:
  """Weight in [0, 1] of the scaled identity that minimises the expected squared error.

  Source: Ledoit and Wolf 2004. The Gram's diagonal and eigenvalues suffice for it.
  """
  spread = spectrum.square - spectrum.trace**2 / spectrum.dim
  noise = (spectrum.fourth - spectrum.square) / spectrum.count
  return float(np.clip(noise / spread, 0, 1)) if spread > 0 else 0.0


def shrink_oas(spectrum: Spectrum) -> float:
  """Weight in [0, 1] of the scaled identity, for examples of a Gaussian.

  Source: oracle approximating shrinkage, Chen, Wiesel, Eldar and Hero 2010. As in
  scikit-learn, the terms in 2/D of equation 23 are left out.
  """
  if spectrum.dim == 1:
    return 0.0  # any weight gives the same variance
  spread = spectrum.square - spectrum.trace**2 / spectrum.dim
  noise = (spectrum.square + spectrum.trace**2) / (spectrum.count + 1)
  return min(1.0, noise / spread) if spread > 0 else 1.0


def subsample(index: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
  """At most `size` of the positions `index` [n], drawn at random, in their order."""
  if len(index) <= size:
    return index
  return np.sort(rng.choice(index, size, replace=False))


def _from_rows(flat: np.ndarray, rows: np.ndarray | None = None) -> Spectrum:
  n = len(flat) if rows is None else len(rows)
  D = flat.shape[1]
  if n <= D:
    return _from_gram(gram(flat, rows), D)
  about = _about_mean(flat if rows is None else flat[rows])
  norms = np.einsum('nd,nd->n', about, about)
  return _spectrum(about.T @ about, norms, n, D)


def _from_gram(products: np.ndarray, dim: int) -> Spectrum:
  return _spectrum(products, products.diagonal(), len(products), dim)


def _spectrum(matrix: np.ndarray, norms: np.ndarray, n: int, D: int) -> Spectrum:
  # `eigvalsh` makes many small products that wait for threads. On a busy machine two
  # threads are 5 to 10 times slower than one.
  with threadpoolctl.threadpool_limits(1, 'blas'):
    eigenvalues = np.linalg.eigvalsh(matrix) / n
  rounding = len(matrix) * np.finfo(float).eps * eigenvalues[-1]
  eigenvalues[eigenvalues <= rounding] = 0.0
  return Spectrum(eigenvalues, float(np.mean(norms**2)), n, D)


def _about_mean(block: np.ndarray) -> np.ndarray:
  """[n, d] float64 about its mean; exactly 0 in columns that do not vary."""
  block = block.astype(np.float64)
  block -= block[0].copy()  # equal values become 0 before any rounding
  block -= block.mean(axis=0)
  return block


def _centre(products: np.ndarray) -> np.ndarray:
  """The Gram about the mean of its own examples."""
  rows = products.mean(axis=0)
  return products - rows - rows[:, None] + rows.mean()
