"""Whether the workdir of a study of model inversion is what it says it is."""

import math
import pathlib
from collections.abc import Iterator

from gpz_jax import results
from gpz_jax.model_inversion.config import ModelInversionConfig
from gpz_jax.study import verify as study_verify
from gpz_jax.study.verify import Rescored, Tell, Verdict
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError, Treatment

# Columns of a lane's row that are means of those of its classes.
_MEANS = ('att_acc1', 'att_acc5', 'confidence', 'false_positives', 'delta_eval')


def verify(workdir: pathlib.Path, *, tell: Tell = lambda problem: None) -> Verdict:
  """Checks the workdir of a study that is not running; writes nothing into it.

  Latents are not kept, so that attacks are not scored again.

  Args:
    workdir: Folder of the study.
    tell: Told of each thing that is wrong, as it is found.

  Raises:
    InputError: It is no workdir of such a study, or it is being written.
  """
  checks = study_verify.Checks(
    config_type=ModelInversionConfig,
    schema=results.INVERSIONS,
    key=results.inversion_key,
    describe=_describe,
    check_row=_check_row,
    rescore=_compare_classes,
    list_pictures=_list_pictures,
  )
  return study_verify.verify(Workdir(workdir), checks, tell=tell)


def _describe(row: results.Row) -> str:
  return f'{Treatment.of(row)}, seed {row["seed"]}, {row["attack"]}'


def _list_pictures(
  workdir: Workdir, rows: list[results.Row]
) -> dict[pathlib.Path, list[pathlib.Path]]:
  return {workdir.samples: workdir.list_sheets(rows)}


def _check_row(config: ModelInversionConfig, row: results.Row) -> Iterator[str]:
  """What the config does not ask for."""
  for column, allowed in (('model', (config.model,)), ('attack', config.attack)):
    if row[column] not in allowed:
      yield f'{_describe(row)}: {column} {row[column]!r} is not in config.json'


def _compare_classes(
  workdir: Workdir,
  config: ModelInversionConfig,
  rows: list[results.Row],
  rescored: Rescored,
) -> Iterator[str]:
  """Rows of lanes that are not the means of the rows of their classes."""
  del config, rescored
  try:
    classes = workdir.read_rows(results.CLASSES)
  except InputError as error:
    yield str(error)
    return
  # A study that was killed before it wrote a row has written its classes twice.
  last = {results.class_key(row): row for row in classes}
  for row in rows:
    own = [
      each
      for each in last.values()
      if results.inversion_key(each) == results.inversion_key(row)
    ]
    if len(own) != row['num_attacked']:
      yield (
        f'{_describe(row)}: {len(own)} of {row["num_attacked"]} classes have a row in'
        ' classes.jsonl'
      )
      continue
    for column in _MEANS:
      known = [each[column] for each in own if not math.isnan(each[column])]
      mean = sum(known) / len(known) if known else math.nan
      is_same = math.isclose(mean, row[column], rel_tol=1e-9, abs_tol=1e-12)
      if not is_same and not (math.isnan(mean) and math.isnan(row[column])):
        yield (
          f'{_describe(row)}: {column} is {row[column]!r}, and the mean of its classes'
          f' is {mean!r}'
        )
