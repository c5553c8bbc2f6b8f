"""Targets that are trained on from imported weights, and those that are paired."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from flax import traverse_util
from safetensors.numpy import save_file

from gpz_jax import models, sweep, targets
from gpz_jax.models import calls
from gpz_jax.study import targets as study_targets
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError, Lane, Treatment

pytestmark = pytest.mark.usefixtures('blank_charts', 'short_resnet')
IMAGE = (16, 16, 3)
CLASSES = 10  # of the dataset 'shapes'


@pytest.fixture
def config(tmp_path):
  """A function of classes and changes: a sweep that goes on from a narrow ResNet's."""

  def make(num_classes=7, **changes):
    model = models.make('resnet18', num_classes=num_classes, width=0.0625)
    variables = tiny.random_variables(model, jnp.zeros((1, *IMAGE)))
    flat = traverse_util.flatten_dict(jax.device_get(variables), sep='/')
    path = tmp_path / 'trunk.safetensors'
    save_file(flat, path)
    given = {'target_weights': str(path), 'finetune': True, 'model': 'resnet18'}
    splits = ('layer1_0',)
    return tiny.sweep_config(tmp_path / 'run', splits=splits, **given | changes)

  return make


@pytest.mark.ci
def test_frozen_stages_are_those_of_the_file_and_the_head_is_trained(config):
  settings = config(
    new_head=True, defence=('none', 'tl:frozen=1'), seeds=(0, 1), target_epochs=2
  )
  found = sweep.run(settings, quiet=True)
  assert {row['finetuned_from'] for row in found.rows} == {'trunk.safetensors'}
  assert 'fine-tuned from</th>' in found.report.read_text()
  plan = sweep.make_plan(settings)
  assert plan.weights is None
  assert 'logits' not in plan.initial['params']
  loaded = study_targets.load(plan, Workdir(settings.workdir))
  assert loaded is not None
  names = [lane.treatment.defence for lane in plan.lanes]
  given = plan.initial['params']['stem']['conv']['kernel']
  for i, name in enumerate(names):
    kernel = loaded.best.params['stem']['conv']['kernel'][i]
    assert np.array_equal(kernel, given) == (name == 'tl:frozen=1')
    # Weights of deviation 0.3 by `random_variables`; an epoch moves them by little.
    np.testing.assert_allclose(kernel, given, atol=0.05)
  heads = np.asarray(loaded.best.params['logits']['kernel'])
  assert heads.shape[-1] == CLASSES
  assert len(np.unique(heads[:, 0, 0])) == len(names)  # each lane draws its own


def test_a_head_of_as_many_classes_is_kept(config):
  plan = sweep.make_plan(config(num_classes=CLASSES, new_head=True))
  assert 'logits' in plan.initial['params']


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({}, 'have 7 classes and the data has 10: replace the last layer by --new_head'),
    ({'target_weights': None}, 'finetune=True'),
    ({'new_head': True, 'expect_accuracy': 0.9}, 'without --finetune'),
    ({'new_head': True, 'defence': ('vib',)}, 'adds layers to the model'),
    ({'new_head': True, 'finetune': False, 'seeds': (0, 1)}, 'with --finetune'),
  ],
)
def test_what_cannot_be_trained_on_is_refused(config, tmp_path, changes, message):
  with pytest.raises(InputError, match=message):
    sweep.make_plan(config(**changes))
  assert not (tmp_path / 'run').exists()


def test_what_is_for_no_part_of_a_model_is_refused():
  own = {'params': {'a': jnp.zeros(2)}, 'batch_stats': {}}
  with pytest.raises(InputError, match='params/b are for no part'):
    calls.overlay(own, {'params': {'b': jnp.zeros(2)}})
  with pytest.raises(InputError, match=r'params/a are \(3,\), but'):
    calls.overlay(own, {'params': {'a': jnp.zeros(3)}})
  kept = calls.overlay(own, {'params': {}})
  np.testing.assert_array_equal(kept['params']['a'], np.zeros(2))


def test_paired_lanes_of_a_seed_share_a_key_and_the_untreated_one_keeps_its_own():
  lanes = [
    Lane('cnn', 'tiny', treatment, seed)
    for seed in (0, 1)
    for treatment in (Treatment(), Treatment(0.3), Treatment(defence='bido'))
  ]
  data = jax.random.key_data
  apart = data(targets.stack_lanes(lanes)['key'])
  paired = data(targets.stack_lanes(lanes, is_paired=True)['key'])
  assert len(np.unique(apart, axis=0)) == 6
  assert len(np.unique(paired, axis=0)) == 2
  np.testing.assert_array_equal(paired[::3], apart[::3])
