"""A classifier of the kinds that a user may write, one kind for each word."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class Block(nn.Module):
  """A linear layer over the channels."""

  @nn.compact
  def __call__(self, x):
    return nn.relu(nn.Dense(4)(x))


class Step(nn.Module):
  """What `nn.scan` repeats."""

  @nn.compact
  def __call__(self, x, _):
    return Block(name='block')(x), None


class Scanned(nn.Module):
  """Three blocks of one scan, whose output this module gives."""

  @nn.compact
  def __call__(self, x):
    steps = nn.scan(
      Step, variable_axes={'params': 0}, split_rngs={'params': True}, length=3
    )
    return steps(name='steps')(x, None)[0]


class Own(nn.Module):
  """A stem, a body and logits; `kinds` are words with a + between them."""

  num_classes: int
  kinds: str

  def _draw(self, x, train):
    x = x + 0.5 * jax.random.normal(self.make_rng('noise'), x.shape)
    if train:
      x = x * jax.random.bernoulli(self.make_rng('mask'), 0.9, x.shape)
    return x

  def _turn(self, x):
    def draw():
      return jax.random.permutation(self.make_rng('params'), x.shape[-1])

    return x[..., self.variable('constants', 'order', draw).value]

  @nn.compact
  def __call__(self, x, *, train=False):
    kinds = self.kinds.split('+')
    init = nn.initializers.lecun_normal()
    if 'boxed' in kinds:
      init = nn.with_partitioning(init, (None, None, None, 'model'))
    if 'logical' in kinds:
      init = nn.with_logical_partitioning(init, (None, None, None, 'model'))
    x = nn.Conv(4, (3, 3), strides=4, kernel_init=init, name='stem')(x)
    x = self._draw(x, train) if 'noise' in kinds else x
    x = self._turn(x) if 'constants' in kinds else x
    if 'vmap' in kinds:
      over = nn.vmap(
        Block, variable_axes={'params': None}, split_rngs={'params': False}
      )
      x = over(name='rows')(x)
    if 'shared' in kinds:
      block = Block(name='twice')
      x = block(block(x))
    transform = {'remat': nn.remat, 'jit': nn.jit}
    for word in transform.keys() & kinds:
      x = transform[word](Block)(name=word)(x)
    x = Scanned(name='scan')(x) if 'scan' in kinds else x
    x = Block(name='body')(x)
    return nn.Dense(self.num_classes, name='logits')(x.reshape(len(x), -1))


class Moving(nn.Module):
  """A module whose own collection changes in training."""

  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    calls = self.variable('memory', 'calls', lambda: jnp.zeros(()))
    if train:
      calls.value += 1
    return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


class LateMemory(nn.Module):
  """A module that makes a collection of its own only in training."""

  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    if train:
      self.variable('memory', 'seen', lambda: jnp.zeros(()))
    return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


class Growing(nn.Module):
  """A module whose batch_stats have another shape after a training step."""

  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    seen = self.variable('batch_stats', 'seen', lambda: jnp.zeros(1))
    if train:
      seen.value = jnp.zeros(2)
    return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


class Secret(nn.Module):
  """A module that keeps a random key."""

  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    self.variable('constants', 'key', lambda: jax.random.key(0))
    return nn.Dense(self.num_classes)(x.reshape(len(x), -1))
