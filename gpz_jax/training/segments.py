"""Cuts work into segments of a few seconds, between which the host can look up."""

import time
from collections.abc import Iterator

import numpy as np

SEGMENT_SECONDS = 5.0  # how long the host waits at most before it looks up


class Segmenter:
  """Cuts a number of steps into segments that take about SEGMENT_SECONDS each.

  Where a segment ends does not change what is computed, so the clock may decide.

  Args:
    most_steps: The most steps that a segment may have.
  """

  def __init__(self, most_steps: int = 2**31):
    self._length = 1  # steps of the next segment
    self._most_steps = most_steps

  def segments(self, start: int, steps: int) -> Iterator[np.ndarray]:
    """Yields [start, stop] int32 of each segment until all `steps` are covered.

    What the caller does before it asks for the next segment is timed.
    """
    while start < steps:
      stop = min(start + self._length, steps)
      began = time.perf_counter()
      yield np.array([start, stop], np.int32)
      seconds = time.perf_counter() - began
      rate = (stop - start) / max(seconds, 1e-9)
      # The first segment is slow, as it compiles, so lengths start low. They grow at
      # most fourfold at a time: one step alone is a poor measure of the next hundred.
      wanted = min(int(rate * SEGMENT_SECONDS), 4 * self._length, self._most_steps)
      self._length = max(1, wanted)
      start = stop
