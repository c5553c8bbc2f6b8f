import jax
import jax.numpy as jnp
import numpy as np
import pytest
from inversion_toys import check_attack, make_critic, make_scenario

from gpz_jax.attacks.model import chunks, gmi
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.types import InputError

SHORT = gmi.GMI(text='gmi', candidates=3, steps=30, averaged_over=1, learning_rate=2e-3)


def test_a_step_by_hand():
  # v' = 0.9 x 0.5 - 0.1 x 2 = 0.25; 1 - 0.9 x 0.5 + 1.9 x 0.25 = 1.025
  found = gmi.ahead(jnp.array(1.0), jnp.array(0.5), jnp.array(2.0), 0.1, 0.9)
  np.testing.assert_allclose(found, [1.025, 0.25], rtol=1e-6)


def test_steps_are_those_of_torch_with_nesterov():
  torch = pytest.importorskip('torch')
  start, gradients = 0.3, [1.0, -0.5, 2.0, 0.25]
  # torch's parameter is where the gradient is taken, as ours is.
  x = torch.tensor(start, requires_grad=True)
  optimizer = torch.optim.SGD([x], lr=0.1, momentum=0.9, nesterov=True)
  latents, velocity = jnp.array(start), jnp.array(0.0)
  for gradient in gradients:
    x.grad = torch.tensor(gradient)
    optimizer.step()
    latents, velocity = gmi.ahead(latents, velocity, jnp.array(gradient), 0.1, 0.9)
  np.testing.assert_allclose(latents, x.item(), rtol=1e-5)


def test_the_first_loss_is_that_of_a_plain_sum():
  scenario = make_scenario(**make_critic())
  found = SHORT.run(scenario)
  for row, column in np.ndindex(2, 3):
    label = int(scenario.classes[column])
    key = chunks.item_key(scenario.lanes[row], label, 0)
    z = jax.random.normal(jax.random.fold_in(key, 0), (3, 5))
    images = scenario.generator.images(scenario.prior, z)
    target = lanes_lib.take(scenario.targets, row)
    logits = scenario.model.apply(target, images)
    cross_entropy = jax.nn.logsumexp(logits, axis=-1) - logits[:, label]
    score = scenario.critic.apply(scenario.critic_variables, images)
    np.testing.assert_allclose(
      found.history['loss'][row, column, 0],
      np.mean(100 * cross_entropy - score),
      rtol=1e-4,
    )


def test_confidence_rises_and_nothing_depends_on_chunks_or_deaths(tmp_path):
  found = check_attack(SHORT, tmp_path, **make_critic())
  begun, ended = (
    found.history['confidence'][..., 0],
    found.history['confidence'][..., -1],
  )
  assert found.history['confidence'].shape == (2, 3, 30)
  assert (ended > begun).all()
  assert (ended - begun).mean() > 0.1
  assert (np.abs(found.latents) <= 1).all()
  assert found.num_final == 3


def test_the_published_rate_is_that_of_a_mean_over_a_batch():
  scenario = make_scenario(lanes=1, classes=(0,), **make_critic())
  slow = gmi.GMI(candidates=2, steps=5, averaged_over=60)
  same = gmi.GMI(candidates=2, steps=5, averaged_over=1, learning_rate=0.02 / 60)
  np.testing.assert_allclose(
    slow.run(scenario).latents, same.run(scenario).latents, atol=1e-5
  )


def test_a_run_without_a_critic_is_refused_unless_it_is_not_asked():
  with pytest.raises(InputError, match=r"asks the generator's critic.*prior_weight=0"):
    SHORT.run(make_scenario())
  without = gmi.GMI(candidates=1, steps=1, prior_weight=0.0)
  assert without.run(make_scenario()).scores.shape == (2, 3, 1)
