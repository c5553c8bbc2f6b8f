"""The theory along a training: the figure over epochs, and the paper's story."""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gpz_jax.report.styles import (
  GRID,
  MUTED,
  STYLE,
  legend_handles,
  treatment_styles,
)
from gpz_jax.report.theory.findings import Theory
from gpz_jax.results import most_smoothed
from gpz_jax.results.formats import shorten
from gpz_jax.types import Treatment

PREDICTED = 'radius_change_first'
# How a second line of the same treatment is told from the first.
SECOND: Any = {'linestyle': '--', 'markerfacecolor': 'white'}
COLUMN_WIDTH = 3.4  # inches, of one split where it is a figure of its own
ROWS = (  # of panels
  '$R_c^2$',
  '$R_c^2$ / tr $S$',
  'mean bracket, nats',
  'change of $R_c^2$, scaled',
  'gradient norm',
)


def choose_splits(theory: Theory) -> list[str]:
  """First, middle, the vote's for one-hot labels, and last; in forward order.

  The vote is the attack's, or where that finds nothing the radius share's.
  """
  splits = [
    split
    for split in theory.splits
    if any(
      np.isfinite(theory.trail('radius', treatment, split)).any()
      for treatment in theory.treatments
    )
  ]
  if not splits:
    return []
  votes = theory.votes_on(theory.one_hot)
  cast = [votes.by('attack'), votes.by('radius_share')]
  named = [vote.split for vote in cast if vote and vote.split in splits]
  chosen = {splits[0], splits[len(splits) // 2], splits[-1], *named[:1]}
  return [split for split in splits if split in chosen]


def draw_epochs(theory: Theory) -> Figure | None:
  """Radius, brackets, changes and gradient over the epochs, one colour per treatment.

  One column per split; None where no target was followed.
  """
  splits = choose_splits(theory)
  if not splits:
    return None
  with mpl.rc_context(STYLE):
    size = (max(2.9 * len(splits), 6.5), 11.6)
    figure = Figure(figsize=size, layout='constrained')
    grid = figure.subplots(len(ROWS), len(splits), squeeze=False, sharex=True)
    for column, split in zip(grid.T, splits, strict=True):
      column[0].set_title(split, parse_math=False)
      _draw_column(column, theory, split)
    for axes, name in zip(grid[:, 0], ROWS, strict=True):
      axes.set_ylabel(name)
    figure.align_ylabels(grid[:, 0])
    _add_legend(figure, theory, 5 if len(splits) > 3 else 3)
    return figure


def draw_epoch_panels(theory: Theory) -> list[Figure]:
  """The columns of `draw_epochs`, a figure each."""
  figures = []
  with mpl.rc_context(STYLE):
    for split in choose_splits(theory):
      figure = Figure(figsize=(COLUMN_WIDTH, 12.4), layout='constrained')
      column = figure.subplots(len(ROWS), 1, sharex=True)
      column[0].set_title(shorten(split, 20), parse_math=False)
      _draw_column(column, theory, split)
      for axes, name in zip(column, ROWS, strict=True):
        axes.set_ylabel(name)
      figure.align_ylabels(column)
      _add_legend(figure, theory, 1)
      figures.append(figure)
  return figures


def tell_story(theory: Theory) -> list[str]:
  """The paper's account of training, put to the numbers: sentences.

  The paper has one-hot labels widen R_c^2 in the middle of a training and smoothed
  ones contract it at the end. Middle and end are thirds of the measured epochs.
  """
  epochs, one_hot = theory.epochs, theory.one_hot
  smooth = most_smoothed(theory.treatments)
  last = len(epochs) - 1
  if last < 2:
    return [
      f'Measured at {len(epochs)} epoch{"s" * (last > 0)} only: too few to tell the '
      'middle of a training from its end; lower --theory_every.'
    ]
  begin, end = last // 3, max(last // 3 + 1, 2 * last // 3)
  found = []
  if one_hot.alpha == 0:
    found.append(
      f'Do one-hot labels widen R\u00b2 in the middle of the training? From epoch '
      f'{epochs[begin]} to {epochs[end]} it {_count(theory, one_hot, begin, end, +1)}.'
    )
  if smooth.alpha > 0:
    compared = [smooth, one_hot] if one_hot.alpha == 0 else [smooth]
    moved = [_count(theory, each, end, last, -1) for each in compared]
    found.append(
      f'Do smoothed ones contract it at the end? From epoch {epochs[end]} to '
      f'{epochs[last]} it {", and ".join(moved)}.'
    )
  return found


def check_predictions(theory: Theory) -> str:
  """How often the predicted change of R_c^2 has the true one's sign; '' if none."""
  right = total = 0
  for treatment in theory.treatments:
    for split in theory.splits:
      predicted, true = changes(theory, treatment, split)
      known = np.isfinite(predicted) & np.isfinite(true)
      total += int(known.sum())
      right += int((np.sign(predicted) == np.sign(true))[known].sum())
  if not total:
    return ''
  return (
    f'the predicted change has the sign of the true one in {right} of {total} steps '
    f'({right / total:.0%}), all alphas and splits together'
  )


def changes(
  theory: Theory, treatment: Treatment, split: str
) -> tuple[np.ndarray, np.ndarray]:
  """Predicted and true change of R_c^2 from an epoch to the next measured: [E - 1]."""
  predicted = theory.trail(PREDICTED, treatment, split)[:-1]
  return predicted, np.diff(theory.trail('radius', treatment, split))


def _count(
  theory: Theory, treatment: Treatment, begin: int, end: int, sign: int
) -> str:
  """At how many splits R_c^2 moved that way between two epochs, and by what.

  Its share of the total variance beside it, which the scale of a layer does not move.
  """

  def changes_of(name):
    trails = [theory.trail(name, treatment, split) for split in theory.splits]
    return [t[end] / t[begin] - 1 for t in trails if t[begin] > 0 and t[end] >= 0]

  def count(moved):
    return f'at {sum(sign * share > 0 for share in moved)} of {len(moved)} splits'

  moved, shares = changes_of('radius'), changes_of('radius_share')
  if not moved:
    return f'was not measured with {treatment}'
  verb = 'grew' if sign > 0 else 'shrank'
  text = f'{verb} {count(moved)} with {treatment}'
  text += f' (median change {np.median(moved):+.1%}'
  if shares:
    text += f'; its share of the variance {count(shares)}, {np.median(shares):+.1%}'
  return f'{text})'


def _add_legend(figure: Figure, theory: Theory, columns: int) -> None:
  kinds = {'one-hot bracket; true change': {}, 'smoothed bracket; predicted': SECOND}
  lines = [
    Line2D([], [], color=MUTED, marker='o', label=label, **style)
    for label, style in kinds.items()
  ]
  place: Any = {'loc': 'outside lower left', 'ncols': columns}
  handles = [*legend_handles(theory.treatments), *lines]
  figure.legend(handles=handles, frameon=False, **place)


def _draw_column(column, theory: Theory, split: str) -> None:
  """The panels of one split."""
  for treatment, style in treatment_styles(theory.treatments).items():
    for axes, name, kind in (
      (column[0], 'radius', {}),
      (column[1], 'radius_share', {}),
      (column[2], 'bracket_one_hot', {}),
      (column[2], 'bracket_smooth', SECOND),
      (column[4], 'gradient_norm', {}),
    ):
      _draw(axes, theory, theory.trail(name, treatment, split), style | kind)
  _draw_changes(column[3], theory, split)
  for axes in column:
    axes.grid(axis='y', color=GRID, linewidth=0.8)
    axes.tick_params(labelsize=9.5)
    axes.locator_params(axis='x', integer=True, nbins=6)
  for axes in column[2:4]:
    axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
  column[-1].set_xlabel('epoch')


def _draw(axes: Axes, theory: Theory, trail: np.ndarray, style: dict) -> None:
  known = np.isfinite(trail)
  epochs = np.array(theory.epochs)[: len(trail)]
  common = {'linewidth': 1.6, 'markersize': 4.5, 'zorder': 3}
  axes.plot(epochs[known], trail[known], **common | style)


def _draw_changes(axes: Axes, theory: Theory, split: str) -> None:
  """True and predicted, each over its largest absolute value in the panel."""
  styles = treatment_styles(theory.treatments)
  pairs = [changes(theory, treatment, split) for treatment in styles]
  for i, kind in enumerate((SECOND, {})):  # predicted, true
    every = np.concatenate([pair[i] for pair in pairs])
    largest = np.max(np.abs(every[np.isfinite(every)]), initial=0.0) or 1.0
    for pair, style in zip(pairs, styles.values(), strict=True):
      _draw(axes, theory, pair[i] / largest, style | kind)
  axes.set_ylim(-1.1, 1.1)
