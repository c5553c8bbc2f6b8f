"""Targets as torch state dicts, and back."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import kinds
import numpy as np
import pytest
import safetensors.numpy
import tiny
from flax import traverse_util

from gpz_jax import models
from gpz_jax.interop.export import export_state_dict, export_weights
from gpz_jax.interop.torch import import_weights, load_state_dict
from gpz_jax.models import skips
from gpz_jax.types import InputError

NARROW = {
  'cnn': {'width': 1 / 16},
  'vgg11': {'width': 1 / 16},
  'resnet18': {'width': 1 / 16},
  'resnet50': {'width': 1 / 16},
  'ir50': {'width': 1 / 16},
  'vit6': {'width': 0.25, 'heads': 2},
  'densenet121': {'width': 1 / 8, 'bottleneck': 4},
  'repvgg_a0': {'width': 1 / 16},
}
SHAPE = (32, 32, 3)


def flatten(tree) -> dict[Any, Any]:
  return traverse_util.flatten_dict(tree)


def variables_of(name, **options):
  model = models.make(name, num_classes=3, **NARROW[name], **options)
  return tiny.random_variables(model, jnp.zeros((1, *SHAPE)))


@pytest.mark.parametrize('name', kinds.each(NARROW, ['resnet18', 'vgg11', 'vit6']))
def test_what_is_written_reads_back_equal(name, tmp_path):
  variables, path = variables_of(name), tmp_path / 'net.safetensors'
  export_weights(name, variables, path, image_shape=SHAPE, **NARROW[name])
  again = import_weights(
    name, load_state_dict(path), num_classes=3, image_shape=SHAPE, **NARROW[name]
  )
  chex.assert_trees_all_equal(again, variables)


def test_torchs_names_and_layouts(tmp_path):
  variables = variables_of('resnet18')
  model = models.make('resnet18', num_classes=3, **NARROW['resnet18'])
  path = tmp_path / 'net.safetensors'
  export_weights(model, variables, path, image_shape=SHAPE)
  arrays = safetensors.numpy.load_file(path)
  kernel = variables['params']['layer1_0']['conv_1']['kernel']
  np.testing.assert_array_equal(
    arrays['layer1.0.conv1.weight'], np.transpose(kernel, (3, 2, 0, 1))
  )
  assert arrays['fc.weight'].shape == (3, 32)


def test_torchs_net_reads_what_is_written():
  torch = pytest.importorskip('torch', reason='torch is an optional extra')
  torch_nets = pytest.importorskip('torch_nets', reason='it needs torch')
  arrays = export_state_dict(
    'resnet18', variables_of('resnet18'), image_shape=SHAPE, **NARROW['resnet18']
  )
  module = torch_nets.ResNet((2, 2, 2, 2), (3, 3), 3, 1 / 16)
  module.load_state_dict({name: torch.tensor(a) for name, a in arrays.items()})


def test_a_removed_stage_has_no_projection():
  removed = variables_of('resnet18', skips='1110')
  options = {**NARROW['resnet18'], 'skips': '1110'}
  arrays = export_state_dict('resnet18', removed, image_shape=SHAPE, **options)
  assert 'layer3.0.downsample.0.weight' in arrays
  assert 'layer4.0.downsample.0.weight' not in arrays


def test_what_torch_has_no_name_for_is_refused(tmp_path):
  variables = variables_of('resnet18')
  model = models.make('resnet18', num_classes=3, **NARROW['resnet18'])
  path = tmp_path / 'net.safetensors'
  carried = {**variables, skips.COLLECTION: {'factors': jnp.ones((4, 1))}}
  with pytest.raises(InputError, match=r'no name in torch \(skips/factors\)'):
    export_weights(model, carried, path, image_shape=SHAPE)
  stacked = jax.tree.map(lambda leaf: leaf[None], variables)
  with pytest.raises(InputError, match=r'another shape .* give those of one target'):
    export_weights(model, stacked, path, image_shape=SHAPE)
  with pytest.raises(InputError, match='end the name so'):
    export_weights(model, variables, tmp_path / 'net.pth', image_shape=SHAPE)
  del variables['params']['stem']
  with pytest.raises(InputError, match=r'are missing \(.*params/stem'):
    export_weights(model, variables, path, image_shape=SHAPE)
  assert not path.exists()


@pytest.mark.parametrize('name', ['resnet18', 'vgg11', 'vit6'])
def test_a_new_head_is_drawn_only_where_it_is_asked_for(name):
  variables = variables_of(name)
  arrays = export_state_dict(name, variables, image_shape=SHAPE, **NARROW[name])
  sizes = {'image_shape': SHAPE, **NARROW[name]}
  with pytest.raises(InputError, match=r'--new_head \(new_head=True in Python\)'):
    import_weights(name, arrays, num_classes=5, **sizes)
  found = import_weights(name, arrays, num_classes=5, new_head=True, **sizes)
  theirs, ours = flatten(variables), flatten(found)
  assert ours['params', 'logits', 'kernel'].shape[-1] == 5
  assert 0 < jnp.abs(ours['params', 'logits', 'kernel']).max() < 1
  for path, leaf in ours.items():
    if 'logits' not in path:
      np.testing.assert_array_equal(leaf, theirs[path])
  kept = import_weights(name, arrays, num_classes=3, new_head=True, **sizes)
  chex.assert_trees_all_equal(kept, variables)  # it has as many classes already


def test_a_new_head_does_not_hide_another_misfit():
  arrays = export_state_dict(
    'resnet18', variables_of('resnet18'), image_shape=SHAPE, **NARROW['resnet18']
  )
  del arrays['bn1.bias']
  options = {'num_classes': 5, 'image_shape': SHAPE, **NARROW['resnet18']}
  with pytest.raises(InputError, match=r'1 missing \(bn1.bias\)$'):
    import_weights('resnet18', arrays, new_head=True, **options)
  arrays['fc.weight'] = np.zeros((3, 7), np.float32)
  with pytest.raises(InputError, match=r'fc.weight is \(3, 7\), expected \(5, 32\)'):
    import_weights('resnet18', arrays, new_head=True, **options)
