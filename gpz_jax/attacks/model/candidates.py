"""Candidates that know nothing of each other, divided into groups and put together.

A class may have more candidates than fit a device at a time. Each group is a search of
its own, whose size depends on the number of candidates alone and on no device.
"""

import numpy as np

from gpz_jax.attacks.model import chunks
from gpz_jax.attacks.model.protocol import Outcome

GROUP = 8  # the most candidates that go through generator and target together


def divide(latents: np.ndarray) -> np.ndarray:
  """Divides candidates [L, T, M, ...] into groups [L, T, G, m, ...].

  Groups are equal where their size can be at least half of `GROUP`. Else the last one
  is filled up with the last candidate, which then counts more than once in histories.
  """
  count = latents.shape[2]
  size = _choose_size(count)
  groups = -(-count // size)
  rows = np.minimum(np.arange(groups * size), count - 1)
  shape = (*latents.shape[:2], groups, size, *latents.shape[3:])
  return latents[:, :, rows].reshape(shape)


def _choose_size(count: int) -> int:
  """The size of a group of `count` candidates."""
  exact = [size for size in range(1, GROUP + 1) if count % size == 0]
  if 2 * exact[-1] >= min(GROUP, count):
    return exact[-1]
  return -(-count // -(-count // GROUP))


def join(
  found: dict[str, np.ndarray], count: int, num_final: int, seconds: float
) -> Outcome:
  """The candidates of all groups together, the best of each class first.

  Args:
    found: What `chunks.run` gave for groups of candidates: 'images', 'scores' and
      'latents', and histories of the metrics of `sight`.
    count: M, how many of all candidates do not merely fill a group up.
    num_final: F.
    seconds: How long it took.
  """
  arrays, history = chunks.split_history(found)
  merged = {
    name: array.reshape(*array.shape[:2], -1, *array.shape[4:])[:, :, :count]
    for name, array in arrays.items()
  }
  order = np.argsort(-merged['scores'], axis=2, kind='stable')
  best = {
    name: np.take_along_axis(
      array, order.reshape(*order.shape, *(1,) * (array.ndim - 3)), axis=2
    )
    for name, array in merged.items()
  }
  return Outcome(
    images=best['images'],
    scores=best['scores'],
    num_final=num_final,
    latents=best['latents'],
    history=_join_history(history),
    seconds=seconds,
  )


def _join_history(history: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """The histories [L, T, steps] of those of groups [L, T, G, steps]."""
  joined = {name: array.mean(axis=2) for name, array in history.items()}
  if 'gradient_std' in history:
    squares = np.square(history['gradient_std']) + np.square(history['gradient_mean'])
    spread = squares.mean(axis=2) - np.square(joined['gradient_mean'])
    joined['gradient_std'] = np.sqrt(np.maximum(spread, 0))
  return joined
