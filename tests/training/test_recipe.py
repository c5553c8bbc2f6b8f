"""Optimisers against torch's, step by step."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gpz_jax.training.recipe import (
  DECODER,
  DEFAULT,
  IR,
  TARGET_RECIPES,
  VGG_ADAMW,
  VGG_FACES,
  make_optimizer,
)


def ours(recipe, start, grads):
  tx = make_optimizer(recipe)
  params, state = start, tx.init(start)
  for grad in grads:
    updates, state = tx.update(grad, state, params)
    step = jax.tree.map(lambda u: -recipe.learning_rate * u, updates)
    params = optax.apply_updates(params, step)
  return params


def theirs(recipe, start, grads):
  torch = pytest.importorskip('torch')
  weight = torch.nn.Parameter(torch.tensor(np.array(start)))
  shared = {'lr': recipe.learning_rate, 'weight_decay': recipe.weight_decay}
  if recipe.optimizer == 'sgd':
    optimizer = torch.optim.SGD([weight], momentum=recipe.momentum, **shared)
  else:
    kind = {'adam': torch.optim.Adam, 'adamw': torch.optim.AdamW}[recipe.optimizer]
    betas = (recipe.b1, recipe.b2)
    optimizer = kind([weight], betas=betas, amsgrad=recipe.amsgrad, **shared)
  for grad in grads:
    weight.grad = torch.tensor(np.array(grad))
    optimizer.step()
  return weight.detach().numpy()


@pytest.mark.parametrize(
  'recipe',
  [DECODER, dataclasses.replace(DECODER, amsgrad=False), IR, VGG_ADAMW, VGG_FACES],
  ids=['amsgrad', 'adam', 'l2', 'adamw', 'sgd'],
)
def test_twenty_steps_equal_torch(recipe):
  rng = np.random.default_rng(0)
  start = jnp.asarray(rng.normal(size=7), jnp.float32)
  scale = np.linspace(2, 0.1, 20)[:, None]
  grads = jnp.asarray(scale * rng.normal(size=(20, 7)), jnp.float32)
  np.testing.assert_allclose(
    ours(recipe, start, grads), theirs(recipe, start, grads), rtol=1e-5, atol=1e-6
  )


@pytest.mark.parametrize(
  ('amsgrad', 'second'),
  [
    # By hand, with b1 = 0, b2 = 0.5 and gradients 2 and 1. The second moments are 2 and
    # 1.5. AMSGrad keeps the larger one and corrects it: 2 / (1 - 0.25) = 8 / 3.
    (True, (3 / 8) ** 0.5),
    # Adam takes the last one: 1.5 / (1 - 0.25) = 2.
    (False, 0.5**0.5),
  ],
)
def test_only_amsgrad_keeps_the_largest_second_moment(amsgrad, second):
  changes = {'b1': 0.0, 'b2': 0.5, 'amsgrad': amsgrad, 'learning_rate': 1.0}
  recipe = dataclasses.replace(DECODER, **changes)
  found = ours(recipe, jnp.zeros(1), jnp.array([[2.0], [1.0]]))
  np.testing.assert_allclose(found, [-1 - second], rtol=1e-5)  # the first step is 1


@pytest.mark.parametrize('amsgrad', [True, False])
def test_adam_that_forgets_quickly_equals_torch(amsgrad):
  # With the usual b2 of 0.999 the second moment hardly shrinks in a few steps, so that
  # AMSGrad and Adam are the same. Here they are far apart.
  changes = {'b2': 0.5, 'amsgrad': amsgrad, 'learning_rate': 0.1}
  recipe = dataclasses.replace(DECODER, **changes)
  scale = np.linspace(2, 0.1, 20)[:, None]
  noise = np.random.default_rng(0).normal(size=(20, 7))
  start, grads = jnp.zeros(7), jnp.asarray(scale * noise, jnp.float32)
  found, other = (
    ours(each, start, grads)
    for each in (recipe, dataclasses.replace(recipe, amsgrad=not amsgrad))
  )
  assert (np.abs(found - other) > 1e-2).any()
  np.testing.assert_allclose(found, theirs(recipe, start, grads), rtol=1e-4, atol=1e-5)


def test_an_unknown_model_does_not_train_by_a_recipe_of_the_paper():
  assert DEFAULT.sentence() == (
    'adam (betas 0.9 and 0.999), learning rate 0.001 times 0.5 after more than 5 epochs'
    ' without improvement, weight decay 0.0001, 60 epochs, batch 128'
  )
  assert list(TARGET_RECIPES.values()).count(DEFAULT) == 1


def test_a_recipe_says_itself_in_one_line():
  assert VGG_FACES.sentence() == (
    'sgd (momentum 0.85), learning rate 0.05 times 0.5 after more than 10 epochs'
    ' without improvement, weight decay 0.0005, 300 epochs, batch 128'
  )
  assert IR.sentence().startswith('adam (betas 0.9 and 0.999, AMSGrad), learning rate')
