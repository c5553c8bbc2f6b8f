"""The picture of both threats: what each treatment takes from either attack."""

import math

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gpz_jax.report.panels import LEGEND_LINE, add_legend, begin, reach
from gpz_jax.report.styles import GRID, MUTED, STYLE, compared_styles
from gpz_jax.results.formats import shorten
from gpz_jax.threats import Crossing, Effect
from gpz_jax.threats.crossing import DOUBTFUL, MODEL

WIDTH, HEIGHT = 7.2, 4.2  # inches, without the legend
HALF = 34  # letters of a name beside which there is room for another


def draw(crossing: Crossing, split: str) -> Figure:
  """A point for each treatment: to the right and up is more private.

  The legend says by how many points the accuracy rises or falls. Doubtful effects are
  drawn hollow.

  Args:
    crossing: Both studies.
    split: The split whose error is shown, one of `crossing.splits`.
  """
  figure = Figure(layout='constrained')
  with mpl.rc_context(STYLE):
    axes = figure.add_subplot()
    _draw_points(axes, crossing, split)
    _, names = axes.get_legend_handles_labels()
    columns = 1 if any(len(name) > HALF for name in names) else 2
    lines = 1 + math.ceil(len(names) / columns)  # and its title
    figure.set_size_inches(WIDTH, HEIGHT + LEGEND_LINE * lines)
    axes.set_title('Upper right protects against both threats')
    axes.set_xlabel('model inversion: points of AttAcc@1 lost')
    axes.set_ylabel(
      f'activation inversion: rise of error, %\n(at {shorten(split, 40)})',
      parse_math=False,
    )
    if names:
      legend = figure.legend(
        frameon=False,
        loc='outside lower left',  # pyright: ignore[reportArgumentType] its stubs lack it
        ncols=columns,
        title=f'beside {crossing.baseline}; in brackets: points of accuracy gained',
        alignment='left',
      )
      for text in legend.get_texts():
        text.set_parse_math(False)
  return figure


def draw_panels(crossing: Crossing, split: str) -> dict[str, Figure]:
  """The picture of each split, as wide as a phone.

  Args:
    crossing: Both studies.
    split: The split that comes first; its panel has the legend of all.
  """
  others = [each for each in crossing.splits if each != split]
  panels = {}
  for each in (split, *others):
    figure, axes = begin(0 if panels else len(crossing.treatments) - 1)
    with mpl.rc_context(STYLE):
      _draw_points(axes, crossing, each)
      axes.set_title(shorten(each, 36), parse_math=False)
      axes.set_xlabel('points of AttAcc@1 lost')
      axes.set_ylabel('rise of error, %')
      if not panels:
        add_legend(figure, axes)
    panels[each] = figure
  return panels


def _draw_points(axes: Axes, crossing: Crossing, split: str) -> None:
  """A point with its intervals for each treatment; none where a change is unknown."""
  axes.axhline(0, color=MUTED, linewidth=1)
  axes.axvline(0, color=MUTED, linewidth=1)
  names = [each.treatment for each in crossing.treatments]
  styles = compared_styles(names, crossing.baseline)
  for each in crossing.treatments[1:]:
    effects = {effect.threat: effect for effect in each.effects}
    down, up = effects[MODEL], effects[split]
    x, y = down.change.in_points, up.change.in_points
    style = dict(styles[each.treatment])
    if DOUBTFUL in (down.verdict, up.verdict):
      style['markerfacecolor'] = 'none'
    axes.errorbar(
      x.mean,
      y.mean,
      xerr=reach([x]),
      yerr=reach([y]),
      linestyle='none',
      markersize=9,
      elinewidth=0.8,
      capsize=3,
      label=f'{shorten(str(each.treatment), 40)} ({_gain(up)})',
      **style,
    )
  axes.grid(color=GRID, linewidth=0.8)
  axes.set_axisbelow(True)
  _limit(axes, crossing, split)


def _gain(effect: Effect) -> str:
  gain = -effect.cost.in_points.mean
  return f'{gain:+z.1f}' if np.isfinite(gain) else 'unknown'


def _limit(axes: Axes, crossing: Crossing, split: str) -> None:
  """Keeps the points in sight, where intervals over two seeds reach far beyond."""
  found = [
    {effect.threat: effect.change.in_points.mean for effect in each.effects}
    for each in crossing.treatments[1:]
  ]
  for threat, limit in ((MODEL, axes.set_xlim), (split, axes.set_ylim)):
    values = [each[threat] for each in found if np.isfinite(each[threat])]
    low, high = min([0.0, *values]), max([0.0, *values])
    room = max(high - low, 5.0)
    limit(low - 0.6 * room, high + 0.6 * room)
