"""Decoders and losses of the user's own: what is taken, and what is refused how."""

import sys
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax import metrics, targets
from gpz_jax.attacks.activation import decoders, losses, own_decoders, specs
from gpz_jax.types import InputError

IMAGE = (8, 8, 3)


class Pixels(nn.Module):
  """A linear decoder with a scale that decides the range of its pixels."""

  shape: tuple[int, ...] = IMAGE
  top: float = 1.0
  extra: bool = False

  @nn.compact
  def __call__(self, activation, *, train=False):
    if self.extra:
      self.variable('memory', 'seen', jnp.zeros, ())
    x = nn.Dense(int(np.prod(self.shape)))(activation.reshape(len(activation), -1))
    return self.top * nn.sigmoid(x).reshape(-1, *self.shape)


@pytest.fixture(autouse=True)
def module(monkeypatch):
  """A module that the user has on the path."""
  found = types.ModuleType('users')
  found.good = lambda activation, image: Pixels(image)
  found.bright = lambda activation, image: Pixels(image, 255.0)
  found.small = lambda activation, image: Pixels((4, 4, 3))
  found.remembers = lambda activation, image: Pixels(image, extra=True)
  found.number = lambda activation, image: 7
  found.nothing = lambda: Pixels()
  found.listed = lambda activation, image: Pixels(list(image))
  found.worst = lambda images, made: jnp.abs(images - made).max(axis=(1, 2, 3))
  found.whole = lambda images, made: jnp.mean((images - made) ** 2)
  found.one = lambda images: images
  monkeypatch.setitem(sys.modules, 'users', found)
  own_decoders.make.cache_clear()


def test_a_text_names_a_decoder_and_a_loss():
  text = 'inversion:decoder=users:good:loss=users:worst:at=conv_1|conv_2'
  attack = specs.parse(text)
  assert (attack.text, attack.at) == (text, ('conv_1', 'conv_2'))
  assert isinstance(attack.make((2, 2, 4), IMAGE), Pixels)
  attack.check_shape((2, 2, 4), IMAGE)
  with pytest.raises(InputError, match="option 'users' is not known as KEY=VALUE"):
    specs.parse('inversion:act=tanh:users')


def test_an_enhancement_may_stand_before_a_decoder_of_ones_own():
  attack = specs.parse('inversion:decoder=users:good:enhance=nn_concat')
  made, _ = attack.make((2, 2, 4), IMAGE).init_with_output(
    jax.random.key(0), jnp.zeros((3, 2, 2, 4)), train=False
  )
  assert made.shape == (3, *IMAGE)


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('users:bright', r'returns pixels from [\d.]+ to [\d.]+; return \[0, 1\]'),
    ('users:small', r'returns \(2, 4, 4, 3\) for two activations; return images'),
    ('users:remembers', "has the collection 'memory'; only params and"),
    ('users:number', 'gives a int; give a flax.linen.Module'),
    ('users:nothing', r'cannot be made as factory\(activation_shape=\(2, 2, 4\)'),
    ('users:listed', r'cannot be called as decoder\(activation, train=False\)'),
    ('users:absent', 'cannot be imported'),
    ('good', "decoder 'good' is not known"),
  ],
)
def test_decoders_that_cannot_be_trained_are_one_line(name, message):
  with pytest.raises(InputError, match=message) as raised:
    decoders.make((2, 2, 4), IMAGE, kind=name)
  assert '\n' not in str(raised.value)


def test_parts_of_our_decoders_are_none_of_ones_own():
  with pytest.raises(InputError, match="neither act 'tanh', attention 'none' nor"):
    decoders.make((2, 2, 4), IMAGE, kind='users:good', act='tanh')
  with pytest.raises(InputError, match='nor width 2; leave them out'):
    decoders.make((2, 2, 4), IMAGE, kind='users:good', width=2)


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('users:whole', r'returns \(\) for two images; return one number for each'),
    ('users:one', 'cannot be called on images and reconstructions'),
    ('users:absent', 'cannot be imported'),
    ('mae', "loss 'mae' is not known; did you mean 'mse'"),
  ],
)
def test_losses_that_are_none_are_one_line(name, message):
  with pytest.raises(InputError, match=message):
    losses.make(name, IMAGE)


def test_losses_by_hand():
  images = jnp.stack([jnp.zeros((12, 12, 3)), jnp.ones((12, 12, 3))])
  made = jnp.full((2, 12, 12, 3), 0.25)
  shape = (12, 12, 3)
  np.testing.assert_allclose(losses.make('l1', shape)(images, made), [0.25, 0.75])
  np.testing.assert_allclose(losses.make('mse', shape)(images, made), [0.0625, 0.5625])
  np.testing.assert_allclose(losses.make('ssim', shape)(images, images), 0, atol=1e-6)
  np.testing.assert_allclose(
    losses.make('ssim', shape)(images, made), 1 - metrics.ssim(images, made)
  )
  assert losses.make('users:worst', shape)(images, made).tolist() == [0.25, 0.75]


def test_decoders_take_what_list_splits_gives():
  split = jax.ShapeDtypeStruct((2, 2, 4), jnp.float32)
  assert decoders.make(split, IMAGE) == decoders.make((2, 2, 4), IMAGE)


def test_capture_takes_every_target():
  class Net(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
      x = nn.relu(nn.Conv(2, (3, 3), name='conv')(x))
      return nn.Dense(3)(x.reshape(len(x), -1))

  model, images = Net(), jnp.ones((4, *IMAGE))
  keys = jax.random.split(jax.random.key(0), 2)
  every = [model.init(key, images) for key in keys]
  found = jax.tree.map(
    lambda *leaves: jnp.concatenate(leaves), *map(targets.from_variables, every)
  )
  logits, sent = targets.capture(model, found, images, ('conv',))
  assert (logits.shape, sent['conv'].shape) == ((2, 4, 3), (2, 4, 8, 8, 2))
  np.testing.assert_allclose(logits[1], model.apply(every[1], images), rtol=1e-5)
