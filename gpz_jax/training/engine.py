"""How lanes are computed: in turn or at once, by which convolutions, how precisely.

An engine changes speed and the last bits of a result, not what is computed.
"""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.models import choices
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.types import InputError, check_known
from gpz_jax.vocabulary import PRECISIONS


def split_host(devices: int) -> None:
  """Lets JAX see that many devices in the processors of this machine.

  Without it they are one device, which computes one lane after another and shares each
  among the processors. Lanes side by side are often faster (docs/performance.md). It
  has no effect where JAX has begun to compute, or where XLA_FLAGS says how many there
  are.

  Args:
    devices: Their number; at most that of the processors counts.
  """
  if devices < 2 or 'host_platform_device_count' in os.environ.get('XLA_FLAGS', ''):
    return
  with contextlib.suppress(RuntimeError):  # JAX has begun to compute
    jax.config.update('jax_num_cpu_devices', min(devices, os.cpu_count() or 1))


@dataclasses.dataclass(frozen=True)
class Engine:
  """How lanes are computed; `resolve` decides what `auto` means.

  It is hashable, so that it can be a static argument.

  Attributes:
    strategy: How lanes run, see `training.lanes`.
    conv: One of `vocabulary.CONVOLUTIONS`, or a tuned table.
    precision: The number format of the forward and backward pass. Parameters, batch
      statistics, loss and optimiser are always float32.
    devices: The number of local devices that lanes are spread over; 0 means all.
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
      InputError: A name is not known, or there are fewer devices than asked for.
    """
    if isinstance(self.conv, str):
      choices.check(self.conv)
    check_known('precision', self.precision, PRECISIONS)
    available = jax.local_device_count()
    if not 0 <= self.devices <= available:
      is_whole = available == 1 and jax.default_backend() == 'cpu'
      split = ' (a CPU is split before JAX begins to compute)' * is_whole
      raise InputError(
        f'devices={self.devices} is not allowed; there are {available}{split}'
      )
    return Engine(
      lanes_lib.resolve(self.strategy),
      self.conv,
      'float32' if self.precision == 'auto' else self.precision,
      self.devices or available,
    )

  def over_lanes(self, function: Callable[..., Any]) -> Callable[..., Any]:
    """Batches `function(lane, *shared)` over lanes, see `lanes.over_lanes`."""
    return lanes_lib.over_lanes(function, self.strategy, devices=self.devices)

  def traced(self, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps `function` so that its convolutions are computed this way, in float32."""

    @functools.wraps(function)
    def wrapped(*args):
      with choices.using(self.conv):
        return function(*args)

    return wrapped

  def apply(
    self, model: nn.Module, variables: Any, x: jax.Array, **options: Any
  ) -> Any:
    """Computes `model.apply(variables, x, **options)` this way.

    Args:
      model: A target or decoder.
      variables: The model's variables, in float32.
      x: The model's input, floats of any precision.
      **options: What else `model.apply` takes.

    Returns:
      What the model returns, with its floats in float32.
    """
    dtype = jnp.dtype(self.precision)
    if dtype != jnp.float32:
      variables = {**variables, 'params': cast(variables['params'], dtype)}
    with choices.using(self.conv):
      return cast(model.apply(variables, x.astype(dtype), **options), jnp.float32)


AUTO = Engine()


def cast(tree: Any, dtype: Any) -> Any:
  """Converts the floats of a pytree to another precision."""
  return jax.tree.map(
    lambda leaf: (
      leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
    ),
    tree,
  )
