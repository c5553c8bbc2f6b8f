"""What a sweep left in its workdir, read for the report."""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from gpz_jax import results
from gpz_jax.report import pictures
from gpz_jax.results import Row
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import PREDICTION, InputError, Treatment
from gpz_jax.zone import Recommendation, Zone, golden_zone, read_bounds, recommend

MADE_AGAIN = 'the command of the sweep makes those again whose decoder is there'


@dataclasses.dataclass(frozen=True)
class Findings:
  """A sweep, complete or still running, and what follows from its rows."""

  rows: list[Row]
  strongest: list[Row]  # of the strongest attack at each split, see results.strongest
  is_final: bool  # rows come from the parquet file, written at the end
  splits: list[str]  # forward order
  attacks: list[str]
  treatments: list[Treatment]  # ascending
  zone: Zone
  recommendation: Recommendation
  ladder: dict[str, dict[str, float]]
  config: dict[str, Any]
  env: dict[str, Any]
  originals: np.ndarray | None  # [n, H, W, C] uint8
  comparison: str  # with published numbers, '' without
  # (treatment, split) -> [n, H, W, C] uint8
  samples: dict[tuple[Treatment, str], np.ndarray]
  remark: str = ''  # what is wrong with the pictures
  total: int | None = None  # rows of the finished sweep, where units are merged

  def values(
    self,
    column: str,
    treatment: Treatment,
    split: str | None = None,
    attack: str | None = None,
  ) -> list[float]:
    """`results.seed_values` of one attack's rows; of the strongest if None."""
    rows = self.strongest
    if attack is not None:
      rows = [row for row in self.rows if row['attack'] == attack]
    return results.seed_values(rows, column, treatment=treatment, split=split)

  def mean(
    self,
    column: str,
    treatment: Treatment,
    split: str | None = None,
    attack: str | None = None,
  ) -> float:
    """The mean of `values`; NaN where there is none."""
    return results.mean(self.values(column, treatment, split, attack))

  def accuracies(self, treatment: Treatment) -> tuple[float, float]:
    """The test accuracy of a target at the worst and the best split, as means."""
    return results.split_range(self.strongest, 'target_accuracy', treatment=treatment)

  def row(self, attack: str, split: str) -> Row | None:
    """The first row of a split attacked so; None where it was not."""
    those = (r for r in self.rows if (r['attack'], r['split']) == (attack, split))
    return next(those, None)

  def cost(self, split: str, treatment: Treatment | None = None) -> Row:
    """A row of `split` for what cutting there costs.

    Args:
      split: Where to cut.
      treatment: Whose target is cut. None takes the one that costs most: others cost
        the same, or less where a skip connection is removed.
    """
    those = [row for row in self.rows if row['split'] == split]
    own = [row for row in those if Treatment.of(row) == treatment]
    return max(own or those, key=lambda row: row['edge_params'])

  def describe_final_skips(self, treatment: Treatment) -> str:
    """A sentence with the factors that skips ended at; '' where none was learned."""
    found = {
      row['seed']: row['skips_final']
      for row in self.rows
      if Treatment.of(row) == treatment and row['skips_final']
    }
    if not found:
      return ''
    ended = [
      factors if len(found) == 1 else f'{factors} (seed {seed})'
      for seed, factors in sorted(found.items())
    ]
    return f'The skip factors of {treatment} ended at {"; ".join(ended)}.'

  def is_in_zone(self, treatment: Treatment, split: str) -> bool:
    """Whether `split` lies in the golden zone of `treatment`."""
    found = next(z for z in self.zone.treatments if z.treatment == treatment)
    if found.split is None or split in (*found.falls_back, PREDICTION):
      return False
    return self.splits.index(split) >= self.splits.index(found.split)


def read_workdir(workdir: str | pathlib.Path) -> Findings:
  """Reads the rows and whatever else is there by now.

  Limits named in config.json (max_edge_params, ...) bound the recommendation, and its
  private_enough says what is recommended at all.

  Raises:
    InputError: no results, or a file that cannot be read.
  """
  folder = Workdir(workdir)
  rows, is_final = results.read_workdir(folder.path)
  config = results.read_object(folder.config)
  bounds = read_bounds(folder.config)
  ladder = results.read_ladder(folder.ladder)
  strongest = results.strongest(rows)
  shown = folder.list_pictures(rows)[folder.samples]
  left_out, remark = pictures.examine(folder.samples, shown, MADE_AGAIN)
  return Findings(
    rows=rows,
    strongest=strongest,
    is_final=is_final,
    splits=results.list_splits(rows),
    attacks=results.list_attacks(rows),
    treatments=results.list_treatments(rows),
    zone=golden_zone(rows),
    recommendation=recommend(rows, ladder=ladder, **bounds),
    ladder=ladder,
    config=config,
    env=results.read_object(folder.environment),
    originals=pictures.read_images(folder.originals, left_out),
    comparison=read_text(folder.comparison),
    samples=_read_samples(folder, strongest, left_out),
    remark=remark,
    total=results.read_object(folder.merged).get('of'),
  )


def _read_samples(
  workdir: Workdir, rows: list[Row], left_out: set[pathlib.Path]
) -> dict[tuple[Treatment, str], np.ndarray]:
  """The samples of the lowest seed that has them, for each treatment and split."""
  samples = {}
  for row in sorted(rows, key=lambda row: row['seed']):
    key = (Treatment.of(row), row['split'])
    if key not in samples:
      path = workdir.sample(row['lane_id'], row['split'], row['attack'])
      images = pictures.read_images(path, left_out)
      if images is not None:
        samples[key] = images
  return samples


def read_text(path: pathlib.Path) -> str:
  """The text of a file; '' where it is not there.

  Raises:
    InputError: It cannot be read, or is no UTF-8.
  """
  try:
    return path.read_text(encoding='utf-8') if path.exists() else ''
  except (OSError, UnicodeDecodeError) as error:
    raise InputError(f'cannot read {str(path)!r} ({error}); remove the file') from error
