"""Finished pieces of an attack are gone on with only where they are of this attack."""

import dataclasses
import types

import jax
import numpy as np
import pytest
from inversion_toys import make_critic, make_public, make_scenario

from gpz_jax.model_inversion import kept_pieces, runner
from gpz_jax.model_inversion.plan import Plan
from gpz_jax.model_inversion.priors import Prior
from gpz_jax.study import continuing
from gpz_jax.study.workdir import Workdir
from gpz_jax.training.engine import AUTO

ATTACK = types.SimpleNamespace(text='toy')
PIECE = {'latents': np.ones(3)}


@dataclasses.dataclass(frozen=True)
class ToyPlan:
  """As much of a plan as a scenario is made of."""

  lanes: tuple
  classes: np.ndarray
  model: object
  task: object
  most_side: int = 6
  config: object = dataclasses.field(
    default_factory=lambda: types.SimpleNamespace(data_seed=0)
  )
  public_digest = Plan.public_digest


class Study:
  """A study of two toy targets, whose parts can be changed between two runs."""

  def __init__(self, folder):
    self.workdir, self.said = Workdir(folder), []
    toy = make_scenario(**make_critic())
    self.toy, self.lanes, self.targets = toy, toy.lanes, toy.targets
    self.prior, self.critic = toy.prior, toy.critic_variables
    self.public = make_public()

  def scenario(self):
    """What an attack is handed in a run that begins now."""
    task = types.SimpleNamespace(aux=self.public, image_shape=self.toy.image_shape)
    plan = ToyPlan(self.lanes, self.toy.classes, self.toy.model, task)
    session = types.SimpleNamespace(
      plan=plan, workdir=self.workdir, engine=AUTO, say=self.said.append, progress=None
    )
    targets = types.SimpleNamespace(best=types.SimpleNamespace(variables=self.targets))
    # As `study.targets.obtain` does; no row refuses the targets.
    now = continuing.digest_targets(self.lanes, targets)
    continuing.keep_targets(self.workdir, self.lanes, now)
    prior = Prior(self.toy.generator, self.prior, 'toy', (self.toy.critic, self.critic))
    return runner.make_scenario(session, ATTACK, range(len(self.lanes)), targets, prior)


@pytest.fixture
def study(tmp_path):
  """A study that was killed when an attack had finished a piece."""
  study = Study(tmp_path)
  study.scenario().store.save('piece', PIECE)
  return study


def test_a_run_that_was_killed_goes_on_with_its_pieces(study):
  found = study.scenario().store.load('piece')
  np.testing.assert_array_equal(found['latents'], PIECE['latents'])
  study.lanes = study.lanes[:1]  # one of the targets alone has the pieces too
  study.targets = jax.tree.map(lambda leaf: leaf[:1], study.targets)
  assert study.scenario().store.load('piece') is not None
  assert not study.said


@pytest.mark.parametrize('part', ['targets', 'prior', 'critic', 'public'])
def test_pieces_of_what_was_replaced_are_computed_again(study, part):
  before = getattr(study, part)
  if part == 'public':
    study.public = make_public(25)
  else:
    setattr(study, part, jax.tree.map(lambda leaf: leaf + 1, before))
  store = study.scenario().store
  assert store.load('piece') is None
  assert 'are not known to be of the targets, the generator and' in study.said[0]
  store.save('piece', PIECE)
  assert study.scenario().store.load('piece') is not None, 'it is of what is there now'
  assert len(study.said) == 1


def _find_note(study):
  (path,) = study.workdir.running.glob(f'*/{kept_pieces.NAME}')
  return path


def test_pieces_of_an_earlier_version_are_taken_as_they_are(study):
  _find_note(study).unlink()
  assert study.scenario().store.load('piece') is not None
  assert _find_note(study).is_file()
  assert not study.said


def test_pieces_whose_note_is_damaged_are_computed_again(study):
  _find_note(study).write_text('{"target')
  assert study.scenario().store.load('piece') is None
  assert len(study.said) == 1
