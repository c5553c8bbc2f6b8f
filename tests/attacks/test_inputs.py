import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.attacks.activation import inputs
from gpz_jax.types import InputError

LOGITS = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.9, 0.1, 1e-30]]))


def _tokens(batch, side, features):
  shape = (batch, 1 + side**2, features)
  return jnp.arange(np.prod(shape), dtype=jnp.float32).reshape(shape)


def test_prediction():
  x = inputs.prediction(LOGITS)
  np.testing.assert_allclose(x[0], [0.5, 0.25, 0.25], rtol=1e-6)


def test_prediction_log_shifts_only_where_it_must():
  # by hand: 50 + ln p while that is positive; 50 + ln 1e-30 = -19.08 becomes 0
  x = inputs.prediction_log(LOGITS)
  np.testing.assert_allclose(x[0], 50 + np.log([0.5, 0.25, 0.25]), rtol=1e-6)
  lift = -(50 + np.log(1e-30))
  np.testing.assert_allclose(
    x[1], [50 + np.log(0.9) + lift, 50 + np.log(0.1) + lift, 0], rtol=1e-5
  )


def test_prediction_log_floors_at_minus_1000():
  # by hand: ln p = (0, -5000) -> (0, -1000) + 50, lifted by 950
  np.testing.assert_allclose(
    inputs.prediction_log(jnp.array([[0.0, -5000.0]])), [[1000, 0]]
  )


def test_prediction_power():
  # by hand: 2**(-1/12) = 0.94387; 1e-30**(1/12) = 10**-2.5, no underflow
  x = inputs.prediction_power(LOGITS)
  np.testing.assert_allclose(x[0, 0], 0.943874, rtol=1e-5)
  np.testing.assert_allclose(x[1, 2], 10**-2.5, rtol=1e-4)


def test_tokens_are_read_where_they_lie():
  tokens = _tokens(2, 3, 4)
  assert jnp.array_equal(inputs.cls(tokens), tokens[:, 0])
  grid = inputs.patch_grid(tokens)
  assert jnp.array_equal(grid[1, 2, 0], tokens[1, 1 + 2 * 3 + 0])  # row 2, column 0
  both = inputs.cls_patch(tokens)
  assert jnp.array_equal(both[1, 2, 0, :4], grid[1, 2, 0])
  assert jnp.array_equal(both[1, 0, 1, 4:], tokens[1, 0])
  assert jnp.array_equal(inputs.patch(tokens)[0, 4:8], tokens[0, 2])


@pytest.mark.parametrize(
  ('name', 'source', 'expected'),
  [  # docs/paper.md#decoder-inputs: 257 tokens of 128
    ('activation', (4, 4, 512), (4, 4, 512)),
    ('prediction', (10,), (10,)),
    ('prediction_log', (10,), (10,)),
    ('prediction_power', (10,), (10,)),
    ('cls', (257, 128), (128,)),
    ('patch', (257, 128), (32768,)),
    ('patch_grid', (257, 128), (16, 16, 128)),
    ('cls_patch', (257, 128), (16, 16, 256)),
  ],
)
def test_shape_is_that_of_the_result(name, source, expected):
  assert inputs.shape(name, source) == expected
  read = jax.eval_shape(
    inputs.make(name), jax.ShapeDtypeStruct((3, *source), jnp.float32)
  )
  assert read.shape == (3, *expected)


def test_patches_of_oblong_images_lie_on_their_grid():
  # by hand: 48 x 32 pixels in patches of 8 are 6 rows of 4
  image, tokens = (48, 32, 1), jnp.arange(2 * 25 * 3.0).reshape(2, 25, 3)
  grid = inputs.make_for('patch_grid', (25, 3), image)(tokens)
  assert grid.shape == (2, 6, 4, 3)
  assert jnp.array_equal(grid[1, 2, 3], tokens[1, 1 + 2 * 4 + 3])
  assert inputs.shape('cls_patch', (25, 3), image) == (6, 4, 6)
  again = inputs.make_for('patch_grid', (25, 3), image)
  assert again is inputs.make_for('patch_grid', (25, 3), image)  # traced once
  assert inputs.make_for('patch_grid', (17, 3), (32, 32, 1)) is inputs.patch_grid


def test_names_and_shapes_that_cannot_be_read():
  with pytest.raises(InputError, match=r"'patchgrid' is not known.*'patch_grid'"):
    inputs.make('patchgrid')
  with pytest.raises(InputError, match=r"'cls' reads .*\(tokens, features\)"):
    inputs.shape('cls', (4, 4, 512))
  with pytest.raises(InputError, match=r"'prediction' reads logits"):
    inputs.shape('prediction', (4, 4, 512))
  with pytest.raises(InputError, match='4 tokens are not'):
    inputs.shape('patch_grid', (4, 8))


@pytest.mark.parametrize('name', sorted(inputs.TOKENS))
def test_tokens_have_three_dimensions(name):
  with pytest.raises(AssertionError, match=r'tokens \[B, 1 \+ T, D\]'):
    inputs.make(name)(jnp.zeros((2, 4, 4, 3)))
