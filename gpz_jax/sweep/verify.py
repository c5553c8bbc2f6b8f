"""Whether the workdir of a sweep is what it says it is."""

import functools
import pathlib
from collections.abc import Iterator

from gpz_jax import results
from gpz_jax.study import verify as study_verify
from gpz_jax.study.verify import Tell, Verdict
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep.config import SweepConfig
from gpz_jax.sweep.rescore import describe, rescore


def verify(
  workdir: pathlib.Path, *, sample: int = 4, tell: Tell = lambda problem: None
) -> Verdict:
  """Checks the workdir of a sweep that is not running; writes nothing into it.

  Args:
    workdir: Folder of the sweep.
    sample: Number of rows whose scores are computed again from their decoder's
      checkpoint, drawn at random but always the same ones. With 0 the targets of rows
      are not measured again either.
    tell: Told of each thing that is wrong, as it is found.

  Raises:
    InputError: It is no workdir of a sweep, it is being written, or its data cannot be
      loaded any more.
  """
  checks = study_verify.Checks(
    config_type=SweepConfig,
    schema=results.RESULTS,
    key=results.row_key,
    describe=describe,
    check_row=_check_row,
    rescore=functools.partial(rescore, sample=sample),
  )
  return study_verify.verify(Workdir(workdir), checks, tell=tell)


def _check_row(config: SweepConfig, row: results.Row) -> Iterator[str]:
  """What the config does not ask for."""
  for column, allowed in (
    ('model', (config.model,)),
    ('attack', config.attack),
    ('selection', (config.selection,)),
  ):
    if row[column] not in allowed:
      yield f'{describe(row)}: {column} {row[column]!r} is not in config.json'
