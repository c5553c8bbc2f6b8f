"""Torch names of EfficientNet, MaxViT, ViT-B/16 and Inception-v3."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax import models
from gpz_jax.interop import names
from gpz_jax.interop.torch import import_weights, infer_options
from gpz_jax.types import InputError

NARROW: dict[str, dict[str, Any]] = {
  'efficientnet_b0': {'width': 0.25},
  'maxvit_t': {'width': 0.125, 'window': 2},
  'vit_b_16': {'width': 1 / 32, 'heads': 2},
  'inception_v3': {'width': 1 / 16},
}
SIDE = 128  # a multiple of what each of them needs


def sizes(name) -> dict[str, Any]:
  return {'num_classes': 3, 'image_shape': (SIDE, SIDE, 3), **NARROW[name]}


def arrays_of(name, side=SIDE, **options):
  """Zeros under torch's names."""
  model = models.make(name, num_classes=3, **NARROW[name], **options)
  shape = (side, side, 3)
  image = jnp.zeros((1, *shape))
  shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), image))
  leaves = jax.tree_util.tree_leaves_with_path(shapes)
  found = {
    jax.tree_util.keystr(path, simple=True, separator='/'): leaf.shape
    for path, leaf in leaves
  }
  return {
    entry.torch: np.zeros(entry.layout.torch_shape(found[entry.linen]), np.float32)
    for entry in names.TABLES[type(model)](model, shape)
  }


@pytest.mark.parametrize(
  ('name', 'normalization', 'notes'),
  [
    ('efficientnet_b0', 'imagenet', 2),
    ('maxvit_t', 'imagenet', 2),
    ('vit_b_16', 'imagenet', 1),
    ('inception_v3', 'half', 1),
  ],
)
def test_the_images_are_normalised_as_torchvision_does(name, normalization, notes):
  arrays = arrays_of(name)
  inferred = infer_options(name, arrays, **sizes(name))
  assert inferred.options == {'normalization': normalization}
  assert len(inferred.notes) == notes
  assert f'{normalization} is assumed, as for weights of t' in inferred.notes[-1]
  wrapped = {f'module.{key}': array for key, array in arrays.items()}
  assert infer_options(name, wrapped, **sizes(name)) == inferred


def test_a_stride_leaves_no_trace_in_weights():
  arrays = arrays_of('efficientnet_b0')
  inferred = infer_options('efficientnet_b0', arrays, **sizes('efficientnet_b0'))
  assert 'do not tell stem=imagenet from small' in inferred.notes[0]
  small = infer_options(
    'efficientnet_b0', arrays, **sizes('efficientnet_b0'), stem='small'
  )
  assert small.options == {'normalization': 'imagenet'}


@pytest.mark.parametrize(
  ('name', 'saved', 'strange'),
  [
    (
      'maxvit_t',
      'blocks.0.layers.0.layers.grid_attention.attn_layer.1.relative_position_index',
      'blocks.0.layers.0.layers.grid_attention.attn_layer.1.index',
    ),
    ('inception_v3', 'AuxLogits.conv0.conv.weight', 'AuxLogit.conv0.conv.weight'),
  ],
)
def test_what_torchvision_saves_beside_our_arrays_is_left_out(name, saved, strange):
  arrays = arrays_of(name)
  import_weights(name, {**arrays, saved: np.zeros((4, 4))}, **sizes(name))
  with pytest.raises(InputError, match='1 unexpected'):
    import_weights(name, {**arrays, strange: np.zeros((4, 4))}, **sizes(name))


def test_the_auxiliary_head_is_read_where_it_is_asked_for():
  arrays = arrays_of('inception_v3', 299, aux_logits=True)
  given = {**sizes('inception_v3'), 'image_shape': (299, 299, 3)}
  found = import_weights('inception_v3', arrays, **given, aux_logits=True)
  assert found['params']['aux']['logits']['kernel'].shape == (48, 3)
  del arrays['AuxLogits.fc.weight']
  with pytest.raises(InputError, match=r'1 missing \(AuxLogits.fc.weight\)'):
    import_weights('inception_v3', arrays, **given, aux_logits=True)


def test_weights_of_another_net_name_it():
  for name, other in zip(NARROW, [*list(NARROW)[1:], 'efficientnet_b0'], strict=True):
    with pytest.raises(InputError, match=f'of {other}: give --model={other}$'):
      import_weights(name, arrays_of(other), **sizes(name))
