"""Figures of a report: error against split, and the grid of reconstructions.

A figure that is a file of its own has all its panels. On the page each panel is a
figure of its own, so that a narrow window can stack them.
"""

import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import chex
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gpz_jax import atomic
from gpz_jax.report.ladder import draw_ladder
from gpz_jax.report.styles import (
  GOLD,
  GRID,
  INK,
  MARKERS,
  PANEL_HEIGHT,
  PANEL_WIDTH,
  STYLE,
  treatment_styles,
)
from gpz_jax.report.workdir import Findings
from gpz_jax.results.formats import format_error, shorten
from gpz_jax.types import Treatment


class Room(NamedTuple):
  """What there is room for along an x axis."""

  letters: int  # side by side
  name: int  # the most letters of one name


IN_FIGURE, IN_PANEL, BESIDE_LADDER = Room(52, 40), Room(36, 24), Room(26, 24)


def draw_curves(findings: Findings) -> Figure:
  """MSE (log axis, with the ladder) and PSNR against split, one line per treatment.

  Points are means over seeds; bars reach from the lowest to the highest seed.
  """
  with mpl.rc_context(STYLE):
    width = 11.5 + 0.5 * max(0, len(findings.splits) - 8)
    figure = Figure(figsize=(width, 4.7), layout='constrained')
    mse_axes, psnr_axes = figure.subplots(1, 2, width_ratios=[1.25, 1])
    _draw_mse(mse_axes, findings)
    _draw_psnr(psnr_axes, findings)
    return figure


def draw_curve_panels(findings: Findings) -> list[Figure]:
  """The panels of `draw_curves`, a figure each."""
  draws = (
    functools.partial(_draw_mse, room=BESIDE_LADDER, has_legend=True),
    functools.partial(_draw_psnr, room=IN_PANEL),
  )
  return draw_panels(
    [functools.partial(draw, findings=findings) for draw in draws],
    findings.splits,
  )


def draw_attacks(findings: Findings) -> list[Figure]:
  """MSE (log axis) against split, one line per attack, one figure per treatment."""
  height = PANEL_HEIGHT + 0.25 * len(findings.attacks)
  draws = [
    functools.partial(_draw_attacks, findings=findings, treatment=treatment)
    for treatment in findings.treatments
  ]
  panels = draw_panels(draws, findings.splits, height)
  every = [figure.axes[0] for figure in panels]
  low, high = np.transpose([axes.get_ylim() for axes in every])
  for axes in every:
    axes.set_ylim(low.min(), high.max())
  return panels


def draw_panels(
  draws: Sequence[Callable[[Axes], None]],
  splits: Sequence[str],
  height: float = PANEL_HEIGHT,
) -> list[Figure]:
  """One figure for each panel, as wide as a phone where the splits allow it.

  Args:
    draws: Functions that draw a panel into the axes they are given.
    splits: The splits along the x axis.
    height: The height of a figure in inches, without what long names take.
  """
  width = PANEL_WIDTH + 0.22 * max(0, len(splits) - 12)
  height += 0.06 * max(0, min(max(map(len, splits)), IN_PANEL.name) - 8)
  figures = []
  with mpl.rc_context(STYLE):
    for draw in draws:
      figure = Figure(figsize=(width, height), layout='constrained')
      draw(figure.subplots())
      figures.append(figure)
  return figures


def draw_reconstructions(findings: Findings, treatment: Treatment) -> Figure | None:
  """Originals and, below, the reconstructions from each split, shallow to deep."""
  strips = [
    (split, findings.samples[treatment, split])
    for split in findings.splits
    if (treatment, split) in findings.samples
  ]
  if findings.originals is None or not strips:
    return None
  strips.insert(0, ('original', findings.originals))
  columns = len(findings.originals)
  with mpl.rc_context(STYLE):
    tall = findings.originals.shape[1] / findings.originals.shape[2]
    height = len(strips) * min(max(tall, 0.6), 3)  # two lines of text need their room
    figure = Figure(figsize=(columns + 2.6, height + 0.5), layout='constrained')
    figure.suptitle(
      f'Reconstructed from the activation of each split ({treatment})',
      color=INK,
      fontsize=12,
      fontweight='bold',
    )
    for axes, (split, images) in zip(
      np.atleast_1d(figure.subplots(len(strips), 1)), strips, strict=True
    ):
      axes.imshow(join_images(images), cmap='gray', vmin=0, vmax=255, aspect='equal')
      axes.set_axis_off()
      label = shorten(split, 40)
      if split != 'original':
        label += f'\nMSE {format_error(findings.mean("test_mse", treatment, split))}'
      axes.annotate(
        label,
        (-0.01, 0.5),
        xycoords='axes fraction',
        ha='right',
        va='center',
        color=INK,
        parse_math=False,
      )
    return figure


def save_png(figure: Figure, path: pathlib.Path) -> None:
  """Writes the figure, cut to its content, in one atomic step."""
  with mpl.rc_context(STYLE), atomic.replacing(path) as partial:
    figure.savefig(partial, format='png', dpi=160, bbox_inches='tight')


def join_images(images: np.ndarray, gap: int = 2) -> np.ndarray:
  """n images side by side on white: [n, H, W, C] -> [H, n * (W + gap) - gap, (3)]."""
  chex.assert_rank(images, 4, custom_message='images [n, H, W, C]')
  padded = np.pad(images, ((0, 0), (0, 0), (0, gap), (0, 0)), constant_values=255)
  strip = np.concatenate(list(padded), axis=1)[:, :-gap]
  return strip[..., 0] if strip.shape[-1] == 1 else strip


def _draw_mse(
  axes: Axes, findings: Findings, room: Room = IN_FIGURE, has_legend: bool = False
) -> None:
  axes.set_yscale('log')
  _draw_metric(axes, findings, 'test_mse', room)
  axes.set_title('MSE: higher is more private')
  axes.set_ylabel('test MSE per element')
  draw_ladder(axes, findings.ladder)
  if has_legend:
    axes.legend(*axes.get_legend_handles_labels(), frameon=False, loc='best')


def _draw_psnr(axes: Axes, findings: Findings, room: Room = IN_FIGURE) -> None:
  _draw_metric(axes, findings, 'test_psnr', room)
  axes.set_title('PSNR: lower is more private')
  axes.set_ylabel('test PSNR, dB')
  axes.legend(*axes.get_legend_handles_labels(), frameon=False, loc='best')


def _draw_attacks(axes: Axes, findings: Findings, treatment: Treatment) -> None:
  colours = mpl.colormaps['tab20'].colors  # pyright: ignore[reportAttributeAccessIssue] its stubs lack it
  for i, attack in enumerate(findings.attacks):
    means = [
      findings.mean('test_mse', treatment, split, attack) for split in findings.splits
    ]
    axes.plot(
      range(len(means)),
      means,
      color=colours[2 * i % 20 + i // 10 % 2],
      marker=MARKERS[i % len(MARKERS)],
      markersize=6,
      linewidth=1.6,
      label=shorten(attack, 50),
    )
  axes.set_yscale('log')
  axes.set_title(str(treatment))
  axes.set_ylabel('test MSE per element')
  label_splits(axes, findings.splits, IN_PANEL)
  handles, labels = axes.get_legend_handles_labels()
  figure: Any = axes.figure
  place: Any = {'loc': 'outside lower left'}
  legend = figure.legend(handles, labels, frameon=False, **place)
  for text in legend.get_texts():
    text.set_parse_math(False)


def _draw_metric(axes: Axes, findings: Findings, column: str, room: Room) -> None:
  positions = range(len(findings.splits))
  _shade_zone(axes, findings)
  styles = treatment_styles(findings.treatments)
  for i, (treatment, style) in enumerate(styles.items()):
    cells = [findings.values(column, treatment, split) for split in findings.splits]
    shift = 0.05 * (i - (len(styles) - 1) / 2)  # keeps bars apart
    points = [
      (x + shift, np.mean(cell), min(cell), max(cell))
      for x, cell in zip(positions, cells, strict=True)
      if cell
    ]
    if not points:
      continue
    x, mean, low, high = np.array(points).T
    axes.errorbar(
      x,
      mean,
      [mean - low, high - mean] if (high > low).any() else None,
      markersize=6,
      linewidth=1.8,
      elinewidth=1.1,
      capsize=2.5,
      label=str(treatment),
      zorder=3,
      **style,
    )
  label_splits(axes, findings.splits, room)


def label_splits(axes: Axes, splits: Sequence[str], room: Room) -> None:
  """Names the splits along the x axis, shallow to deep.

  Args:
    axes: The axes that are labelled.
    splits: The splits in forward order.
    room: What there is room for. Where names need more, they are slanted.
  """
  positions = range(len(splits))
  axes.set_xlim(-0.5, len(positions) - 0.5)
  names = [shorten(split, room.name) for split in splits]
  letters = len(names) * max(map(len, names))  # each has as much room
  crowded = letters > room.letters
  axes.set_xticks(
    positions,
    names,
    rotation=45 if crowded else 0,
    ha='right' if crowded else 'center',
    rotation_mode='anchor' if crowded else 'default',
    parse_math=False,
    fontsize=11 if letters < 36 or crowded else 9.5,
  )
  axes.set_xlabel('split, shallow to deep')
  axes.grid(axis='y', color=GRID, linewidth=0.8)
  axes.set_axisbelow(True)


def _shade_zone(axes: Axes, findings: Findings) -> None:
  """Gold where the golden zone is; deeper the more treatments agree on it."""
  starts = [
    findings.splits.index(zone.split) for zone in findings.zone.treatments if zone.split
  ]
  for start in starts:
    axes.axvspan(
      start - 0.5,
      len(findings.splits) - 0.5,
      color=GOLD,
      alpha=0.3 / len(findings.treatments),
      linewidth=0,
      zorder=0,
    )
  if starts:
    axes.annotate(
      'golden zone',
      (min(starts) - 0.45, 0.985),
      xycoords=('data', 'axes fraction'),
      va='top',
      color='#8a6500',
      fontsize=10,
      fontweight='bold',
    )
