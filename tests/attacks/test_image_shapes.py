"""Decoders for images that are oblong, or whose sides are no powers of two."""

import jax
import jax.numpy as jnp
import kinds
import numpy as np
import pytest

from gpz_jax import models, partition
from gpz_jax.attacks.activation import decoder_modules, decoders
from gpz_jax.types import InputError


def _count(activation_shape, image_shape, **options):
  """The number of parameters; checks the shape of the image on the way."""
  module = decoders.make(activation_shape, image_shape, **options)
  x = jax.ShapeDtypeStruct((2, *activation_shape), jnp.float32)
  image, variables = jax.eval_shape(
    lambda x: module.init_with_output(jax.random.key(0), x, train=False), x
  )
  assert image.shape == (2, *image_shape)
  return sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(variables['params']))


@pytest.mark.parametrize(
  ('shape', 'image', 'options'),
  [
    ((12, 8, 64), (48, 32, 1), {}),  # exact
    ((14, 14, 64), (28, 28, 1), {}),
    ((3, 3, 64), (28, 28, 1), {}),  # 28 / 8 is 3.5: a pooling drops the half cell
    ((4, 4, 64), (28, 28, 1), {}),  # and a strided convolution keeps it
    ((1, 1, 64), (48, 32, 1), {}),
    ((3, 3, 64), (28, 28, 1), {'kind': 'reversed_ir'}),
    ((3, 3, 64), (28, 28, 1), {'kind': 'inversion4'}),
    ((3, 3, 64), (28, 28, 1), {'attention': 'aac+se', 'enhance': 'nn_concat'}),
    ((10,), (48, 32, 1), {}),
    ((10,), (28, 28, 1), {}),
    ((25, 64), (48, 32, 1), {}),  # 6 x 4 patches of 8 pixels
  ],
)
def test_images_need_be_neither_square_nor_powers_of_two(shape, image, options):
  assert _count(shape, image, **options) > 0  # checks the shape of the image


def test_a_cell_too_few_is_the_last_one_again_and_the_rest_is_cut():
  # by hand: 7 pixels are 3 cells of 2 and a half; doubled, 4 cells reach over 8
  x = jnp.arange(9.0).reshape(1, 3, 3, 1)
  filled = decoder_modules.fill_grid(x, 1, (7, 6))
  assert filled.shape == (1, 4, 3, 1)
  assert jnp.array_equal(filled[:, 3], x[:, 2])
  assert decoder_modules.cut(jnp.zeros((1, 8, 6, 1)), (7, 6)).shape == (1, 7, 6, 1)
  assert decoder_modules.fill_grid(x, 1, None) is x


def test_the_grid_of_a_vector_follows_the_image():
  # by hand, D(10) -> 6 x 4 cells of 256: 10 * 24 * 256, where 32 x 32 has 16 cells
  oblong, square = _count((10,), (48, 32, 3)), _count((10,), (32, 32, 3))
  assert oblong - square == 10 * 8 * 256


@pytest.mark.parametrize(('shape', 'turned'), [((6, 4, 8), (4, 6, 8)), ((10,),) * 2])
def test_a_turned_image_has_as_large_a_decoder(shape, turned):
  assert _count(shape, (48, 32, 1)) == _count(turned, (32, 48, 1))


# Inception-v3 pads no maps: they do not double up to an image, whatever its size.
ATTACKED = sorted(set(models.MODELS) - {'inception_v3'})
MULTIPLES = {'vit_b_16': 16, 'maxvit_t': 32 * 7}


@pytest.mark.parametrize('name', kinds.each(ATTACKED))
@pytest.mark.parametrize('shape', kinds.each([(48, 32, 1), (36, 52, 3)], [(48, 32, 1)]))
def test_each_split_of_a_model_has_a_decoder(name, shape):
  multiple = MULTIPLES.get(name, 1)
  height, width = (-(-side // multiple) * multiple for side in shape[:2])
  shape = (height, width, shape[2])
  models.check_image(name, shape)
  model = models.make(name, num_classes=10, width=0.125)
  sent = {each.shape for each in partition.list_splits(model, shape).values()}
  for activation in sent:
    assert _count(activation, shape) > 0


@pytest.mark.parametrize(
  ('shape', 'image', 'message'),
  [
    ((12, 12, 8), (48, 32, 1), '12x12 does not double up to an image of 48x32'),
    ((10,), (6, 64, 1), '6x64 cannot be decoded from a vector; .* at least 8'),
    ((26, 8), (48, 32, 1), '26 tokens are not'),
  ],
)
def test_shapes_that_do_not_go_together(shape, image, message):
  with pytest.raises(InputError, match=message):
    decoders.make(shape, image)
