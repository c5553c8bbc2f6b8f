import jax
import jax.numpy as jnp
import numpy as np
import pytest
from inversion_toys import GENERATED, check_attack, make_changes, make_scenario

from gpz_jax.attacks.model import plg, plg_generator, plg_views
from gpz_jax.types import Dataset, InputError

SHORT = plg.PLGMI(
  text='plg',
  candidates=2,
  steps=40,
  learning_rate=0.3,
  z_dim=4,
  generator_steps=60,
  batch_size=8,
  per_class=5,
  width=4,
)


def test_pseudo_labels_by_hand():
  answer = jnp.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
  found = plg_generator.most_confident(answer, 2)
  np.testing.assert_array_equal(found, [[0, 2], [1, 2]])
  assert plg_generator.most_confident(answer, 30).shape == (2, 3)


def test_hinge_by_hand():
  # real: (1 - 2, 1 - 0) -> (0, 1); made: (1 - 2, 1 + 1) -> (0, 2)
  found = plg_generator.hinge(jnp.array([2.0, 0.0]), jnp.array([-2.0, 1.0]))
  np.testing.assert_allclose(found, 0.5 + 1.0)


def test_views_differ_and_stay_images():
  images = jnp.broadcast_to(jnp.linspace(0, 1, 64).reshape(8, 8, 1), (3, 8, 8, 1))
  keys = jax.random.split(jax.random.key(0), 3)

  @jax.jit
  def look(images):
    def total(images):
      found = plg_views.augment(keys, images)
      return found.sum(), found

    return jax.grad(total, has_aux=True)(images)

  slopes, found = look(images)
  assert found.shape == images.shape
  assert not np.allclose(found[0], found[1])
  assert (found >= -1e-6).all()
  assert (found <= 1 + 1e-6).all()
  assert np.isfinite(slopes).all()
  assert (slopes != 0).any()


@pytest.mark.ci
def test_the_loss_falls_and_nothing_depends_on_chunks_or_deaths(tmp_path):
  found = check_attack(SHORT, tmp_path, saves=3, **make_changes())
  loss = found.history['loss']
  assert loss.shape == (2, 3, 40)
  # Random views make the loss of a class uncertain by a few hundredths.
  fallen = loss[..., :8].mean(-1) - loss[..., -8:].mean(-1)
  assert fallen.mean() > 0.1
  assert (fallen > -0.05).all()
  assert found.images.shape == (2, 3, 2, *GENERATED)


def test_images_that_cannot_be_generated_are_refused():
  public = Dataset(np.zeros((4, 6, 6, 1), np.uint8), np.zeros(4, np.int32))
  with pytest.raises(InputError, match='6x6 pixels cannot be trained'):
    SHORT.run(make_scenario(public=public))
