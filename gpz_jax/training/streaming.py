"""What a segment of training reads: everything at once, or just its own examples.

Activations that do not fit the device lie in the host's memory or in a file; then each
segment is handed the rows it takes, and the compiled program sees no difference. The
rows of the next segment are gathered on a thread while the current one runs.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from gpz_jax.training import lanes as lanes_lib

SLAB_BYTES = 2**28  # most of what is handed over at a time
STREAMED = 'train'  # the entry of lanes, and of what they share, that may be streamed


class Stream:
  """Hands the arguments of each segment over.

  Args:
    lanes: stacked; an ndarray under 'train' [L, N, ...] is streamed, with the images
      under 'train' [N, ...] of `shared`.
    shared: what all lanes read.
    batch_size: B.
    devices: L is padded to a multiple of it.
  """

  def __init__(self, lanes: Any, shared: Any, batch_size: int, devices: int):
    self._far = lanes[STREAMED] if isinstance(lanes.get(STREAMED), np.ndarray) else None
    if self._far is not None:
      lanes = {name: leaf for name, leaf in lanes.items() if name != STREAMED}
    self.lanes = lanes_lib.pad(lanes, devices)
    self.shared = shared
    self.num_lanes = lanes_lib.count(self.lanes)
    self._batch_size, self._devices = batch_size, devices
    self.most_steps = 2**31
    if self._far is not None:
      row = self._far[:1, :1].nbytes * self.num_lanes
      self.most_steps = max(1, SLAB_BYTES // (row * batch_size))
      self._thread = ThreadPoolExecutor(1)
      self._next: tuple[np.ndarray, int, Future] | None = None

  def segment(self, order: np.ndarray, masks: np.ndarray, bounds: np.ndarray) -> Any:
    """The lanes, the shared data, order, masks and bounds for steps bounds[0] on.

    A streamed segment has `most_steps` steps or, in an epoch shorter than that, all of
    them, so that one program serves all; those beyond bounds[1] are not taken.
    """
    if self._far is None:
      return self.lanes, self.shared, order, masks, bounds
    start, stop = map(int, bounds)
    near, images = self._take(order, start)
    if stop < len(order):
      self._next = order, stop, self._thread.submit(self._gather, order, stop)
    local = np.arange(len(images), dtype=np.int32).reshape(-1, self._batch_size)
    return (
      {**self.lanes, STREAMED: near},
      {**self.shared, STREAMED: images},
      local,
      np.resize(masks[start:stop], local.shape),
      np.array([0, stop - start], np.int32),
    )

  def _take(self, order: np.ndarray, start: int) -> tuple[np.ndarray, Any]:
    """What `_gather` returns, gathered ahead where this was foreseen."""
    foreseen, self._next = self._next, None
    if foreseen is not None:
      of, at, gathered = foreseen
      found = gathered.result()
      if of is order and at == start:
        return found
    return self._gather(order, start)

  def _gather(self, order: np.ndarray, start: int) -> tuple[np.ndarray, Any]:
    """The activations [L, n, ...] and images [n, ...] of the steps from `start` on."""
    assert self._far is not None
    steps = min(self.most_steps, len(order))
    rows = np.resize(order[start : start + steps], (steps, self._batch_size)).ravel()
    lane = lanes_lib.pad(np.arange(len(self._far)), self._devices)
    images = jax.tree.map(lambda leaf: leaf[rows], self.shared[STREAMED])
    return self._far[lane[:, None], rows], images
