import numpy as np
import pytest

from gpz_jax.interop import layouts


@pytest.mark.parametrize(
  ('layout', 'linen', 'torch'),
  [
    (layouts.vector, (3, 2, 4), (24,)),
    (layouts.same, (1, 5, 4), (1, 5, 4)),
    (layouts.convolution, (3, 2, 4, 5), (5, 4, 3, 2)),
    (layouts.linear, (4, 5), (5, 4)),
    (layouts.linear_to_heads, (8, 3, 2, 4), (24, 8)),
    (layouts.linear_from_heads, (2, 4, 6), (6, 8)),
    (layouts.linear_on_map(2, 3), (24, 5), (5, 24)),
    (layouts.linear_on_patches(4), (48, 7), (7, 3, 4, 4)),
  ],
)
def test_shapes(layout, linen, torch):
  assert layout.torch_shape(linen) == torch
  assert layout.to_linen(np.zeros(torch), linen).shape == linen


def test_flattening_order_by_hand():
  # torch flattens [C, h, w]: entry c * 4 + h * 2 + w; ours [h, w, C]
  theirs = np.arange(8.0)[None]  # one output, C = 2, h = w = 2
  ours = layouts.linear_on_map(2, 2).to_linen(theirs, (8, 1))
  np.testing.assert_array_equal(ours[:, 0], [0, 4, 1, 5, 2, 6, 3, 7])


def test_convolution_order_by_hand():
  theirs = np.arange(6.0).reshape(1, 2, 3, 1)  # one output, two inputs, 3x1 kernel
  ours = layouts.convolution.to_linen(theirs, (3, 1, 2, 1))
  np.testing.assert_array_equal(ours[:, 0, :, 0], [[0, 3], [1, 4], [2, 5]])
