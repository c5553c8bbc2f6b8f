"""Which examples the target's owner has, and which the attacker: by permutation."""

import hashlib
from collections.abc import Sequence

import numpy as np

from gpz_jax import types

# Without an official test subset: 66.6 / 16.7 / 16.7 % train / test / aux, a sixth for
# each of the latter (docs/paper.md#data), the second being 1/5 of the other 5/6.
TEST_SHARE = 1 / 6
AUX_SHARE = 0.2


def divide(
  num_examples: int,
  *,
  test_share: float,
  aux_share: float,
  val_share: float,
  seed: int,
) -> dict[str, np.ndarray]:
  """Divides an official train subset: indices [n] of train, val, aux (and test).

  The permutation is cut in the order train, val, test, aux: aux is its last part.

  Args:
    num_examples: Number N of examples in the official train subset.
    test_share: Share of all examples that is test, in [0, 1); 0 where there is an
      official test subset.
    aux_share: The attacker's share of what is not test, in [0, 1); 0 where aux comes
      from another dataset.
    val_share: Share of the owner's examples that is held out of training, in [0, 1).
    seed: Seed of the permutation, >= 0.

  Raises:
    InputError: a share is out of range, or there are too few examples.
  """
  for name, share in (('aux_share', aux_share), ('val_share', val_share)):
    if not 0 <= share < 1:
      raise types.InputError(f'{name} {share} is not in [0, 1)')
  test = _part(num_examples, test_share)
  aux = _part(num_examples - test, aux_share)
  owned = num_examples - test - aux
  val = _part(owned, val_share)
  train = owned - val
  if train < 1:
    raise types.InputError(
      f'{num_examples} training examples are too few to divide into train, val, test '
      'and aux; at least 4 are needed'
    )
  parts = np.split(
    np.random.default_rng(seed).permutation(num_examples),
    np.cumsum([train, val, test]),
  )
  names = ('train', 'val', 'test', 'aux')
  return {
    name: part
    for name, part in zip(names, parts, strict=True)
    if name != 'test' or test_share
  }


def shuffled(num_examples: int, seed: int) -> np.ndarray:
  """A permutation [N] for a subset that is used whole, so that limits are fair."""
  return np.random.default_rng([seed, 1]).permutation(num_examples)


def _part(num_examples: int, share: float) -> int:
  """How many examples a share is: one at least, unless it is 0."""
  return max(1, round(num_examples * share)) if share else 0


def hold_out(
  names: Sequence[str], labels: Sequence[str], test_share: float
) -> np.ndarray:
  """Which examples of each class are test: [N] of bool, a share of each class.

  A hash of their names chooses them. The choice does not depend on pixels, on the order
  of the examples or on a seed, and a new example moves one other at most.

  Args:
    names: Names [N] of the examples, such as paths within a folder.
    labels: Classes [N] of the examples.
    test_share: Share of each class that is test, in (0, 1), rounded to the nearest.

  Raises:
    InputError: A class would have no test image, or no other one.
  """
  members: dict[str, list[int]] = {}
  for i, label in enumerate(labels):
    members.setdefault(label, []).append(i)
  is_test = np.zeros(len(names), bool)
  for label, rows in members.items():
    count = int(len(rows) * test_share + 0.5)
    if not 0 < count < len(rows):
      raise types.InputError(_explain_share(label, len(rows), count, test_share))
    rows.sort(key=lambda i: hashlib.sha256(_bytes(names[i])).digest())
    is_test[rows[:count]] = True
  return is_test


def _explain_share(label: str, size: int, count: int, test_share: float) -> str:
  """Why a share of a class of `size` images cannot be test, and which could."""
  low, high = 0.5 / size, (size - 0.5) / size
  way_out = f'give a share between {low:.3f} and {high:.3f}, or more images'
  if size == 1:
    way_out = 'add images, or remove the class'
  kept = 'no test image' if not count else 'nothing but test images'
  return (
    f"class '{label}' has {size} image{'s' * (size != 1)}, so that"
    f' --test_share={test_share:g} leaves it {kept}; {way_out}'
  )


def _bytes(name: str) -> bytes:
  return name.encode(errors='surrogateescape')
