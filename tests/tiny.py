"""Tiny data and models that several tests share."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import tiny_inversion

from gpz_jax import model_inversion, sweep
from gpz_jax.types import Dataset, Task


def dataset(
  seed: int, count: int, size: int = 16, classes: int = 3, width: int | None = None
) -> Dataset:
  """Images whose class is their colour, with noise: a CNN learns them in few steps."""
  rng = np.random.default_rng(seed)
  label = np.arange(count) % classes
  noise = rng.integers(0, 60, (count, size, width or size, 3))
  colour = 150 * np.eye(3)[label % 3][:, None, None, :]
  return Dataset((noise + colour).astype(np.uint8), label.astype(np.int32))


def task(size: int = 16, train: int = 192, width: int | None = None) -> Task:
  """A task of 3 classes, its subsets drawn apart."""
  return Task(
    name='tiny',
    aux_name='tiny',
    num_classes=3,
    class_names=('a', 'b', 'c'),
    train=dataset(0, train, size, width=width),
    val=dataset(1, 30, size, width=width),
    test=dataset(2, 40, size, width=width),
    aux=dataset(3, 50, size, width=width),
  )


def sweep_config(workdir, **changes) -> sweep.SweepConfig:
  """A sweep of seconds: one split of a narrow CNN, one epoch of everything."""
  smallest = {
    'image_size': 16,
    'model': 'cnn',
    'model_options': ('width=0.0625',),
    'splits': ('conv_2',),
    'alphas': (0.0,),
    'train_limit': 16,
    'val_limit': 8,
    'test_limit': 8,
    'aux_limit': 20,
    'target_epochs': 1,
    'target_batch_size': 8,
    'decoder_epochs': 1,
    'decoder_batch_size': 8,
  }
  return sweep.SweepConfig(workdir=str(workdir), **smallest | changes)


def inversion_config(workdir, **changes) -> model_inversion.ModelInversionConfig:
  """A study of model inversion of seconds: a few people, a step of everything."""
  smallest = tiny_inversion.TINY | {
    'face_embedding': None,
    'attack': tiny_inversion.TINY['attack'][:1],
  }
  return model_inversion.ModelInversionConfig(
    workdir=str(workdir), **smallest | changes
  )


def random_variables(model, images, lanes=()):
  """Variables without the compile time of a random init; lanes lead where given."""
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))
  return jax.tree.map(
    lambda leaf: jnp.asarray(
      rng.normal(0, 0.3, lanes + leaf.shape)
      if len(leaf.shape) > 1
      else rng.uniform(0.1, 0.5, lanes + leaf.shape),
      jnp.float32,
    ),
    shapes,
  )


class Branched(nn.Module):
  """A classifier with two branches: `left` and `right` are no true cuts."""

  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    x = nn.relu(nn.Conv(4, (3, 3), strides=2, name='stem')(x))
    left = nn.Conv(4, (3, 3), name='left')(x)
    right = nn.Conv(4, (3, 3), name='right')(x)
    x = nn.Conv(4, (1, 1), name='sum')(left + right)
    return nn.Dense(self.num_classes, name='logits')(x.reshape(len(x), -1))


class Halving(nn.Module):
  """A classifier with two splits, whose activations differ in shape."""

  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    for name in ('first', 'second'):
      x = nn.relu(nn.Conv(4, (3, 3), strides=2, name=name)(x))
    return nn.Dense(self.num_classes, name='logits')(x.reshape(len(x), -1))


class Stubborn(nn.Module):
  """A module that wants more than images."""

  num_classes: int

  @nn.compact
  def __call__(self, x, mask):
    return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


class Wide(nn.Module):
  """A module with a logit too many."""

  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    return nn.Dense(self.num_classes + 1)(x.reshape(len(x), -1))


class Noisy(nn.Module):
  """A module that draws noise in evaluation too, as a defence may."""

  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    x = x + 0.1 * jax.random.normal(self.make_rng('noise'), x.shape)
    return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


class Keeping(nn.Module):
  """A module with a collection of its own."""

  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    scale = self.variable('constants', 'scale', lambda: jnp.ones(()))
    return nn.Dense(self.num_classes)(scale.value * x.reshape(len(x), -1))


class Counting(nn.Module):
  """A module that counts its calls, in evaluation too."""

  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    calls = self.variable('batch_stats', 'calls', lambda: jnp.zeros(()))
    calls.value += 1
    return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


class Late(nn.Module):
  """A module that makes its batch_stats only in training."""

  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    if train:
      self.variable('batch_stats', 'seen', lambda: jnp.zeros(()))
    return nn.Dense(self.num_classes)(x.reshape(len(x), -1))
