"""Flags made from the fields of a study's config."""

import dataclasses
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from absl import flags

from gpz_jax import vocabulary
from gpz_jax.commands import help as help_lib
from gpz_jax.commands import presets
from gpz_jax.study import fields
from gpz_jax.study.config import StudyConfig
from gpz_jax.training.recipe import DECODER, TARGET_RECIPES, Recipe
from gpz_jax.types import InputError

Config = TypeVar('Config', bound=StudyConfig)


def define(config_type: type[StudyConfig], values: flags.FlagValues) -> None:
  """Defines one flag for each field of a config.

  Args:
    config_type: Class of the config.
    values: The flags to which those of the fields are added.
  """
  hints = get_type_hints(config_type)
  defaults: dict[str, Any] = {
    field.name: field.default for field in dataclasses.fields(config_type)
  }
  for name, meaning in fields.meanings(config_type).items():
    kind, default, text = fields.scalar_kind(hints[name]), defaults[name], meaning.help
    if meaning.choices:
      text += f' It is one of: {", ".join(meaning.choices)}.'
    if get_origin(kind) is tuple:
      default = ','.join(map(str, default))
      flags.DEFINE_string(
        name, default, f'{text} Entries are separated by commas.', flag_values=values
      )
    elif kind is bool:
      flags.DEFINE_bool(name, default, text, flag_values=values)
    else:
      known: dict[Any, Any] = {str: flags.DEFINE_string, int: flags.DEFINE_integer}
      known.get(kind, flags.DEFINE_float)(name, default, text, flag_values=values)


def read(config_type: type[Config], values: flags.FlagValues) -> Config:
  """The config that parsed flags give.

  Args:
    config_type: Class of the config.
    values: The flags, which have been parsed.

  Raises:
    InputError: An entry of a list is not a number, or a value is not allowed.
  """
  given = {}
  for name, hint in get_type_hints(config_type).items():
    if name not in fields.meanings(config_type):
      continue
    value, kind = values[name].value, fields.scalar_kind(hint)
    is_list = get_origin(kind) is tuple
    given[name] = (
      _parse_list(name, value or '', get_args(kind)[0]) if is_list else value
    )
  return config_type(**given)


def _parse_list(name: str, text: str, kind: type) -> tuple[Any, ...]:
  """The entries of a list that a flag gives as text."""
  entries = [entry.strip() for entry in text.split(',') if entry.strip()]
  try:
    return tuple(kind(entry) for entry in entries)
  except ValueError:
    raise InputError(
      f'--{name}={text} is not allowed; give {kind.__name__} values separated by commas'
    ) from None


# The flags that a person decides first, in the order of the decisions.
GROUPS = {
  'Settings to start from': ('preset', 'flagfile'),
  'What to attack: data, model, weights': (
    'dataset',
    'data_dir',
    'image_size',
    'model',
    'model_options',
    'target_weights',
    'expect_accuracy',
  ),
  'The attack': (
    'attack',
    'splits',
    'aux_dataset',
    'decoder_epochs',
    'decoder_batch_size',
    'decoder_learning_rate',
  ),
  'The sweep: which targets, how long, on how many images': (
    'alphas',
    'seeds',
    'target_recipe',
    'target_epochs',
    'target_batch_size',
    'target_learning_rate',
    'train_limit',
    'test_limit',
    'aux_limit',
    'theory',
  ),
  'Limits of the recommendation': (
    'max_edge_params',
    'max_edge_flops',
    'max_payload_bytes',
    'min_accuracy',
  ),
  'Speed': ('tune', 'precision', 'devices', 'compile_cache'),
  'Output': ('workdir', 'note'),
}


def find_origins(values: flags.FlagValues) -> dict[str, str]:
  """The defaults that recipes decide, and which recipe it is.

  Args:
    values: The flags, which have been parsed.

  Returns:
    Name of a flag -> its default in words, such as '300, from the recipe ir of ir152'.
  """
  model, name = values['model'].value, values['target_recipe'].value
  source = f'the recipe {name}'
  if name == 'auto':
    name = vocabulary.MODELS.get(model, vocabulary.OWN_MODEL)
    source = f'the recipe {name} of {model}'
  found = _name_values('decoder', DECODER, 'the recipe of the decoders')
  if name in TARGET_RECIPES:  # a word that is not allowed is refused later
    found |= _name_values('target', TARGET_RECIPES[name], source)
  return found


def _name_values(kind: str, recipe: Recipe, source: str) -> dict[str, str]:
  return {
    f'{kind}_{name}': f'{getattr(recipe, name):g}, from {source}'
    for name in ('epochs', 'batch_size', 'learning_rate')
  }


LAYOUT = help_lib.Layout(
  GROUPS,
  find_origins,
  {
    'preset': 'Name of settings that come with gpz_jax: quickstart and cifar10_small to'
    ' begin with, and those of the tables and figures of the paper, such as'
    f' table2_vgg19_small. There are {len(presets.list_names())}. Flags that follow'
    ' override them.',
    'flagfile': 'File with a flag in each line. Flags that follow override it.',
  },
)
