"""One array under its torch name and ours, and the entries of whole layers."""

from collections.abc import Iterator
from typing import NamedTuple

from gpz_jax.interop import layouts


class Entry(NamedTuple):
  """One array under its two names."""

  torch: str  # 'features.0.weight'
  linen: str  # 'params/feat_3/Conv_0/kernel'
  layout: layouts.Layout


Table = Iterator[Entry]


def bias(theirs: str, ours: str) -> Entry:
  """The bias of a layer."""
  return Entry(f'{theirs}.bias', f'params/{ours}/bias', layouts.vector)


def slope(theirs: str, ours: str) -> Entry:
  """The slopes of a PReLU."""
  return Entry(f'{theirs}.weight', f'params/{ours}/slope', layouts.vector)


def convolution(theirs: str, ours: str) -> Table:
  """A convolution without a bias."""
  yield Entry(f'{theirs}.weight', f'params/{ours}/kernel', layouts.convolution)


def linear(theirs: str, ours: str, layout: layouts.Layout = layouts.linear) -> Table:
  """A fully connected layer, or one that takes the place of a convolution."""
  yield Entry(f'{theirs}.weight', f'params/{ours}/kernel', layout)
  yield bias(theirs, ours)


def layer_norm(theirs: str, ours: str) -> Table:
  """Scale and bias of a norm."""
  yield Entry(f'{theirs}.weight', f'params/{ours}/scale', layouts.vector)
  yield bias(theirs, ours)


def batch_norm(theirs: str, ours: str) -> Table:
  """Scale and bias of a norm, and its running statistics."""
  yield from layer_norm(theirs, ours)
  yield Entry(f'{theirs}.running_mean', f'batch_stats/{ours}/mean', layouts.vector)
  yield Entry(f'{theirs}.running_var', f'batch_stats/{ours}/var', layouts.vector)
