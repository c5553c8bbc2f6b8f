"""The order in which examples are taken: whole batches, every example exactly once."""

import numpy as np


def epoch_order(
  seed: int, epoch: int, num_examples: int, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
  """The batches of one training epoch: a fresh permutation for each epoch.

  The last batch is filled with the first examples of the same permutation, so that
  batch statistics see real images only; their mask is 0.

  Args:
    seed: Seed of the run, >= 0. All lanes share it, so that comparisons are paired.
    epoch: Number of the epoch, >= 0.
    num_examples: Number N of examples, >= 1.
    batch_size: Number B of examples in a batch, >= 1; it may exceed N.

  Returns:
    index [S, B] int32 into the subset and mask [S, B] float32, S = ceil(N / B).

  Raises:
    ValueError: a number is out of range.
  """
  _check(num_examples, batch_size)
  rng = np.random.default_rng([seed, epoch])
  return _batches(rng.permutation(num_examples), batch_size)


def eval_order(num_examples: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
  """The batches of an evaluation: natural order, filled and masked as in training.

  Args:
    num_examples: N, >= 1.
    batch_size: B, >= 1; may exceed N.

  Returns:
    index [S, B] int32 into the subset and mask [S, B] float32, S = ceil(N / B).

  Raises:
    ValueError: a number is out of range.
  """
  _check(num_examples, batch_size)
  return _batches(np.arange(num_examples), batch_size)


def _check(num_examples: int, batch_size: int) -> None:
  if num_examples < 1 or batch_size < 1:
    raise ValueError(
      f'num_examples and batch_size must be at least 1, got {num_examples}, '
      f'{batch_size}'
    )


def _batches(order: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
  num_batches = -(-len(order) // batch_size)
  shape = (num_batches, batch_size)
  index = np.resize(order, shape)  # np.resize goes round again where order ends
  mask = np.arange(num_batches * batch_size).reshape(shape) < len(order)
  return index.astype(np.int32), mask.astype(np.float32)
