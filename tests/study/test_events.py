"""Curves for TensorBoard, read back from their files."""

import struct

import numpy as np
import pytest
from tensorboardX import record_writer
from tensorboardX.proto import event_pb2

from gpz_jax.study.events import Events, name_run
from gpz_jax.types import Lane, Treatment

LANES = [Lane('cnn', 'shapes', Treatment(alpha), 0) for alpha in (0.0, -0.05)]
# [epochs, L]
HISTORY = {'mse': np.array([[3.0, 30.0], [2.0, 20.0]]), 'loss': np.ones((2, 2))}


def read_points(path):
  """(tag, step, value) of each scalar; a record is length, check, data, check."""
  data, points = path.read_bytes(), []
  while data:
    (length,) = struct.unpack('<Q', data[:8])
    event = event_pb2.Event.FromString(data[12 : 12 + length])
    data = data[16 + length :]
    points += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
  return points


def test_runs_are_named_in_words():
  assert [name_run(lane) for lane in LANES] == [
    'cnn/alpha=0/seed=0',
    'cnn/alpha=-0.05/seed=0',
  ]
  assert name_run(LANES[0], 'conv_1') == 'cnn/alpha=0/seed=0/conv_1'
  # no name leads out of the folder
  foreign = name_run(Lane('my.net:make', 'shapes', Treatment(), 3), '../x')
  model, _, seed, split = foreign.split('/')
  assert (model[:12], seed, split[:2]) == ('my.net.make-', 'seed=3', 'x-')


def test_a_run_holds_the_curves_of_its_lane(tmp_path):
  runs = [name_run(lane, 'conv_1') for lane in LANES]
  Events(tmp_path).write('decoder inversion', runs, HISTORY)
  for lane, run in enumerate(runs):
    (path,) = (tmp_path / run).iterdir()
    assert read_points(path) == [
      ('decoder inversion/mse', 1, HISTORY['mse'][0, lane]),
      ('decoder inversion/mse', 2, HISTORY['mse'][1, lane]),
      ('decoder inversion/loss', 1, 1.0),
      ('decoder inversion/loss', 2, 1.0),
    ]


def test_two_trainings_of_one_second_are_two_files(tmp_path):
  events, run = Events(tmp_path), name_run(LANES[0])
  one = {name: values[:, :1] for name, values in HISTORY.items()}
  for attack in ('inversion', 'query_free'):
    events.write(f'decoder {attack}', [run], one)
  paths = list((tmp_path / run).iterdir())
  assert len(paths) == 2
  tags = {tag for path in paths for tag, _, _ in read_points(path)}
  assert tags == {
    f'decoder {attack}/{name}'
    for attack in ('inversion', 'query_free')
    for name in HISTORY
  }


def test_a_full_disk_is_an_error_like_any_other(tmp_path, monkeypatch):
  full = []

  def open_full(path):
    del path
    full.append(open('/dev/full', 'wb', buffering=0))  # noqa: SIM115 closed below
    return full[-1]

  monkeypatch.setattr(record_writer, 'open_file', open_full)
  with pytest.raises(OSError, match='No space left on device'):
    Events(tmp_path).write('target', ['run', 'run'], HISTORY)
  full[0].close()
