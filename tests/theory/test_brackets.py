"""Eq 6 to 8: two classes by hand, a small cloud by its explicit Jacobian."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.label_smoothing import smooth_labels
from gpz_jax.theory import brackets, summaries
from gpz_jax.theory.brackets import Classes
from gpz_jax.theory.jacobian import linearise
from gpz_jax.types import InputError
from gpz_jax.vocabulary import CONVENTIONS

K, N = 4, 11
examine_batch = jax.jit(brackets.examine_batch, static_argnums=0)
H = np.log(3) / 2


def identity(z):
  return z


def make_cloud(seed=0):
  rng = np.random.default_rng(seed)
  first = jnp.asarray(rng.normal(size=(6, 12)) / 2, jnp.float32)
  second = jnp.asarray(rng.normal(size=(12, K)), jnp.float32)
  return lambda z: jnp.tanh(z.reshape(len(z), -1) @ first) @ second


def make_linear(seed=0):
  rng = np.random.default_rng(seed)
  matrix = jnp.asarray(rng.normal(size=(6, K)), jnp.float32)
  return lambda z: z.reshape(len(z), -1) @ matrix + 0.3


def make_examples(num_batches=1, seed=1):
  """N activations [S, B, 2, 3] with labels and masks; the last batch is filled up."""
  rng = np.random.default_rng(seed)
  activations = rng.normal(size=(N, 2, 3)).astype(np.float32)
  labels = (np.arange(N) % 3).astype(np.int32)  # class 3 is met by nobody
  size = -(-N // num_batches)
  index = np.resize(np.arange(N), (num_batches, size))
  masks = (np.arange(index.size).reshape(index.shape) < N).astype(np.float32)
  return activations[index], labels[index], masks


def examine(cloud, examples, *, alpha=0.3, gamma=0.1, **options):
  def run(alpha, gamma):
    return brackets.examine(
      cloud, *examples, alpha=alpha, gamma=gamma, num_classes=K, **options
    )

  return jax.device_get(jax.jit(run)(alpha, gamma))


def radius(activations, labels):
  """R_c^2 of each class met, in float64."""
  z = np.asarray(activations, np.float64).reshape(len(activations), -1)
  groups = [z[labels == k] for k in np.unique(labels)]
  return [np.square(g - g.mean(0)).sum(1).mean() for g in groups]


# Both examples are of class 0: z = (log 3, 0) and (0, log 3), so that p = (3/4, 1/4)
# and (1/4, 3/4), z - mu = (H, -H) and (-H, H), and J = I makes these the T_k.
TWO = jnp.array([[2 * H, 0.0], [0.0, 2 * H]], jnp.float32)
BY_HAND = {  # y' and, for both examples, (p_c - y'_c) T_corr and (p_1 - y'_1) T_1, in H
  'standard': ((0.9, 0.1), (-0.15, 0.65), (-0.15, 0.65)),
  'code': ((0.8, 0.2), (-0.05, 0.55), (-0.05, 0.55)),
  'table1': ((0.8, 0.1), (-0.05, 0.55), (-0.15, 0.65)),
}


@pytest.mark.parametrize('convention', CONVENTIONS)
def test_two_classes_by_hand(convention):
  soft, correct, wrong = BY_HAND[convention]
  label = jnp.zeros(2, jnp.int32)
  soft = jnp.tile(jnp.array([soft]), (2, 1))
  np.testing.assert_allclose(smooth_labels(label, 0.2, 2, convention), soft, rtol=1e-6)
  centres = jnp.array([[H, H], [5.0, 5.0]])
  found, g = examine_batch(identity, TWO, Classes(label, soft), centres, 0.1)
  np.testing.assert_allclose(found.distance, [2 * H**2] * 2, rtol=1e-5)
  np.testing.assert_allclose(found.t_corr, [H, -H], rtol=1e-5)
  np.testing.assert_allclose(found.cos_theta, [0.5**0.5, -(0.5**0.5)], rtol=1e-5)
  np.testing.assert_allclose(found.one_hot_correct, [-H / 4, 3 * H / 4], rtol=1e-5)
  np.testing.assert_allclose(found.one_hot_wrong, [-H / 4, 3 * H / 4], rtol=1e-5)
  np.testing.assert_allclose(found.smooth_correct, H * np.array(correct), rtol=1e-4)
  np.testing.assert_allclose(found.smooth_wrong, H * np.array(wrong), rtol=1e-4)
  np.testing.assert_allclose(g + soft, [[0.75, 0.25], [0.25, 0.75]], rtol=1e-6)


def test_the_change_of_the_radius_by_hand():
  # One-hot: g = (-1/4, 1/4) and (-3/4, 3/4), brackets -H/2 and 3H/2, mean g (-1/2, 1/2)
  # and squared centred gradients 1/8 each; |mean g|^2 = 1/2.
  labels, masks, gamma = np.zeros((1, 2), np.int32), np.ones((1, 2)), 0.1
  found = jax.device_get(
    brackets.examine(
      identity, TWO[None], labels, masks, alpha=0.0, gamma=gamma, num_classes=2
    )
  )
  np.testing.assert_allclose(found.gradient_mean, [0.5, 0.0], rtol=1e-5)
  values = summaries.radius_terms(found, masks, gamma)
  changes = {
    'radius': 2 * H**2,
    'radius_change_first': -gamma * H,
    'radius_change_second': -gamma * H + gamma**2 / 8,
    'radius_change_measured': -gamma * H + gamma**2 / 8,
  }
  assert values.keys() == changes.keys()
  for name, change in changes.items():
    mean, _ = summaries.class_average(values[name], labels[0])
    np.testing.assert_allclose(mean, change, rtol=2e-5)


def test_products_equal_the_explicit_jacobian():
  cloud, (z, label, _) = make_cloud(), (x[0] for x in make_examples())
  centres = jnp.asarray(np.random.default_rng(2).normal(size=(K, 2, 3)), jnp.float32)
  soft = smooth_labels(label, 0.3, K, 'standard')
  found, g = examine_batch(cloud, z, Classes(label, soft), centres, 0.1)
  one = jax.jacrev(lambda z: cloud(z[None])[0])
  J = np.asarray(jax.jit(jax.vmap(one))(z)).reshape(N, K, 6)
  p = np.asarray(jax.nn.softmax(cloud(z)))
  spread = (z - np.asarray(centres)[label]).reshape(N, 6)
  T = np.einsum('ikd,id->ik', J, spread)
  towards = J[np.arange(N), label]
  cosine = (spread * towards).sum(1) / np.linalg.norm(spread, axis=1)
  np.testing.assert_allclose(found.t_corr, T[np.arange(N), label], atol=1e-5)
  np.testing.assert_allclose(
    found.cos_theta, cosine / np.linalg.norm(towards, axis=1), atol=1e-5
  )
  np.testing.assert_allclose(
    found.one_hot, ((p - np.eye(K)[label]) * T).sum(1), atol=1e-5
  )
  np.testing.assert_allclose(found.smooth, ((p - soft) * T).sum(1), atol=1e-5)
  expected = np.einsum('ikd,ik->id', J, p - soft)
  np.testing.assert_allclose(g.reshape(N, 6), expected, atol=1e-5)
  np.testing.assert_allclose(
    found.gradient_norm, np.linalg.norm(expected, axis=1), rtol=1e-4
  )
  np.testing.assert_allclose(
    found.residual_norm, np.linalg.norm(p - soft, axis=1), rtol=1e-4
  )


def test_the_gradient_is_that_of_the_cross_entropy():
  cloud, (z, label, _) = make_cloud(), (x[0] for x in make_examples())
  soft = smooth_labels(label, 0.3, K, 'code')
  _, g = examine_batch(cloud, z, Classes(label, soft), jnp.zeros((K, 2, 3)), 0.1)

  def loss(z):
    return -jnp.sum(soft * jax.nn.log_softmax(cloud(z)))

  np.testing.assert_allclose(g, jax.jit(jax.grad(loss))(z), atol=1e-5)


@pytest.mark.parametrize('convention', CONVENTIONS)
def test_both_orders_are_the_change_of_the_moved_activations(convention):
  cloud, (z, labels, masks), gamma = make_cloud(), make_examples(), 0.5
  found = examine(cloud, (z, labels, masks), gamma=gamma, convention=convention)
  soft = smooth_labels(labels[0], 0.3, K, convention)
  _, g = examine_batch(
    cloud, z[0], Classes(labels[0], soft), jnp.zeros((K, 2, 3)), gamma
  )
  before, after = radius(z[0], labels[0]), radius(z[0] - gamma * g, labels[0])
  terms = summaries.radius_terms(found, masks, gamma)
  for name, expected in (
    ('radius', np.mean(before)),
    ('radius_change_second', np.mean(after) - np.mean(before)),
    ('radius_change_measured', np.mean(after) - np.mean(before)),
  ):
    value, _ = summaries.class_average(terms[name], labels[0])
    np.testing.assert_allclose(value, expected, rtol=1e-4)


def test_the_first_order_is_what_a_small_step_leaves():
  cloud, examples, gamma = make_cloud(), make_examples(), 1e-2
  terms = summaries.radius_terms(
    examine(cloud, examples, gamma=gamma), examples[2], gamma
  )
  first, both = (
    summaries.class_average(terms[f'radius_change_{name}'], examples[1][0])[0]
    for name in ('first', 'measured')
  )
  assert abs(first) > 1e-3  # not by being nothing
  np.testing.assert_allclose(first, both, rtol=0.05)
  assert first != both


def test_a_linear_cloud_narrows_whatever_the_labels():
  # docs/paper.md#class-radius: J is constant, so sum_i T_k,i = 0 and y' drops out of
  # the sum.
  cloud, (z, labels, masks) = make_linear(), make_examples()
  of_class = np.eye(3)[labels[0]]  # [N, classes met]
  centres = np.stack([z[0][labels[0] == k].mean(0) for k in range(3)])
  T = linearise(cloud, jnp.asarray(z[0])).push(jnp.asarray(z[0] - centres[labels[0]]))
  np.testing.assert_allclose(of_class.T @ T, 0, atol=1e-5)

  def run(alpha):
    return brackets.examine(
      cloud, z, labels, masks, alpha=alpha, gamma=0.1, num_classes=K
    )

  alphas = jnp.array([0.0, 0.3, -0.5, 0.9])
  found = jax.device_get(jax.jit(jax.vmap(run))(alphas))
  sums = found.brackets.smooth[:, 0] @ of_class  # [alphas, classes met]
  one_hot = found.brackets.one_hot[0, 0] @ of_class
  np.testing.assert_allclose(sums, np.tile(one_hot, (4, 1)), rtol=1e-4)
  assert (sums > 1e-2).all()
  for lane in range(len(alphas)):
    examined = jax.tree.map(lambda x, lane=lane: x[lane], found)
    terms = summaries.radius_terms(examined, masks, 0.1)
    assert (terms['radius_change_first'] @ of_class < 0).all()


def test_the_smoothed_gradient_vanishes_where_the_prediction_is_the_label():
  # docs/paper.md#class-radius
  label = jnp.array([1, 2], jnp.int32)
  soft = smooth_labels(label, 0.3, K, 'standard')
  matrix = make_linear()(jnp.eye(6).reshape(6, 2, 3))

  def cloud(z):
    return z.reshape(len(z), -1) @ matrix + jnp.log(soft)

  centres = jnp.ones((K, 2, 3))
  found, g = examine_batch(
    cloud, jnp.zeros((2, 2, 3)), Classes(label, soft), centres, 1.0
  )
  np.testing.assert_allclose(g, 0, atol=1e-6)
  np.testing.assert_allclose(found.smooth, 0, atol=1e-6)
  assert np.abs(found.one_hot).min() > 1e-2
  assert found.gradient_norm.max() < 1e-6


def test_padded_examples_do_not_count():
  cloud, whole, padded = make_cloud(), make_examples(), make_examples(num_batches=3)
  assert padded[2].sum() == N < padded[2].size
  ones = examine(cloud, whole)
  padded[0][padded[2] == 0] = 100.0  # what fills the last batch is of no consequence
  threes = examine(cloud, padded)
  np.testing.assert_allclose(threes.gradient_mean, ones.gradient_mean, rtol=1e-5)
  for values in (summaries.example_values, lambda *a: summaries.radius_terms(*a, 0.1)):
    expected = values(ones, whole[2])
    for name, found in values(threes, padded[2]).items():
      assert found.shape == (N,)
      np.testing.assert_allclose(found, expected[name], rtol=1e-3, atol=1e-5)


def test_lanes_can_be_vmapped():
  examples = make_examples()
  scales, alphas = jnp.array([0.5, 1.0]), jnp.array([0.0, 0.3])
  cloud = make_cloud()

  def one(scale, alpha):
    return brackets.examine(
      lambda z: scale * cloud(z), *examples, alpha=alpha, gamma=0.1, num_classes=K
    )

  both = jax.jit(jax.vmap(one))(scales, alphas)
  alone = jax.jit(one)(0.5, 0.0)
  first = jax.tree.map(lambda leaf: leaf[0], both)
  chex.assert_trees_all_close(first, alone, rtol=1e-4, atol=1e-6)


def test_an_example_on_its_centre_has_no_direction():
  found, _ = examine_batch(
    identity, TWO, Classes(jnp.arange(2), jnp.full((2, 2), 0.5)), TWO, 0.1
  )
  np.testing.assert_array_equal(found.cos_theta, 0)


def test_class_average_and_its_error():
  label = np.array([0, 0, 5, 5, 5, 5])
  values = np.array([1.0, 3.0, 0.0, 0.0, 2.0, 2.0])
  mean, error = summaries.class_average(values, label)
  assert mean == 1.5  # of 2 and 1
  # by hand: variances 2 and 4/3 over 2 and 4 examples
  np.testing.assert_allclose(error, np.sqrt(2 / 2 + 4 / 3 / 4) / 2)
  assert np.isnan(summaries.class_average(values[1:], label[1:])[1])


@pytest.mark.parametrize(
  ('name', 'changed'),
  [
    ('label', {'label': jnp.zeros(3, jnp.int32)}),
    ('centres', {'centres': jnp.zeros((3, 2))}),
    ('soft', {'soft': jnp.zeros((2, 3))}),
  ],
)
def test_shapes_that_do_not_fit_are_refused(name, changed):
  arguments = {
    'label': jnp.zeros(2, jnp.int32),
    'centres': jnp.zeros((2, 2)),
    'soft': jnp.zeros((2, 2)),
    **changed,
  }
  classes = Classes(arguments['label'], arguments['soft'])
  with pytest.raises(InputError, match=f'^{name} must have shape'):
    examine_batch(identity, TWO, classes, arguments['centres'], 0.1)
