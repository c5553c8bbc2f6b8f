"""RepVGG-A0 and -B0 (Ding et al., 2021): trained in three branches, used in one.

A block in training is the sum of a 3x3 convolution, a 1x1 convolution and the
identity, each behind a batch norm, then ReLU. In evaluation all three are one 3x3
convolution with a bias, which `fuse` computes. The two forms are the same function, so
that they have the same gradient with respect to the image: `compare_gradients` checks.

The factor of a stage's skip connections multiplies the identity branch. Stage 4 is a
single block of stride 2 without one: removing it changes nothing.
Source: docs/paper.md#skip-connections.
"""

import functools
from typing import Any, Literal

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.models import layers, skips
from gpz_jax.models.skips import Factor, Skips
from gpz_jax.types import InputError

STAGES = {'a0': (2, 4, 14, 1), 'b0': (4, 6, 16, 1)}
# Of the stem, which has at most 64 channels, and of each stage.
WIDTHS = {'a0': (48, 48, 96, 192, 1280), 'b0': (64, 64, 128, 256, 1280)}

Variables = dict[str, Any]


class RepVGG(nn.Module):
  """Splits: stem, stage1_0, stage1_1, ... stage4_0.

  Stems: `small` is at stride 1, `imagenet` at stride 2, as published. Weights of one
  fit the other. `fused` is the form for inference, which has no skip connections.
  """

  num_classes: int
  variant: Literal['a0', 'b0'] = 'a0'
  width: float = 1.0
  stem: Literal['small', 'imagenet'] = 'small'
  normalization: str = 'cifar10'
  skips: Skips | None = None
  fused: bool = False

  @property
  def num_stages(self) -> int:
    """The stages whose skip connections have a factor."""
    return len(STAGES[self.variant])

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Logits [B, K] of images [B, H, W, C] in [0, 1].

    Raises:
      InputError: It is fused, and its skip connections are to have factors.
    """
    if self.fused and self.skips is not None:
      raise InputError(
        'a fused RepVGG has no skip connections left; give skips to the net that is'
        ' trained, and fuse that'
      )
    factors = skips.read(self)
    width, *widths = (int(features * self.width) for features in WIDTHS[self.variant])
    make = functools.partial(Block, fused=self.fused)
    x = layers.standardize(x, self.normalization)
    stride = 2 if self.stem == 'imagenet' else 1
    x = make(width, stride, name='stem')(x, train=train)
    for stage, blocks in enumerate(STAGES[self.variant], 1):
      for i in range(blocks):
        stride, name = (1 if i else 2), f'stage{stage}_{i}'
        block = make(widths[stage - 1], stride, has_identity=i > 0, name=name)
        x = block(x, *factors[stage - 1], train=train)
    return layers.Dense(self.num_classes, name='logits')(x.mean(axis=(1, 2)))


class Block(nn.Module):
  """ReLU of three branches, or of the one convolution that they are fused into."""

  features: int
  stride: int = 1
  has_identity: bool = False
  fused: bool = False

  @nn.compact
  def __call__(
    self, x: jax.Array, skip: Factor = 1.0, *, train: bool = False
  ) -> jax.Array:
    """[B, h, w, c] -> [B, ceil(h / stride), ceil(w / stride), features].

    The identity counts `skip` times. A fused block has that in its kernel.
    """

    def convolve(size, use_bias=False):
      conv = layers.Conv(
        self.features,
        (size, size),
        strides=self.stride,
        padding=size // 2,
        use_bias=use_bias,
        name=f'conv_{size}',
      )
      return conv(x)

    if self.fused:
      return nn.relu(convolve(3, use_bias=True))
    norm = functools.partial(layers.BatchNorm, use_running_average=not train)
    y = norm(name='norm_3')(convolve(3)) + norm(name='norm_1')(convolve(1))
    if self.has_identity:
      y = skips.add(y, lambda: norm(name='norm_identity')(x), skip)
    return nn.relu(y)


def fuse(model: RepVGG, variables: Variables) -> tuple[RepVGG, Variables]:
  """The same function in evaluation, with one 3x3 convolution for each block.

  Args:
    model: The net as it was trained.
    variables: Its variables, without an axis of lanes.

  Returns:
    The net in its form for inference, without factors for its skip connections (they
    are in the kernels), and its variables {'params'}.

  Raises:
    InputError: The net is fused already, or the variables are those of several lanes.
  """
  if model.fused:
    raise InputError('this RepVGG is fused already; give the net as it was trained')
  params, stats = variables['params'], variables['batch_stats']
  if (rank := params['stem']['conv_3']['kernel'].ndim) != 4:
    raise InputError(
      f'the kernels of this RepVGG have {rank} axes and not 4; give the variables of'
      ' one lane'
    )
  factors = skips.final_factors(model, variables)
  fused = {'logits': params['logits']}
  for name in params:
    if name == 'stem' or name.startswith('stage'):
      stage = int(name[5:].partition('_')[0]) if name != 'stem' else 0
      (factor,) = factors[stage - 1] if factors and stage else (1.0,)
      fused[name] = {'conv_3': _fuse_block(params[name], stats[name], factor)}
  return model.clone(fused=True, skips=None), {'params': fused}


def _fuse_block(
  params: Variables, stats: Variables, factor: float
) -> dict[str, jax.Array]:
  """Kernel [3, 3, c, features] and bias [features] of a block's three branches."""

  def scale_and_shift(norm):
    scale = params[norm]['scale'] / jnp.sqrt(stats[norm]['var'] + 1e-5)
    return scale, params[norm]['bias'] - stats[norm]['mean'] * scale

  scale, bias = scale_and_shift('norm_3')
  kernel = _times(params['conv_3']['kernel'], scale)
  scale, shift = scale_and_shift('norm_1')
  centre = _times(params['conv_1']['kernel'][0, 0], scale)
  bias += shift
  if 'norm_identity' in params:
    scale, shift = scale_and_shift('norm_identity')
    centre += factor * jnp.diag(scale)
    bias += factor * shift
  return {'kernel': kernel.at[1, 1].add(centre), 'bias': bias}


def _times(kernel: jax.Array, scale: jax.Array) -> jax.Array:
  """Multiplies a kernel [..., features] by a number for each feature."""
  return kernel * scale.reshape((1,) * (kernel.ndim - 1) + (-1,))


def compare_gradients(
  model: RepVGG, variables: Variables, images: jax.Array, labels: jax.Array
) -> jax.Array:
  """How far the gradients of both forms point the same way: a cosine [B], 1 if equal.

  It is NaN where a gradient is zero, as it is for a class that the net is certain of.

  They are those of the cross-entropy with respect to the image, in evaluation, which is
  all that an attack through the model makes use of. Nothing is compiled as a whole,
  which takes longer than one gradient of each form.

  Args:
    model: The net as it was trained.
    variables: Its variables, without an axis of lanes.
    images: [B, H, W, C] float32 in [0, 1].
    labels: [B] int, the class of each image.
  """
  chex.assert_rank(images, 4, custom_message='images must be [B, H, W, C]')
  chex.assert_shape(labels, (len(images),), custom_message='labels must be [B]')

  def gradient(model, variables):
    def loss(images):
      scores = nn.log_softmax(jnp.asarray(model.apply(variables, images)))
      return -jnp.take_along_axis(scores, labels[:, None], axis=1).sum()

    return jax.grad(loss)(images).reshape(len(images), -1)

  before, after = gradient(model, variables), gradient(*fuse(model, variables))
  lengths = jnp.linalg.norm(before, axis=1) * jnp.linalg.norm(after, axis=1)
  return (before * after).sum(axis=1) / lengths
