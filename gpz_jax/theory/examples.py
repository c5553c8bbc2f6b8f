"""Activations with their labels, checked and laid out as a matrix.

Estimators read the matrix in blocks and calculate in float64. The matrix may therefore
be a memory map larger than memory, of any precision.
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from gpz_jax.types import InputError

BLOCK = 2**22  # elements of a block, which takes 32 MiB as float64
LARGEST = 1e60  # fourth powers of distances stay finite in float64


class Examples(NamedTuple):
  """Activations as a matrix, with classes renumbered to those that have examples."""

  flat: np.ndarray  # [N, D] as stored: any real type, perhaps a memory map
  label: np.ndarray  # [N] int64 in [0, K)
  classes: np.ndarray  # [K] the labels as given, ascending
  channels: int  # C: the last axis of the activation; D where it has one axis

  @property
  def counts(self) -> np.ndarray:
    """[K] examples of each class, none of them 0."""
    return np.bincount(self.label)

  def rows(self) -> Iterator[slice]:
    """Slices over the examples, each at most a block."""
    return blocks(*self.flat.shape)


def check(activations, labels) -> Examples:
  """Checks that activations can be measured, and flattens them.

  Args:
    activations: [N, ...], channels last, any real type; arrays and memory maps.
    labels: [N] integers, true or predicted.

  Returns:
    The activations as a matrix, with their labels renumbered.

  Raises:
    InputError: Shapes or types do not fit, there are no examples, or values are not
      finite (or beyond 1e60).
  """
  activations, labels = np.asarray(activations), np.asarray(labels)
  shape = activations.shape
  if activations.ndim < 2 or 0 in shape:
    raise InputError(f'activations must be [N, ...] and not empty, got {shape}')
  if labels.shape != shape[:1]:
    raise InputError(
      f'{shape[0]} activations need {shape[0]} labels, got labels of {labels.shape}'
    )
  is_real = activations.dtype.kind in 'fiub' or jnp.issubdtype(
    activations.dtype, jnp.floating
  )
  if not is_real or labels.dtype.kind not in 'iu':
    raise InputError(
      f'activations must be real and labels integers, got {activations.dtype} and '
      f'{labels.dtype}'
    )
  classes, label = np.unique(labels, return_inverse=True)
  examples = Examples(activations.reshape(shape[0], -1), label, classes, shape[-1])
  for rows in examples.rows():
    _check_finite(examples.flat[rows], rows.start)
  return examples


def blocks(length: int, width: int) -> Iterator[slice]:
  """Slices over `length` rows of `width` elements, each of at most BLOCK elements."""
  step = max(1, BLOCK // width)
  return (slice(i, min(i + step, length)) for i in range(0, length, step))


def _check_finite(block: np.ndarray, start: int) -> None:
  largest = max(float(block.max()), -float(block.min()))  # nan if one is nan
  if largest < LARGEST:
    return
  with np.errstate(invalid='ignore'):
    bad = ~(np.abs(block.astype(np.float64)) < LARGEST)
  example = start + int(np.flatnonzero(bad.any(axis=1))[0])
  raise InputError(
    f'the activation of example {example} is not finite or beyond {LARGEST:g}; '
    f'leave out targets whose training diverged'
  )
