"""Inception-ResNet-v1, the face embedding of FaceNet, with facenet-pytorch's layout.

It is no target: it has features of faces and no classes of the data.

Source: docs/paper.md#the-face-embedding.
"""

import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.models import layers, pooling
from gpz_jax.models.inception import BatchNorm, Step, apply_step

SIDE = 160  # of the images that published weights were trained on
FEATURES = 512
_LEAST = 1e-12  # of a norm that is divided by


class Stage(NamedTuple):
  """Blocks of one kind.

  Attributes:
    name: Name of the stage in the published layout.
    branches: Convolutions in a row, for each branch.
    count: How many blocks there are; 0 is one alone, whose name has no number.
    scale: What is multiplied with the joined branches before they are added to the
      input; None is a block without a sum, which a pool is joined to instead.
  """

  name: str
  branches: tuple[tuple[Step, ...], ...]
  count: int = 0
  scale: float | None = None


def _row(index: int, *convolutions: tuple) -> tuple[Step, ...]:
  """The steps of a branch; one that is alone has no number in the published layout."""
  if len(convolutions) == 1:
    return (Step(f'branch{index}', *convolutions[0]),)
  return tuple(Step(f'branch{index}_{i}', *each) for i, each in enumerate(convolutions))


_EIGHT = (_row(0, (192, 1)), _row(1, (192, 1), (192, (1, 3)), (192, (3, 1))))
STEM = (
  Step('conv2d_1a', 32, 3, 2),
  Step('conv2d_2a', 32, 3),
  Step('conv2d_2b', 64, 3),
  Step('conv2d_3b', 80, 1),
  Step('conv2d_4a', 192, 3),
  Step('conv2d_4b', 256, 3, 2),
)
_POOLED = 'conv2d_2b'  # it alone is padded, and a pool follows it
STAGES = (
  Stage(
    'repeat_1',
    (
      _row(0, (32, 1)),
      _row(1, (32, 1), (32, 3)),
      _row(2, (32, 1), (32, 3), (32, 3)),
    ),
    5,
    0.17,
  ),
  Stage('mixed_6a', (_row(0, (384, 3, 2)), _row(1, (192, 1), (192, 3), (256, 3, 2)))),
  Stage(
    'repeat_2',
    (_row(0, (128, 1)), _row(1, (128, 1), (128, (1, 7)), (128, (7, 1)))),
    10,
    0.1,
  ),
  Stage(
    'mixed_7a',
    (
      _row(0, (256, 1), (384, 3, 2)),
      _row(1, (256, 1), (256, 3, 2)),
      _row(2, (256, 1), (256, 3), (256, 3, 2)),
    ),
  ),
  Stage('repeat_3', _EIGHT, 5, 0.2),
  Stage('block8', _EIGHT, 0, 1.0),
)
LINEAR_END = 'block8'  # the block without a ReLU


class InceptionResnetV1(nn.Module):
  """Makes an embedding of length 1 of a face.

  Attributes:
    width: Multiplies all numbers of channels; published weights have 1.
    most_blocks: How many blocks a stage has at most, for tests; published weights have
      all.
  """

  width: float = 1.0
  most_blocks: int = 10

  def list_blocks(self) -> list[tuple[str, Stage]]:
    """The blocks behind the stem in forward order, by name."""
    found = []
    for stage in STAGES:
      count = min(stage.count, self.most_blocks)
      names = [f'{stage.name}_{i}' for i in range(count)] or [stage.name]
      found += [(name, stage) for name in names]
    return found

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Embeddings [B, 512] of images [B, H, W, 3] in [0, 1]."""
    x = (255 * x - 127.5) / 128  # facenet-pytorch's fixed standardisation
    run = functools.partial(apply_step, width=self.width, train=train)
    for step in STEM:
      is_pooled = step.name == _POOLED
      x = run(x, step, padding=None if is_pooled else 0)
      x = pooling.max_pool(x) if is_pooled else x
    for name, stage in self.list_blocks():
      block = Block(stage, self.width, name != LINEAR_END, name=name)
      x = block(x, train=train)
    features = max(1, int(FEATURES * self.width))
    x = nn.Dense(features, use_bias=False, name='last_linear')(x.mean(axis=(1, 2)))
    x = BatchNorm(use_running_average=not train, name='last_bn')(x)
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), _LEAST)


class Block(nn.Module):
  """Branches side by side, added to their input or joined by a pool of it."""

  stage: Stage
  width: float
  relu: bool

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, h', w', C]."""
    found = []
    for branch in self.stage.branches:
      y = x
      for step in branch:
        y = apply_step(y, step, width=self.width, train=train)
      found.append(y)
    if self.stage.scale is None:
      return jnp.concatenate([*found, pooling.max_pool(x)], axis=-1)
    joined = jnp.concatenate(found, axis=-1)
    y = layers.Conv(x.shape[-1], (1, 1), padding=(0, 0), name='conv2d')(joined)
    x = self.stage.scale * y + x
    return nn.relu(x) if self.relu else x
