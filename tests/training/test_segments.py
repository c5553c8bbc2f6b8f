"""How work is cut into segments, by a clock of our own."""

import pytest

from gpz_jax.training import segments


@pytest.fixture
def lengths_of(monkeypatch):
  """Cuts steps that take so many seconds each; the lengths of the segments."""
  now = 0.0
  monkeypatch.setattr(segments.time, 'perf_counter', lambda: now)

  def cut(segmenter, seconds, start, steps):
    nonlocal now
    found = []
    for first, stop in segmenter.segments(start, steps):
      found.append((int(first), int(stop)))
      now += seconds * (stop - first)
    covered = [i for first, stop in found for i in range(first, stop)]
    assert covered == list(range(start, steps))  # each step once, in order
    return [stop - first for first, stop in found]

  return cut


def test_segments_grow_fourfold_until_they_take_five_seconds(lengths_of):
  found = lengths_of(segments.Segmenter(), 0.125, 0, 141)
  assert found == [1, 4, 16, 40, 40, 40]  # 40 steps of 0.125 s


def test_what_was_learnt_serves_the_next_epoch(lengths_of):
  segmenter = segments.Segmenter()
  lengths_of(segmenter, 0.125, 0, 141)
  assert lengths_of(segmenter, 0.125, 10, 60) == [40, 10]


def test_a_step_of_more_than_five_seconds_is_a_segment(lengths_of):
  assert lengths_of(segments.Segmenter(), 7.0, 0, 3) == [1, 1, 1]


def test_no_segment_is_longer_than_allowed(lengths_of):
  assert lengths_of(segments.Segmenter(most_steps=6), 0.125, 0, 20) == [1, 4, 6, 6, 3]


def test_nothing_left_to_do_gives_no_segment():
  assert list(segments.Segmenter().segments(5, 5)) == []
