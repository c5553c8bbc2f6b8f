"""The torch names of further nets of torchvision, a table for each model.

The names are those of torchvision's efficientnet_b0, maxvit_t, vit_b_16 and
inception_v3.
"""

import re
from collections.abc import Callable
from typing import Any

from gpz_jax.interop import layouts
from gpz_jax.interop.entries import (
  Entry,
  Table,
  batch_norm,
  bias,
  convolution,
  layer_norm,
  linear,
)
from gpz_jax.models import efficientnet, inception, maxvit, vit_b

ImageShape = tuple[int, int, int]
POINTWISE = layouts.linear_on_patches(1)  # a 1x1 convolution that is a Dense here


def efficientnet_table(
  model: efficientnet.EfficientNet, image_shape: ImageShape
) -> Table:
  """torchvision's efficientnet_b0; `image_shape` does not matter."""
  del image_shape
  yield from _conv_norm('features.0', 'stem/conv', 'stem/norm')
  channels = efficientnet.scale(efficientnet.STEM, model.width)
  for number, setting in enumerate(efficientnet.SETTINGS, 1):
    for i in range(setting.blocks):
      theirs, ours = f'features.{number}.{i}.block', f'block{number}_{i}'
      at = 0
      if efficientnet.scale(channels, setting.expand) != channels:
        yield from _conv_norm(f'{theirs}.0', f'{ours}/expand', f'{ours}/expand_norm')
        at = 1
      yield _depthwise(f'{theirs}.{at}.0', f'{ours}/depthwise')
      yield from batch_norm(f'{theirs}.{at}.1', f'{ours}/depthwise_norm')
      yield from _squeeze_excite(f'{theirs}.{at + 1}', f'{ours}/excitation')
      names = f'{ours}/project', f'{ours}/project_norm'
      yield from _conv_norm(f'{theirs}.{at + 2}', *names)
      channels = efficientnet.scale(setting.features, model.width)
  last = len(efficientnet.SETTINGS) + 1
  yield from _conv_norm(f'features.{last}', 'head/conv', 'head/norm')
  yield from linear('classifier.1', 'logits')


def maxvit_table(model: maxvit.MaxViT, image_shape: ImageShape) -> Table:
  """torchvision's maxvit_t; `image_shape` does not matter."""
  del model, image_shape
  yield from _conv_norm('stem.0', 'stem/conv_1', 'stem/norm')
  yield from convolution('stem.1.0', 'stem/conv_2')
  yield bias('stem.1.0', 'stem/conv_2')
  for stage, count in enumerate(maxvit.LAYERS):
    for i in range(count):
      theirs, ours = f'blocks.{stage}.layers.{i}.layers', f'block{stage + 1}_{i}'
      yield from _maxvit_block(f'{theirs}.MBconv', f'{ours}/mbconv', i == 0)
      yield from _maxvit_attention(f'{theirs}.window_attention', f'{ours}/window')
      yield from _maxvit_attention(f'{theirs}.grid_attention', f'{ours}/grid')
  yield from layer_norm('classifier.2', 'embedding/norm')
  yield from linear('classifier.3', 'embedding/dense')
  yield Entry('classifier.5.weight', 'params/logits/kernel', layouts.linear)


def _maxvit_block(theirs: str, ours: str, is_first: bool) -> Table:
  if is_first:
    yield from linear(f'{theirs}.proj.1', f'{ours}/shortcut', POINTWISE)
  theirs = f'{theirs}.layers'
  yield from batch_norm(f'{theirs}.pre_norm', f'{ours}/norm')
  expand = f'{theirs}.conv_a.0.weight', f'params/{ours}/expand/kernel'
  yield Entry(*expand, POINTWISE)
  yield from batch_norm(f'{theirs}.conv_a.1', f'{ours}/expand_norm')
  yield _depthwise(f'{theirs}.conv_b.0', f'{ours}/depthwise')
  yield from batch_norm(f'{theirs}.conv_b.1', f'{ours}/depthwise_norm')
  yield from _squeeze_excite(f'{theirs}.squeeze_excitation', f'{ours}/excitation')
  yield from linear(f'{theirs}.conv_c', f'{ours}/project', POINTWISE)


def _maxvit_attention(theirs: str, ours: str) -> Table:
  attention = f'{theirs}.attn_layer.1'
  yield from layer_norm(f'{theirs}.attn_layer.0', f'{ours}/norm_1')
  yield from linear(
    f'{attention}.to_qkv', f'{ours}/attention/qkv', layouts.linear_to_heads
  )
  yield from linear(
    f'{attention}.merge', f'{ours}/attention/out', layouts.linear_from_heads
  )
  offsets = f'params/{ours}/attention/offsets'
  yield Entry(f'{attention}.relative_position_bias_table', offsets, layouts.same)
  yield from layer_norm(f'{theirs}.mlp_layer.0', f'{ours}/norm_2')
  yield from linear(f'{theirs}.mlp_layer.1', f'{ours}/mlp_1')
  yield from linear(f'{theirs}.mlp_layer.3', f'{ours}/mlp_2')


def vit_b_table(model: vit_b.VisionTransformer, image_shape: ImageShape) -> Table:
  """torchvision's vit_b_16; `image_shape` does not matter."""
  del image_shape
  patches = layouts.linear_on_patches(model.patch)
  yield from linear('conv_proj', 'tokens/patches', patches)
  yield Entry('class_token', 'params/tokens/cls', layouts.same)
  yield Entry('encoder.pos_embedding', 'params/tokens/positions', layouts.same)
  for i in range(model.depth):
    theirs, ours = f'encoder.layers.encoder_layer_{i}', f'block_{i + 1}'
    qkv, in_proj = f'params/{ours}/attention/qkv', f'{theirs}.self_attention.in_proj'
    yield from layer_norm(f'{theirs}.ln_1', f'{ours}/norm_1')
    yield Entry(f'{in_proj}_weight', f'{qkv}/kernel', layouts.linear_to_heads)
    yield Entry(f'{in_proj}_bias', f'{qkv}/bias', layouts.vector)
    out = f'{theirs}.self_attention.out_proj', f'{ours}/attention/out'
    yield from linear(*out, layouts.linear_from_heads)
    yield from layer_norm(f'{theirs}.ln_2', f'{ours}/norm_2')
    yield from linear(f'{theirs}.mlp.0', f'{ours}/mlp_1')
    yield from linear(f'{theirs}.mlp.3', f'{ours}/mlp_2')
  yield from layer_norm('encoder.ln', 'cls')
  yield from linear('heads.head', 'logits')


def inception_table(model: inception.Inception, image_shape: ImageShape) -> Table:
  """torchvision's inception_v3; `image_shape` does not matter."""
  del image_shape
  for name in ('1a_3x3', '2a_3x3', '2b_3x3', '3b_1x1', '4a_3x3'):
    yield from _inception_conv(f'Conv2d_{name}', f'conv_{name[:2]}')
  for name, block in inception.BLOCKS.items():
    for step in block.steps():
      theirs, ours = f'Mixed_{name}.{step.name}', f'mixed_{name}/{step.name}'
      yield from _inception_conv(theirs, ours)
  if model.aux_logits:
    for i in (0, 1):
      yield from _inception_conv(f'AuxLogits.conv{i}', f'aux/conv_{i}')
    yield from linear('AuxLogits.fc', 'aux/logits')
  yield from linear('fc', 'logits')


TABLES: dict[type, Callable[[Any, ImageShape], Table]] = {
  efficientnet.EfficientNet: efficientnet_table,
  maxvit.MaxViT: maxvit_table,
  vit_b.VisionTransformer: vit_b_table,
  inception.Inception: inception_table,
}
# What torchvision saves although our net computes it, or may do without it
_UNUSED = {
  maxvit.MaxViT: re.compile(r'.*\.relative_position_index'),
  inception.Inception: re.compile(r'AuxLogits\..*'),
}
# A name that no other net of torchvision has
_MARKS = {
  'efficientnet_b0': 'features.7.0.block.3.0.weight',
  'maxvit_t': 'blocks.0.layers.0.layers.MBconv.layers.conv_a.0.weight',
  'vit_b_16': 'encoder.layers.encoder_layer_11.ln_1.weight',
  'inception_v3': 'Mixed_7c.branch3x3dbl_3b.conv.weight',
}


def is_unused(model: Any, name: str) -> bool:
  """Whether a net of torchvision has an array that our net has no use for."""
  pattern = _UNUSED.get(type(model))
  return pattern is not None and pattern.fullmatch(name) is not None


def name_normalization(model: Any) -> str | None:
  """The normalisation of images that torchvision's weights of a net expect.

  Those of Inception-v3 expect `half`, which its `transform_input` makes of `imagenet`.

  Args:
    model: A built-in model; None is returned where this module has no table of it.
  """
  if isinstance(model, inception.Inception):
    return 'imagenet' if model.transform_input else 'half'
  return 'imagenet' if type(model) in TABLES else None


def name_model(state_dict: Any) -> str | None:
  """The model of this module whose names an array has; None where none has them."""
  return next((name for name, mark in _MARKS.items() if mark in state_dict), None)


def _conv_norm(theirs: str, conv: str, norm: str) -> Table:
  yield from convolution(f'{theirs}.0', conv)
  yield from batch_norm(f'{theirs}.1', norm)


def _inception_conv(theirs: str, ours: str) -> Table:
  yield from convolution(f'{theirs}.conv', f'{ours}/conv')
  yield from batch_norm(f'{theirs}.bn', f'{ours}/norm')


def _depthwise(theirs: str, ours: str) -> Entry:
  return Entry(f'{theirs}.weight', f'params/{ours}/kernel', layouts.depthwise)


def _squeeze_excite(theirs: str, ours: str) -> Table:
  yield from linear(f'{theirs}.fc1', f'{ours}/squeeze', POINTWISE)
  yield from linear(f'{theirs}.fc2', f'{ours}/excite', POINTWISE)
