"""The finished pieces of an attack, which a run goes on with only if they are its own.

The name of a piece says whom it is of, and nothing of the target's weights. A file of
weights may be overwritten after a run was killed, and public images may be added.
"""

import pathlib
from collections.abc import Sequence

from gpz_jax import atomic, checkpoints, results
from gpz_jax.attacks.model.store import FileStore
from gpz_jax.model_inversion.plan import Plan
from gpz_jax.model_inversion.priors import Prior
from gpz_jax.study import continuing
from gpz_jax.study.session import Session
from gpz_jax.types import InputError, Lane

NAME = 'made_of.json'  # in the folder of the pieces: what -> its checksum


def open_store(
  session: Session[Plan], name: str, lanes: Sequence[Lane], prior: Prior
) -> FileStore:
  """Where an attack keeps its pieces; those that others were attacked for are removed.

  Pieces of an earlier version, which noted nothing, are taken as they are.

  Args:
    session: The study; the checksums of its targets are written, see
      `continuing.keep_targets`.
    name: Name of the folder.
    lanes: The targets under attack.
    prior: What they are attacked with.
  """
  folder = session.workdir.running / name
  targets = continuing.read_targets(session.workdir)
  now = {f'target {lane.lane_id}': targets[lane.lane_id] for lane in lanes}
  critic = prior.critic and prior.critic[1]
  arrays = {'generator': prior.variables, 'critic': critic}
  now['generator'] = checkpoints.digest(arrays)
  now['public images'] = session.plan.public_digest
  before = _read(folder / NAME)
  if before is None or any(before.get(key, now[key]) != now[key] for key in now):
    session.say(
      f'the pieces in {folder} are not known to be of the targets, the generator and'
      ' the public images of now; they are computed again'
    )
    # The note is written last: a run that is killed before removes the rest.
    for path in folder.glob('*.npz'):
      path.unlink()
    before = {}
  if (noted := before | now) != before:
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_json(folder / NAME, noted)
  return FileStore(folder, session.say)


def _read(path: pathlib.Path) -> dict[str, str] | None:
  """What is noted of the pieces; {} where nothing is, None where that is damaged."""
  try:
    return results.read_object(path)
  except InputError:
    return None
