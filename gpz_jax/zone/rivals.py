"""Which candidates the seeds cannot tell from a choice.

Source: docs/paper.md#seeds; the rule is ours.
"""

import math
from collections.abc import Iterable, Sequence

from gpz_jax import intervals, results
from gpz_jax.results import Row, formats
from gpz_jax.zone.candidates import Candidate

# One seed says nothing of how far seeds differ. Errors closer than this are then taken
# for one another.
CLOSE = 0.1
NAMED = 3  # candidates that a sentence names


def describe(
  choice: Candidate, candidates: Iterable[Candidate], rows: Sequence[Row]
) -> str:
  """A sentence that names the candidates whose error may be as high; '' without any.

  Args:
    choice: The candidate that was chosen.
    candidates: All candidates.
    rows: Rows of the strongest attack at each split.
  """
  others = [one for one in candidates if one != choice]
  close = [one for one in others if _may_be_equal(choice, one, rows)]
  if not close:
    return ''
  names = [f'{one} (MSE {one.test_mse:.3g})' for one in close[:NAMED]]
  if len(close) > NAMED:
    names.append(f'{len(close) - NAMED} more')
  joined = formats.join_words(names)
  if max(len(_errors(one, rows)) for one in (choice, *close)) < 2:
    return f'One seed cannot tell its error from that of {joined}; run more seeds.'
  return f'The seeds cannot tell its error from that of {joined}.'


def _may_be_equal(one: Candidate, other: Candidate, rows: Sequence[Row]) -> bool:
  """Whether two errors are closer than chance may bring them."""
  ours, theirs = _errors(one, rows), _errors(other, rows)
  shared = sorted(ours.keys() & theirs.keys())
  if len(shared) < 2:
    larger = max(one.test_mse, other.test_mse)
    return abs(one.test_mse - other.test_mse) <= CLOSE * larger
  differences = [ours[seed] - theirs[seed] for seed in shared]
  low, high = intervals.mean_interval(differences)
  return low <= 0 <= high


def _errors(one: Candidate, rows: Sequence[Row]) -> dict[int, float]:
  """The error of each seed that has one."""
  return {
    row['seed']: row['test_mse']
    for row in results.of_cell(rows, one.treatment, one.split)
    if row['status'] == 'done' and math.isfinite(row['test_mse'])
  }
