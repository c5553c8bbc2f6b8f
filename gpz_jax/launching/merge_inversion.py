"""What joining the units of model inversion must know of it."""

import shutil

from gpz_jax import atomic, results
from gpz_jax.generators import files as generator_files
from gpz_jax.launching import copying, parts
from gpz_jax.launching.parts import Joint, Part, Say
from gpz_jax.model_inversion.plan import Plan
from gpz_jax.model_inversion.priors import SHEET_NAME
from gpz_jax.model_inversion.runner import finished_classes, opened
from gpz_jax.results import CLASSES, INVERSIONS, Row, class_key, inversion_key
from gpz_jax.study import histories
from gpz_jax.study.session import Session
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError


def _join_rows(session: Session[Plan], found: list[Part], say: Say) -> list[Row]:
  """The rows that have one for each of their classes, with pictures and histories.

  The rows of classes are written. Rows that an earlier merge took, or a study in this
  workdir computed, stay where no unit has them now.
  """
  workdir = session.workdir
  owners = parts.join_rows(found, say, inversion_key)
  joined: dict[tuple[str, str], Row] = {}
  classes: dict[tuple[str, str, int], Row] = {}
  shown: list[tuple[Part, list[str]]] = []
  for part in found:
    own = [row for row in part.rows if owners[inversion_key(row)] is part]
    kept, theirs = _match_classes(part, own, say)
    joined |= {inversion_key(row): row for row in kept}
    classes |= {class_key(row): row for row in theirs}
    if kept:
      paths = workdir.list_sheets(kept)
      shown.append((part, [SHEET_NAME, *(path.name for path in paths)]))
      _copy_histories(part, kept, workdir, say)
  earlier = parts.read_earlier(workdir, INVERSIONS, found, joined, inversion_key, say)
  left = {inversion_key(row): row for row in earlier}
  for row in parts.read_rows(workdir, CLASSES, say):
    if inversion_key(row) in left:
      classes[class_key(row)] = row
  joined |= left
  copying.copy_pictures(shown, workdir.samples, say)
  lines = sorted(classes.values(), key=CLASSES.sort_key)
  results.write_rows(workdir.lines(CLASSES), lines, CLASSES)
  return list(joined.values())


def _match_classes(
  part: Part, rows: list[Row], say: Say
) -> tuple[list[Row], list[Row]]:
  """The rows of a unit that have all their classes, and the rows of those."""
  if not rows:
    return [], []
  label = f'unit {part.unit.name} ({part.unit.title})'
  try:
    classes = finished_classes(part.workdir, rows)
  except InputError as error:
    say(f'{label} is damaged: {error}')
    return [], []
  counts: dict[tuple[str, str], int] = {}
  for row in classes:
    counts[inversion_key(row)] = counts.get(inversion_key(row), 0) + 1
  kept = [row for row in rows if counts.get(inversion_key(row)) == row['num_attacked']]
  if len(kept) < len(rows):
    say(
      f'{label} is damaged: the classes of {len(rows) - len(kept)} rows are not all'
      f' there, and the rows are left out; remove {part.workdir} to have it done again'
    )
  keys = {inversion_key(row) for row in kept}
  return kept, [row for row in classes if inversion_key(row) in keys]


def _copy_histories(part: Part, rows: list[Row], workdir: Workdir, say: Say) -> None:
  workdir.histories.mkdir(exist_ok=True)
  for row in rows:
    name = row['lane_id'], row['attack']
    source = part.workdir.history(*name)
    try:
      if not histories.read(source):
        continue
    except InputError as error:
      say(f'unit {part.unit.name} ({part.unit.title}): {error}')
      continue
    with atomic.replacing(workdir.history(*name)) as partial:
      shutil.copyfile(source, partial)


def _join_more(
  session: Session[Plan], found: list[Part], say: Say, is_whole: bool
) -> None:
  """The table of classes, the evaluator and the prior."""
  workdir = session.workdir
  if is_whole:
    rows = parts.read_rows(workdir, CLASSES, say)
    results.write_parquet(workdir.table(CLASSES), rows, CLASSES)
  else:
    workdir.table(CLASSES).unlink(missing_ok=True)
  for name, is_there in (
    (
      'evaluator',
      session.plan.imported is not None or _has_evaluator(found, workdir, say),
    ),
    ('generator', session.plan.given is not None or _has_prior(found, workdir, say)),
  ):
    if not is_there:
      say(f'the {name} is not there')


def _has_evaluator(found: list[Part], workdir: Workdir, say: Say) -> bool:
  """Copies the evaluator of the first unit where it is intact."""
  return any(
    part.workdir.evaluator.is_dir()
    and copying.copy_checkpoint(part.workdir.evaluator, workdir.path, part, say)
    for part in found
  )


def _has_prior(found: list[Part], workdir: Workdir, say: Say) -> bool:
  """Copies the generator of the first unit where it is intact."""
  for part in found:
    source = part.workdir.generator
    if not source.is_file():
      continue
    try:
      generator_files.load(source)
    except InputError as error:
      say(f'unit {part.unit.name} ({part.unit.title}): {error}')
      continue
    with atomic.replacing(workdir.generator) as partial:
      shutil.copyfile(source, partial)
    return True
  return False


JOINT = Joint(INVERSIONS, opened, _join_rows, _join_more)
