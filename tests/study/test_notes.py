"""What a study says of a model before it begins."""

import pytest
import tiny

from gpz_jax import models, partition
from gpz_jax.interop.inference import Inferred
from gpz_jax.study import notes
from gpz_jax.study.plan import StudyPlan


def describe(model: str, weights=None, **options):
  config = tiny.sweep_config('runs/x', model=model, model_options=())
  task = tiny.task()
  made = models.make(model, num_classes=3, **options)
  plan = StudyPlan(config, task, made, weights, Inferred(), None, config.list_lanes())
  return notes.describe_model(plan, partition.list_splits(made, task.image_shape))


def test_a_model_of_the_users_own_trains_by_a_recipe_that_is_said():
  assert describe('own_calls:Deterministic') == [
    'targets of own_calls:Deterministic train by the recipe default: adam (betas 0.9'
    ' and 0.999), learning rate 0.001 times 0.5 after more than 5 epochs without'
    ' improvement, weight decay 0.0001, 1 epoch, batch 8'
  ]


def test_of_imported_weights_and_built_in_models_there_is_nothing_to_say():
  assert describe('own_calls:Deterministic', weights={}) == []
  assert describe('cnn', width=0.0625) == []


@pytest.mark.parametrize(
  ('name', 'line'),
  [
    ('wrapped', 'the splits are those of net, which the model wraps'),
    ('Headed', 'backbone is the only split; --split_where=backbone/* lists those'),
  ],
)
def test_whose_the_splits_are(name, line):
  assert describe(f'own_calls:{name}', weights={})[0].startswith(line)


def test_a_single_split_that_holds_nothing_is_no_matter():
  assert describe('own_calls:Plain', weights={}) == []


@pytest.mark.parametrize(
  ('name', 'stream', 'rest'),
  [
    ('tiny:Noisy', 'noise', ''),
    (
      'own_calls:Inference',
      'dropout',
      '; its __call__ is never given inference; what tells it whether it'
      ' trains must be called one of train, training, is_training, deterministic,'
      ' use_running_average',
    ),
  ],
)
def test_a_model_that_is_random_in_evaluation_is_told(name, stream, rest):
  assert describe(name, weights={})[0] == (
    f'{name} draws from the random stream {stream} in evaluation: its targets are'
    f' scored and attacked under that noise{rest}'
  )


@pytest.mark.parametrize('name', ['Asking', 'Training', 'Twice'])
def test_of_a_model_that_is_deterministic_in_evaluation_nothing_is_told(name):
  assert not any('draws' in line for line in describe(f'own_calls:{name}', weights={}))
