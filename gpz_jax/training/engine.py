"""How lanes are computed: in turn or at once, by which convolutions, how precisely.

An engine changes speed and the last bits of a result, not what is computed.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.models import choices
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.types import InputError, check_known

PRECISIONS = ('auto', 'float32', 'bfloat16')


@dataclasses.dataclass(frozen=True)
class Engine:
  """`resolve` decides what `auto` means. Hashable, so it can be a static argument.

  Attributes:
    strategy: how lanes run, see `training.lanes`.
    conv: one of `choices.SETTINGS`, or a tuned table.
    precision: number format of the forward and backward pass. Parameters, batch
      statistics, loss and optimiser are float32 always.
    devices: over how many local devices lanes are spread; 0 = all there are.
  """

  strategy: str = 'auto'
  conv: choices.Setting = 'auto'
  precision: str = 'auto'
  devices: int = 0

  @property
  def conv_name(self) -> str:
    """The setting's name; `tuned` for a table."""
    return self.conv if isinstance(self.conv, str) else 'tuned'

  def resolve(self) -> 'Engine':
    """The engine with nothing left to decide.

    Raises:
      InputError: a name is not known, or there are not so many devices.
    """
    if isinstance(self.conv, str):
      choices.check(self.conv)
    check_known('precision', self.precision, PRECISIONS)
    available = jax.local_device_count()
    if not 0 <= self.devices <= available:
      raise InputError(f'devices={self.devices} is not allowed; there are {available}')
    return Engine(
      lanes_lib.resolve(self.strategy),
      self.conv,
      'float32' if self.precision == 'auto' else self.precision,
      self.devices or available,
    )

  def over_lanes(self, function: Callable[..., Any]) -> Callable[..., Any]:
    """Batches `function(lane, *shared)`, see `lanes.over_lanes`."""
    return lanes_lib.over_lanes(function, self.strategy, devices=self.devices)

  def traced(self, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with its convolutions computed this way, in float32."""

    @functools.wraps(function)
    def wrapped(*args):
      with choices.using(self.conv):
        return function(*args)

    return wrapped

  def apply(
    self, model: nn.Module, variables: Any, x: jax.Array, **options: Any
  ) -> Any:
    """`model.apply(variables, x, **options)`, computed this way.

    Args:
      model: a target or decoder.
      variables: in float32.
      x: its input; floats of any precision.
      **options: of `apply`.

    Returns:
      What the model returns, floats in float32.
    """
    dtype = jnp.dtype(self.precision)
    if dtype != jnp.float32:
      variables = {**variables, 'params': cast(variables['params'], dtype)}
    with choices.using(self.conv):
      return cast(model.apply(variables, x.astype(dtype), **options), jnp.float32)


AUTO = Engine()


def cast(tree: Any, dtype: Any) -> Any:
  """The floats of a pytree in another precision."""
  return jax.tree.map(
    lambda leaf: (
      leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
    ),
    tree,
  )
