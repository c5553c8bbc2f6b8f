import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from inversion_toys import GENERATED, check_attack, make_changes, make_scenario

from gpz_jax.attacks.model import (
  adversarial_nets,
  kedmi,
  kedmi_generator,
  plg,
  plg_generator,
)
from gpz_jax.generators import DCGAN, Critic, StyleGAN2
from gpz_jax.types import InputError

CLASSES = 4  # of the toy targets
WIDTH, LATENT = 4, 6
SMALL = {'start': 'prior', 'width': WIDTH, 'z_dim': LATENT, 'batch_size': 8}
KEDMI = kedmi.KEDMI(
  text='kedmi', candidates=2, steps=10, generator_steps=3, kernels=2, **SMALL
)
PLG = plg.PLGMI(
  text='plg', candidates=2, steps=10, generator_steps=3, per_class=5, **SMALL
)


def make_prior():
  """The fields of a scenario with a prior and its critic, which are not trained."""
  generator, critic = DCGAN(8, WIDTH, 1, LATENT), Critic(8, 3)
  known = critic.init(jax.random.key(2), jnp.zeros((1, *GENERATED)))
  return {
    'generator': generator,
    'prior': generator.init(jax.random.key(1)),
    'critic': critic,
    'critic_variables': {**known, 'statistics': {'spread': jnp.array(0.3)}},
    **make_changes(),
  }


def draw(count=5):
  """Latents, and images that no generator made."""
  z = jax.random.normal(jax.random.key(4), (count, LATENT))
  images = jax.random.uniform(jax.random.key(5), (count, *GENERATED))
  return z, images


def train_kedmi(scenario, steps):
  """The nets, and the variables of the first target's generator and critic."""
  nets = (
    adversarial_nets.ImageMaker(GENERATED, WIDTH),
    adversarial_nets.ClassCritic(CLASSES, WIDTH, kernels=2, base=scenario.critic),
  )
  engine = scenario.engine.resolve()
  found = kedmi_generator.train(
    scenario, nets, engine, z_dim=LATENT, steps=steps, batch_size=8, name='a'
  )
  return nets, jax.tree.map(lambda leaf: leaf[0], found)


@pytest.mark.ci
def test_a_generator_of_kedmi_starts_as_the_prior():
  scenario = make_scenario(**make_prior())
  (maker, critic), (made_by, judged_by) = train_kedmi(scenario, steps=0)
  jax.tree.map(
    np.testing.assert_array_equal,
    {name: made_by[name]['net'] for name in scenario.prior},
    dict(scenario.prior),
  )
  z, images = draw()
  np.testing.assert_array_equal(
    maker.apply(made_by, z), scenario.generator.images(scenario.prior, z)
  )
  logits, _ = critic.apply(judged_by, images)
  scores = scenario.critic.apply(scenario.critic_variables, images)[:, 0]
  np.testing.assert_allclose(jax.nn.logsumexp(logits, axis=-1), scores, atol=1e-5)
  np.testing.assert_allclose(logits, logits[:, :1].repeat(CLASSES, axis=1), atol=1e-6)


def test_training_moves_what_it_starts_at_and_not_the_spread():
  scenario = make_scenario(**make_prior())
  _, (made_by, judged_by) = train_kedmi(scenario, steps=2)
  begun = scenario.prior['params']['out']['conv']['kernel']
  moved = made_by['params']['net']['out']['conv']['kernel'] - begun
  assert 0 < np.abs(moved).max() < 0.01  # two steps of about 2e-4
  base, known = judged_by['params']['base'], scenario.critic_variables['params']
  assert not np.array_equal(base['dense']['kernel'], known['dense']['kernel'])
  assert judged_by['statistics']['base']['spread'] == np.float32(0.3)


def test_a_generator_of_plg_starts_as_the_prior_for_any_class():
  scenario = make_scenario(**make_prior())
  maker = adversarial_nets.ImageMaker(GENERATED, WIDTH, CLASSES)
  critic = adversarial_nets.ProjectionCritic(CLASSES, WIDTH, scenario.critic)
  labels = jnp.arange(5) % CLASSES
  z, images = draw()
  made_by, judged_by = plg_generator.start_at_prior(
    scenario,
    maker.init(jax.random.key(6), z, labels),
    critic.init(jax.random.key(7), images, labels),
  )
  np.testing.assert_allclose(
    maker.apply(made_by, z, labels),
    scenario.generator.images(scenario.prior, z),
    atol=1e-6,
  )
  np.testing.assert_allclose(
    critic.apply(judged_by, images, labels),
    scenario.critic.apply(scenario.critic_variables, images)[:, 0],
    atol=1e-5,
  )


@pytest.mark.ci
def test_nothing_depends_on_chunks_or_deaths(tmp_path):
  found = check_attack(KEDMI, tmp_path, saves=2, **make_prior())
  assert found.samples.shape == (2, 512, *GENERATED)
  assert not np.array_equal(*found.samples)


@pytest.mark.ci
def test_samples_of_an_untrained_start_are_those_of_the_prior():
  scenario = make_scenario(**make_prior())
  found = dataclasses.replace(PLG, generator_steps=0).run(scenario)
  first, second = found.samples
  np.testing.assert_array_equal(first, second)  # both have the prior's parameters
  assert first.std() > 0


@pytest.mark.parametrize('attack', [KEDMI, PLG], ids=['kedmi', 'plg'])
def test_another_net_than_the_priors_is_refused(attack):
  scenario = make_scenario(**make_prior())
  wider = dataclasses.replace(attack, width=5)
  with pytest.raises(InputError, match='give width=4:z_dim=6, or start=scratch'):
    wider.check(scenario)
  longer = dataclasses.replace(attack, z_dim=7)
  with pytest.raises(InputError, match='but the attack has width=4 and z_dim=7'):
    longer.check(scenario)
  with pytest.raises(InputError, match='must be a DCGAN and is a StyleGAN2'):
    attack.check_generator(StyleGAN2(resolution=32), (32, 32, 3))
  with pytest.raises(InputError, match=r'\(8, 8, 1\), but the targets take \(16, 16'):
    attack.check_generator(scenario.generator, (16, 16, 1))
  with pytest.raises(InputError, match=r"the generator's critic.*or give start=scra"):
    attack.check(dataclasses.replace(scenario, critic=None))
