"""What a sweep left in its workdir, read for the report."""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.study import pictures
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError, Treatment
from gpz_jax.zone import LIMITS, Recommendation, Zone, golden_zone, recommend


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

  def row(self, attack: str, split: str) -> Row | None:
    """The first row of a split attacked so; None where it was not."""
    those = (r for r in self.rows if (r['attack'], r['split']) == (attack, split))
    return next(those, None)

  def cost(self, split: str) -> Row:
    """A row of `split`, of the first treatment, for what cutting there costs.

    The others cost the same, or less where a skip connection is removed.
    """
    return next(row for row in self.rows if row['split'] == split)

  def is_in_zone(self, treatment: Treatment, split: str) -> bool:
    """Whether `split` lies in the golden zone of `treatment`."""
    found = next(z for z in self.zone.treatments if z.treatment == treatment)
    if found.split is None:
      return False
    return self.splits.index(split) >= self.splits.index(found.split)


def read_workdir(workdir: str | pathlib.Path) -> Findings:
  """Reads the rows and whatever else is there by now.

  Limits named in config.json (max_edge_params, ...) bound the recommendation.

  Raises:
    InputError: no results, or a file that cannot be read.
  """
  folder = Workdir(workdir)
  rows, is_final = results.read_workdir(folder.path)
  config = results.read_object(folder.config)
  limits = {name: config[name] for name in LIMITS if config.get(name) is not None}
  strongest = results.strongest(rows)
  left_out, remark = _examine_pictures(folder, rows)
  return Findings(
    rows=rows,
    strongest=strongest,
    is_final=is_final,
    splits=results.list_splits(rows),
    attacks=results.list_attacks(rows),
    treatments=results.list_treatments(rows),
    zone=golden_zone(rows),
    recommendation=recommend(rows, **limits),
    ladder=results.read_ladder(folder.ladder),
    config=config,
    env=results.read_object(folder.environment),
    originals=_read_images(folder.originals, left_out),
    comparison=_read_text(folder.comparison),
    samples=_read_samples(folder, strongest, left_out),
    remark=remark,
    total=results.read_object(folder.merged).get('of'),
  )


def _examine_pictures(
  workdir: Workdir, rows: list[Row]
) -> tuple[set[pathlib.Path], str]:
  """The pictures that must not be shown, and what to say of them and of the others."""
  paths = workdir.list_pictures(rows)[workdir.samples]
  try:
    checksums = pictures.read_checksums(workdir.samples)
  except InputError as error:
    return set(paths), f'No picture is shown: {error}.'
  states = {path: pictures.find_state(path, checksums) for path in paths}
  damaged = {path for path, state in states.items() if state == 'damaged'}
  gone = sum(state == 'gone' for state in states.values()) if checksums else 0
  if damaged or gone:
    return damaged, (
      f'{len(damaged)} pictures are damaged and {gone} are gone. They are left out;'
      ' the command of the sweep makes those again whose decoder is there.'
    )
  unknown = sum(state == 'not checksummed' for state in states.values())
  return damaged, f'{unknown} pictures are not checksummed.' if unknown else ''


def _read_samples(
  workdir: Workdir, rows: list[Row], left_out: set[pathlib.Path]
) -> dict[tuple[Treatment, str], np.ndarray]:
  """The samples of the lowest seed that has them, for each treatment and split."""
  samples = {}
  for row in sorted(rows, key=lambda row: row['seed']):
    key = (Treatment.of(row), row['split'])
    if key not in samples:
      path = workdir.sample(row['lane_id'], row['split'], row['attack'])
      images = _read_images(path, left_out)
      if images is not None:
        samples[key] = images
  return samples


def _read_images(path: pathlib.Path, left_out: set[pathlib.Path]) -> np.ndarray | None:
  if path in left_out or not path.exists():
    return None
  try:
    with path.open('rb') as file:
      images = np.lib.format.read_array(file, allow_pickle=False)
  except (OSError, ValueError, EOFError, MemoryError, OverflowError) as error:
    raise InputError(
      f'cannot read images {str(path)!r} ({error}); remove the file'
    ) from error
  is_strip = images.ndim == 4 and images.shape[-1] in (1, 3) and images.size > 0
  if images.dtype != np.uint8 or not is_strip:
    raise InputError(
      f'{str(path)!r} must hold uint8 images [n, H, W, 1 or 3], got {images.dtype} '
      f'{images.shape}; remove the file'
    )
  return images


def _read_text(path: pathlib.Path) -> str:
  try:
    return path.read_text(encoding='utf-8') if path.exists() else ''
  except (OSError, UnicodeDecodeError) as error:
    raise InputError(f'cannot read {str(path)!r} ({error}); remove the file') from error
