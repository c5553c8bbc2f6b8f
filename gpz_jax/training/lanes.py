"""Runs a function written for one lane over many.

The strategy is data: it changes speed, and the last bits of the result, but not what
is computed. `map` gives every lane exactly what it would get alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from gpz_jax.types import InputError
from gpz_jax.vocabulary import STRATEGIES

_AXIS = 'lanes'  # of the mesh of devices


def check(strategy: str) -> None:
  """Refuses a strategy that is not known, without making JAX look for devices.

  Raises:
    InputError: The strategy is not known.
  """
  name, _, size = strategy.partition(':')
  chunked = name == 'chunk' and size.isdecimal() and int(size) > 0
  if not chunked and strategy not in ('auto', 'map', 'vmap', 'unroll'):
    raise InputError(
      f"strategy '{strategy}' is not known. Known: {', '.join(STRATEGIES)} (K >= 1)"
    )


def resolve(strategy: str) -> str:
  """The strategy that `auto` stands for on this backend; checks the others.

  vmap turns convolutions with a kernel per lane into grouped convolutions. On CPU these
  run naively. On accelerators they keep the device busy where one lane cannot.

  Raises:
    InputError: The strategy is not known.
  """
  check(strategy)
  if strategy != 'auto':
    return strategy
  return 'map' if jax.default_backend() == 'cpu' else 'vmap'


def over_lanes(
  function: Callable[..., Any], strategy: str, *, devices: int = 1
) -> Callable[..., Any]:
  """Batches `function(lane, *shared)` over a leading lane axis of `lane`.

  Args:
    function: Written for one lane; `lane` is a pytree, and `shared` is the same for all
      lanes.
    strategy: A resolved strategy: map, vmap, unroll or chunk:K.
    devices: How many devices share the lanes. Where L does not divide by it, the last
      lane is repeated, and the results of its copies are dropped.

  Returns:
    The function of (lanes, *shared); `lanes` and the result have L in front.
  """

  def batched(lanes, *shared):
    count(lanes)  # unrolled lanes would index beyond the end of a shorter array

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

  It uses shard_map, because the SPMD partitioner that plain jit would use computes
  grouped convolutions on every device.
  """
  mesh, over, everywhere = _make_mesh(devices), PartitionSpec(_AXIS), PartitionSpec()

  def spread(lanes, *shared):
    run = jax.shard_map(
      batched,
      mesh=mesh,
      in_specs=(over, *(everywhere for _ in shared)),
      out_specs=over,
      # Otherwise each loop would have to mark its carry as varying over lanes.
      check_vma=False,
    )
    found = run(pad(lanes, devices), *shared)
    return take(found, slice(count(lanes)))

  return spread


def _make_mesh(devices: int) -> Mesh:
  """The devices that lanes are spread over."""
  return jax.make_mesh(
    (devices,),
    (_AXIS,),
    axis_types=(AxisType.Auto,),
    devices=jax.local_devices()[:devices],
  )


def place(lanes: Any, devices: int) -> Any:
  """Pads lanes and puts each where `over_lanes` computes it.

  What lies elsewhere is moved in every call, and a program is compiled once more for
  every such layout of its arguments.

  Args:
    lanes: A pytree of arrays with L in front.
    devices: How many devices share the lanes. With one, only what is not yet on a
      device is moved.
  """
  return _put(pad(lanes, devices), devices, PartitionSpec(_AXIS))


def place_shared(shared: Any, devices: int) -> Any:
  """Puts what all lanes read on each of their devices, see `place`."""
  return _put(shared, devices, PartitionSpec())


def _put(tree: Any, devices: int, layout: PartitionSpec) -> Any:
  if devices == 1:
    return jax.device_put(tree)
  return jax.device_put(tree, NamedSharding(_make_mesh(devices), layout))


def pad(lanes: Any, multiple: int) -> Any:
  """Repeats the last lane until L divides by `multiple`."""
  missing = -count(lanes) % multiple
  if not missing:
    return lanes
  index = np.minimum(np.arange(count(lanes) + missing), count(lanes) - 1)
  return take(lanes, index)


def count(lanes: Any) -> int:
  """L, the number of lanes in a stacked pytree.

  Raises:
    AssertionError: The arrays do not all have the same number in front.
  """
  leaves = jax.tree.leaves(lanes)
  chex.assert_equal_shape_prefix(
    leaves, 1, custom_message='every array of the lanes must have L in front'
  )
  return len(leaves[0])


def take(lanes: Any, index: Any) -> Any:
  """The lane at an integer `index`, or the stacked lanes at an array of them."""
  return jax.tree.map(lambda leaf: leaf[index], lanes)


def stack(lanes: Sequence[Any]) -> Any:
  """Single lanes -> one pytree with L in front."""
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *lanes)


def check_subset(
  lanes: Mapping[str, Any], shared: Mapping[str, Any], name: str, num_examples: int
) -> None:
  """Refuses arrays of a subset that do not hold as many examples as is said.

  A compiled program clamps an index beyond the end of an array, so that the wrong
  example would be read without a word.

  Args:
    lanes: Arrays with L in front; those under `name` are [L, N, ...].
    shared: The arrays that all lanes read; those under `name` are [N, ...].
    name: The entry that holds the subset, if the lanes or `shared` have one.
    num_examples: N, the number of examples that batches index into.

  Raises:
    AssertionError: An array has another number of examples.
  """
  for leaf in jax.tree.leaves(lanes.get(name)):
    message = f"lanes['{name}'] must be [L, N, ...] with N = {num_examples} examples"
    chex.assert_shape(leaf, (None, num_examples, ...), custom_message=message)
  for leaf in jax.tree.leaves(shared.get(name)):
    message = f"shared['{name}'] must be [N, ...] with N = {num_examples} examples"
    chex.assert_shape(leaf, (num_examples, ...), custom_message=message)
