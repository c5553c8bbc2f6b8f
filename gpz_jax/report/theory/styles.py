"""How an alpha styles in the figures of the theory: as in the other figures."""

from collections.abc import Sequence
from typing import Any

from matplotlib.lines import Line2D

from gpz_jax.report.figures import MARKERS, alpha_colours


def alpha_styles(alphas: Sequence[float]) -> dict[float, dict[str, Any]]:
  """Colour and marker of each alpha."""
  colours = alpha_colours(list(alphas))
  return {
    alpha: {'color': colours[alpha], 'marker': MARKERS[i % len(MARKERS)]}
    for i, alpha in enumerate(alphas)
  }


def alpha_handles(alphas: Sequence[float]) -> list[Line2D]:
  """Entries of a legend, one an alpha."""
  styles = alpha_styles(alphas).items()
  return [Line2D([], [], label=f'alpha {alpha:g}', **style) for alpha, style in styles]
