"""Where to cut: the golden zone of a sweep, and the best cut under limits.

Both work on plain rows (`gpz_jax.results`) of one sweep, complete or not, on means over
seeds, and where a split was attacked in several ways on the strongest attack. The
prediction is no place to cut: sending it leaves nothing for the cloud.
"""

import dataclasses
import math
from collections.abc import Callable

from gpz_jax import results
from gpz_jax.partition import PREDICTION
from gpz_jax.results import Row
from gpz_jax.types import InputError

_METRIC_WORDS = {
  'test_mse': 'MSE per element',
  'test_mse_paper': 'MSE summed over channels',
}
# Arguments of `recommend`, and fields of a sweep's config.
LIMITS = ('max_edge_params', 'max_edge_flops', 'max_payload_bytes', 'min_accuracy')
SAME = 0.01  # resistances closer than 1% count as equal: seeds differ by more


@dataclasses.dataclass(frozen=True)
class AlphaZone:
  """The zone of one alpha, or the largest jump where there is no zone.

  Attributes:
    alpha: label smoothing of the target.
    metric: column the jump is in.
    split: first split of the zone; None where no split meets the rule.
    start_index: its `split_index`; None where no split meets the rule.
    jump_from: split before the jump; None where fewer than two splits have a result.
    jump_to: split after the jump, `split` itself where there is a zone.
    before: metric at `jump_from`.
    after: metric at `jump_to`.
    falls_back: splits deeper than `split` that fail the rule against `before`.
  """

  alpha: float
  metric: str
  split: str | None
  start_index: int | None
  jump_from: str | None
  jump_to: str | None
  before: float
  after: float
  falls_back: tuple[str, ...] = ()

  @property
  def jump(self) -> float:
    """`after` over `before`."""
    return _ratio(self.before, self.after)

  def sentence(self) -> str:
    """The finding in one sentence."""
    name = f'alpha {self.alpha:g}'
    if self.jump_to is None:
      return f'{name}: fewer than two splits have a result.'
    change = (
      f'{self.jump:.3g}x, from {self.before:.3g} at {self.jump_from} to '
      f'{self.after:.3g} at {self.jump_to}'
    )
    error = _METRIC_WORDS.get(self.metric, self.metric)
    if self.split is None:
      return f'{name}: no golden zone; the largest jump of {error} is {change}.'
    back = f' (but not at {", ".join(self.falls_back)})' if self.falls_back else ''
    return (
      f'{name}: golden zone from {self.split} on{back}, where {error} jumps {change}.'
    )


@dataclasses.dataclass(frozen=True)
class Zone:
  """The golden zone of every alpha, ascending, and the rule that found it."""

  alphas: tuple[AlphaZone, ...]
  metric: str
  ratio: float
  threshold: float

  def sentence(self) -> str:
    """The finding for every alpha, one sentence each."""
    return ' '.join(zone.sentence() for zone in self.alphas)


@dataclasses.dataclass(frozen=True)
class Recommendation:
  """The cut to take, or why there is none (`split` and `alpha` are None)."""

  split: str | None
  alpha: float | None
  reason: str

  def sentence(self) -> str:
    """The advice in one sentence."""
    if self.split is None:
      return f'No cut fits: {self.reason}.'
    return f'Cut at {self.split} with alpha {self.alpha:g}: {self.reason}.'


def golden_zone(
  rows: list[Row],
  *,
  metric: str = 'test_mse_paper',
  ratio: float = 2.0,
  threshold: float = 0.02,
) -> Zone:
  """Finds, for each alpha, the first split where reconstruction error jumps.

  A zone starts at the first split whose error is more than `ratio` times that of the
  split before and exceeds `threshold`; it reaches to the deepest split.

  Args:
    rows: rows of one sweep.
    metric: column with the error; the threshold is in its unit.
    ratio: least factor between neighbouring splits.
    threshold: error an attack must not get below; 0.02 is the paper's, in
      channel-summed MSE.

  Returns:
    One entry per alpha, ascending; a split of None where no split meets the rule.

  Raises:
    InputError: no rows, rows of several sweeps, or an unknown metric.
  """
  _check_rows(rows)
  if metric not in rows[0]:
    raise InputError(f'metric {metric!r} is not a column; known: {", ".join(rows[0])}')
  alphas = results.list_alphas(rows)
  rows = [row for row in results.strongest(rows) if row['split'] != PREDICTION]
  found = tuple(_alpha_zone(rows, alpha, metric, ratio, threshold) for alpha in alphas)
  return Zone(found, metric, ratio, threshold)


def recommend(
  rows: list[Row],
  *,
  max_edge_params: float | None = None,
  max_edge_flops: float | None = None,
  max_payload_bytes: float | None = None,
  min_accuracy: float | None = None,
) -> Recommendation:
  """Picks the split and alpha that resist inversion best within the limits.

  Resistance is `test_mse`, mean over seeds. Candidates within 1% of the best count as
  equal; of those, the one with the fewest edge parameters is taken.

  Args:
    rows: rows of one sweep.
    max_edge_params: most parameters on the device.
    max_edge_flops: most floating-point operations on the device for one image.
    max_payload_bytes: most bytes sent for one image, in float32.
    min_accuracy: least test accuracy of the target.

  Returns:
    The choice; with a split of None where nothing fits, and the reason names what
    each limit excludes.

  Raises:
    InputError: no rows, or rows of several sweeps.
  """
  _check_rows(rows)
  rows = [row for row in results.strongest(rows) if row['split'] != PREDICTION]
  if not rows:
    return Recommendation(None, None, 'only the prediction was attacked, and no split')
  candidates = _candidates(rows)
  limits = [
    Limit('max_edge_params', 'edge_params', max_edge_params),
    Limit('max_edge_flops', 'edge_flops', max_edge_flops),
    Limit('max_payload_bytes', 'payload_bytes', max_payload_bytes),
    Limit('min_accuracy', 'target_accuracy', min_accuracy, is_least=True),
  ]
  limits = [limit for limit in limits if limit.bound is not None]
  fitting = [c for c in candidates if all(limit.admits(c) for limit in limits)]
  if not fitting:
    reasons = [limit.exclusion(candidates) for limit in limits]
    return Recommendation(None, None, '; '.join(filter(None, reasons)) or 'no results')
  best = max(c['test_mse'] for c in fitting)
  equals = [c for c in fitting if c['test_mse'] >= (1 - SAME) * best]
  choice = min(equals, key=lambda c: (c['edge_params'], -c['test_mse']))
  return Recommendation(choice['split'], choice['alpha'], _praise(choice, limits))


@dataclasses.dataclass(frozen=True)
class Limit:
  """A bound on a column of a candidate."""

  name: str
  column: str
  bound: float | None
  is_least: bool = False

  def admits(self, candidate: dict) -> bool:
    """Whether the candidate keeps to the bound."""
    value = candidate[self.column]
    return value >= self.bound if self.is_least else value <= self.bound

  def exclusion(self, candidates: list[dict]) -> str | None:
    """What the bound excludes and how near the nearest candidate comes."""
    excluded = [c for c in candidates if not self.admits(c)]
    if not excluded:
      return None
    nearest: Callable = max if self.is_least else min
    closest = nearest(candidates, key=lambda c: c[self.column])
    return (
      f'{self} excludes {len(excluded)} of {len(candidates)} candidates '
      f'({"highest" if self.is_least else "lowest"} {_number(closest[self.column])}, '
      f'{closest["split"]} with alpha {closest["alpha"]:g})'
    )

  def __str__(self) -> str:
    return f'{self.name}={_number(self.bound)}'


def _alpha_zone(
  rows: list[Row], alpha: float, metric: str, ratio: float, threshold: float
) -> AlphaZone:
  errors = {
    split: results.seed_mean(rows, metric, alpha=alpha, split=split)
    for split in results.list_splits(rows)
  }
  errors = {split: error for split, error in errors.items() if math.isfinite(error)}
  if len(errors) < 2:
    return AlphaZone(alpha, metric, None, None, None, None, math.nan, math.nan)
  steps = list(zip(errors, list(errors)[1:], strict=False))

  def is_jump(before, after):
    return after > threshold and _ratio(before, after) > ratio

  for position, (left, right) in enumerate(steps):
    before, after = errors[left], errors[right]
    if is_jump(before, after):
      deeper = [split for _, split in steps[position + 1 :]]
      back = tuple(split for split in deeper if not is_jump(before, errors[split]))
      index = next(r['split_index'] for r in rows if r['split'] == right)
      return AlphaZone(alpha, metric, right, index, left, right, before, after, back)
  left, right = max(steps, key=lambda step: _ratio(errors[step[0]], errors[step[1]]))
  return AlphaZone(alpha, metric, None, None, left, right, errors[left], errors[right])


def _candidates(rows: list[Row]) -> list[dict]:
  """One dict per split and alpha that has a result."""
  candidates = []
  for split in results.list_splits(rows):
    cost = next(row for row in rows if row['split'] == split)
    for alpha in results.list_alphas(rows):
      means = {
        name: results.seed_mean(rows, name, alpha=alpha, split=split)
        for name in ('test_mse', 'test_psnr', 'target_accuracy')
      }
      if math.isfinite(means['test_mse']):
        candidates.append({**cost, **means, 'alpha': alpha})
  return candidates


def _praise(choice: dict, limits: list[Limit]) -> str:
  within = f'within {", ".join(map(str, limits))}' if limits else 'of all cuts'
  return (
    f'the highest reconstruction error {within} (MSE {choice["test_mse"]:.3g} per '
    f'element, PSNR {choice["test_psnr"]:.1f} dB), at '
    f'{choice["edge_params_share"]:.1%} of the parameters and '
    f'{choice["edge_flops_share"]:.1%} of the FLOPs on the device, '
    f'{results.format_bytes(choice["payload_bytes"])} sent for each image and '
    f'{choice["target_accuracy"]:.1%} test accuracy'
  )


def _number(value: float | None) -> str:
  return f'{value:,}' if isinstance(value, int) else f'{value:,.4g}'


def _ratio(before: float, after: float) -> float:
  return after / before if before > 0 else math.inf


def _check_rows(rows: list[Row]) -> None:
  if not rows:
    raise InputError('no rows of results: run the sweep first')
  for column in ('model', 'dataset', 'aux_dataset'):
    values = sorted({str(row[column]) for row in rows})
    if len(values) > 1:
      raise InputError(
        f'rows hold several values of {column} ({", ".join(values)}); pass those of one'
      )
