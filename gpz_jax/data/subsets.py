"""Which examples the target's owner has, and which the attacker: by permutation."""

import numpy as np

from gpz_jax import types

# Without an official test subset: 66.6 / 16.7 / 16.7 % train / test / aux, a sixth for
# each of the latter (spec/gpz.md section 1); the default aux_share gives the second
# sixth, 1/5 of the other 5/6.
TEST_SHARE = 1 / 6


def divide(
  num_examples: int,
  *,
  has_test: bool,
  aux_share: float,
  val_share: float,
  seed: int,
) -> dict[str, np.ndarray]:
  """Divides an official train subset: indices [n] of train, val, aux (and test).

  The permutation is cut in the order train, val, test, aux: aux is its last part.

  Args:
    num_examples: N of the official train subset.
    has_test: whether there is an official test subset; if not, a sixth becomes test.
    aux_share: of what is not test, in (0, 1): the attacker's.
    val_share: of the owner's examples, in [0, 1): held out of training.
    seed: of the permutation, >= 0.

  Raises:
    InputError: a share is out of range, or there are too few examples.
  """
  _check_share('aux_share', aux_share, exclude_zero=True)
  _check_share('val_share', val_share, exclude_zero=False)
  test = 0 if has_test else max(1, round(num_examples * TEST_SHARE))
  aux = max(1, round((num_examples - test) * aux_share))
  owned = num_examples - test - aux
  val = max(1, round(owned * val_share)) if val_share else 0
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
    if name != 'test' or not has_test
  }


def shuffled(num_examples: int, seed: int) -> np.ndarray:
  """A permutation [N] for a subset that is used whole, so that limits are fair."""
  return np.random.default_rng([seed, 1]).permutation(num_examples)


def _check_share(name: str, share: float, *, exclude_zero: bool) -> None:
  if not 0 <= share < 1 or (exclude_zero and share == 0):
    allowed = '(0, 1)' if exclude_zero else '[0, 1)'
    raise types.InputError(f'{name} {share} is not in {allowed}')
