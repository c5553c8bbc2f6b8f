"""What panels of a page have in common: their size, a legend below, intervals."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gpz_jax.report.styles import INK, PANEL_HEIGHT, PANEL_WIDTH, STYLE
from gpz_jax.tradeoff import Estimate

LEGEND_LINE = 0.25  # inches


def begin(legend_lines: int = 0) -> tuple[Figure, Axes]:
  """An empty panel with room for a legend below."""
  height = PANEL_HEIGHT + LEGEND_LINE * legend_lines
  with mpl.rc_context(STYLE):
    figure = Figure(figsize=(PANEL_WIDTH, height), layout='constrained')
    return figure, figure.subplots()


def add_legend(figure: Figure, axes: Axes) -> None:
  """A line below the axes for each name in them, which is never read as a formula."""
  handles, labels = axes.get_legend_handles_labels()
  legend = figure.legend(handles, labels, frameon=False, loc='outside lower left')  # pyright: ignore[reportArgumentType] its stubs lack it
  for text in legend.get_texts():
    text.set_parse_math(False)
    text.set_color(INK)


def reach(estimates: Sequence[Estimate]) -> np.ndarray | None:
  """How far intervals reach below and above their means [2, n]; None without any."""
  if not any(each.has_interval for each in estimates):
    return None
  ends = [
    (each.mean - each.low, each.high - each.mean) if each.has_interval else (0.0, 0.0)
    for each in estimates
  ]
  return np.maximum(np.transpose(ends), 0)
