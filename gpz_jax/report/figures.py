"""Figures of a report: error against split, and the grid of reconstructions."""

import io
import pathlib
from collections.abc import Sequence
from typing import Any

import chex
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gpz_jax import atomic
from gpz_jax.report.ladder import draw_ladder
from gpz_jax.report.styles import GOLD, GRID, INK, MARKERS, STYLE, treatment_styles
from gpz_jax.report.workdir import Findings
from gpz_jax.results.formats import format_error, shorten
from gpz_jax.types import Treatment


def draw_curves(findings: Findings) -> Figure:
  """MSE (log axis, with the ladder) and PSNR against split, one line per treatment.

  Points are means over seeds; bars reach from the lowest to the highest seed.
  """
  with mpl.rc_context(STYLE):
    width = 11.5 + 0.5 * max(0, len(findings.splits) - 8)
    figure = Figure(figsize=(width, 4.7), layout='constrained')
    mse_axes, psnr_axes = figure.subplots(1, 2, width_ratios=[1.25, 1])
    mse_axes.set_yscale('log')
    _draw_metric(mse_axes, findings, 'test_mse')
    _draw_metric(psnr_axes, findings, 'test_psnr')
    mse_axes.set_title('Reconstruction error: higher is more private')
    mse_axes.set_ylabel('test MSE per element')
    psnr_axes.set_title('PSNR: lower is more private')
    psnr_axes.set_ylabel('test PSNR, dB')
    draw_ladder(mse_axes, findings.ladder)
    handles, labels = psnr_axes.get_legend_handles_labels()
    psnr_axes.legend(handles, labels, frameon=False, loc='best')
    return figure


def draw_attacks(findings: Findings) -> Figure:
  """MSE (log axis) against split, one line per attack, one panel per treatment."""
  with mpl.rc_context(STYLE):
    panels = len(findings.treatments)
    columns = 2 if panels > 1 and max(map(len, findings.attacks)) < 50 else 1
    lines = -(-len(findings.attacks) // columns)
    size = (max(11.5, 4.8 * panels), 4.4 + 0.25 * lines)  # as wide as draw_curves'
    figure = Figure(figsize=size, layout='constrained')
    every = np.atleast_1d(figure.subplots(1, panels, sharey=True))
    positions = range(len(findings.splits))
    colours = mpl.colormaps['tab20'].colors  # pyright: ignore[reportAttributeAccessIssue] its stubs lack it
    for axes, treatment in zip(every, findings.treatments, strict=True):
      for i, attack in enumerate(findings.attacks):
        means = [
          findings.mean('test_mse', treatment, split, attack)
          for split in findings.splits
        ]
        axes.plot(
          positions,
          means,
          color=colours[2 * i % 20 + i // 10 % 2],
          marker=MARKERS[i % len(MARKERS)],
          markersize=6,
          linewidth=1.6,
          label=shorten(attack),
        )
      axes.set_title(str(treatment))
      label_splits(axes, findings.splits)
    every[0].set_yscale('log')
    every[0].set_ylabel('test MSE per element')
    handles, labels = every[0].get_legend_handles_labels()
    place: Any = {'loc': 'outside lower left', 'ncols': columns}
    legend = figure.legend(handles, labels, frameon=False, **place)
    for text in legend.get_texts():
      text.set_parse_math(False)
    return figure


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


def encode_svg(figure: Figure) -> str:
  """The figure as an <svg> element; its text is drawn as paths, names and all."""
  buffer = io.StringIO()
  with mpl.rc_context(STYLE):
    nothing = dict.fromkeys(('Date', 'Creator'))
    figure.savefig(buffer, format='svg', dpi=200, metadata=nothing)
  text = buffer.getvalue()
  return text[text.index('<svg') :]


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


def _draw_metric(axes: Axes, findings: Findings, column: str) -> None:
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
  label_splits(axes, findings.splits)


def label_splits(axes: Axes, splits: Sequence[str], room: int = 52) -> None:
  """Names the splits along the x axis, shallow to deep.

  Args:
    axes: The axes that are labelled.
    splits: The splits in forward order.
    room: How many letters fit side by side; where there are more, names are slanted.
  """
  positions = range(len(splits))
  axes.set_xlim(-0.5, len(positions) - 0.5)
  names = [shorten(split, 40) for split in splits]
  letters = sum(map(len, names))
  crowded = letters > room
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
