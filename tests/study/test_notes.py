"""What a study says of its targets before it begins."""

import jax.numpy as jnp
import pytest
import tiny

from gpz_jax import checkpoints, models, partition
from gpz_jax.interop.inference import Inferred
from gpz_jax.study import notes
from gpz_jax.study.plan import StudyPlan
from gpz_jax.study.workdir import Workdir

IMPORTED = {'target_weights': 'a.safetensors', 'alphas': (0.0,)}


def tell(config, borrowed=None):
  weights = {} if config.is_imported else None
  task, lanes = tiny.task(), config.list_lanes()
  model = models.make('cnn', num_classes=3, width=0.0625)
  plan = StudyPlan(config, task, model, weights, Inferred(), borrowed, lanes)
  return list(notes.describe_training(plan))


@pytest.mark.parametrize('make', [tiny.sweep_config, tiny.inversion_config])
def test_flags_of_a_training_that_is_none_are_told(make, tmp_path):
  plain = {'target_epochs': None, 'target_batch_size': None, 'bn_refresh': False}
  plain |= {'target_recipe': 'auto', 'target_learning_rate': None}
  assert tell(make(tmp_path, **IMPORTED, **plain)) == []
  given = {'target_epochs': 3, 'flip': False, 'smoothing': 'code', 'bn_refresh': True}
  given |= {'batches': '4x2', 'paired': True, 'keep_checkpoints': 8}
  config = make(tmp_path, **IMPORTED, **plain | given)
  assert tell(config) == [
    'WARNING: of no effect, because the target of --target_weights is attacked as it'
    ' is: --target_epochs=3, --batches=4x2, --flip=False, --paired=True,'
    ' --smoothing=code, --bn_refresh=True, --keep_checkpoints=8; give --finetune to'
    ' train it on'
  ]
  assert tell(make(tmp_path, **IMPORTED, **plain | given, finetune=True)) == []


def test_epochs_that_are_kept_too_late_are_told(tmp_path):
  config = tiny.sweep_config(tmp_path / 'run', keep_checkpoints=8)
  (lane,), workdir = config.list_lanes(), Workdir(config.workdir)
  assert tell(config) == []  # they are to be trained
  checkpoints.save(workdir.targets, {'x': 0}, {'lanes': [lane.lane_id]})
  (line,) = tell(config)
  assert line.startswith('WARNING: --keep_checkpoints=8 keeps nothing, because the')
  assert tell(tiny.sweep_config(tmp_path / 'run')) == []
  borrowing = tiny.sweep_config(
    tmp_path / 'new', keep_checkpoints=8, targets_from=config.workdir
  )
  assert tell(borrowing, borrowed=[0]) == [line]
  meta = {'accuracy': 0.5, 'epoch': 1}
  checkpoints.save(workdir.epochs / f'{lane.lane_id}-00001', {'x': 0}, meta)
  assert tell(config) == tell(borrowing, borrowed=[0]) == []


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


STILL = (
  'no step of training changes the batch_stats of {}: they stay as they are'
  ' initialised, which is right only for a batch norm that is frozen by intent'
)


def test_a_model_that_is_never_told_that_it_trains_is_named():
  name = 'own_calls:Misspelt'
  assert describe(name)[1:3] == [
    f'{name} is trained as it is evaluated: its __call__ is never given trainning; what'
    ' tells it whether it trains must be called one of train, training, is_training,'
    ' deterministic, use_running_average',
    STILL.format(name),
  ]


def test_a_norm_that_is_frozen_by_intent_is_told_and_not_refused():
  assert describe('own_calls:Rested')[1] == STILL.format('own_calls:Rested')


@pytest.mark.parametrize('name', ['Twice', 'sequential', 'Training', 'Plain'])
def test_of_a_model_that_is_told_or_has_no_statistics_nothing_is_said(name):
  lines = describe(f'own_calls:{name}')
  assert not any('batch_stats' in line or 'never given' in line for line in lines)


@pytest.mark.parametrize(
  ('lacking', 'end'), [('', ''), ('head', ', with a new last layer')]
)
def test_a_last_layer_is_new_only_where_the_file_has_none(lacking, end):
  name = 'own_calls:Headed'
  changes = {'target_weights': 'trunk.safetensors', 'finetune': True}
  config = tiny.sweep_config('runs/x', model=name, model_options=(), **changes)
  task, model = tiny.task(), models.make(name, num_classes=3)
  initial = tiny.random_variables(model, jnp.zeros((1, *task.image_shape)))
  initial['params'].pop(lacking, None)
  lanes = config.list_lanes()
  plan = StudyPlan(config, task, model, None, Inferred(), None, lanes, initial=initial)
  assert notes.describe_start(plan) == (
    f'all targets start from trunk.safetensors{end}'
  )


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
