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
  # gradients that shrink: where the maximum of AMSGrad matters
  scale = np.linspace(2, 0.1, 20)[:, None]
  grads = jnp.asarray(scale * rng.normal(size=(20, 7)), jnp.float32)
  np.testing.assert_allclose(
    ours(recipe, start, grads), theirs(recipe, start, grads), rtol=1e-5, atol=1e-6
  )


def test_an_unknown_model_trains_as_ir_does():
  assert DEFAULT == IR


def test_a_recipe_says_itself_in_one_line():
  assert VGG_FACES.sentence() == (
    'sgd (momentum 0.85), learning rate 0.05 times 0.5 after more than 10 epochs'
    ' without improvement, weight decay 0.0005, 300 epochs, batch 128'
  )
  assert IR.sentence().startswith('adam (betas 0.9 and 0.999, AMSGrad), learning rate')
