"""Lanes of several defences are one program, and each is what it is alone."""

import dataclasses
import sys
import types

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from gpz_jax import defences, models, partition, targets
from gpz_jax.defences import dependence
from gpz_jax.training.engine import Engine
from gpz_jax.training.recipe import Recipe
from gpz_jax.types import Lane, Treatment

TEXTS = (
  'none',
  'bido',
  'bido:lx=0:ly=0',
  'bido:lx=0.1',
  'bido:measure=coco:lx=1:ly=50:at=conv_2',
  'tl:frozen=1',
  'tl:frozen=2',
  'noise',
  'cem:weight=0:sigma=0:at=conv_2',
  'cem:weight=0:sigma=2:at=conv_2',
  'cem:weight=1:at=conv_2',
)
IMAGE = (16, 16, 3)
pytestmark = pytest.mark.usefixtures('optimized')  # bits are those that users have


def make():
  return models.make('cnn', num_classes=3, width=0.0625)


@pytest.fixture(scope='module', autouse=True)
def one_key():
  """Lanes with the key of an undefended one, so that their defence alone differs."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(Lane, 'key', lambda lane: jax.random.key(lane.seed))
    yield


def train(texts, *, model=None, strategy='map', **changes):
  """Targets [L] of a lane for each text, on 24 images, with weight decay."""
  lanes = [Lane('cnn', 'tiny', Treatment(defence=text), 0) for text in texts]
  recipe = Recipe(2, batch_size=9, weight_decay=0.01, learning_rate=3e-3)
  return targets.train(
    make() if model is None else model,
    tiny.task(train=24),
    lanes,
    recipe,
    engine=Engine(strategy, devices=1),
    **changes,
  )


def lane(found, i):
  return jax.tree.map(lambda leaf: leaf[i], found)


@pytest.fixture(scope='module')
def together():
  """The targets of all texts, their history, and how often a step was traced."""
  counts = []

  class Counted(targets.Trainer):
    def fit(self, *args, **options):
      found = super().fit(*args, **options)
      counts.append(self.traces)
      return found

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(targets, 'Trainer', Counted)
    return *train(TEXTS), counts


def test_all_defences_are_one_program(together):
  found, history, traces = together
  assert traces == [1]
  assert found.is_finite.all()
  losses = dict(zip(TEXTS, history['loss'][0], strict=True))
  assert len({losses[text] for text in TEXTS[:2] + TEXTS[3:5]}) == 4


def test_without_weights_it_is_plain_training_bit_for_bit(together):
  alone = lane(train(['none'])[0], 0)
  for text in ('none', 'bido:lx=0:ly=0', 'noise', TEXTS[8]):
    chex.assert_trees_all_equal(lane(together[0], TEXTS.index(text)), alone)


def test_noise_that_is_sent_in_training_is_trained_with(together):
  plain, _, _ = together
  noisy = lane(plain, TEXTS.index('cem:weight=0:sigma=2:at=conv_2')).best.params
  bare = lane(plain, 0).best.params
  for name in ('conv_1', 'logits'):  # before the noise, and behind it
    kernel = [jax.tree.leaves(params[name])[-1] for params in (bare, noisy)]
    assert not np.array_equal(*kernel)


def test_a_lane_is_the_same_alone_and_beside_others(together):
  for text in ('bido:lx=0.1', 'tl:frozen=1', 'cem:weight=1:at=conv_2'):
    alone = lane(train([text])[0], 0)
    chex.assert_trees_all_equal(lane(together[0], TEXTS.index(text)), alone)


def test_the_other_strategies_compute_the_same():
  texts = ['none', 'bido', 'tl:frozen=1']
  expected, _ = train(texts)
  found, _ = train(texts, strategy='vmap')
  chex.assert_trees_all_close(
    found.best.params, expected.best.params, rtol=1e-3, atol=1e-4
  )


def test_frozen_stages_stay_and_the_others_move(together):
  found, _, _ = together
  for text, frozen in (('tl:frozen=1', 1), ('tl:frozen=2', 2), ('none', 0)):
    params = lane(found, TEXTS.index(text)).best.params
    key = jax.random.fold_in(jax.random.key(0), 0)
    initial = jax.jit(make().init)(key, jnp.zeros((1, *IMAGE)))['params']
    for name in params:
      is_frozen = name in [f'conv_{i + 1}' for i in range(frozen)]
      same = jax.tree.map(
        lambda a, b: np.allclose(a, b, atol=1e-7), params[name], initial[name]
      )
      assert all(jax.tree.leaves(same)) == is_frozen, (text, name)


def test_trained_parameters_are_counted():
  trained, every = defences.count_trained(make(), IMAGE, 'tl:frozen=2')
  shapes = jax.eval_shape(
    lambda: make().init(jax.random.key(0), jnp.zeros((1, *IMAGE)))
  )
  sizes = {
    name: sum(leaf.size for leaf in jax.tree.leaves(tree))
    for name, tree in shapes['params'].items()
  }
  assert every == sum(sizes.values())
  assert every - trained == sizes['conv_1'] + sizes['conv_2']
  assert defences.count_trained(make(), IMAGE, 'bido') == (every, every)


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


def test_a_defence_of_ones_own_trains_beside_ours(monkeypatch):
  class Quiet(defences.Defence):
    """Punishes large activations."""

    weight: float = 1.0

    traced = ('weight',)

    def penalty(self, step):
      (activation,) = step.activations.values()
      return self.weight * jnp.mean(activation**2)

  module = types.ModuleType('users')
  module.Quiet = dataclasses.dataclass(frozen=True)(Quiet)
  monkeypatch.setitem(sys.modules, 'users', module)
  texts = ['none', 'users:Quiet:at=conv_2', 'users:Quiet:at=conv_2:weight=50']
  assert len(defences.prepare(make(), IMAGE, texts).parts) == 1
  found, history = train(texts)
  _, mild, strong = history['loss'][0]
  assert mild < strong
  chex.assert_trees_all_equal(lane(found, 0), lane(train(['none'])[0], 0))


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
