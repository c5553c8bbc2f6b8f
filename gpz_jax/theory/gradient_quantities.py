"""Quantities with intervals, from what a pass over the gradients found."""

import math
from typing import NamedTuple

import chex
import numpy as np

from gpz_jax.intervals import Z95
from gpz_jax.theory import summaries
from gpz_jax.theory.brackets import Examined
from gpz_jax.theory.jacobian import SigmaMin
from gpz_jax.theory.quantity import Quantity

ROUNDING = 1e-4  # a bound missed by more than this share is broken
UNITS = {
  't_corr': 'nats',
  'cos_theta': '',
  'gradient_norm': 'nats per unit of activation',
  'residual_norm': '',
}


class SigmaSample(NamedTuple):
  """Where the Jacobian was taken, and what was found there."""

  rows: np.ndarray  # [n] positions in the subset
  sigma: SigmaMin  # [n] each
  method: str


def describe(
  examined: Examined,
  masks: np.ndarray,
  spectrum: SigmaSample,
  *,
  c_a: float,
  gamma: float,
  assumes: str,
) -> list[Quantity]:
  """The quantities of Eq 6 to 8 and of App. D, with their intervals.

  Args:
    examined: The pass over the examples, [S, B] on the host.
    masks: [S, B], 1 for a real example.
    spectrum: The smallest singular values that were found.
    c_a: What the paper puts in the place of |p - y'|.
    gamma: As given to `examine`.
    assumes: The labels and the smoothing that the quantities rest on.

  Returns:
    Means over examples, the terms of the radius, and the bound of App. D.
  """
  chex.assert_shape(examined.label, masks.shape, custom_message='masks [S, B]')
  values = summaries.example_values(examined, masks)
  return [
    *_describe_examples(values, assumes),
    *_describe_radius(examined, masks, gamma, assumes),
    *_describe_bound(values, spectrum, c_a, assumes),
  ]


def _describe_examples(values: dict[str, np.ndarray], assumes: str) -> list[Quantity]:
  """Means over examples, and how often T_corr has the sign the paper argues with."""
  positive = _share('t_corr_positive', values['t_corr'] > 0, assumes)
  return [
    positive,
    *(
      _mean(name, found, UNITS.get(name, 'nats'), assumes)
      for name, found in values.items()
    ),
  ]


def _describe_radius(
  examined: Examined, masks: np.ndarray, gamma: float, assumes: str
) -> list[Quantity]:
  label = examined.label[masks == 1]
  assumes = f'{assumes}; gamma={gamma:g}, {len(np.unique(label))} classes met'
  quantities = []
  for name, terms in summaries.radius_terms(examined, masks, gamma).items():
    value, error = summaries.class_average(terms, label)
    quantities.append(
      Quantity(
        name,
        value,
        value - Z95 * error,
        value + Z95 * error,
        'squared activation',
        assumes,
      )
    )
  return quantities


def _describe_bound(
  values: dict[str, np.ndarray], spectrum: SigmaSample, c_a: float, assumes: str
) -> list[Quantity]:
  """|g| >= sigma_min |p - y'|, and what the paper takes it to be: sigma_min c_a."""
  full, sum_zero = (np.asarray(sigma, np.float64) for sigma in spectrum.sigma)
  gradient = values['gradient_norm'][spectrum.rows] * (1 + ROUNDING)
  residual = values['residual_norm'][spectrum.rows]
  assumes = f'{assumes}; sigma_min by {spectrum.method}'
  unit = UNITS['gradient_norm']
  return [
    _mean('sigma_min', full, unit, spectrum.method),
    _mean('sigma_min_sum_zero', sum_zero, unit, spectrum.method),
    Quantity('c_a', c_a, assumes=assumes),
    _share('gradient_bound_holds', gradient >= full * residual, assumes),
    _share('gradient_bound_c_a_holds', gradient >= full * c_a, assumes),
  ]


def _mean(name: str, values: np.ndarray, unit: str, assumes: str) -> Quantity:
  mean, error = float(values.mean()), math.nan
  if len(values) > 1:
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
  return Quantity(name, mean, mean - Z95 * error, mean + Z95 * error, unit, assumes)


def _share(name: str, holds: np.ndarray, assumes: str) -> Quantity:
  from scipy import stats  # late, since it is slow to import

  count = int(holds.sum())
  interval = stats.binomtest(count, len(holds)).proportion_ci(method='wilson')
  return Quantity(
    name, count / len(holds), float(interval.low), float(interval.high), assumes=assumes
  )
