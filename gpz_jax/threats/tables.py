"""The crossed table as text, and as lines for a file."""

import math
import textwrap
from typing import Any

from gpz_jax.estimates import Estimate
from gpz_jax.results.formats import align
from gpz_jax.threats.conclusion import conclude
from gpz_jax.threats.crossing import (
  DOUBTFUL,
  LEAKS,
  MODEL,
  PROTECTS,
  Crossed,
  Crossing,
  Effect,
)
from gpz_jax.tradeoff.tables import percent
from gpz_jax.types import LINE_WIDTH

# The columns of `list_lines`: one line for each treatment and threat.
LINES = (
  *('treatment', 'threat', 'sweep_seeds', 'inversion_seeds'),
  *('accuracy', 'accuracy_low', 'accuracy_high'),
  *('accuracy_lost', 'accuracy_lost_low', 'accuracy_lost_high'),
  *('found', 'found_low', 'found_high', 'found_over'),
  *('change', 'change_low', 'change_high', 'change_over'),
  *('verdict', 'doubt'),
)
CHANGE = (
  'Change is what the attack loses: the share by which its error rises, or points of'
  ' AttAcc@1'
)
_LEGEND = (
  'The sign + protects, - leaks more, and ! is doubtful. Without a sign it cannot be'
  ' told: a 95% interval reaches 0, or there is none'
)
_MARKS = {PROTECTS: '+', LEAKS: '-', DOUBTFUL: '!'}


def format_crossed(crossing: Crossing) -> str:
  """The table of both threats with a legend, and what it says in sentences."""
  heading = ['treatment', 'seeds', 'accuracy', 'lost']
  for split in crossing.splits:
    heading += [f'error at {split}', 'change']
  heading += ['AttAcc@1', 'change', 'false pos.']
  table = [heading, *(_line(each) for each in crossing.treatments)]
  return '\n'.join(
    [
      *align(table),
      '',
      *textwrap.wrap(f'{CHANGE}. {_LEGEND}.', width=LINE_WIDTH),
      '',
      *_list_sentences(crossing),
    ]
  )


def list_lines(crossing: Crossing) -> list[dict[str, Any]]:
  """A line for each treatment and threat, see `LINES`; shares are not in percent."""
  return [
    {
      'treatment': str(each.treatment),
      'threat': effect.threat,
      'sweep_seeds': each.seeds[0],
      'inversion_seeds': each.seeds[1],
      **_spread('accuracy', each.accuracy),
      **_spread('accuracy_lost', effect.cost),
      **_spread('found', effect.found),
      'found_over': effect.found.over,
      **_spread('change', effect.change),
      'change_over': effect.change.over,
      'verdict': effect.verdict,
      'doubt': effect.doubt,
    }
    for each in crossing.treatments
    for effect in each.effects
  ]


def _list_sentences(crossing: Crossing) -> list[str]:
  """What is concluded of each threat and of both, and then the doubts and notes."""
  found = conclude(crossing)
  told = [sentence for those in found.findings.values() for sentence in those]
  return [
    *(f'{sentence}.' for sentence in (*told, found.headline, found.advice) if sentence),
    *(f'doubtful: {doubt}' for doubt in found.doubts),
    *(f'note: {note}' for note in crossing.notes),
  ]


def _line(each: Crossed) -> list[str]:
  seeds = ', '.join(map(str, dict.fromkeys(each.seeds)))
  accuracy = percent(each.accuracy.mean)
  cells = [str(each.treatment), seeds, accuracy, _points(each.cost)]
  for effect in each.effects:
    is_model = effect.threat == MODEL
    found = effect.found.mean
    cells += [percent(found) if is_model else f'{found:.4f}', _change(effect)]
  return [*cells, percent(each.false_positives)]


def _change(effect: Effect) -> str:
  if not math.isfinite(effect.change.mean):
    return '-'
  unit = '' if effect.threat == MODEL else '%'
  change = effect.change.in_points
  told = f'{change.mean:+.1f}{unit}'
  if change.has_interval:
    told += f' ({change.low:.0f} to {change.high:.0f})'
  return f'{told} {_MARKS.get(effect.verdict, "")}'.strip()


def _points(cost: Estimate) -> str:
  found = cost.in_points
  if not math.isfinite(found.mean):
    return '-'
  told = f'{found.mean:.1f}'
  return f'{told} ({found.low:.0f} to {found.high:.0f})' if found.has_interval else told


def _spread(name: str, found: Estimate) -> dict[str, float]:
  return {name: found.mean, f'{name}_low': found.low, f'{name}_high': found.high}
