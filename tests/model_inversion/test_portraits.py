"""The attack on real sizes: portraits, a prior that was trained, an evaluator.

It takes a quarter of an hour of two cores. A target that knows identities gives them
away, one that was trained on shuffled labels does not, and the evaluator is convinced
by an attack on itself.
"""

import dataclasses

import jax
import numpy as np
import pytest

from gpz_jax import data, evaluators, generators, models, targets
from gpz_jax.attacks.model import Scenario, parse
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.recipe import SHORT
from gpz_jax.types import Dataset, Lane, Treatment

pytestmark = pytest.mark.slow
CLASSES = np.arange(10)
RECIPE = dataclasses.replace(SHORT, epochs=7, batch_size=32, learning_rate=0.05)
ATTACK = parse('ppa:preset=small')


@pytest.fixture(scope='module')
def task():
  return data.load('portraits/private32_50x60', aux_dataset='portraits/public32_200x20')


@pytest.fixture(scope='module')
def judge(task):
  return evaluators.train(task, evaluators.SMALL, bn_refresh=True)


@pytest.fixture(scope='module')
def attack(task):
  """Attacks targets of a model and gives what an evaluator says of it."""
  config = dataclasses.replace(generators.PriorConfig(), steps=2500)
  prior = generators.train_prior(task.aux, config)

  def run(model, variables, judge):
    scenario = Scenario(
      model=model,
      targets=variables,
      lanes=[Lane('target', task.name, Treatment(), 0)],
      generator=prior.generator,
      prior=prior.variables,
      classes=CLASSES,
      image_shape=task.image_shape,
    )
    outcome = ATTACK.run(scenario)
    scores = evaluators.score(outcome, judge, task.train, CLASSES)
    return float(scores.by_class['att_acc1'].mean())

  return run


def train_target(task):
  model = models.make('resnet18', num_classes=task.num_classes, width=0.25)
  lanes = [Lane('resnet18', task.name, Treatment(), 0)]
  found, _ = targets.train(model, task, lanes, RECIPE, bn_refresh=True)
  return model, found.best.variables


def shuffled(dataset: Dataset) -> Dataset:
  order = np.random.default_rng(0).permutation(len(dataset))
  return dataclasses.replace(dataset, label=dataset.label[order])


def test_a_target_gives_its_classes_away(task, judge, attack):
  assert judge.accuracy is not None
  assert judge.accuracy > 0.9
  found = attack(*train_target(task), judge)
  print(f'AttAcc@1 of a plain target: {found:.3f}')
  assert found >= 5 / task.num_classes


def test_a_target_of_shuffled_labels_gives_nothing_away(task, judge, attack):
  other = dataclasses.replace(task, train=shuffled(task.train), val=shuffled(task.val))
  found = attack(*train_target(other), judge)
  print(f'AttAcc@1 of a target of shuffled labels: {found:.3f}')
  assert found <= 0.15  # chance is 0.02; 40 final images, of few identities


def test_the_evaluator_is_convinced_by_an_attack_on_itself(judge, attack):
  itself = lanes_lib.stack([jax.tree.map(np.asarray, judge.variables)])
  found = attack(judge.model, itself, judge)
  print(f'AttAcc@1 of an attack on the evaluator: {found:.3f}')
  assert found > 0.9
