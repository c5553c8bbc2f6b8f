"""How the learning rate of a recipe changes."""

import jax
import jax.numpy as jnp
import numpy as np
import toys

from gpz_jax.training import epoch
from gpz_jax.training.recipe import Recipe, scheduled_rate

ONE = jnp.ones(())


def rates(recipe, *progress, scale=ONE):
  return [float(scheduled_rate(recipe, scale, jnp.float32(p))) for p in progress]


def test_the_plateau_alone_decides_by_default():
  assert rates(Recipe(10, learning_rate=2.0), 0, 0.5, scale=jnp.float32(0.5)) == [1, 1]


def test_steps_divide_by_ten():
  recipe = Recipe(100, learning_rate=1.0, schedule='steps')
  np.testing.assert_allclose(
    rates(recipe, 0, 0.74, 0.76, 0.89, 0.91), [1, 1, 0.1, 0.1, 0.01], rtol=1e-5
  )
  assert rates(recipe, 0.5, scale=jnp.float32(0.5)) == [1]  # no plateau beside it


def test_a_cosine_rises_and_ends_at_nothing():
  recipe = Recipe(10, learning_rate=1.0, schedule='cosine', warmup=0.2)
  found = rates(recipe, 0, 0.1, 0.2, 0.6, 1.0)
  assert 0 < found[0] < 0.01
  np.testing.assert_allclose(found[1:], [0.5, 1, 0.5, 0], atol=5e-3)
  plain = Recipe(10, learning_rate=1.0, schedule='cosine')
  np.testing.assert_allclose(rates(plain, 0, 0.5, 1.0), [1, 0.5, 0], atol=1e-6)


def test_each_step_has_the_rate_of_its_place(monkeypatch):
  seen = []

  def rate(recipe, scale, progress):
    del scale
    jax.debug.callback(lambda value: seen.append(float(value)), progress)
    return recipe.learning_rate

  monkeypatch.setattr(epoch, 'scheduled_rate', rate)
  toys.fit(toys.make_trainer(), until=(toys.FOREVER,))
  jax.effects_barrier()
  steps = toys.EPOCHS * toys.STEPS
  np.testing.assert_allclose(sorted(seen), np.arange(steps) / steps, atol=1e-6)
