"""Pictures of a sweep that are damaged or gone, made again from what made them."""

import contextlib
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from gpz_jax import results
from gpz_jax.study import pictures, tuning
from gpz_jax.study import targets as study_targets
from gpz_jax.study.events import Events
from gpz_jax.study.progress import Progress
from gpz_jax.study.session import Session
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep import attack as attack_lib
from gpz_jax.sweep import rescore
from gpz_jax.sweep.config import SweepConfig
from gpz_jax.sweep.plan import Plan, make_plan
from gpz_jax.sweep.workloads import list_workloads
from gpz_jax.types import InputError


def mend(workdir: pathlib.Path, say) -> None:
  """Makes the pictures of a sweep again that are damaged or gone, before a report.

  It does nothing while the sweep runs, and says why where pictures stay as they are.

  Args:
    workdir: Folder of the sweep.
    say: Receives a line about what was found and done.

  Raises:
    Interrupted: A signal came.
  """
  folder = Workdir(workdir)
  try:
    rows = folder.read_rows()
    if not find_lost(folder, rows):
      return
    with _opened(folder) as session:
      rebuild(session, rows, say)
  except InputError as error:
    say(f'pictures are not made again: {error}')


def find_lost(workdir: Workdir, rows: list[results.Row]) -> dict[pathlib.Path, str]:
  """The pictures of the data and of these rows that are damaged or gone, and which.

  What an earlier version wrote without checksums counts as intact where it is there.
  Without rows there is nothing to show yet.
  """
  if not rows:
    return {}
  paths = workdir.list_pictures(rows)[workdir.samples]
  try:
    checksums = pictures.read_checksums(workdir.samples)
  except InputError:  # of no picture is it known what it should be
    return dict.fromkeys(paths, 'in doubt, as their checksums are damaged')
  states = {path: pictures.find_state(path, checksums) for path in paths}
  return {path: s for path, s in states.items() if s in ('damaged', 'gone')}


def rebuild(session: Session[Plan], rows: list[results.Row], say) -> None:
  """Makes pictures again that are damaged or gone, from data, targets and decoders.

  Those of an attack that leaves no decoder cannot be had without the attack.

  Args:
    session: The sweep, whose workdir this process alone may write.
    rows: The finished rows.
    say: Receives a line about what was found and done.

  Raises:
    Interrupted: A signal came.
  """
  plan, workdir = session.plan, session.workdir
  lost = find_lost(workdir, rows)
  if not lost:
    return
  states = sorted(set(lost.values()))
  say(f'{len(lost)} pictures are {" or ".join(states)}: made again from the decoders')
  if lost.pop(workdir.originals, None):
    pictures.write(workdir.originals, plan.task.test.image[: attack_lib.NUM_SAMPLES])
  wanted: dict[pathlib.Path, list[tuple[int, results.Row]]] = {}
  places, beyond = rescore.find_decoders(workdir), 0
  for row in rows:
    if workdir.sample(row['lane_id'], row['split'], row['attack']) not in lost:
      continue
    if place := places.get(results.row_key(row)):
      wanted.setdefault(place[0], []).append((place[1], row))
    else:
      beyond += 1
  targets = study_targets.load(plan, workdir) if wanted else None
  for folder, those in wanted.items():
    found = rescore.restore(session, targets, folder) if targets is not None else None
    if found is None:
      beyond += len(those)
      continue
    samples = attack_lib.make_samples(found[0])
    for i, row in those:
      workdir.save_sample(row['lane_id'], row['split'], row['attack'], samples[i])
  shutil.rmtree(workdir.activations, ignore_errors=True)
  if beyond:
    say(
      f'{beyond} pictures cannot be made again, because nothing intact is left that'
      ' rebuilds them; the page leaves them out'
    )


@contextlib.contextmanager
def _opened(workdir: Workdir) -> Iterator[Session[Plan]]:
  """The sweep of a folder, to make pictures of: nothing else is written."""
  config = workdir.read_config(SweepConfig)
  workdir.check_unlocked()
  plan = make_plan(config)
  with (
    workdir.locked(lambda text: None),
    tempfile.TemporaryDirectory(prefix='gpz_jax_pictures_') as scratch,
  ):
    progress = Progress(quiet=True)
    engine = tuning.make_engine(config, workdir, progress, lambda: list_workloads(plan))
    events = Events(pathlib.Path(scratch))
    yield Session(plan, engine, workdir, progress, events)
