"""What simple guesses score, as lines across a figure of reconstruction errors."""

import math
from collections.abc import Mapping

from matplotlib.axes import Axes

from gpz_jax.report.styles import MUTED
from gpz_jax.zone.worth import RUNGS


def draw_ladder(axes: Axes, ladder: Mapping[str, Mapping[str, float]]) -> None:
  """Thin lines at what simple guesses score, named in the right margin."""
  levels = {
    label: ladder[rung]['mse'] for rung, label in RUNGS.items() if rung in ladder
  }
  levels = {label: level for label, level in levels.items() if level > 0}
  if not levels:
    return
  for level in levels.values():
    axes.axhline(level, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
  low, high = axes.get_ylim()
  ranked = sorted(levels.items(), key=lambda item: item[1])
  spread = math.log(high / low)
  heights = _spread_labels([math.log(v / low) / spread for _, v in ranked], 0.052)
  for (label, level), height in zip(ranked, heights, strict=True):
    axes.annotate(
      f'{label} {level:.3f}',
      (1, level),
      (1.025, height),
      xycoords=('axes fraction', 'data'),
      textcoords='axes fraction',
      va='center',
      color=MUTED,
      fontsize=9,
      arrowprops={
        'arrowstyle': '-',
        'color': MUTED,
        'linewidth': 0.6,
        'relpos': (0, 0.5),
        'shrinkA': 0,
        'shrinkB': 0,
      },
    )


def _spread_labels(heights: list[float], gap: float) -> list[float]:
  """Ascending heights, moved up (then down from the top) to be `gap` apart."""
  for i in range(1, len(heights)):
    heights[i] = max(heights[i], heights[i - 1] + gap)
  heights[-1] = min(heights[-1], 1.0)
  for i in reversed(range(len(heights) - 1)):
    heights[i] = min(heights[i], heights[i + 1] - gap)
  return heights
