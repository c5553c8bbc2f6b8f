"""How torch lays out an array and how linen does."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Shape = tuple[int, ...]


class Layout(NamedTuple):
  """One array, two layouts; both functions take linen's shape."""

  torch_shape: Callable[[Shape], Shape]
  to_linen: Callable[[np.ndarray, Shape], np.ndarray]

  def to_torch(self, array: np.ndarray) -> np.ndarray:
    """torch's form of one of linen's arrays.

    A layout only moves numbers, so that `to_linen` of their places says where from.
    """
    shape = self.torch_shape(array.shape)
    places = np.arange(array.size, dtype=np.int32).reshape(shape)
    theirs = np.empty(array.size, array.dtype)
    theirs[self.to_linen(places, array.shape).ravel()] = array.ravel()
    return theirs.reshape(shape)


# Any shape from [n]
vector = Layout(lambda shape: (math.prod(shape),), np.reshape)

# As it is
same = Layout(lambda shape: shape, np.reshape)

# [H, W, I, O] from [O, I, H, W]
convolution = Layout(
  lambda shape: (shape[3], shape[2], shape[0], shape[1]),
  lambda array, shape: array.transpose(2, 3, 1, 0),
)

# [H, W, C] from [C, 1, H, W], of a depthwise convolution
depthwise = Layout(
  lambda shape: (shape[2], 1, shape[0], shape[1]),
  lambda array, shape: array[:, 0].transpose(1, 2, 0),
)


# [I, O] from [O, I]
linear = Layout(lambda shape: shape[::-1], lambda array, shape: array.T)

# [I, 3, heads, head_dim] from [3 heads head_dim, I]
linear_to_heads = Layout(
  lambda shape: (math.prod(shape[1:]), shape[0]),
  lambda array, shape: array.T.reshape(shape),
)

# [heads, head_dim, O] from [O, heads head_dim]
linear_from_heads = Layout(
  lambda shape: (shape[2], shape[0] * shape[1]),
  lambda array, shape: array.T.reshape(shape),
)


def linear_on_map(height: int, width: int) -> Layout:
  """[h w C, O] from [O, C h w]: a linear layer on a map, flattened channels first."""

  def to_linen(array, shape):
    array = array.reshape(shape[1], -1, height, width)
    return array.transpose(2, 3, 1, 0).reshape(shape)

  return Layout(lambda shape: shape[::-1], to_linen)


def linear_on_patches(size: int) -> Layout:
  """[size size C, O] from the kernel [O, C, size, size] of a non-overlapping one."""
  return Layout(
    lambda shape: (shape[1], shape[0] // size**2, size, size),
    lambda array, shape: array.transpose(2, 3, 1, 0).reshape(shape),
  )
