"""Whether the files that a study is given hold what they held when it began.

A file of weights may be replaced between two runs of a study. Rows of two priors, or of
two evaluators, would then stand in one table.
"""

from typing import Any

from gpz_jax import atomic, checkpoints, results
from gpz_jax.model_inversion.plan import Plan
from gpz_jax.study.session import Session
from gpz_jax.types import InputError

NAME = 'given.json'  # beside the samples: flag -> checksum of the arrays in its file


def check(session: Session[Plan]) -> None:
  """Notes what the given files hold; refuses to go on where it is something else.

  Raises:
    InputError: A file holds other arrays than when the workdir was begun.
  """
  path, config = session.workdir.samples / NAME, session.plan.config
  before, now = results.read_object(path), _digest_files(session.plan)
  for flag, digest in now.items():
    if before.get(flag, digest) != digest:
      raise InputError(
        f'--{flag}={getattr(config, flag)} holds other weights than when'
        f' --workdir={session.workdir} was begun; restore the file, or name another'
        ' workdir'
      )
  if now != before:
    atomic.write_json(path, now)


def _digest_files(plan: Plan) -> dict[str, str]:
  """A checksum for each flag that names a file of weights beside the targets'."""
  found: dict[str, Any] = {}
  if plan.given is not None:
    critic = plan.given_critic and plan.given_critic[1]
    found['generator'] = {'generator': plan.given[1], 'critic': critic}
  for flag, judge in (
    ('evaluator_weights', plan.imported),
    ('face_embedding', plan.face),
  ):
    if judge is not None:
      found[flag] = judge.variables
  return {flag: checkpoints.digest(arrays) for flag, arrays in found.items()}
