"""Streams training data that do not fit the device: each segment gets its own rows.

Such activations lie in the host's memory or in a file. The compiled program sees no
difference: it is handed smaller arrays and an order that indexes into them. The rows of
the next segment are gathered and handed over on a thread while the current one runs.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.step import LaneArrays, Shared, Span

SLAB_BYTES = 2**28  # the most activations of a segment; those of two are on the device
STREAMED = 'train'  # the entry of lanes, and of what they share, that may be streamed


class Stream:
  """Supplies the arguments of each segment, and streams the rows if need be.

  Args:
    lanes: Arrays with L in front. An ndarray under 'train' [L, N, ...] is streamed,
      together with the images under 'train' [N, ...] of `shared`.
    shared: The arrays that all lanes read.
    batch_size: B, the examples of each step.
    devices: The number of devices; L is padded to a multiple of it.
  """

  def __init__(self, lanes: LaneArrays, shared: Shared, batch_size: int, devices: int):
    is_streamed = isinstance(lanes.get(STREAMED), np.ndarray)
    self._on_host = lanes[STREAMED] if is_streamed else None
    if is_streamed:
      lanes = {name: leaf for name, leaf in lanes.items() if name != STREAMED}
    self.lanes = lanes_lib.place(lanes, devices)
    self.shared = lanes_lib.place_shared(shared, devices)
    self.num_lanes = lanes_lib.count(self.lanes)
    self._batch_size, self._devices = batch_size, devices
    self.most_steps = 2**31
    if self._on_host is not None:
      row = self._on_host[:1, :1].nbytes * self.num_lanes
      self.most_steps = max(1, SLAB_BYTES // (row * batch_size))
      self._thread = ThreadPoolExecutor(1)
      self._next: tuple[np.ndarray, int, Future] | None = None

  def renew(self, make: Callable[[], Any]) -> None:
    """Replaces the rows that are trained on [L, N, ...], between two epochs.

    Args:
      make: Makes them, in the place of those before. These are let go first.
    """
    if self._on_host is not None:
      self._on_host = None
      self._on_host = make()
    else:
      self.lanes = {name: leaf for name, leaf in self.lanes.items() if name != STREAMED}
      self.lanes[STREAMED] = lanes_lib.place(make(), self._devices)

  def segment(self, order: np.ndarray, masks: np.ndarray, bounds: np.ndarray) -> Any:
    """The arguments of steps bounds[0] .. bounds[1] - 1 of an epoch.

    Args:
      order: [S, B] the examples of each step of the epoch.
      masks: [S, B] which of them count.
      bounds: [2] the first step of the segment and the one after its last.

    Returns:
      The lanes, the shared arrays, order, masks and span, as `Epoch.segment` takes
      them.
    """
    start, stop = map(int, bounds)
    if self._on_host is None:
      span = Span(*map(np.int32, (start, stop, 0, len(order))))
      return self.lanes, self.shared, order, masks, span
    rows, images = self._take(order, start)
    if stop < len(order):
      self._next = order, stop, self._thread.submit(self._gather, order, stop)
    local = np.arange(len(images), dtype=np.int32).reshape(-1, self._batch_size)
    return (
      {**self.lanes, STREAMED: rows},
      {**self.shared, STREAMED: images},
      local,
      np.resize(masks[start:stop], local.shape),
      Span(*map(np.int32, (0, stop - start, start, len(order)))),
    )

  def _take(self, order: np.ndarray, start: int) -> tuple[jax.Array, Any]:
    """What `_gather` returns; it is there already if this segment was foreseen."""
    foreseen, self._next = self._next, None
    if foreseen is not None:
      of, at, gathered = foreseen
      found = gathered.result()
      if of is order and at == start:
        return found
    return self._gather(order, start)

  def _gather(self, order: np.ndarray, start: int) -> tuple[jax.Array, Any]:
    """The activations [L, n, ...] and images [n, ...] of the steps from `start` on."""
    assert self._on_host is not None
    # Slabs are equal: each has room for the longest segment, or for a shorter epoch. A
    # slab of another shape would be another program, which compiles for seconds. What
    # lies beyond the end of the segment is filling that no step reads.
    steps = min(self.most_steps, len(order))
    rows = np.resize(order[start : start + steps], (steps, self._batch_size)).ravel()
    lane = lanes_lib.pad(np.arange(len(self._on_host)), self._devices)
    images = jax.tree.map(lambda leaf: leaf[rows], self.shared[STREAMED])
    return lanes_lib.place(self._on_host[lane[:, None], rows], self._devices), images
