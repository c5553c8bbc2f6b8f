"""Models of a user's that are told in their own words whether they train."""

import collections
import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

LIGHT = collections.namedtuple('LIGHT', ['features', 'logits'])


class Block(nn.Module):
  """Convolution, norm and dropout."""

  features: int

  @nn.compact
  def __call__(self, x, deterministic=True):
    x = nn.Conv(self.features, (3, 3), strides=2)(x)
    x = nn.BatchNorm(use_running_average=deterministic)(x)
    return nn.Dropout(0.5)(nn.relu(x), deterministic=deterministic)


class Deterministic(nn.Module):
  """A model that knows `deterministic`, as many of flax's do."""

  num_classes: int

  @nn.compact
  def __call__(self, x, deterministic=True):
    for name in ('first', 'second'):
      x = Block(4, name=name)(x, deterministic)
    return nn.Dense(self.num_classes, name='logits')(x.reshape(len(x), -1))


class Plain(nn.Module):
  """A model that has nothing to be told."""

  num_classes: int

  @nn.compact
  def __call__(self, x):
    x = nn.relu(nn.Conv(4, (3, 3), strides=4, name='stem')(x))
    return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


class Training(nn.Module):
  """A model that knows `training`."""

  num_classes: int

  @nn.compact
  def __call__(self, x, training):
    x = Block(4, name='body')(x, not training)
    return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


class IsTraining(nn.Module):
  """A model that knows `is_training`."""

  num_classes: int

  @nn.compact
  def __call__(self, x, *, is_training):
    x = Block(4, name='body')(x, not is_training)
    return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


class Inference(nn.Module):
  """A model whose switch has a name of its own."""

  num_classes: int

  @nn.compact
  def __call__(self, x, inference=False):
    x = nn.relu(nn.Conv(4, (3, 3), strides=4, name='stem')(x))
    x = nn.Dropout(0.5, deterministic=inference)(x)
    return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


class Misspelt(nn.Module):
  """A model whose switch nobody knows, so that its norm and its dropout rest."""

  num_classes: int

  @nn.compact
  def __call__(self, x, trainning=False):
    x = Block(4, name='body')(x, not trainning)
    return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


class Rested(nn.Module):
  """A model whose batch norm is frozen by intent."""

  num_classes: int

  @nn.compact
  def __call__(self, x, train=False):
    x = nn.BatchNorm(use_running_average=True)(nn.Conv(4, (3, 3), strides=4)(x))
    x = nn.Dropout(0.5, deterministic=not train)(x)
    return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


class Asking(nn.Module):
  """A model that asks for a key and makes nothing of it."""

  num_classes: int

  @nn.compact
  def __call__(self, x, temperature=1.0):
    self.make_rng('noise')
    x = nn.relu(nn.Conv(4, (3, 3), strides=4, name='stem')(x))
    return nn.Dense(self.num_classes)(x.reshape(len(x), -1)) / temperature


@dataclasses.dataclass
class Found:
  """An output that JAX knows nothing of."""

  logits: jax.Array
  name: str


class Several(nn.Module):
  """A model with several outputs, of the kind that `form` names."""

  num_classes: int
  form: str

  @nn.compact
  def __call__(self, x, train=False):
    x = nn.relu(nn.Conv(4, (3, 3), strides=4, name='stem')(x))
    logits = nn.Dense(self.num_classes)(x.reshape(len(x), -1))
    forms = {
      'dict': {'features': x, 'logits': logits},
      'tuple': (logits, x),
      'list': [x, logits],
      'named': LIGHT(x, logits),
      'dataclass': Found(logits, 'found'),
      'one': logits,
    }
    return forms[self.form]


class Wrapper(nn.Module):
  """An adapter: images are scaled, one child is the net, its output is taken apart."""

  net: nn.Module

  def __call__(self, x, deterministic=True):
    return self.net(2 * x - 1, deterministic)


def wrapped(num_classes, depth=1):
  """A net within so many wrappers."""
  model = Deterministic(num_classes)
  for _ in range(depth):
    model = Wrapper(model)
  return model


def sequential(num_classes):
  """Layers in a row, of which two must be told whether they train."""
  return nn.Sequential(
    [
      nn.Conv(4, (3, 3), strides=2),
      nn.BatchNorm(),
      nn.relu,
      Block(4),
      nn.Dropout(0.5),
      lambda x: x.reshape(len(x), -1),
      nn.Dense(num_classes),
    ]
  )


class Unit(nnx.Module):
  """A convolution and a norm."""

  def __init__(self, features, *, rngs):
    self.conv = nnx.Conv(4, features, (3, 3), strides=2, rngs=rngs)
    self.norm = nnx.BatchNorm(features, rngs=rngs)

  def __call__(self, x):
    return nnx.relu(self.norm(self.conv(x)))


class Twice(nnx.Module):
  """Two NNX blocks in a list, dropout, and a layer that is called twice."""

  def __init__(self, num_classes, *, rngs):
    self.stem = nnx.Conv(3, 4, (3, 3), rngs=rngs)
    self.units = nnx.List([Unit(4, rngs=rngs), Unit(4, rngs=rngs)])
    self.twice = nnx.Linear(4, 4, rngs=rngs)
    self.dropout = nnx.Dropout(0.5, rngs=rngs)
    self.logits = nnx.Linear(64, num_classes, rngs=rngs)

  def __call__(self, x):
    x = self.stem(x)
    for unit in self.units:
      x = unit(x)
    x = self.dropout(self.twice(self.twice(x)))
    return self.logits(x.reshape(len(x), -1))


class Noisy(nnx.Module):
  """A module that draws in evaluation too, under a switch of its own."""

  def __init__(self, num_classes, rngs):
    self.stem = nnx.Conv(3, 4, (3, 3), strides=4, rngs=rngs)
    self.dropout = nnx.Dropout(0.5, rngs=rngs)
    self.logits = nnx.Linear(64, num_classes, rngs=rngs)

  def __call__(self, x, mode='train'):
    x = self.dropout(self.stem(x), deterministic=mode != 'train')
    return self.logits(x.reshape(len(x), -1))


class Remat(nnx.Module):
  """A module one of whose children is called within a transform."""

  def __init__(self, num_classes, rngs):
    self.stem = nnx.Conv(3, 4, (3, 3), strides=4, rngs=rngs)
    self.unit = Unit(4, rngs=rngs)
    self.logits = nnx.Linear(16, num_classes, rngs=rngs)

  def __call__(self, x):
    x = nnx.remat(lambda unit, x: unit(x))(self.unit, self.stem(x))
    return self.logits(x.reshape(len(x), -1))


class Calls(nnx.Variable):
  """A kind of variable that linen has no name for."""


class Counting(nnx.Module):
  """A module that counts its calls in training."""

  def __init__(self, num_classes, rngs):
    self.stem = nnx.Conv(3, 4, (3, 3), strides=4, rngs=rngs)
    self.calls = Calls(jnp.zeros(()))
    self.logits = nnx.Linear(64, num_classes, rngs=rngs)
    self.deterministic = False

  def __call__(self, x):
    if not self.deterministic:
      self.calls[...] += 1
    return self.logits(self.stem(x).reshape(len(x), -1))


def ready_made(num_classes):
  """An NNX module that has its weights already."""
  return Twice(num_classes, rngs=nnx.Rngs(0))


def without_classes(width=8):
  """A factory that does not ask how many classes there are."""
  return Plain(width)


class Headed(nn.Module):
  """A backbone of several blocks, and a head."""

  num_classes: int

  @nn.compact
  def __call__(self, x, deterministic=True):
    x = Block(4, name='backbone')(x, deterministic)
    return nn.Dense(self.num_classes, name='head')(x.reshape(len(x), -1))


instance = Plain(3)


class Switched(nn.Module):
  """A model with a switch, whose annotation is text as `from __future__` makes it."""

  num_classes: int
  is_deep: 'bool' = True

  @nn.compact
  def __call__(self, x):
    x = nn.relu(nn.Dense(4)(x.reshape(len(x), -1)))
    x = nn.relu(nn.Dense(4)(x)) if self.is_deep else x
    return nn.Dense(self.num_classes)(x)


class Stacked(nnx.Module):
  """NNX layers in a list, the last of which makes the logits."""

  def __init__(self, num_classes, *, rngs):
    first = nnx.Linear(16 * 16 * 3, 4, rngs=rngs)
    self.layers = nnx.List([first, nnx.Linear(4, num_classes, rngs=rngs)])

  def __call__(self, x):
    first, last = self.layers
    return last(nnx.relu(first(x.reshape(len(x), -1))))
