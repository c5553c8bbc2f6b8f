"""What a study of model inversion left in its workdir, read for the report."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpz_jax import results, tradeoff
from gpz_jax.report import pictures
from gpz_jax.report.workdir import read_text
from gpz_jax.results import Row
from gpz_jax.results.inversions import CLASSES, INVERSIONS
from gpz_jax.study import histories
from gpz_jax.study.workdir import Workdir
from gpz_jax.tradeoff import Answer, Point
from gpz_jax.types import Treatment

MADE_AGAIN = 'the command of the study makes them again where it can'


@dataclasses.dataclass(frozen=True)
class Findings:
  """A study, complete or still running, and what follows from its rows.

  Attributes:
    rows: A row for each lane and attack.
    classes: A row for each lane, attack and class.
    is_final: Whether the rows come from the parquet file, which is written at the end.
    points: A point for each treatment, ascending.
    answer: What the rows say.
    config: The settings of the study.
    env: Where it ran.
    privates: [T', n, H, W, C] uint8 private images of the first attacked classes.
    found: For each treatment [T', n, H, W, C] uint8, reconstructions of its lowest seed
      that has some, by its strongest attack.
    curves: For each treatment the course of its strongest attack, name -> [steps], the
      mean over seeds.
    remark: What is wrong with the pictures.
    total: Rows of the finished study, where units are merged.
    comparison: The numbers and findings of a paper beside ours, '' without.
  """

  rows: list[Row]
  classes: list[Row]
  is_final: bool
  points: list[Point]
  answer: Answer
  config: dict[str, Any]
  env: dict[str, Any]
  privates: np.ndarray | None
  found: dict[Treatment, np.ndarray]
  curves: dict[Treatment, dict[str, np.ndarray]]
  remark: str = ''
  total: int | None = None
  comparison: str = ''

  @functools.cached_property
  def attacks(self) -> list[str]:
    """The attacks in the order of their first row."""
    return results.list_attacks(self.rows)

  @functools.cached_property
  def treatments(self) -> list[Treatment]:
    """The treatments that have a point, ascending."""
    return [point.treatment for point in self.points]

  @functools.cached_property
  def baseline(self) -> Treatment:
    """What the others are compared with."""
    return results.nearest_untreated(self.treatments or [Treatment()])

  @functools.cached_property
  def front(self) -> list[Point]:
    """The points that no other outdoes."""
    return tradeoff.front(self.points)

  @functools.cached_property
  def stages(self) -> dict[int, Point]:
    """The treatments that remove the skips of one stage; 0 stands for the baseline."""
    stages: dict[int, Point] = {}
    for point in self.points:
      stage = tradeoff.removed_stage(point.treatment, self.baseline)
      if stage is not None:
        stages[stage] = point
    if not stages:
      return {}
    intact = next(p for p in self.points if p.treatment == self.baseline)
    return {0: intact} | dict(sorted(stages.items()))

  @functools.cached_property
  def class_names(self) -> dict[int, str]:
    """label -> name of the attacked classes, ascending."""
    return dict(sorted((row['label'], row['class_name']) for row in self.classes))

  @functools.cached_property
  def class_scores(self) -> dict[Treatment, dict[int, float]]:
    """AttAcc@1 of each class, mean over seeds."""
    return {
      point.treatment: self.of_classes(point, 'att_acc1') for point in self.points
    }

  def of_classes(self, point: Point, column: str) -> dict[int, float]:
    """label -> the mean of a column over seeds."""
    return tradeoff.of_classes(point, self.classes, column)

  def label(self, treatment: Treatment) -> str:
    """A treatment in a table or a legend."""
    return tradeoff.label(treatment, self.baseline)

  def mean_of(self, attack: str, treatment: Treatment) -> float:
    """Mean AttAcc@1 over the seeds of any attack; NaN where there is none."""
    rows = [
      row
      for row in self.rows
      if row['attack'] == attack
      and row['status'] == 'done'
      and Treatment.of(row) == treatment
    ]
    return results.mean([row['att_acc1'] for row in rows])


def read_workdir(workdir: str | pathlib.Path) -> Findings:
  """Reads the rows and whatever else is there by now.

  Raises:
    InputError: no results, or a file that cannot be read.
  """
  folder = Workdir(workdir)
  rows, is_final = results.read_workdir(folder.path, INVERSIONS)
  classes, _ = results.read_workdir(folder.path, CLASSES, missing_ok=True)
  points = tradeoff.list_points(rows)
  # Of all seeds, because another one steps in where a picture is damaged.
  shown = folder.list_sheets([row for point in points for row in point.rows])
  left_out, remark = pictures.examine(folder.samples, shown, MADE_AGAIN)
  return Findings(
    rows=rows,
    classes=classes,
    is_final=is_final,
    points=points,
    answer=tradeoff.conclude(rows, classes),
    config=results.read_object(folder.config),
    env=results.read_object(folder.environment),
    privates=pictures.read_images(folder.privates, left_out, 'T, n'),
    found=_read_found(folder, points, left_out),
    curves={point.treatment: _read_curves(folder, point) for point in points},
    remark=remark,
    total=results.read_object(folder.merged).get('of'),
    comparison=read_text(folder.comparison),
  )


def _read_found(
  workdir: Workdir, points: Sequence[Point], left_out: set[pathlib.Path]
) -> dict[Treatment, np.ndarray]:
  found = {}
  for point in points:
    for row in point.rows:
      path = workdir.reconstruction(row['lane_id'], point.attack)
      images = pictures.read_images(path, left_out, 'T, n')
      if images is not None:
        found[point.treatment] = images
        break
  return found


def _read_curves(workdir: Workdir, point: Point) -> dict[str, np.ndarray]:
  """The mean over seeds, as far as all of them have steps."""
  every = [
    histories.read(workdir.history(row['lane_id'], point.attack)) for row in point.rows
  ]
  every = [curves for curves in every if curves]
  if not every:
    return {}
  means = {}
  for name in every[0]:
    lists = [curves[name] for curves in every if name in curves]
    steps = min(map(len, lists))
    means[name] = np.mean([values[:steps] for values in lists], axis=0)
  return means
