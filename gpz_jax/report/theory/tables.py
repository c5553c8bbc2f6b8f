"""Every main quantity at every split, in groups, with what a group cannot do."""

from typing import NamedTuple

import numpy as np

from gpz_jax.report.theory.findings import ENTROPY_VOTE, Theory, interval
from gpz_jax.results.formats import format_number
from gpz_jax.theory.information import kinds
from gpz_jax.types import Treatment

# Quantity -> its name in a table; what follows a comma is its unit or a remark.
RADIUS = {
  'radius': 'R\u00b2, squared activation',
  'radius_per_dim': 'R\u00b2/D, squared activation',
  'radius_share': 'R\u00b2/tr S',
  'radius_share_white': 'R\u00b2/tr S, channels standardised',
  'nc1': 'NC1',
  'silhouette': 'silhouette',
}
ENTROPY = {
  'entropy_logdet': 'all, log-determinant',
  'entropy_trace': 'all, trace',
  'entropy_class_logdet': 'in a class, log-determinant',
  'entropy_class_trace': 'in a class, trace',
  ENTROPY_VOTE: '(in a class - all) / D, log-determinants',
  'entropy_decision_logdet': 'decision chain, log-determinant',
  'entropy_decision_trace': 'decision chain, trace',
  'delta_h_logdet': '\u0394h from the first split, log-determinant',
  'delta_h_trace': '\u0394h from the first split, trace',
  'residual_gain_logdet': 'gain of H(x|z) since the first split, log-determinant',
  'entropy_int8': 'all, sent as int8',
  'effective_rank': 'effective rank, all; no nats',
  'effective_rank_class': 'effective rank, in a class; no nats',
}
GRADIENTS = {
  'bracket_one_hot': 'bracket of one-hot labels, nats',
  'bracket_smooth': 'bracket of its own labels, nats',
  't_corr_positive': 'T_corr above 0, share of examples',
  'cos_theta': 'cos \u03b8 of T_corr',
  'radius_change_first': 'change of R\u00b2, first order',
  'radius_change_second': 'change of R\u00b2, second order',
  'gradient_norm': '|g|, nats per activation',
  'sigma_min': 'least singular value, of J',
  'sigma_min_sum_zero': 'least singular value, of J on sum-zero vectors',
  'gradient_bound_holds': '|g| \u2265 \u03c3 |p - y\u2032|, share of examples',
  'gradient_bound_c_a_holds': '|g| \u2265 \u03c3 c_a, share of examples',
}
INFORMATION = {
  'information_mixture': 'mixture, all dimensions',
  'information_club': 'CLUB, all dimensions',
  'information_mixture_plug_in': 'mixture in sample, all dimensions',
  'information_decoder': 'decoder, all dimensions',
  'information_vclub': 'variational CLUB, of projections, if its q fits',
  'information_infonce': 'InfoNCE, of projections',
  'information_nwj': 'NWJ, of projections',
  'information_mine': 'MINE, of projections',
  'information_smile': 'SMILE, of projections',
  'information_ksg': 'KSG, of projections',
  'information_gaussian': 'as if Gaussian, of projections',
  'conditional_entropy_decoder': 'h(x|z), from the decoder',
  'mse_floor_factor': 'ratio of the entropy floors of the MSE, for noisy z',
}
GROUPS = {
  'radius': RADIUS,
  'entropy': ENTROPY,
  'gradients': GRADIENTS,
  'information': INFORMATION,
}


class Cell(NamedTuple):
  """A number as the page shows it."""

  value: str
  interval: str  # '' where there is none
  assumes: str


class Line(NamedTuple):
  """A quantity of one treatment over the splits."""

  treatment: Treatment
  cells: list[Cell]


class Entry(NamedTuple):
  """A quantity: its name, on which side of the truth it is, and its numbers."""

  name: str
  remark: str
  direction: str
  ceiling: str
  lines: list[Line]


def tabulate(theory: Theory) -> dict[str, list[Entry]]:
  """The entries of every group, without quantities that were not measured."""
  return {
    group: [
      entry for name, title in names.items() if (entry := _entry(theory, name, title))
    ]
    for group, names in GROUPS.items()
  }


def _entry(theory: Theory, quantity: str, title: str) -> Entry | None:
  lines = []
  for treatment in theory.treatments:
    profile = theory.profile(quantity, treatment)
    mean, (low, high) = profile.mean(), interval(profile)
    notes = [theory.assumes(quantity, treatment, split) for split in theory.splits]
    if any(notes) or np.isfinite(mean).any():
      cells = [*zip(mean, low, high, notes, strict=True)]
      lines.append(Line(treatment, [_cell(*numbers) for numbers in cells]))
  name, _, remark = title.partition(', ')
  return Entry(name, remark, *_judge(theory, quantity), lines) if lines else None


def _cell(value: float, low: float, high: float, assumes: str) -> Cell:
  ends = [] if np.isnan(low) else [format_number(low, 3), format_number(high, 3)]
  return Cell(format_number(value), ' to '.join(ends), assumes)


def _judge(theory: Theory, quantity: str) -> tuple[str, str]:
  """On which side of the truth an estimate is, and the most it can report."""
  if quantity not in kinds.DIRECTIONS:
    return '', ''
  direction = kinds.direction(quantity)
  examples = max(row['examples'] for row in theory.finished)
  top = kinds.ceiling(quantity, examples=examples)
  return direction, f'{top:.2f}' if np.isfinite(top) else ''
