"""How --help shows the flags of a study: the first decisions first, recipes by name."""

from absl import flags

from gpz_jax import vocabulary
from gpz_jax.commands import help as help_lib
from gpz_jax.commands import presets
from gpz_jax.training.recipe import DECODER, TARGET_RECIPES, Recipe

# The flags that a person decides first, in the order of the decisions.
GROUPS = {
  'Settings to start from': ('preset', 'flagfile'),
  'What to attack: data, model, weights': (
    'dataset',
    'data_dir',
    'image_size',
    'channels',
    'test_share',
    'model',
    'model_options',
    'model_output',
    'target_weights',
    'finetune',
    'new_head',
    'expect_accuracy',
  ),
  'The attack': (
    'attack',
    'splits',
    'payload_bits',
    'aux_dataset',
    'decoder_epochs',
    'decoder_batch_size',
    'decoder_learning_rate',
    'decoder_schedule',
  ),
  'The sweep: which targets, how long, on how many images': (
    'alphas',
    'skips',
    'treatments',
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
    'private_enough',
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
  model, name = (str(values[flag].value) for flag in ('model', 'target_recipe'))
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


_STARTS = {
  'preset': 'Name of settings that come with gpz_jax: quickstart and cifar10_small to'
  ' begin with, mi_small for model inversion, and those of the tables and figures of'
  f' the papers, such as table2_vgg19_small. There are {len(presets.list_names())}.'
  ' Flags that follow override them.',
  'flagfile': 'File with a flag in each line. Flags that follow override it.',
}
LAYOUT = help_lib.Layout(GROUPS, find_origins, _STARTS)

_SHARED = ('Settings to start from', 'What to attack: data, model, weights')
# The same for a study of model inversion.
INVERSION_GROUPS = {
  **{name: GROUPS[name] for name in _SHARED},
  'The treatments that are compared': (
    'treatments',
    'skips',
    'alphas',
    'defence',
    'seeds',
  ),
  'The attack': (
    'attack',
    'classes',
    'public_dataset',
    'generator',
    'prior_steps',
  ),
  'The evaluator': (
    'evaluator',
    'evaluator_options',
    'evaluator_weights',
    'evaluator_size',
    'evaluator_epochs',
    'face_embedding',
  ),
  'How targets are trained': (
    'target_recipe',
    'target_epochs',
    'target_batch_size',
    'target_learning_rate',
    'train_limit',
    'test_limit',
  ),
  'Speed': ('precision', 'devices', 'compile_cache'),
  'Output': GROUPS['Output'],
}


def find_inversion_origins(values: flags.FlagValues) -> dict[str, str]:
  """As `find_origins`, for a study of model inversion."""
  found = find_origins(values)
  return {name: text for name, text in found.items() if name.startswith('target')}


MODEL_INVERSION = help_lib.Layout(INVERSION_GROUPS, find_inversion_origins, _STARTS)
