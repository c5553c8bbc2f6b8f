import jax
import jax.numpy as jnp
import numpy as np
import pytest
from inversion_toys import GENERATED, check_attack, make_changes, make_scenario

from gpz_jax.attacks.model import adversarial_nets, kedmi, kedmi_generator
from gpz_jax.types import Dataset, InputError

SHORT = kedmi.KEDMI(
  text='kedmi',
  candidates=3,
  steps=60,
  learning_rate=0.3,
  z_dim=6,
  generator_steps=6,
  batch_size=8,
  width=4,
)


def test_realness_by_hand():
  # The sum of exponentials is 1 + 1 + 1 = 3 and 3: the odds of being real are 3 to 1.
  found = kedmi_generator.realness(jnp.zeros((1, 3)))
  np.testing.assert_allclose(found, -np.log(3 / 4), rtol=1e-5)


def test_the_critics_loss_by_hand():
  nothing = jnp.zeros((2, 3))
  answer = jnp.array([[1.0, 0, 0], [0.5, 0.5, 0]])
  # ln 3 for the classes; -ln(3/4) for the real ones and -ln(1/4) for the others
  wanted = np.log(3) + 0.5 * (-np.log(3 / 4) - np.log(1 / 4))
  found = kedmi_generator.critic_loss(nothing, answer, nothing, nothing)
  np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_the_generators_loss_by_hand():
  # Mean features (1, 2) and (0, 4) are 1 and 2 apart, 1.5 on average; two images of
  # two equal classes have an entropy of 2 ln 2.
  features = jnp.array([[0.0, 2.0], [2.0, 2.0]])
  real = jnp.array([[0.0, 4.0], [0.0, 4.0]])
  found = kedmi_generator.generator_loss(jnp.zeros((2, 2)), features, real)
  np.testing.assert_allclose(found, 1.5 + 1e-4 * 2 * np.log(2), rtol=1e-5)


def test_nearness_by_hand():
  # Of three places on a line, 0, 0 and 1: exp(0) + exp(-1), twice, and 2 exp(-1).
  places = jnp.array([0.0, 0.0, 1.0]).reshape(3, 1, 1)
  near = 1 + np.exp(-1)
  wanted = [[near], [near], [2 * np.exp(-1)]]
  np.testing.assert_allclose(
    adversarial_nets.minibatch_nearness(places), wanted, rtol=1e-5
  )


@pytest.mark.ci
def test_confidence_rises_and_nothing_depends_on_chunks_or_deaths(tmp_path):
  found = check_attack(SHORT, tmp_path, saves=3, **make_changes())
  loss = found.history['loss']
  assert (loss[..., -10:].mean(-1) < loss[..., :10].mean(-1)).all()
  assert found.images.shape == (2, 3, 3, *GENERATED)
  assert (np.abs(found.latents) <= 1).all()


def test_targets_have_generators_of_their_own_that_die_and_go_on(tmp_path):
  changes = make_changes()
  scenario = make_scenario(**changes)
  nets = (
    adversarial_nets.ImageMaker(GENERATED, 2),
    adversarial_nets.ClassCritic(4, 2, kernels=2, kernel_dim=2),
  )
  engine = scenario.engine.resolve()
  made_by, judged_by = kedmi_generator.train(
    scenario, nets, engine, z_dim=4, steps=4, batch_size=8, name='a'
  )
  for leaf in jax.tree.leaves((made_by, judged_by)):
    assert leaf.shape[0] == 2
    assert np.isfinite(leaf).all()
  kernel = made_by['params']['net']['project']['dense']['kernel']
  assert not np.allclose(kernel[0], kernel[1])


def test_images_that_cannot_be_generated_are_refused():
  public = Dataset(np.zeros((4, 6, 6, 1), np.uint8), np.zeros(4, np.int32))
  with pytest.raises(InputError, match='6x6 pixels cannot be trained'):
    SHORT.run(make_scenario(public=public))


def test_a_run_without_public_images_is_refused():
  with pytest.raises(InputError, match=r'learns from public images.*has none'):
    SHORT.run(make_scenario())
