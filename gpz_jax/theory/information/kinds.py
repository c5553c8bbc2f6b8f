"""Which side of the truth an estimator is on, and the most it can report."""

import math
from typing import Literal

from scipy.special import digamma

from gpz_jax.theory.quantity import Quantity
from gpz_jax.types import InputError, hint

Direction = Literal['upper', 'lower', 'neither']

DIRECTIONS: dict[str, Direction] = {
  # of h(x|z), and of the squared error of any decoder
  'conditional_entropy_decoder': 'upper',
  'mse_floor': 'lower',
  'mse_floor_factor': 'neither',  # a ratio of two floors bounds no ratio of errors
  # of I(x; z + noise) in all dimensions
  'information_decoder': 'lower',
  'information_club': 'upper',
  'information_mixture': 'upper',
  'information_mixture_plug_in': 'neither',  # upper for the sample, see mixture.py
  # of I(x; z + noise) between projections
  'information_vclub': 'upper',  # where its q(z|x) fits, which nothing checks
  'information_mine': 'lower',
  'information_nwj': 'lower',
  'information_infonce': 'lower',
  'information_smile': 'neither',  # clipping trades the bound for variance
  'information_ksg': 'neither',
  'information_gaussian': 'neither',  # exact for jointly Gaussian pairs
}


def direction(name: str) -> Direction:
  """The side of the truth that the quantity `name` is on, in expectation.

  A lower bound on the information of projections is also one on all information; an
  upper bound is not.

  Raises:
    InputError: No estimator returns a quantity of that name.
  """
  if name not in DIRECTIONS:
    raise InputError(f"estimator '{name}' is not known{hint(name, DIRECTIONS)}")
  return DIRECTIONS[name]


def ceiling(
  name: str, *, examples: int, batch: int = 128, neighbours: int = 1
) -> float:
  """The most that an estimator can report, in nats; inf where nothing caps it.

  Args:
    name: Name of a quantity, as in `DIRECTIONS`.
    examples: N, the number of examples that the estimator is given.
    batch: B, the number of pairs that InfoNCE tells apart.
    neighbours: k of KSG.

  Returns:
    Nats:

    | estimator | ceiling |
    | --- | --- |
    | InfoNCE | ln B |
    | KSG | psi(N) - psi(k), about ln(N / k) |
    | MINE, NWJ | ln(N / 2) |
    | others | inf |

    KSG reaches its ceiling where no coordinate has other points as near as the k-th
    neighbour. For MINE and NWJ no formula caps a single value. But no bound from n
    held-out pairs is above ln n with confidence.

  Raises:
    InputError: No estimator returns a quantity of that name.

  Source: McAllester and Stratos, AISTATS 2020, for MINE and NWJ.
  """
  direction(name)
  if name == 'information_infonce':
    return math.log(batch)
  if name == 'information_ksg':
    return float(digamma(examples) - digamma(neighbours))
  if name in ('information_mine', 'information_nwj'):
    return math.log(examples / 2)
  return math.inf


def with_note(quantity: Quantity, note: str) -> Quantity:
  """The quantity with `note` in front of what it assumes."""
  return quantity._replace(assumes='; '.join(filter(None, (note, quantity.assumes))))
