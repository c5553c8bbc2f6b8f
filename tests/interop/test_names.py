import jax
import jax.numpy as jnp
import kinds
import pytest

from gpz_jax import models
from gpz_jax.interop import names
from gpz_jax.models.vit import ViT
from gpz_jax.types import InputError

IMPORTED = [name for name in models.MODELS if name != 'cnn']
SIDES = {'inception_v3': 75, 'maxvit_t': 224}  # 64 is too small for these


@pytest.mark.parametrize('model_name', kinds.each(IMPORTED))
def test_table_names_every_variable_once(model_name):
  model = models.make(model_name, num_classes=10)
  side = SIDES.get(model_name, 64)
  image_shape = (side, side, 3)
  image = jnp.zeros((1, *image_shape))
  variables = jax.eval_shape(lambda: model.init(jax.random.key(0), image, train=False))
  expected = {
    '/'.join(part.key for part in path)
    for path, _ in jax.tree_util.tree_leaves_with_path(variables)
  }
  table = list(names.TABLES[type(model)](model, image_shape))
  assert len({entry.torch for entry in table}) == len(table)
  assert sorted(entry.linen for entry in table) == sorted(expected)


def test_a_fused_repvgg_has_one_convolution_for_each_block():
  model = models.make('repvgg_a0', num_classes=10, fused=True)
  table = list(names.TABLES[type(model)](model, (64, 64, 3)))
  assert len(table) == 2 * 22 + 2  # a stem, 21 blocks and the last layer
  assert table[0].torch == 'stage0.rbr_reparam.weight'


def test_a_wide_vit_has_no_torch_names():
  model = ViT(num_classes=10, heads=10, head_dim=64)
  with pytest.raises(InputError, match='10 heads of 64 do not add up to 128'):
    list(names.vit_table(model, (64, 64, 3)))
