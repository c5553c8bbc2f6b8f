"""What a study costs by its arithmetic, before anything is trained."""

import pytest
from tiny_inversion import TINY

from gpz_jax import model_inversion
from gpz_jax.model_inversion import estimate

# Its embedding of faces is a toy of the tests of a study.
PLAIN = TINY | {'face_embedding': None, 'attack': TINY['attack'][:1]}


def costs(tmp_path, **changes):
  config = model_inversion.ModelInversionConfig(
    workdir=str(tmp_path / 'none'), **PLAIN | changes
  )
  found = estimate.estimate(model_inversion.make_plan(config))
  return {cost.what: cost.flops for cost in found}


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
  return costs(tmp_path_factory.mktemp('plain'))


def test_every_kind_of_work_is_counted(plain):
  attack = f'{PLAIN["attack"][0]} on 2 targets'
  assert list(plain) == ['2 targets', 'evaluator', 'generator', attack]
  assert all(flops > 0 for flops in plain.values())


@pytest.mark.parametrize(
  ('changes', 'kind', 'times'),
  [
    ({'evaluator_epochs': 3}, 'evaluator', 3),
    ({'prior_steps': 12}, 'generator', 4),
    ({'target_epochs': 2}, '2 targets', 2),
  ],
  ids=str,
)
def test_costs_grow_with_what_is_done(tmp_path, plain, changes, kind, times):
  assert costs(tmp_path, **changes)[kind] == pytest.approx(times * plain[kind])


def test_an_attack_that_is_no_ppa_is_not_guessed(tmp_path):
  config = model_inversion.ModelInversionConfig(
    workdir=str(tmp_path), **PLAIN | {'attack': ('gmi',)}
  )
  found = estimate.estimate(model_inversion.make_plan(config))
  assert found[-1].flops is None
  assert 'not known' in estimate.describe(found)
