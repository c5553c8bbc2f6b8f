"""What defences add to the loss by hand, and trainings of which no bit is compared."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from defended import IMAGE, lane, make, train

from gpz_jax import defences, partition, targets
from gpz_jax.defences import dependence
from gpz_jax.types import InputError

pytestmark = pytest.mark.usefixtures('one_key')


def test_the_penalty_of_bido_by_its_definition():
  rng = np.random.default_rng(0)
  images = jnp.asarray(rng.uniform(size=(8, 4, 4, 3)), jnp.float32)
  layers = {
    name: jnp.asarray(rng.normal(size=(8, 5)), jnp.float32) for name in ('a', 'b')
  }
  labels, mask = jnp.arange(8) % 3, jnp.array([1.0] * 7 + [0.0])
  step = defences.Step(images, labels, mask, jnp.zeros((8, 3)), layers)
  x, y = dependence.gaussian_kernel(images), jax.nn.one_hot(labels, 3)
  for text, measure in (
    ('bido', dependence.hsic),
    ('bido:measure=coco', dependence.coco),
  ):
    z = [dependence.gaussian_kernel(each) for each in layers.values()]
    expected = sum(
      0.05 * measure(x, each, mask) - 0.5 * measure(each, y @ y.T, mask) for each in z
    )
    found = defences.parse(text).penalty(step)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.ci
def test_the_other_strategies_compute_the_same():
  texts = ['none', 'bido', 'tl:frozen=1']
  expected, _ = train(texts)
  found, _ = train(texts, strategy='vmap')
  chex.assert_trees_all_close(
    found.best.params, expected.best.params, rtol=1e-3, atol=1e-4
  )


@pytest.mark.ci
def test_mid_limits_what_the_classifier_reads():
  texts = ['vib', 'vib:beta=10']
  model = defences.wrap(make(), IMAGE, texts)
  found, history = train(texts, model=model)
  params = lane(found, 0).best.params
  assert params['bottleneck']['statistics']['kernel'].shape == (15, 14)
  assert params['logits']['kernel'].shape == (7, 3)
  assert history['loss'][0][0] < history['loss'][0][1]
  images = jnp.asarray(tiny.dataset(0, 4).image, jnp.float32) / 255
  variables = lane(found, 0).best.variables
  keys = [jax.random.key(i) for i in (0, 0, 1)]
  first, again, other = (
    partition.capture(model, variables, images, (), key=key)[0] for key in keys
  )
  np.testing.assert_array_equal(first, again)
  assert (first != other).any()  # it draws in evaluation too
  assert 'conv_2' in partition.list_splits(model, IMAGE)
  assert targets.evaluate(model, found, tiny.dataset(1, 8))['accuracy'].shape == (2,)


def test_the_divergence_of_mid_by_hand():
  # softplus(s - 5) = 1 where s = 5 + ln(e - 1): N(0, 1) costs nothing, and N(2, 1)
  # costs 2^2 / 2 = 2 for each of two numbers
  one = 5 + np.log(np.e - 1)
  statistics = jnp.array([[0, 0, one, one], [2, 2, one, one], [9, 9, 9, 9]])
  mask = jnp.array([1.0, 1, 0])
  step = defences.Step(
    jnp.zeros((3, 1, 1, 1)),
    jnp.zeros(3, int),
    mask,
    jnp.zeros((3, 2)),
    {'bottleneck/statistics': statistics},
  )
  found = defences.parse('vib:beta=0.5').penalty(step)
  np.testing.assert_allclose(found, 0.5 * (0 + 4) / 2, rtol=1e-5)


class TwoHeads(nn.Module):
  """A model whose last module makes a part of the answer, or nothing of it."""

  is_part: bool

  @nn.compact
  def __call__(self, x, *, train=False):
    features = nn.relu(nn.Conv(4, (3, 3), name='conv')(x)).mean(axis=(1, 2))
    logits = nn.Dense(3, name='head')(features)
    further = nn.Dense(3, name='further')(features)
    return logits + further if self.is_part else logits


@pytest.mark.parametrize('is_part', [True, False])
def test_a_bottleneck_that_the_answer_goes_around_is_refused(is_part):
  with pytest.raises(InputError, match=r"'vib' .* 'further', but the ans") as caught:
    defences.parse('vib').wrap(TwoHeads(is_part), IMAGE)
  assert '\n' not in str(caught.value)
