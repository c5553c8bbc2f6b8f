"""The words that a config may hold are those that the modules know."""

from gpz_jax import models, vocabulary
from gpz_jax.attacks.activation import specs
from gpz_jax.models import choices
from gpz_jax.training import lanes
from gpz_jax.training.recipe import TARGET_RECIPES


def test_every_model_is_in_the_table_with_its_family():
  families = {name: known.family for name, known in models.MODELS.items()}
  assert families == vocabulary.MODELS
  assert models.info('package.module:factory').family == vocabulary.OWN_MODEL
  assert {vocabulary.OWN_MODEL, *vocabulary.MODELS.values()} <= set(TARGET_RECIPES)


def test_every_attack_has_a_class():
  assert tuple(specs.ATTACKS) == vocabulary.ATTACKS


def test_every_strategy_resolves():
  for strategy in vocabulary.STRATEGIES:
    lanes.resolve(strategy.replace('K', '2'))


def test_every_convolution_serves_both_kinds():
  assert set(vocabulary.DENSE) <= set(choices.UPSAMPLE)
