"""Lanes of several defences are one program, and each is what it is alone."""

import dataclasses
import sys
import types

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from defended import IMAGE, lane, make, train

from gpz_jax import defences, targets

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
# `make test-all` compiles them as users do, and then bits are those that users have.
pytestmark = pytest.mark.usefixtures('one_key')


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


@pytest.fixture(scope='module')
def bare():
  """An undefended lane that was trained alone."""
  return lane(train(['none'])[0], 0)


@pytest.mark.ci
def test_all_defences_are_one_program(together):
  found, history, traces = together
  assert traces == [1]
  assert found.is_finite.all()
  losses = dict(zip(TEXTS, history['loss'][0], strict=True))
  assert len({losses[text] for text in TEXTS[:2] + TEXTS[3:5]}) == 4


def test_without_weights_it_is_plain_training_bit_for_bit(together, bare):
  for text in ('none', 'bido:lx=0:ly=0', 'noise', TEXTS[8]):
    chex.assert_trees_all_equal(lane(together[0], TEXTS.index(text)), bare)


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


def test_frozen_stages_stay_and_the_others_move(together):
  found, _, _ = together
  key = jax.random.fold_in(jax.random.key(0), 0)
  initial = jax.jit(make().init)(key, jnp.zeros((1, *IMAGE)))['params']
  for text, frozen in (('tl:frozen=1', 1), ('tl:frozen=2', 2), ('none', 0)):
    params = lane(found, TEXTS.index(text)).best.params
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


def test_a_defence_of_ones_own_trains_beside_ours(bare, monkeypatch):
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
  chex.assert_trees_all_equal(lane(found, 0), bare)
