"""Running a function written for one lane over many.

The strategy is data: it changes speed, and the last bits of the result, but not what
is computed. `map` gives every lane exactly what it would get alone.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, PartitionSpec

from gpz_jax.types import InputError

STRATEGIES = ('auto', 'map', 'vmap', 'unroll', 'chunk:K')


def resolve(strategy: str) -> str:
  """The strategy that `auto` stands for on this backend; checks the others.

  On CPU grouped convolutions, which vmap turns batched kernels into, run naively;
  on accelerators they keep the device busy where one lane cannot.

  Raises:
    InputError: unknown strategy.
  """
  if strategy == 'auto':
    return 'map' if jax.default_backend() == 'cpu' else 'vmap'
  name, _, size = strategy.partition(':')
  chunked = name == 'chunk' and size.isdecimal() and int(size) > 0
  if chunked or strategy in ('map', 'vmap', 'unroll'):
    return strategy
  raise InputError(
    f"strategy '{strategy}' is not known. Known: {', '.join(STRATEGIES)} (K >= 1)"
  )


def over_lanes(
  function: Callable[..., Any], strategy: str, *, devices: int = 1
) -> Callable[..., Any]:
  """Batches `function(lane, *shared)` over a leading lane axis of `lane`.

  Args:
    function: for one lane; `lane` is a pytree, `shared` is the same for all lanes.
    strategy: a resolved strategy: map, vmap, unroll or chunk:K.
    devices: each runs its share of the lanes; where their number does not divide by
      it, the last lane is repeated and what it gives is dropped.

  Returns:
    The function of (lanes, *shared), `lanes` and the result with L in front.
  """

  def batched(lanes, *shared):
    def one(lane):
      return function(lane, *shared)

    if strategy == 'vmap':
      return jax.vmap(one)(lanes)
    if strategy == 'map':
      return lax.map(one, lanes)
    if strategy == 'unroll':
      return stack([one(take(lanes, i)) for i in range(count(lanes))])
    return lax.map(one, lanes, batch_size=int(strategy.removeprefix('chunk:')))

  return batched if devices == 1 else _over_devices(batched, devices)


def _over_devices(batched: Callable[..., Any], devices: int) -> Callable[..., Any]:
  """Spreads the lanes of `batched(lanes, *shared)` over devices.

  By shard_map, because the SPMD partitioner replicates grouped convolutions.
  """
  mesh = jax.make_mesh(
    (devices,),
    ('lanes',),
    axis_types=(AxisType.Auto,),
    devices=jax.local_devices()[:devices],
  )
  over, everywhere = PartitionSpec('lanes'), PartitionSpec()

  def spread(lanes, *shared):
    run = jax.shard_map(
      batched,
      mesh=mesh,
      in_specs=(over, *(everywhere for _ in shared)),
      out_specs=over,
      check_vma=False,
    )
    found = run(pad(lanes, devices), *shared)
    return take(found, slice(count(lanes)))

  return spread


def pad(lanes: Any, multiple: int) -> Any:
  """Repeats the last lane until L divides by `multiple`."""
  missing = -count(lanes) % multiple
  if not missing:
    return lanes
  index = np.minimum(np.arange(count(lanes) + missing), count(lanes) - 1)
  return take(lanes, index)


def count(lanes: Any) -> int:
  """L, the number of lanes in a stacked pytree."""
  return len(jax.tree.leaves(lanes)[0])


def take(lanes: Any, index: Any) -> Any:
  """The lane at an integer `index`, or the stacked lanes at an array of them."""
  return jax.tree.map(lambda leaf: leaf[index], lanes)


def stack(lanes: Sequence[Any]) -> Any:
  """Single lanes -> one pytree with L in front."""
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *lanes)
