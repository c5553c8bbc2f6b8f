"""How figures look, and how each treatment looks in all of them."""

from collections.abc import Sequence
from typing import Any

from matplotlib.lines import Line2D

from gpz_jax.types import Treatment

INK, MUTED, GRID, GOLD = '#1d2733', '#5c6773', '#e4e8ec', '#f5c542'
# Okabe and Ito's colours, told apart with every common colour vision deficiency.
NEGATIVE = ('#d55e00', '#cc79a7', '#e69f00')
POSITIVE = ('#0072b2', '#009e73', '#56b4e9')
ZERO = (INK, '#8a939c', '#a0522d')
# For treatments that differ in more than alpha, whose colours have no order.
MIXED = (INK, *NEGATIVE, *POSITIVE, *ZERO[1:])
MARKERS = 'osD^vP*X'
# Inches of a panel of the page: its text is legible in a window of 360 pixels.
PANEL_WIDTH, PANEL_HEIGHT = 4.9, 4.2
STYLE: Any = {
  'font.size': 11,
  'axes.edgecolor': MUTED,
  'axes.labelcolor': INK,
  'axes.spines.top': False,
  'axes.spines.right': False,
  'axes.titlelocation': 'left',
  'axes.titlesize': 12,
  'axes.titleweight': 'bold',
  'axes.titlecolor': INK,
  'xtick.color': MUTED,
  'ytick.color': MUTED,
  'xtick.labelcolor': INK,
  'ytick.labelcolor': INK,
  'svg.fonttype': 'path',  # reads the same where the font is missing
  'svg.hashsalt': 'gpz_jax',  # the same rows give the same bytes
}


def treatment_colours(treatments: Sequence[Treatment]) -> dict[Treatment, str]:
  """A colour for each treatment: warm below alpha 0, dark at 0, cold above.

  Treatments that differ in skip connections or defences have the colours of MIXED.
  """
  if any(treatment != Treatment(treatment.alpha) for treatment in treatments):
    return {each: MIXED[i % len(MIXED)] for i, each in enumerate(treatments)}
  below = [t for t in treatments if t.alpha < 0]
  zero = [t for t in treatments if t.alpha == 0]
  above = [t for t in treatments if t.alpha > 0]
  return {
    treatment: palette[i % len(palette)]
    for group, palette in ((below, NEGATIVE), (zero, ZERO), (above, POSITIVE))
    for i, treatment in enumerate(group)
  }


def treatment_styles(
  treatments: Sequence[Treatment],
) -> dict[Treatment, dict[str, Any]]:
  """Colour and marker of each treatment, as arguments of matplotlib."""
  colours = treatment_colours(treatments)
  return {
    treatment: {'color': colours[treatment], 'marker': MARKERS[i % len(MARKERS)]}
    for i, treatment in enumerate(treatments)
  }


def compared_styles(
  treatments: Sequence[Treatment], baseline: Treatment
) -> dict[Treatment, dict[str, Any]]:
  """Colour and marker of treatments of any kind beside the one they are compared with.

  `treatment_styles` is for treatments that differ in alpha.
  """
  palette = (POSITIVE[0], NEGATIVE[0], *POSITIVE[1:], *NEGATIVE[1:], *ZERO[1:])
  others = [treatment for treatment in treatments if treatment != baseline]
  styles = {
    treatment: {
      'color': palette[i % len(palette)],
      'marker': MARKERS[1 + i % (len(MARKERS) - 1)],
    }
    for i, treatment in enumerate(others)
  }
  untreated = {baseline: {'color': INK, 'marker': MARKERS[0]}}
  return untreated | styles


def legend_handles(treatments: Sequence[Treatment]) -> list[Line2D]:
  """Entries of a legend, one for each treatment."""
  styles = treatment_styles(treatments)
  return [Line2D([], [], label=str(each), **style) for each, style in styles.items()]
