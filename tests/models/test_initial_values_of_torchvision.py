"""Initial weights of the families that follow torchvision, by its initialisers.

What torchvision documents in its source: DenseNet draws kaiming_normal_ over the
fan-in, EfficientNet over the fan-out, MaxViT N(0, 0.02), Inception N(0, 0.1), and ViT
xavier_uniform_ in attention and MLP. RepVGG has torch's defaults, as its authors do.
The fans are counted by hand.
"""

import math

import numpy as np
import pytest
from initial_values import (
  ATTENTION,
  Weights,
  check,
  check_all,
  he,
  start,
  within,
  xavier,
)

from gpz_jax import models
from gpz_jax.models import densenet, efficientnet, inception, maxvit, repvgg, vit_b


def uniform(bound):
  """Uniform up to `bound`, with a bias of 0."""
  return Weights(bound / math.sqrt(3), bound)


@pytest.mark.ci
def test_densenet(monkeypatch):
  monkeypatch.setitem(densenet.BLOCKS, 121, (1, 2))
  model = models.make('densenet121', num_classes=3, width=0.25)  # 8 a layer, stem of 16
  expected = {
    'stem/conv': he(9 * 3),
    'block_1/layer_1/conv_1': he(16),
    'block_1/layer_1/conv_2': he(9 * 32),
    'transition_1/conv': he(16 + 8),
    'block_2/layer_1/conv_1': he(12),
    'block_2/layer_1/conv_2': he(9 * 32),
    'block_2/layer_2/conv_1': he(12 + 8),
    'block_2/layer_2/conv_2': he(9 * 32),
    'logits': uniform(1 / math.sqrt(12 + 16)),
  }
  check_all(start(model, (32, 32, 3)), expected)


@pytest.mark.ci
def test_repvgg(monkeypatch):
  monkeypatch.setitem(repvgg.STAGES, 'a0', (2, 1))
  model = models.make('repvgg_a0', num_classes=3, width=0.25)  # 12, 12 and 24 channels
  expected = {
    **within('stem', {'conv_3': 9 * 3, 'conv_1': 3}),
    **within('stage1_0', {'conv_3': 9 * 12, 'conv_1': 12}),
    **within('stage1_1', {'conv_3': 9 * 12, 'conv_1': 12}),
    **within('stage2_0', {'conv_3': 9 * 12, 'conv_1': 12}),
    'logits': 24,
  }
  check_all(start(model, (16, 16, 3)), expected)


@pytest.mark.ci
def test_efficientnet(monkeypatch):
  settings = efficientnet.SETTINGS[0], efficientnet.SETTINGS[2]._replace(features=24)
  monkeypatch.setattr(efficientnet, 'SETTINGS', settings)
  expected = {
    'stem/conv': he(9 * 32),
    **within(
      'block1_0',
      {
        'depthwise': he(9 * 32),  # torch counts the fan-out over all channels
        'excitation/squeeze': he(8),
        'excitation/excite': he(32),
        'project': he(16),
      },
    ),
    **within(
      'block2_0',
      {
        'expand': he(96),
        'depthwise': he(25 * 96),
        'excitation/squeeze': he(4),
        'excitation/excite': he(96),
        'project': he(24),
      },
    ),
    **within(
      'block2_1',
      {
        'expand': he(144),
        'depthwise': he(25 * 144),
        'excitation/squeeze': he(6),
        'excitation/excite': he(144),
        'project': he(24),
      },
    ),
    'head/conv': he(4 * 24),
    'logits': uniform(1 / math.sqrt(3)),  # over the classes
  }
  check_all(start(models.make('efficientnet_b0', num_classes=3), (32, 32, 3)), expected)


def test_maxvit(monkeypatch):
  monkeypatch.setattr(maxvit, 'LAYERS', (1,))
  params = start(maxvit.MaxViT(3, width=0.5, window=4), (16, 16, 3))
  same = Weights(0.02)
  attention = {'attention/qkv': same, 'attention/out': same}
  mlp = {'mlp_1': same, 'mlp_2': same}
  parts = ('expand', 'depthwise', 'excitation/squeeze', 'excitation/excite')
  expected = {
    **within('stem', {'conv_1': same, 'conv_2': same}),
    **within('block1_0/mbconv', dict.fromkeys((*parts, 'project', 'shortcut'), same)),
    **within('block1_0/window', attention | mlp),
    **within('block1_0/grid', attention | mlp),
    'embedding/dense': same,
    'logits': same,
  }
  for kind in ('window', 'grid'):
    check(params.pop(f'block1_0/{kind}/attention/offsets'), 0.02, 2)
  check_all(params, expected)


def test_vit_b():
  model = vit_b.VisionTransformer(3, depth=1, width=1 / 24, heads=2, patch=4)
  params = start(model, (16, 16, 3))
  np.testing.assert_array_equal(params.pop('tokens/cls'), 0)
  np.testing.assert_array_equal(params.pop('logits/kernel'), 0)
  np.testing.assert_array_equal(params.pop('logits/bias'), 0)
  check(params.pop('tokens/positions'), 0.02, math.inf)
  assert (params.pop('cls/scale') == 1).all()
  assert (params.pop('cls/bias') == 0).all()
  for name in ('mlp_1', 'mlp_2'):  # MLPBlock: normal_(bias, std=1e-6)
    bias = params[f'block_1/{name}/bias']
    check(bias, 1e-6, math.inf)
    params[f'block_1/{name}/bias'] = np.zeros_like(bias)
  mlp = xavier(32 + 128)
  blocks = {f'attention/{part}': expected for part, expected in ATTENTION.items()}
  expected = {
    'tokens/patches': Weights(math.sqrt(1 / (4 * 4 * 3)), 2),
    **within('block_1', blocks | {'mlp_1': mlp, 'mlp_2': mlp}),
  }
  check_all(params, expected)


@pytest.mark.ci
def test_inception(monkeypatch):
  stage = '7b'
  block = inception.BLOCKS[stage]._replace(
    branches=inception.BLOCKS[stage].branches[:2]
  )
  monkeypatch.setattr(inception, 'BLOCKS', {stage: block})
  model = models.make('inception_v3', num_classes=3, width=1 / 16)
  params = start(model, (75, 75, 3))
  # 20 + 24 + 24 + 12: the branches and the pool, at a sixteenth of their channels
  check(params.pop('logits/bias'), 1 / math.sqrt(3 * 80), 1 / math.sqrt(80))
  params['logits/bias'] = np.zeros(3)
  steps = ('branch1x1', 'branch3x3_1', 'branch3x3_2a', 'branch3x3_2b', 'branch_pool')
  names = [f'conv_{name}' for name in ('1a', '2a', '2b', '3b', '4a')]
  names += [f'mixed_{stage}/{name}' for name in steps]
  expected = {f'{name}/conv': Weights(0.1, 2) for name in names}
  check_all(params, expected | {'logits': Weights(0.1, 2)})
