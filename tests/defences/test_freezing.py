"""What is frozen, wherever a model keeps the parameters of its first stages."""

import dataclasses
import sys
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from defended import IMAGE
from flax import traverse_util

from gpz_jax import defences, models
from gpz_jax.models import calls
from gpz_jax.types import InputError


class Positions(nn.Module):
  """A model that owns a parameter before its first block, and one behind both."""

  num_classes: int = 3

  @nn.compact
  def __call__(self, x, *, train=False):
    x = x + self.param('positions', nn.initializers.normal(0.02), (1, *IMAGE))
    for name in ('block_1', 'block_2'):
      x = nn.relu(nn.Conv(4, (3, 3), strides=2, name=name)(x))
    x = x * self.param('scale', nn.initializers.ones, (1, 1, 1, 4))
    return nn.Dense(self.num_classes, name='logits')(x.reshape(len(x), -1))


@dataclasses.dataclass(frozen=True)
class First(defences.Defence):
  """Freezes what it names."""

  first: str = ''

  def list_frozen(self, model, image_shape):
    return (tuple(self.first.split('|')),)

  def count_frozen(self):
    return 1


@pytest.fixture(autouse=True)
def users(monkeypatch):
  module = types.ModuleType('users')
  module.First = First
  monkeypatch.setitem(sys.modules, 'users', module)


def list_moved(model, text):
  """The parameters that a step moves, and how many numbers they hold."""
  shapes = jax.eval_shape(
    lambda: calls.init(model, jax.random.key(0), jnp.zeros((1, *IMAGE)))
  )
  updates = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), shapes['params'])
  training = defences.prepare(model, IMAGE, [text])
  lane = jax.tree.map(lambda leaf: leaf[0], training.lane_arrays([text]))
  flat = traverse_util.flatten_dict(training.freeze(lane, updates), sep='/')
  return {name: leaf.size for name, leaf in flat.items() if leaf.any()}


def list_parts(moved, depth=1):
  return {'/'.join(name.split('/')[:depth]) for name in moved}


def test_modules_of_nnx_in_a_list_are_frozen():
  model = models.make('own_calls:Twice', num_classes=3)
  moved = list_moved(model, 'tl:frozen=2')
  assert list_parts(moved) == {'units', 'twice', 'logits'}
  assert list_parts([n for n in moved if n.startswith('units')], 2) == {'units/1'}
  trained, every = defences.count_trained(model, IMAGE, 'tl:frozen=2')
  # by hand: the stem 3 x 3 x 3 x 4 + 4, a unit 3 x 3 x 4 x 4 + 4, its norm 4 + 4
  assert every - trained == 112 + 148 + 8
  assert trained == sum(moved.values())


def test_parameters_that_a_model_owns_itself_are_frozen_with_the_stage_behind_them():
  assert list_parts(list_moved(Positions(), 'tl:frozen=1')) == {
    'block_2',
    'scale',
    'logits',
  }
  assert list_parts(list_moved(Positions(), 'tl:frozen=2')) == {'scale', 'logits'}


@pytest.mark.parametrize('first', ['stem|units_0', 'stem|units/0', 'stem|dropout'])
def test_a_defence_of_ones_own_names_modules_as_splits_do(first):
  model = models.make('own_calls:Twice', num_classes=3)
  moved = list_parts(list_moved(model, f'users:First:first={first}'), 2)
  is_whole = 'dropout' in first
  assert {name for name in moved if name.startswith('units')} == (
    {'units/0', 'units/1'} if is_whole else {'units/1'}
  )
  assert not any(name.startswith('stem') for name in moved)


@pytest.mark.parametrize(
  ('first', 'message'),
  [
    ('unit_0', "freezes 'unit_0', which is no module and .*; did you mean 'units_0'"),
    ('dropout', 'freezes no parameter: the first 1 of its 1 groups have none'),
  ],
)
def test_what_would_freeze_nothing_is_refused(first, message):
  model = models.make('own_calls:Twice', num_classes=3)
  with pytest.raises(InputError, match=message) as caught:
    defences.prepare(model, IMAGE, [f'users:First:first={first}'])
  assert '\n' not in str(caught.value)
