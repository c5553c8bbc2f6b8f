"""Initial weights and biases, layer by layer, against what torch draws.

The fan-ins are counted by hand from the layers of docs/paper.md#initial-values. torch
draws weights and biases between -1/sqrt(fan_in) and 1/sqrt(fan_in).
"""

import math

import numpy as np
import pytest
from initial_values import ATTENTION, check, check_all, he, start, within, xavier

from gpz_jax import models
from gpz_jax.attacks.activation import decoders
from gpz_jax.models import depthwise, ir, layers, resnet, vit

TARGETS = {
  'cnn': {
    **{f'conv_{i + 1}/Conv_0': 9 * c for i, c in enumerate((3, 4, 8, 16))},
    'fc_1/Dense_0': 2 * 2 * 32,
    'logits': 5 * 3,
  },
  'vgg11': {
    **{
      f'feat_{k}/Conv_0': 9 * c
      for k, c in zip(
        (3, 7, 11, 14, 18, 21, 25, 28), (3, 4, 8, 16, 16, 32, 32, 32), strict=True
      )
    },
    'fc_1/Dense_0': 32,
    'fc_2/Dense_0': 256,
    'logits': 256,
  },
  'ir50': {
    'input_layer/conv': xavier(9 * (3 + 4)),
    'unit_2/conv_1': xavier(9 * (4 + 4)),
    'unit_2/conv_2': xavier(9 * (4 + 4)),
    'unit_3/conv_1': xavier(9 * (4 + 8)),
    'unit_3/conv_2': xavier(9 * (8 + 8)),
    'unit_3/shortcut_conv': xavier(4 + 8),
    'embedding/dense': 8 * 8 * 8,
    'logits': 32,
  },
  'resnet18': {
    'stem/conv': he(9 * 4),
    'layer1_0/conv_1': he(9 * 4),
    'layer1_0/conv_2': he(9 * 4),
    'layer2_0/conv_1': he(9 * 8),
    'layer2_0/conv_2': he(9 * 8),
    'layer2_0/shortcut_conv': he(8),
    'logits': 8,
  },
}


@pytest.mark.parametrize('name', TARGETS)
def test_targets(name, monkeypatch):
  monkeypatch.setitem(ir.STAGES, 50, (1, 1, 0, 0))
  monkeypatch.setitem(resnet.STAGES, 18, (1, 1))
  model = models.make(name, num_classes=3, width=1 / 16)
  check_all(start(model, (32, 32, 3)), TARGETS[name])


def test_vgg_without_batch_norm():
  model = models.make('vgg11', num_classes=3, width=1 / 16, norm='none')
  features = {2: 4, 5: 8, 8: 16, 10: 16, 13: 32, 15: 32, 18: 32, 20: 32}
  params = start(model, (32, 32, 3))
  for k in features:
    del params[f'feat_{k}/Conv_0/bias']  # it starts by torch's default
  # torchvision's VGG: kaiming_normal_(mode='fan_out')
  kernels = {f'feat_{k}/Conv_0': he(9 * count) for k, count in features.items()}
  head = ('fc_1/Dense_0', 'fc_2/Dense_0', 'logits')
  check_all(params, kernels | {name: TARGETS['vgg11'][name] for name in head})


def test_vit():
  params = start(vit.ViT(num_classes=3, depth=1, width=0.25, heads=2), (32, 32, 3))
  np.testing.assert_array_equal(params.pop('tokens/cls'), 0)
  check(params.pop('tokens/positions'), 0.02, math.inf)
  blocks = {'attention/' + part: expected for part, expected in ATTENTION.items()}
  layer_norm = {
    'cls/scale': params.pop('cls/scale'),
    'cls/bias': params.pop('cls/bias'),
  }
  assert (layer_norm['cls/scale'] == 1).all()
  assert (layer_norm['cls/bias'] == 0).all()
  expected = {
    'tokens/patches': 4 * 4 * 3,
    **within('block_1', blocks | {'mlp_1': 32, 'mlp_2': 128}),
    'logits': 32,
  }
  check_all(params, expected)


LSK = {'near': 25, 'far': 49, 'pointwise_near': 32, 'pointwise_far': 32}
STRIPS = {f'{way}_{size}': size for way in ('row', 'column') for size in (7, 11, 21)}
BLOCKS = {
  'mha': ATTENTION | {'mlp_1': 32, 'mlp_2': 32},
  'aac': {'gate': 25, 'pointwise': 32},
  'se': {'squeeze': 32, 'excite': 2},
  'lsk': {'depthwise': 49, 'pointwise': 32},
  'msca': {'depthwise_3': 9, 'depthwise_5': 25, 'depthwise_7': 49, 'pointwise': 96},
  'lsk_published': LSK | {'select': 7 * 7 * 2, 'pointwise': 16},
  'msca_published': {'base': 25, 'pointwise': 32} | STRIPS,
  'lka': {'near': 25, 'far': 49, 'pointwise': 32},
}
UP = {'up_0/conv': 16 * 32, 'out': 9 * 3}  # counted over the output channels
SMALL = ((4, 4, 64), (8, 8, 3))


@pytest.mark.parametrize(
  ('shapes', 'options', 'expected'),
  [
    (((4, 4, 128), (16, 16, 3)), {}, UP | {'up_0/conv': 16 * 64, 'up_1/conv': 16 * 32}),
    (((8, 8, 64), (8, 8, 3)), {}, {'conv_0': 9 * 64, 'out': 9 * 3}),
    (
      ((4, 4, 64), (16, 16, 3)),
      {'kind': 'inversion4'},
      UP | {'out': 16 * 3},
    ),
    (
      SMALL,
      {'kind': 'reversed_ir'},
      within('unit_0', {'conv_1': 9 * 32, 'conv_2': 16 * 32, 'shortcut_conv': 16 * 32})
      | within('unit_1', {'conv_1': 9 * 3, 'conv_2': 9 * 3, 'shortcut_conv': 3})
      | {'out': 9 * 3},
    ),
    (
      ((10,), (16, 16, 3)),
      {},
      # The bias of the projection is the decoder's own parameter.
      {'project': 16 * 128, '': 16 * 128, 'up_1/conv': 16 * 64, 'out': 16 * 3},
    ),
    (
      SMALL,
      {'enhance': 'nn_concat'},
      {'nn/conv': 9 * 64, 'nn/pointwise': 64} | within('decoder', UP),
    ),
    *(
      (SMALL, {'attention': name}, UP | within(f'{name}_0', parts))
      for name, parts in BLOCKS.items()
    ),
  ],
)
def test_decoders(shapes, options, expected):
  check_all(start(decoders.make(*shapes, **options), shapes[0]), expected)


def test_the_deviations_at_the_papers_sizes():
  # docs/paper.md#initial-values; torch 2.13 drew 0.1127 and 0.006368
  _, image = (4, 4, 512), (64, 64, 3)
  vector = start(decoders.make((10,), image), (10,))
  np.testing.assert_allclose(vector['project/kernel'].std(), 0.00638, rtol=0.01)
  out = start(decoders.make((32, 32, 64), image), (32, 32, 64))['out/kernel']
  np.testing.assert_allclose(out.std(), 0.111, rtol=0.05)


@pytest.mark.parametrize(
  ('name', 'make', 'arguments', 'options'),
  [
    ('Linear', layers.Dense(256), (64, 256), {}),
    ('Conv2d', layers.Conv(256, (3, 3)), (64, 256, 3), {}),
    ('ConvTranspose2d', layers.Conv(256, (3, 3), transposed=True), (64, 256, 3), {}),
    ('ConvTranspose2d', layers.UpsampleConv(256), (64, 256, 4), {}),
    ('Conv2d', depthwise.Depthwise((5, 5)), (64, 64, 5), {'groups': 64}),
  ],
)
def test_layers_start_as_those_of_torch(name, make, arguments, options):
  torch = pytest.importorskip('torch', reason='torch is not installed')
  torch.manual_seed(0)
  theirs = getattr(torch.nn, name)(*arguments, **options)
  ours = start(make, (4, 4, 64))
  for leaf, parameter in (('kernel', theirs.weight), ('bias', theirs.bias)):
    expected = parameter.detach().numpy()
    assert ours[leaf].size == expected.size
    np.testing.assert_allclose(ours[leaf].std(), expected.std(), rtol=0.15)
    np.testing.assert_allclose(
      np.abs(ours[leaf]).max(), np.abs(expected).max(), rtol=0.05
    )
