"""CEM: its bound in closed forms, what it sends, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from gpz_jax import defences, models
from gpz_jax.defences import cuts
from gpz_jax.defences.cem import bound_information
from gpz_jax.types import InputError

IMAGE = (16, 16, 3)


def test_the_bound_by_hand():
  # Variances within the classes: 0 and 2 -> 2; 1, 1 and 4 -> 3; one example -> none.
  values = jnp.array([0.0, 2, 1, 1, 4, 7, 100])[:, None]
  label = jnp.array([0, 0, 1, 1, 1, 2, 0])
  mask = jnp.array([1.0, 1, 1, 1, 1, 1, 0])
  expected = (np.log(2 + 1) + np.log(3 + 1)) / 2
  np.testing.assert_allclose(
    bound_information(values, label, mask, 1.0), expected, rtol=1e-5
  )
  assert bound_information(values[5:6], label[5:6], mask[5:6], 1.0) == 0


def test_of_gaussians_it_is_the_entropy_of_a_component():
  rng = np.random.default_rng(0)
  deviations = np.array([[0.5, 1.0, 2.0, 0.1], [3.0, 0.2, 1.0, 0.7]])
  label = np.arange(20_000 // 10) % 2
  values = rng.normal(size=(len(label), 4)) * deviations[label] + 5 * label[:, None]
  sigma = 0.3
  found = bound_information(
    jnp.asarray(values.reshape(-1, 2, 2), jnp.float32),
    jnp.asarray(label),
    jnp.ones(len(label)),
    sigma,
  )
  # The entropy of the noisy component, in nats, by scipy.
  entropies = [
    scipy.stats.multivariate_normal(cov=np.diag(d**2 + sigma**2)).entropy()
    for d in deviations
  ]
  expected = 2 * np.mean(entropies) / 4 - np.log(2 * np.pi * np.e)
  # Of n values, log variance has the standard error sqrt(2 / n): 0.045, over 8 of them.
  np.testing.assert_allclose(found, expected, atol=5 * 0.045 / np.sqrt(8))


def test_a_shift_changes_nothing_and_a_scale_its_logarithm():
  rng = np.random.default_rng(1)
  values = jnp.asarray(rng.normal(size=(40, 6)), jnp.float32)
  label, mask = jnp.arange(40) % 4, jnp.ones(40)
  plain = bound_information(values, label, mask, 0.0)
  np.testing.assert_allclose(
    bound_information(values + 3 * label[:, None], label, mask, 0.0), plain, atol=1e-4
  )
  np.testing.assert_allclose(
    bound_information(4 * values, label, mask, 0.0), plain + np.log(16), atol=1e-4
  )


def test_the_weight_multiplies_the_sum_over_splits():
  rng = np.random.default_rng(2)
  layers = {n: jnp.asarray(rng.normal(size=(8, 5)), jnp.float32) for n in 'ab'}
  label, mask = jnp.arange(8) % 2, jnp.ones(8)
  step = defences.Step(jnp.zeros((8, 1, 1, 1)), label, mask, jnp.zeros((8, 2)), layers)
  expected = 3 * sum(bound_information(z, label, mask, 0.5) for z in layers.values())
  found = defences.parse('cem:weight=3:sigma=0.5:at=a|b').penalty(step)
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_what_is_sent_has_the_noise_at_its_split_alone():
  defence = defences.parse('cem:sigma=0.2:at=conv_2')
  sent = defence.send(jnp.ones((4, 50, 50)), jax.random.key(0))
  np.testing.assert_allclose(np.std(sent), 0.2, rtol=0.05)
  model = models.make('cnn', num_classes=3, width=0.0625)
  splits = ('conv_1', 'conv_2', 'prediction')
  assert cuts.list_changed(defence.text, model, IMAGE, splits) == ('conv_2',)


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('cem', 'needs the split where the model is cut'),
    ('cem:at=conv_9', "defence 'cem:at=conv_9'"),
    ('cem:weight=-1:at=conv_2', 'weight must be at least 0'),
    ('cem:sigma=inf:at=conv_2', 'sigma must be at least 0'),
  ],
)
def test_what_it_cannot_do_is_refused(text, message):
  model = models.make('cnn', num_classes=3, width=0.0625)
  with pytest.raises(InputError, match=message):
    defences.prepare(model, IMAGE, [text])
