"""The page of both threats to the same targets."""

import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import markupsafe
from matplotlib import colors

from gpz_jax import atomic, results, threats
from gpz_jax.report import shell, svg
from gpz_jax.report.styles import compared_styles
from gpz_jax.report.threats import figures
from gpz_jax.results import Row
from gpz_jax.results.formats import join_words
from gpz_jax.threats import Conclusion, Crossing, Study
from gpz_jax.threats.crossing import DOUBTFUL, LEAKS, MODEL, OPEN, PROTECTS

ABOVE = 'The tables hold the same numbers.'
# The class of a cell by its verdict, and what is said of several such effects.
CLASSES = {PROTECTS: 'protects', LEAKS: 'leaks', OPEN: 'muted', DOUBTFUL: 'muted'}
WORDS = {
  PROTECTS: 'protect',
  LEAKS: 'leak more',
  OPEN: 'cannot be told',
  DOUBTFUL: 'are doubtful',
}


def build(
  path: pathlib.Path,
  crossing: Crossing,
  split: str,
  sweeps: Sequence[Study],
  inversions: Sequence[Study],
) -> None:
  """Writes the page, which holds all it needs.

  Args:
    path: The file.
    crossing: What became of each treatment.
    split: The split whose picture comes first, one of `crossing.splits`.
    sweeps: The sweeps that were crossed.
    inversions: The studies of model inversion that they were crossed with.
  """
  text = render(crossing, split, sweeps, inversions)
  # JSON may hold half of a character, which no file can.
  atomic.write_text(path, text.encode(errors='replace').decode())


def render(
  crossing: Crossing, split: str, sweeps: Sequence[Study], inversions: Sequence[Study]
) -> str:
  """The HTML text of the page, see `build`."""
  found = threats.conclude(crossing)
  names = [each.treatment for each in crossing.treatments]
  styles = compared_styles(names, crossing.baseline)
  verdicts = [effect.verdict for each in crossing.treatments for effect in each.effects]
  return shell.render(
    'threats/page.html',
    c=crossing,
    found=found,
    split=split,
    MODEL=MODEL,
    DOUBTFUL=DOUBTFUL,
    change=threats.CHANGE,
    classes=CLASSES,
    colours={name: colors.to_hex(style['color']) for name, style in styles.items()},
    counts={words: verdicts.count(verdict) for verdict, words in WORDS.items()},
    drawn=_draw(crossing, split, found) if len(names) > 1 else None,
    first=sweeps[0].rows[0],
    images=_range(_list_rows(sweeps), 'n_test'),
    attacked=_range(_list_rows(inversions), 'num_attacked'),
    reasons={doubt: number for number, doubt in enumerate(found.doubts, start=1)},
    studies=[
      *(_describe(study, 'activation inversion', _tell_images) for study in sweeps),
      *(_describe(study, MODEL, _tell_classes) for study in inversions),
    ],
    threats=(*crossing.splits, MODEL),
  )


def _draw(crossing: Crossing, split: str, found: Conclusion) -> markupsafe.Markup:
  """The panels, each with what is told of its split for those who cannot see it."""
  panels = figures.draw_panels(crossing, split)
  notes = [f'{". ".join(found.findings[each])}. {ABOVE}' for each in panels]
  return svg.embed(panels.values(), notes)


class _Described(NamedTuple):
  """A line of the table of studies."""

  workdir: str
  threat: str
  treatments: int
  seeds: str
  attacks: str
  behind: str  # what its numbers rest on
  is_final: bool


def _describe(
  study: Study, threat: str, tell: Callable[[Sequence[Row]], str]
) -> _Described:
  rows = study.rows
  return _Described(
    workdir=study.workdir,
    threat=threat,
    treatments=len(results.list_treatments(rows)),
    seeds=join_words([str(seed) for seed in sorted({row['seed'] for row in rows})]),
    attacks=join_words(results.list_attacks(rows)),
    behind=tell(rows),
    is_final=study.is_final,
  )


def _tell_images(rows: Sequence[Row]) -> str:
  return (
    f'{_range(rows, "n_test")} test images, and'
    f" {_range(rows, 'n_aux')} of the attacker's"
  )


def _tell_classes(rows: Sequence[Row]) -> str:
  return (
    f'{_range(rows, "num_attacked")} of {_range(rows, "num_classes")} classes, and'
    f' {_range(rows, "num_final")} of {_range(rows, "num_candidates")} candidates of'
    ' each'
  )


def _list_rows(studies: Sequence[Study]) -> list[Row]:
  return [row for study in studies for row in study.rows]


def _range(rows: Sequence[Row], column: str) -> str:
  """The counts of a column: '1,000', or '50 to 1,000' where rows differ."""
  values = [row[column] for row in rows]
  ends = dict.fromkeys((min(values), max(values)))
  return ' to '.join(f'{count:,}' for count in ends)
