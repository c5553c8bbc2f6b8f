"""What the page's section on the theory is made of."""

from collections.abc import Mapping
from typing import Any

import markupsafe
from matplotlib.figure import Figure

from gpz_jax.report.figures import encode_svg
from gpz_jax.report.styles import treatment_colours
from gpz_jax.report.theory import along_epochs, along_splits, embeddings, tables
from gpz_jax.report.theory.findings import Theory

# How many pixels an inch of a figure takes: its text is neither tiny nor huge.
LEAST, MOST = 62, 92


def draw(theory: Theory) -> dict[str, Figure]:
  """The figures there is something to show in, by the name of their file."""
  figures = {
    'theory': along_splits.draw_splits(theory) if theory.finished else None,
    'theory_training': along_epochs.draw_epochs(theory),
    'theory_embeddings': embeddings.draw_embeddings(theory.embeddings, theory.splits),
  }
  return {name: figure for name, figure in figures.items() if figure}


def describe(theory: Theory, drawn: Mapping[str, Figure]) -> dict[str, Any]:
  """The values that theory.html asks for, beside `t`, the theory itself.

  Args:
    theory: What was measured.
    drawn: Its figures, see `draw`.
  """
  every = [*theory.finished, *theory.followed]
  return {
    'cast': along_splits.cast,
    'drawn': {name: _embed(figure) for name, figure in drawn.items()},
    'examples': max((row['examples'] for row in every), default=0),
    'points': max((len(e.points) for e in theory.embeddings.values()), default=0),
    'predictions': along_epochs.check_predictions(theory),
    'shallow': along_splits.compare_shallow(theory),
    'story': along_epochs.tell_story(theory),
    't_colours': treatment_colours(theory.treatments),
    'tables': tables.tabulate(theory),
    'voters': along_splits.VOTERS,
  }


def _embed(figure: Figure) -> markupsafe.Markup:
  """The figure in a box that scrolls where it would get too small to read."""
  least, most = (round(pixels * figure.get_figwidth()) for pixels in (LEAST, MOST))
  box = f'<div class="scroll wide" style="--least: {least}px; max-width: {most}px">'
  return markupsafe.Markup(f'{box}{encode_svg(figure)}</div>')
