"""When a snapshot is due: never so often that saving takes over."""

import pytest

from gpz_jax.study import snapshots
from gpz_jax.training.engine import Engine
from gpz_jax.training.snapshots import Snapshot


class Clock:
  """A clock that moves when it is told to."""

  def __init__(self):
    self.now = 1000.0

  def monotonic(self):
    return self.now


@pytest.fixture
def clock(monkeypatch):
  clock = Clock()
  monkeypatch.setattr(snapshots.time, 'monotonic', clock.monotonic)
  return clock


def make_store(clock, monkeypatch, tmp_path, interval, cost):
  """A store whose every save takes `cost` seconds."""

  def save(*args, **options):
    del args, options
    clock.now += cost

  monkeypatch.setattr(snapshots.checkpoints, 'save', save)
  engine = Engine('map').resolve()
  return snapshots.SnapshotStore(tmp_path / 'training', {}, engine, interval, print)


SNAPSHOT = Snapshot(None, None, 1, 2, {})  # nothing of it is looked at


def test_the_first_snapshot_is_due_after_the_interval(clock, monkeypatch, tmp_path):
  store = make_store(clock, monkeypatch, tmp_path, interval=30.0, cost=1.0)
  clock.now += 29.0
  assert not store.is_due()
  clock.now += 1.0
  assert store.is_due()


@pytest.mark.parametrize(
  ('cost', 'wait'),
  [
    (1.0, 30.0),  # twenty times 1 s is less than the interval
    (4.0, 80.0),  # twenty times 4 s
  ],
)
def test_the_next_one_waits_twenty_times_what_saving_took(
  clock, monkeypatch, tmp_path, cost, wait
):
  store = make_store(clock, monkeypatch, tmp_path, interval=30.0, cost=cost)
  store.save(SNAPSHOT)
  clock.now += wait - 0.5
  assert not store.is_due()
  clock.now += 0.5
  assert store.is_due()


def test_saving_takes_at_most_a_twentieth_of_the_time(clock, monkeypatch, tmp_path):
  # docs/reliability.md; saving takes 5 s, the segments of the training half a second
  store = make_store(clock, monkeypatch, tmp_path, interval=0.0, cost=5.0)
  began, saves = clock.now, 0
  while saves < 20:
    clock.now += 0.5
    if store.is_due():
      store.save(SNAPSHOT)
      saves += 1
  # the very first comes at once, as what it costs is not known yet
  share = (saves - 1) * 5.0 / (clock.now - began)
  assert 0.045 < share <= 0.05
