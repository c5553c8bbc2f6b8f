"""Which array of a torch state dict is which of ours, a table for each model.

A table lists (torch name, our path, layout). The torch names are those of

  VGG: torchvision's vgg11_bn .. vgg19_bn and, where norm='none', vgg11 .. vgg19. The
    paper's released code has the same names and a smaller first fully connected layer:
    head='compact'.
  ResNet: torchvision's resnet18 .. resnet152; `stem` says which `conv1`.
  DenseNet: torchvision's densenet121 .. densenet201; `stem` says which `conv0`. Its
    `bottleneck` is `features.bottleneck`, which torchvision does not have.
  RepVGG: its released code's, such as `stage1.0.rbr_dense.conv`. Where fused=True they
    are those of its form for inference, such as `stage1.0.rbr_reparam`.
  IR: the paper's released code: face.evoLVe's backbone (`input_layer.0.weight`,
    `body.7.res_layer.1.weight`, ...), `output_layer.0`, `.3` and `.4`, and `fc_layer`.
  ViT: `patch_embed.proj`, `cls_token`, `pos_embed`, `blocks.0.norm1`,
    `blocks.0.attn.in_proj_weight` (nn.MultiheadAttention), `blocks.0.mlp.fc1`, ...,
    `norm`, `head`, as in the released code.
  `names_torchvision` has further nets of torchvision.
"""

from collections.abc import Callable
from typing import Any

from gpz_jax.interop import layouts, names_torchvision
from gpz_jax.interop.entries import Entry, Table
from gpz_jax.interop.entries import batch_norm as _batch_norm
from gpz_jax.interop.entries import bias as _bias
from gpz_jax.interop.entries import convolution as _convolution
from gpz_jax.interop.entries import layer_norm as _layer_norm
from gpz_jax.interop.entries import linear as _linear
from gpz_jax.interop.entries import slope as _slope
from gpz_jax.models import densenet, ir, repvgg, resnet, vgg, vit
from gpz_jax.types import InputError


def vgg_table(model: vgg.VGG, image_shape: tuple[int, int, int]) -> Table:
  """torchvision's vgg*_bn or vgg*, with either head."""
  index, length = 0, vgg.block_length(model.norm)
  for blocks in vgg.STAGES[model.depth]:
    for _ in range(blocks):
      block = f'feat_{index + length}'
      yield from _convolution(f'features.{index}', f'{block}/Conv_0')
      yield _bias(f'features.{index}', f'{block}/Conv_0')
      if model.norm == 'batch':
        yield from _batch_norm(f'features.{index + 1}', f'{block}/BatchNorm_0')
      index += length
    index += 1  # the pool
  height, width, _ = image_shape
  size = (7, 7) if model.head == 'torchvision' else (height // 32, width // 32)
  yield from _linear('classifier.0', 'fc_1/Dense_0', layouts.linear_on_map(*size))
  yield from _linear('classifier.3', 'fc_2/Dense_0')
  yield from _linear('classifier.6', 'logits')


def resnet_table(model: resnet.ResNet, image_shape: tuple[int, int, int]) -> Table:
  """torchvision's resnet18 .. resnet152; `image_shape` does not matter."""
  del image_shape
  yield from _convolution('conv1', 'stem/conv')
  yield from _batch_norm('bn1', 'stem/norm')
  for stage, blocks in enumerate(resnet.STAGES[model.depth], 1):
    for i in range(blocks):
      theirs, ours = f'layer{stage}.{i}', f'layer{stage}_{i}'
      for k in range(1, len(resnet.KERNELS[model.depth]) + 1):
        yield from _convolution(f'{theirs}.conv{k}', f'{ours}/conv_{k}')
        yield from _batch_norm(f'{theirs}.bn{k}', f'{ours}/norm_{k}')
      if i == 0 and (stage > 1 or len(resnet.KERNELS[model.depth]) == 3):
        yield from _convolution(f'{theirs}.downsample.0', f'{ours}/shortcut_conv')
        yield from _batch_norm(f'{theirs}.downsample.1', f'{ours}/shortcut_norm')
  yield from _linear('fc', 'logits')


def densenet_table(
  model: densenet.DenseNet, image_shape: tuple[int, int, int]
) -> Table:
  """torchvision's densenet121 .. densenet201; `image_shape` does not matter."""
  del image_shape
  yield from _convolution('features.conv0', 'stem/conv')
  yield from _batch_norm('features.norm0', 'stem/norm')
  for stage, count in enumerate(densenet.BLOCKS[model.depth], 1):
    for i in range(1, count + 1):
      theirs, ours = f'features.denseblock{stage}.denselayer{i}', f'layer_{i}'
      for k in (1, 2):
        layer = f'block_{stage}/{ours}'
        yield from _batch_norm(f'{theirs}.norm{k}', f'{layer}/norm_{k}')
        yield from _convolution(f'{theirs}.conv{k}', f'{layer}/conv_{k}')
    if stage < len(densenet.BLOCKS[model.depth]):
      theirs, ours = f'features.transition{stage}', f'transition_{stage}'
      yield from _batch_norm(f'{theirs}.norm', f'{ours}/norm')
      yield from _convolution(f'{theirs}.conv', f'{ours}/conv')
  if model.bottleneck:
    yield from _convolution('features.bottleneck', 'bottleneck')
  yield from _batch_norm('features.norm5', 'head/norm')
  yield from _linear('classifier', 'logits')


def repvgg_table(model: repvgg.RepVGG, image_shape: tuple[int, int, int]) -> Table:
  """The released RepVGG, as it is trained or fused; `image_shape` does not matter."""
  del image_shape
  counts = repvgg.STAGES[model.variant]
  blocks = [(s, i) for s, count in enumerate(counts, 1) for i in range(count)]
  names = [('stage0', 'stem')] + [(f'stage{s}.{i}', f'stage{s}_{i}') for s, i in blocks]
  for theirs, ours in names:
    if model.fused:
      yield from _convolution(f'{theirs}.rbr_reparam', f'{ours}/conv_3')
      yield _bias(f'{theirs}.rbr_reparam', f'{ours}/conv_3')
      continue
    for branch, k in (('rbr_dense', 3), ('rbr_1x1', 1)):
      yield from _convolution(f'{theirs}.{branch}.conv', f'{ours}/conv_{k}')
      yield from _batch_norm(f'{theirs}.{branch}.bn', f'{ours}/norm_{k}')
    if '.' in theirs and not theirs.endswith('.0'):
      yield from _batch_norm(f'{theirs}.rbr_identity', f'{ours}/norm_identity')
  yield from _linear('linear', 'logits')


def ir_table(model: ir.IR, image_shape: tuple[int, int, int]) -> Table:
  """face.evoLVe's backbone with the released code's head."""
  yield from _convolution('input_layer.0', 'input_layer/conv')
  yield from _batch_norm('input_layer.1', 'input_layer/norm')
  yield _slope('input_layer.2', 'input_layer/prelu')
  index = 0
  for stage, units in enumerate(ir.STAGES[model.depth]):
    for i in range(units):
      theirs, ours = f'body.{index}', f'unit_{index + 2}'
      yield from _batch_norm(f'{theirs}.res_layer.0', f'{ours}/norm_1')
      yield from _convolution(f'{theirs}.res_layer.1', f'{ours}/conv_1')
      yield _slope(f'{theirs}.res_layer.2', f'{ours}/prelu')
      yield from _convolution(f'{theirs}.res_layer.3', f'{ours}/conv_2')
      yield from _batch_norm(f'{theirs}.res_layer.4', f'{ours}/norm_2')
      if i == 0 and stage > 0:
        yield from _convolution(f'{theirs}.shortcut_layer.0', f'{ours}/shortcut_conv')
        yield from _batch_norm(f'{theirs}.shortcut_layer.1', f'{ours}/shortcut_norm')
      index += 1
  size = [-(-length // 16) for length in image_shape[:2]]
  yield from _batch_norm('output_layer.0', 'embedding/norm_1')
  yield from _linear('output_layer.3', 'embedding/dense', layouts.linear_on_map(*size))
  yield from _batch_norm('output_layer.4', 'embedding/norm_2')
  yield from _linear('fc_layer', 'logits')


def vit_table(model: vit.ViT, image_shape: tuple[int, int, int]) -> Table:
  """The released code's transformer, whose heads add up to its features."""
  del image_shape
  if model.heads * model.head_dim != int(128 * model.width):
    raise InputError(
      f'{model.heads} heads of {model.head_dim} do not add up to'
      f" {int(128 * model.width)} features, so torch's MultiheadAttention has no such"
      ' weights; import into heads=8, head_dim=16'
    )
  patches = layouts.linear_on_patches(model.patch)
  yield from _linear('patch_embed.proj', 'tokens/patches', patches)
  yield Entry('cls_token', 'params/tokens/cls', layouts.same)
  yield Entry('pos_embed', 'params/tokens/positions', layouts.same)
  for i in range(model.depth):
    theirs, ours = f'blocks.{i}', f'block_{i + 1}'
    qkv, in_proj = f'params/{ours}/attention/qkv', f'{theirs}.attn.in_proj'
    yield from _layer_norm(f'{theirs}.norm1', f'{ours}/norm_1')
    yield Entry(f'{in_proj}_weight', f'{qkv}/kernel', layouts.linear_to_heads)
    yield Entry(f'{in_proj}_bias', f'{qkv}/bias', layouts.vector)
    yield from _linear(
      f'{theirs}.attn.out_proj', f'{ours}/attention/out', layouts.linear_from_heads
    )
    yield from _layer_norm(f'{theirs}.norm2', f'{ours}/norm_2')
    yield from _linear(f'{theirs}.mlp.fc1', f'{ours}/mlp_1')
    yield from _linear(f'{theirs}.mlp.fc2', f'{ours}/mlp_2')
  yield from _layer_norm('norm', 'cls')
  yield from _linear('head', 'logits')


TABLES: dict[type, Callable[[Any, tuple[int, int, int]], Table]] = {
  vgg.VGG: vgg_table,
  resnet.ResNet: resnet_table,
  densenet.DenseNet: densenet_table,
  repvgg.RepVGG: repvgg_table,
  ir.IR: ir_table,
  vit.ViT: vit_table,
  **names_torchvision.TABLES,
}
