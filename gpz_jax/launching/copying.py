"""Checkpoints and pictures of units, copied into the workdir of the whole."""

import pathlib
import shutil
from collections.abc import Iterable, Sequence

import jax

from gpz_jax import atomic, checkpoints, results
from gpz_jax.launching.parts import Part, Say, decoders_of, read_targets
from gpz_jax.models import skip_lanes
from gpz_jax.study import continuing, pictures
from gpz_jax.study import targets as study_targets
from gpz_jax.study.session import Session, check_interrupted
from gpz_jax.study.workdir import Workdir
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.types import InputError


def copy_decoders(
  part: Part, rows: Sequence[results.Row], workdir: Workdir, say: Say
) -> list[results.Row]:
  """Copies the decoders of rows; the rows whose decoder is intact, or that have none.

  Args:
    part: The unit.
    rows: Its rows that are joined.
    workdir: Workdir of the whole.
    say: Told of what is damaged or gone.
  """
  if all(row['decoder'] == 'none' for row in rows):
    return list(rows)
  places, intact = decoders_of(part), {}
  kept, lost = [], []
  for row in rows:
    folder = places.get(results.row_key(row))
    if row['decoder'] != 'none':
      if folder is None:
        lost.append(row)
        continue
      if folder not in intact:
        intact[folder] = copy_checkpoint(folder, workdir.decoders, part, say)
      if not intact[folder]:
        lost.append(row)
        continue
    kept.append(row)
  if lost:
    say(
      f'unit {part.unit.name} ({part.unit.title}) is damaged: the decoders of'
      f' {len(lost)} rows are damaged or gone, and the rows are left out; remove'
      f' {part.workdir} to have it done again'
    )
  return kept


def copy_epochs(part: Part, workdir: Workdir, say: Say) -> None:
  """Copies the epochs of targets that were kept."""
  for folder in sorted(part.workdir.epochs.glob('*')):
    copy_checkpoint(folder, workdir.epochs, part, say)


def copy_checkpoint(
  source: pathlib.Path, into: pathlib.Path, part: Part, say: Say
) -> bool:
  """Copies a checkpoint that is not there yet; whether the copy is intact."""
  check_interrupted()
  goal = into / source.name
  if goal.exists() and _identity(goal) == _identity(source):
    return True
  partial = into / f'{source.name}.partial'
  shutil.rmtree(partial, ignore_errors=True)
  shutil.copytree(source, partial)
  if damage := checkpoints.find_damage(partial):
    say(f'unit {part.unit.name}: {damage[0]}')
    shutil.rmtree(partial)
    return False
  shutil.rmtree(goal, ignore_errors=True)
  partial.rename(goal)
  return True


def _identity(folder: pathlib.Path) -> dict[str, bytes]:
  """The plain values of each step, among which are the checksums of its arrays."""
  files = sorted(folder.glob('*/meta/*'))
  return {str(f.relative_to(folder)): f.read_bytes() for f in files if f.is_file()}


def copy_pictures(
  parts: Iterable[tuple[Part, Sequence[str]]], folder: pathlib.Path, say: Say
) -> None:
  """Copies pictures with their checksums, which are written once.

  Args:
    parts: The units, and the names of the pictures wanted of each.
    folder: Where they go; those of a unit lie in its folder of the same name.
    say: Told of pictures that are damaged. Those that are gone the page tells of.
  """
  try:
    known = pictures.read_checksums(folder)
  except InputError:
    known = {}
  found = dict(known)
  for part, names in parts:
    source, damaged = part.workdir.path / folder.name, 0
    try:
      theirs = pictures.read_checksums(source)
    except InputError as error:
      say(f'unit {part.unit.name} ({part.unit.title}): {error}')
      continue
    for name in names:
      state = pictures.find_state(source / name, theirs)
      damaged += state == 'damaged'
      if state != 'intact':
        continue
      if known.get(name) != theirs[name] or not (folder / name).exists():
        with atomic.replacing(folder / name) as partial:
          shutil.copyfile(source / name, partial)
      found[name] = theirs[name]
    if damaged:
      say(
        f'unit {part.unit.name} ({part.unit.title}): {damaged} pictures are damaged and'
        ' left out'
      )
  if found:
    atomic.write_json(folder / pictures.CHECKSUMS, found)


def check_given(session: Session, parts: Sequence[Part]) -> None:
  """Imports or borrows the targets of the whole, where its config says so.

  Args:
    session: The whole.
    parts: The units.

  Raises:
    InputError: A unit attacked another target.
  """
  plan, workdir = session.plan, session.workdir
  if plan.weights is not None:
    whose, way_out = f'--target_weights={plan.config.target_weights}', 'bring it back'
  elif plan.borrowed is not None:
    whose, way_out = f'--targets_from={plan.config.targets_from}', 'bring it back'
  elif plan.config.targets_from is not None:
    whose, way_out = f'{workdir.targets}', 'remove that to have it borrowed again'
  else:
    return
  targets, _ = study_targets.take(session)
  now = continuing.digest_targets(plan.lanes, targets)
  for part in parts:
    theirs = read_targets(part.workdir)
    for lane in plan.lanes:
      if theirs.get(lane.lane_id, now[lane.lane_id]) != now[lane.lane_id]:
        raise InputError(
          f'unit {part.unit.name} ({part.unit.title}) has another target {lane} than'
          f' {whose}; {way_out}, or remove {part.workdir} and have it done again'
        )


def stack_targets(session: Session, parts: Sequence[Part], say: Say) -> int:
  """Writes the targets of all units as one checkpoint, once all of them are there.

  Args:
    session: The whole.
    parts: The units, those that trained targets first.
    say: Told of damage.

  Returns:
    How many of the targets are there.
  """
  plan = session.plan
  if plan.weights is not None or plan.config.targets_from is not None:
    return len(plan.lanes)  # `check_given` has them
  wanted = {lane.lane_id for lane in plan.lanes}
  single, metas = {}, []
  for part in parts:
    if not wanted - single.keys():
      break
    meta = checkpoints.read_meta(part.workdir.targets)
    if meta is None or not {*meta['lanes']} & (wanted - single.keys()):
      continue
    found = study_targets.restore(plan, part.workdir.targets, say)
    if found is None:
      say(f'unit {part.unit.name} ({part.unit.title}) is damaged: its targets are')
      continue
    targets = skip_lanes.adopt(plan.model, found[0])
    metas.append(meta)
    for i, lane_id in enumerate(meta['lanes']):
      if lane_id in wanted:
        single[lane_id] = jax.device_get(lanes_lib.take(targets, i))
  if wanted - single.keys():
    return len(single)
  known = [data for meta in metas if (data := meta.get('data'))]
  for data in known:
    continuing.check_data('a unit', data, known[0])
  checkpoints.save(
    session.workdir.targets,
    lanes_lib.stack([single[lane.lane_id] for lane in plan.lanes]),
    {
      'lanes': [lane.lane_id for lane in plan.lanes],
      'skips': [lane.treatment.skips for lane in plan.lanes],
      'environment': metas[0]['environment'],
      'changed': '; '.join(dict.fromkeys(m['changed'] for m in metas if m['changed'])),
      'data': known[0] if known else None,
    },
  )
  return len(single)
