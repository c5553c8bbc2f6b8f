"""Pieces of work that take a few seconds, so that the host can look up between them."""

import time
from collections.abc import Iterator

import numpy as np

SEGMENT_SECONDS = 5.0  # how long the host waits at most before it looks up


class Segmenter:
  """Cuts a count of steps into segments that take about SEGMENT_SECONDS.

  Where a segment ends does not change what is computed, so wall-clock may decide.
  """

  def __init__(self, most: int = 2**31):
    self.steps = 1
    self.most = most

  def segments(self, start: int, steps: int) -> Iterator[np.ndarray]:
    """Yields [start, stop] int32 until all `steps` are covered."""
    while start < steps:
      stop = min(start + self.steps, steps)
      began = time.perf_counter()
      yield np.array([start, stop], np.int32)
      seconds = time.perf_counter() - began
      rate = (stop - start) / max(seconds, 1e-9)  # the compile makes the first one slow
      wanted = min(int(rate * SEGMENT_SECONDS), 4 * self.steps, self.most)
      self.steps = max(1, wanted)
      start = stop
