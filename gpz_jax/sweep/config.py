"""SweepConfig: everything a sweep can be told, checked in one place.

The command line's flags, config.json and the programmatic interface are all made from
the fields below.
"""

import ast
import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal, get_type_hints

from gpz_jax import models, targets
from gpz_jax.attacks.activation import specs
from gpz_jax.attacks.activation.capture import PLACES
from gpz_jax.models import choices
from gpz_jax.study import fields as values
from gpz_jax.training import lanes
from gpz_jax.training.engine import PRECISIONS, Engine
from gpz_jax.training.recipe import DECODER, TARGET_RECIPES, Recipe
from gpz_jax.types import Lane, Treatment


def _field(default: Any, text: str, allowed: Sequence[str] = ()) -> Any:
  return dataclasses.field(default=default, metadata={'help': text, 'allowed': allowed})


@dataclasses.dataclass(frozen=True)
class SweepConfig:
  """One sweep. None means: as the dataset or the recipe says."""

  workdir: str = _field('runs/sweep', 'Folder for everything the sweep writes.')
  dataset: str = _field(
    'shapes', 'shapes, cifar10, mnist, any prepared TFDS name, or folder:PATH.'
  )
  data_dir: str | None = _field(
    None, 'TFDS folder; $TFDS_DATA_DIR or ~/tensorflow_datasets if unset.'
  )
  image_size: int | None = _field(None, 'Side to resize images to.')
  aux_dataset: str | None = _field(
    None, "Dataset of the attacker's images; a share of the train subset if unset."
  )
  aux_exclude: str | None = _field(
    None, 'File with one class name a line that the aux dataset must not hold.'
  )
  train_limit: int | None = _field(None, 'Most training images of the targets.')
  val_limit: int | None = _field(None, 'Most validation images.')
  test_limit: int | None = _field(None, 'Most test images.')
  aux_limit: int | None = _field(None, "Most of the attacker's images.")
  data_seed: int = _field(0, 'Seed of the subsets and of the order of examples.')

  model: str = _field(
    'vgg11', f'Target: {", ".join(models.MODELS)}, or package.module:factory.'
  )
  model_options: tuple[str, ...] = _field(
    (), "The model's own options as key=value, such as width=0.25 or head=torchvision."
  )
  target_weights: str | None = _field(
    None, 'File with the weights of a target to attack; none is trained then.'
  )
  targets_from: str | None = _field(
    None, 'Workdir of a sweep that trained the same targets, to attack those.'
  )
  splits: tuple[str, ...] = _field(
    ('*',), 'Where to cut: names, globs, the number a name ends in, or paper.'
  )
  split_where: str = _field(
    '*', "Which modules can be splits: a glob on their paths, such as '*/conv_*'."
  )
  alphas: tuple[float, ...] = _field((0.0, 0.3, -0.05), 'Label smoothing, in (-1, 1).')
  seeds: tuple[int, ...] = _field((0,), 'Seeds of targets and decoders.')

  smoothing: Literal['standard', 'code', 'table1'] = _field(
    'standard', 'Convention of smoothed labels.', targets.CONVENTIONS
  )
  target_recipe: str = _field(
    'auto', "How targets train; auto follows the model's family.",
    ('auto', *TARGET_RECIPES),
  )  # fmt: skip
  target_epochs: int | None = _field(None, 'Epochs of the targets.')
  target_batch_size: int | None = _field(None, 'Batch of the targets.')
  target_learning_rate: float | None = _field(None, 'Learning rate of the targets.')
  flip: bool = _field(False, 'Mirror training images at random.')
  jitter: float = _field(0.0, 'Amplitude of colour jitter in training, in [0, 1).')

  attack: tuple[str, ...] = _field(
    ('inversion',),
    f'Attacks: {", ".join(specs.ATTACKS)}, each with options as in'
    ' inversion:enhance=nn_concat:attention=aac+se:at=unit_49|unit_50.',
  )
  decoder_epochs: int | None = _field(None, 'Epochs of the decoders.')
  decoder_batch_size: int | None = _field(None, 'Batch of the decoders.')
  decoder_learning_rate: float | None = _field(None, 'Learning rate of the decoders.')
  amsgrad: bool = _field(True, 'AMSGrad for the decoders.')
  selection: Literal['aux', 'test'] = _field(
    'aux', "What chooses a decoder's epoch: held-out aux, or (as published) test.",
    ('aux', 'test'),
  )  # fmt: skip

  strategy: str = _field('auto', f'How lanes run: {", ".join(lanes.STRATEGIES)}.')
  conv: str = _field(
    'auto', 'How convolutions are computed; auto: as measured.', choices.SETTINGS
  )
  compile_cache: str | None = _field(
    None, 'Folder to keep compiled programs in; node-local, and only yours.'
  )
  profile: str | None = _field(None, 'Folder for a trace of the run (jax.profiler).')
  tune: bool = _field(
    False, 'Measure first how convolutions are fastest on this machine.'
  )
  precision: str = _field(
    'auto', 'Of the forward and backward pass; auto is float32.', PRECISIONS
  )
  devices: int = _field(0, 'Local devices to spread lanes over; 0 = all.')
  activation_dtype: str = _field(
    'float32', 'Format activations are kept in.', ('float32', 'float16')
  )
  cache_budget_gb: float = _field(
    8.0, "Most of the device's memory for activations at a time."
  )
  save_seconds: float = _field(
    30.0, 'Least seconds between two snapshots of a running training.'
  )
  cache: Literal['auto', 'device', 'host', 'disk'] = _field(
    'auto', 'Where activations are kept; auto: where they fit.', ('auto', *PLACES)
  )

  theory: bool = _field(False, "Measure the theory's quantities beside the attacks.")
  theory_limit: int = _field(1000, 'Most training images they are measured on.')
  theory_every: int | None = _field(
    None, 'Measure radius and gradients every so many epochs of the targets as well.'
  )

  max_edge_params: float | None = _field(None, 'Recommend within: edge parameters.')
  max_edge_flops: float | None = _field(None, 'Recommend within: edge FLOPs an image.')
  max_payload_bytes: float | None = _field(
    None, 'Recommend within: float32 bytes sent for an image.'
  )
  min_accuracy: float | None = _field(None, 'Recommend within: test accuracy.')
  note: str = _field('', 'Shown in the report beside the settings.')


# Where a run lives, how much memory it may take and how lanes are run change at most
# the last bits of what it computes: what was different stands in the rows.
NOT_IDENTITY = (
  'workdir',
  'data_dir',
  'cache_budget_gb',
  'cache',
  'compile_cache',
  'devices',
  'strategy',
  'conv',
  'save_seconds',
  'profile',
  'targets_from',
  'theory',
  'theory_limit',
  'theory_every',
)
# What makes a target what it is, next to its alpha and seed.
TARGET_FIELDS = (
  'dataset',
  'image_size',
  'train_limit',
  'val_limit',
  'data_seed',
  'model',
  'model_options',
  'smoothing',
  'target_recipe',
  'target_epochs',
  'target_batch_size',
  'target_learning_rate',
  'flip',
  'jitter',
)


def validate(config: SweepConfig) -> SweepConfig:
  """The config in plain Python values, if every field is allowed.

  Names of data and splits are checked later.

  Raises:
    InputError: naming the first bad field, its value, and what is allowed.
  """
  hints = get_type_hints(type(config))
  config = dataclasses.replace(
    config, **{n: values.convert(n, getattr(config, n), hints[n]) for n in hints}
  )
  for field in dataclasses.fields(config):
    value, allowed = getattr(config, field.name), field.metadata['allowed']
    if allowed and value not in allowed:
      values.refuse(field.name, value, f'one of {", ".join(allowed)}')
  for name in ('alphas', 'seeds', 'splits', 'attack'):
    given = getattr(config, name)
    if not given or len(set(given)) != len(given):
      values.refuse(name, given, 'at least one value, none of them twice')
  for alpha in config.alphas:
    if not -1 < alpha < 1:
      values.refuse('alphas', alpha, 'numbers between -1 and 1')
  for name, low, high in _RANGES:
    value = getattr(config, name)
    for item in value if isinstance(value, tuple) else (value,):
      if item is not None and not (low <= item < high and math.isfinite(item)):
        limit = f'at least {low:g}' + (f' and below {high:g}' if high < 2**31 else '')
        values.refuse(name, item, limit)
  if not config.workdir:
    values.refuse('workdir', config.workdir, 'the path of a folder')
  engine(config).resolve()
  if config.tune and config.conv != 'auto':
    values.refuse('conv', config.conv, 'auto, or --notune')
  parse_model_options(config.model_options)
  if config.target_weights and config.targets_from:
    values.refuse(
      'targets_from', config.targets_from, 'that or --target_weights, not both'
    )
  for text in config.attack:
    specs.parse(text)
  models.check_name(config.model)
  return config


LEAST_SIZE = 8  # of an image's side
_COUNT, _AMOUNT = (1, 2**31), (0.0, math.inf)
_RANGES = (
  ('image_size', LEAST_SIZE, 1025),
  *((f'{subset}_limit', *_COUNT) for subset in ('train', 'val', 'test', 'aux')),
  *((f'{kind}_epochs', *_COUNT) for kind in ('target', 'decoder')),
  *((f'{kind}_batch_size', 2, 2**16 + 1) for kind in ('target', 'decoder')),
  *((f'{kind}_learning_rate', 1e-12, math.inf) for kind in ('target', 'decoder')),
  ('data_seed', 0, 2**31),
  ('seeds', 0, 2**31),
  ('jitter', 0.0, 1.0),
  ('cache_budget_gb', 1e-6, math.inf),
  ('save_seconds', 0.0, math.inf),
  ('theory_limit', 16, 2**31),
  ('theory_every', *_COUNT),
  ('max_edge_params', *_AMOUNT),
  ('max_edge_flops', *_AMOUNT),
  ('max_payload_bytes', *_AMOUNT),
  ('min_accuracy', 0.0, 1.0),
)


def parse_model_options(options: Sequence[str]) -> dict[str, Any]:
  """('width=0.25', 'head=compact') -> {'width': 0.25, 'head': 'compact'}."""
  parsed = {}
  for option in options:
    key, equals, value = option.partition('=')
    if not (key and equals and value) or key in ('name', 'num_classes', 'parent'):
      values.refuse(
        'model_options', option, 'KEY=VALUE of the model, such as width=0.25'
      )
    try:
      parsed[key] = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
      parsed[key] = value  # a word
  return parsed


def engine(config: SweepConfig) -> Engine:
  """How the lanes are computed."""
  return Engine(config.strategy, config.conv, config.precision, config.devices)


def target_recipe(config: SweepConfig) -> Recipe:
  """The recipe of the targets with the config's own values put in."""
  name = config.target_recipe
  if name == 'auto':
    name = models.info(config.model).family
  recipe = dataclasses.replace(
    TARGET_RECIPES[name], flip=config.flip, jitter=config.jitter
  )
  return _override(recipe, config, 'target')


def decoder_recipe(config: SweepConfig) -> Recipe:
  """The recipe of the decoders with the config's own values put in."""
  recipe = dataclasses.replace(DECODER, amsgrad=config.amsgrad)
  return _override(recipe, config, 'decoder')


def _override(recipe: Recipe, config: SweepConfig, kind: str) -> Recipe:
  names = ('epochs', 'batch_size', 'learning_rate')
  given = {name: getattr(config, f'{kind}_{name}') for name in names}
  return dataclasses.replace(
    recipe, **{name: value for name, value in given.items() if value is not None}
  )


def target_lanes(config: SweepConfig) -> tuple[Lane, ...]:
  """The lanes of the targets: every alpha with every seed."""
  return tuple(
    Lane(config.model, config.dataset, Treatment(alpha), seed)
    for alpha, seed in itertools.product(config.alphas, config.seeds)
  )
