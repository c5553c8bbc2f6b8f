"""The order in which examples are taken: whole batches, every example exactly once."""

import re

import numpy as np

from gpz_jax.types import InputError


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


def balanced_order(
  labels: np.ndarray,
  per_class: int,
  seed: int,
  epoch: int,
  num_examples: int,
  batch_size: int,
) -> tuple[np.ndarray, np.ndarray]:
  """The batches of one training epoch with `per_class` examples of each class in it.

  There are as many batches as in `epoch_order`. Within an epoch, classes are drawn
  equally often up to one batch, and so are the examples of a class up to one draw. A
  class with fewer examples than `per_class` gives some of them twice.

  Args:
    labels: [N] int, the class of each example.
    per_class: Number of examples that a class gives to a batch, >= 1.
    seed: Seed of the run, >= 0.
    epoch: Number of the epoch, >= 0.
    num_examples: Number N of examples, >= 1.
    batch_size: Number B of examples in a batch, a multiple of `per_class`.

  Returns:
    index [S, B] int32 into the subset and mask [S, B] float32 of ones.

  Raises:
    ValueError: A number is out of range, or there are fewer classes than in a batch.
  """
  _check(num_examples, batch_size)
  classes = np.unique(labels)
  in_batch, rest = divmod(batch_size, per_class)
  if len(labels) != num_examples or rest or in_batch > len(classes):
    raise ValueError(
      f'batches of {in_batch} classes, {per_class} examples each, cannot be drawn from'
      f' {num_examples} examples with {len(labels)} labels of {len(classes)} classes'
    )
  rng = np.random.default_rng([seed, epoch])
  members = [rng.permutation(np.flatnonzero(labels == c)) for c in classes]
  used = [0] * len(classes)  # how often each class was in a batch
  index = []
  for _ in range(-(-num_examples // batch_size)):
    order = rng.permutation(len(classes))
    chosen = order[np.argsort([used[i] for i in order], kind='stable')[:in_batch]]
    for i in chosen:
      start = int(used[i]) * per_class
      places = np.arange(start, start + per_class) % len(members[i])
      index.append(members[i][places])
    for i in chosen:
      used[i] += 1
  index = np.concatenate(index).reshape(-1, batch_size).astype(np.int32)
  return index, np.ones(index.shape, np.float32)


def parse_batches(text: str) -> tuple[int, int]:
  """The classes in a batch and the examples of each: '16x4' -> (16, 4).

  Raises:
    InputError: The text is none.
  """
  match = re.fullmatch(r'(\d{1,5})x(\d{1,5})', text)
  classes, examples = map(int, match.groups()) if match else (0, 0)
  if classes < 1 or examples < 1 or not 2 <= classes * examples <= 2**16:
    raise InputError(
      f'--batches={text} is not allowed; give classes x examples, as in 16x4, of'
      ' 2 to 65,536 examples'
    )
  return classes, examples


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
