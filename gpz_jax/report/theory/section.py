"""What the page's section on the theory is made of."""

from collections.abc import Mapping, Sequence
from typing import Any

import markupsafe
from matplotlib.figure import Figure

from gpz_jax.report.styles import treatment_colours
from gpz_jax.report.svg import embed
from gpz_jax.report.theory import along_epochs, along_splits, embeddings, tables
from gpz_jax.report.theory.findings import Theory
from gpz_jax.results import Row

TABLES = 'The tables hold the same numbers.'


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
    drawn: Its figures, see `draw`. The page shows their panels one by one.
  """
  # Epochs cannot be measured again where the finished targets are, on more images.
  followed = _count_examples(theory.followed)
  return {
    'cast': along_splits.cast,
    'class_colours': embeddings.name_classes(theory.embeddings, theory.splits),
    'drawn': {name: _embed(name, theory) for name in drawn},
    'examples': _count_examples(theory.finished) or followed,
    'followed_examples': followed,
    'points': max((len(e.points) for e in theory.embeddings.values()), default=0),
    'predictions': along_epochs.check_predictions(theory),
    'shallow': along_splits.compare_shallow(theory),
    'story': along_epochs.tell_story(theory),
    't_colours': treatment_colours(theory.treatments),
    'tables': tables.tabulate(theory),
    'voters': along_splits.VOTERS,
  }


def _count_examples(rows: Sequence[Row]) -> int:
  return max((row['examples'] for row in rows), default=0)


def _embed(name: str, theory: Theory) -> markupsafe.Markup:
  """The panels of a figure, see `draw`."""
  if name == 'theory':
    return embed(along_splits.draw_split_panels(theory), TABLES)
  if name == 'theory_training':
    panels = along_epochs.draw_epoch_panels(theory)
    return embed(panels, 'What the targets did at this split, epoch by epoch.')
  panels = embeddings.draw_embedding_panels(theory.embeddings, theory.splits)
  return embed(panels, 'Activations at this split in two dimensions, by class.')
