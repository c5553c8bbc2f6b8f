"""A sweep whose theory has too few examples is refused before anything is trained."""

import pytest
import tiny

from gpz_jax.sweep import make_plan
from gpz_jax.sweep import theory as sweep_theory
from gpz_jax.types import InputError


@pytest.mark.parametrize(
  'limits', [{'theory_limit': 100, 'train_limit': None}, {'train_limit': 100}]
)
def test_too_few_examples_for_the_theory_are_refused(limits, tmp_path):
  config = tiny.sweep_config(tmp_path / 'run', theory=True, **limits)
  with pytest.raises(InputError, match='at least 512 training images and has 100'):
    make_plan(config)
  assert not (tmp_path / 'run').exists()


def test_enough_examples_are_accepted(tmp_path):
  config = tiny.sweep_config(tmp_path / 'run', theory=True, train_limit=512)
  assert make_plan(config).config.theory


def test_without_the_theory_its_limits_do_not_count(tmp_path):
  assert make_plan(tiny.sweep_config(tmp_path / 'run', theory_limit=100))


def test_attacks_on_the_prediction_leave_nothing_to_measure(tmp_path):
  attack = ('inversion:input=prediction',)
  config = tiny.sweep_config(tmp_path / 'run', theory=True, attack=attack)
  assert sweep_theory.splits(make_plan(config)) == ()
