"""Figures of a study of model inversion, each as wide as a phone."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from gpz_jax.report.inversion.findings import Findings
from gpz_jax.report.panels import add_legend, begin, reach
from gpz_jax.report.styles import (
  GOLD,
  GRID,
  INK,
  MUTED,
  STYLE,
  compared_styles,
)
from gpz_jax.results.formats import shorten
from gpz_jax.tradeoff import Estimate, Point
from gpz_jax.types import Treatment

MOST_CLASSES = 100  # that a figure shows a dot for, of each treatment
CURVES = {  # of histories: the title and the label of the axis
  'gradient_mean': ('Gradient: mean over entries', 'mean of $|dL/dw|$'),
  'gradient_std': ('Gradient: spread over entries', 'deviation of $|dL/dw|$'),
  'loss': ('Loss of the search', 'loss'),
}


def draw(findings: Findings) -> dict[str, list[Figure]]:
  """The panels that there is something to show in, by the name of their section."""
  if not findings.points:
    return {}
  figures = {
    'trade': draw_trade(findings),
    'stages': draw_stages(findings) if findings.stages else [],
    'positives': [draw_false_positives(findings)],
    'gradients': draw_curves(findings),
  }
  return {name: panels for name, panels in figures.items() if panels}


def draw_trade(findings: Findings) -> list[Figure]:
  """Accuracy against AttAcc@1, and what is lost of both: a point for each treatment.

  The second panel compares seed by seed, so that what all treatments of a seed share
  does not widen its intervals.
  """
  figure, axes = begin(len(findings.points))
  with mpl.rc_context(STYLE):
    path = [(p.accuracy.mean, p.att_acc.mean) for p in findings.front]
    if len(path) > 1:
      axes.plot(*np.transpose(path), color=MUTED, linestyle='--', linewidth=1.2)
    for point in findings.points:
      _draw_point(axes, findings, point, point.accuracy, point.att_acc)
    _draw_chance(axes, findings.points[0].mean('chance_att_acc'))
    axes.set_title('Lower right is the better trade')
    axes.set_xlabel('accuracy of the target')
    axes.set_ylabel('AttAcc@1')
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    _in_percent(axes)
    add_legend(figure, axes)
  lost = draw_losses(findings)
  return [figure, lost] if lost else [figure]


def draw_losses(findings: Findings) -> Figure | None:
  """Accuracy lost against AttAcc@1 lost, in points; None where nothing is compared."""
  if not findings.answer.comparisons:
    return None
  figure, axes = begin()
  with mpl.rc_context(STYLE):
    for each in findings.answer.comparisons:
      fall = each.fall if each.fall.has_interval else each.fall_of_classes
      fall = fall if np.isfinite(fall.mean) else each.fall
      _draw_point(axes, findings, each.point, each.cost.in_points, fall.in_points)
    axes.axhline(0, color=MUTED, linewidth=1)
    axes.axvline(0, color=MUTED, linewidth=1)
    axes.set_title('Lost: upper left is the better trade')
    axes.set_xlabel('accuracy lost, points')
    axes.set_ylabel('AttAcc@1 lost, points')
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
  return figure


def draw_stages(findings: Findings) -> list[Figure]:
  """AttAcc@1 and accuracy where the skips of one stage are removed, beside intact."""
  panels = []
  for name, title in (
    ('att_acc', 'AttAcc@1: lower is more private'),
    ('accuracy', 'Accuracy: higher is more useful'),
  ):
    figure, axes = begin()
    with mpl.rc_context(STYLE):
      _draw_bars(axes, findings, [getattr(p, name) for p in findings.stages.values()])
      axes.set_title(title)
      axes.set_ylabel('AttAcc@1' if name == 'att_acc' else 'accuracy of the target')
    panels.append(figure)
  return panels


def draw_false_positives(findings: Findings) -> Figure:
  """What the target believes of reconstructions against how often that is wrong.

  A small dot for each class, where there are not too many, and a large one for the
  mean.
  """
  figure, axes = begin(len(findings.points))
  with mpl.rc_context(STYLE):
    styles = compared_styles(findings.treatments, findings.baseline)
    for point in findings.points:
      style: dict[str, Any] = {**styles[point.treatment], 'linestyle': 'none'}
      dots: dict[str, Any] = style | {'markersize': 3.5, 'alpha': 0.4}
      axes.plot(*_list_dots(findings, point), **dots)
      means = (point.mean('confidence'), point.mean('false_positives'))
      name = _name(findings, point.treatment)
      axes.plot(*means, markersize=10, zorder=3, label=name, **style)
    axes.set_title('Upper right: sure, and wrong')
    axes.set_xlabel("target's confidence in the attacked class")
    axes.set_ylabel('false positives')
    _in_percent(axes)
    add_legend(figure, axes)
  return figure


def _list_dots(findings: Findings, point: Point) -> tuple[list[float], list[float]]:
  """Confidence and false positives of the first classes that have both."""
  sure, wrong = (
    findings.of_classes(point, name) for name in ('confidence', 'false_positives')
  )
  labels = [label for label in sure if label in wrong][:MOST_CLASSES]
  return [sure[label] for label in labels], [wrong[label] for label in labels]


def draw_curves(findings: Findings) -> list[Figure]:
  """The course of the attack, a panel for each curve that was kept."""
  panels = []
  styles = compared_styles(findings.treatments, findings.baseline)
  for name, (title, label) in CURVES.items():
    known = {
      treatment: curves[name]
      for treatment, curves in findings.curves.items()
      if name in curves and np.isfinite(curves[name]).any()
    }
    if not known:
      continue
    figure, axes = begin(0 if panels else len(known))
    with mpl.rc_context(STYLE):
      for treatment, values in known.items():
        axes.plot(
          np.arange(1, len(values) + 1),
          values,
          linewidth=1.8,
          markersize=5,
          markevery=max(1, len(values) // 8),
          label=_name(findings, treatment),
          **styles[treatment],
        )
      if name != 'loss' and all(
        (np.nan_to_num(v, nan=1) > 0).all() for v in known.values()
      ):
        axes.set_yscale('log')
      axes.set_title(title)
      axes.set_xlabel('step of the attack')
      axes.set_ylabel(label)
      axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
      axes.grid(color=GRID, linewidth=0.8)
      if not panels:
        add_legend(figure, axes)
    panels.append(figure)
  return panels


def _draw_point(
  axes: Axes, findings: Findings, point: Point, x: Estimate, y: Estimate
) -> None:
  """A point with its intervals; golden below it where it is the best trade."""
  best = findings.answer.best
  if best is not None and best.point.treatment == point.treatment:
    axes.plot(x.mean, y.mean, 'o', markersize=19, color=GOLD, alpha=0.7, zorder=1)
  styles = compared_styles(findings.treatments, findings.baseline)
  axes.errorbar(
    x.mean,
    y.mean,
    xerr=reach([x]),
    yerr=reach([y]),
    markersize=8,
    linestyle='none',
    elinewidth=1.2,
    capsize=3,
    zorder=3,
    label=_name(findings, point.treatment),
    **styles[point.treatment],
  )


def _draw_chance(axes: Axes, chance: float) -> None:
  if not np.isfinite(chance):
    return
  axes.axhline(chance, color=MUTED, linestyle=':', linewidth=1)
  axes.annotate(
    'chance',
    (0.995, chance),
    xycoords=('axes fraction', 'data'),
    ha='right',
    va='bottom',
    color=MUTED,
    fontsize=10,
  )


def _in_percent(axes: Axes) -> None:
  for axis in (axes.xaxis, axes.yaxis):
    axis.set_major_formatter(PercentFormatter(1.0))
    axis.set_major_locator(MaxNLocator(6))
  axes.grid(color=GRID, linewidth=0.8)
  axes.set_axisbelow(True)


def _draw_bars(axes: Axes, findings: Findings, heights: Sequence[Estimate]) -> None:
  names = ['intact' if stage == 0 else str(stage) for stage in findings.stages]
  places = np.arange(len(names))
  colours = [MUTED, *['#56b4e9'] * (len(names) - 1)]
  axes.bar(places, [each.mean for each in heights], width=0.66, color=colours)
  axes.errorbar(
    places,
    [each.mean for each in heights],
    reach(heights),
    linestyle='none',
    color=INK,
    elinewidth=1.3,
    capsize=4,
  )
  axes.set_xticks(places, names)
  axes.set_xlabel('stage whose skips are removed')
  axes.set_ylim(0, 1)
  axes.yaxis.set_major_formatter(PercentFormatter(1.0))
  axes.grid(axis='y', color=GRID, linewidth=0.8)
  axes.set_axisbelow(True)


def _name(findings: Findings, treatment: Treatment) -> str:
  return shorten(findings.label(treatment), 44)
