"""Where activations are kept, and what happens where they do not fit."""

import dataclasses

import jax
import numpy as np
import pytest
import tiny

from gpz_jax import sweep
from gpz_jax.attacks.activation import interception, inversion
from gpz_jax.sweep import ahead, memory
from gpz_jax.sweep.plan import make_plan
from gpz_jax.training import programs, streaming
from gpz_jax.training.engine import Engine

pytestmark = pytest.mark.usefixtures('blank_charts')
ATTACK = 'inversion:enhance=normalize_input'
MADE_BY_THE_RUN = ('wall_seconds', 'cache', 'wave')


@pytest.fixture(scope='module', autouse=True)
def several_chunks():
  """The 50 images of aux are captured in two pieces, the 20 of test in one."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(interception, 'CHUNK', 32)
    yield


@pytest.fixture(scope='module')
def config(tmp_path_factory):
  return tiny.sweep_config(
    tmp_path_factory.mktemp('runs') / 'device',
    defence=('none', 'noise:sigma=0.5'),
    attack=('inversion', ATTACK),
    train_limit=32,
    val_limit=16,
    test_limit=20,
    aux_limit=50,
    target_batch_size=16,
    decoder_epochs=2,
    decoder_schedule='cosine',  # its rate depends on the step, wherever the rows are
  )


@pytest.fixture(scope='module')
def on_device(config):
  return sweep.run(config, quiet=True).rows


def comparable(rows):
  return [{k: v for k, v in r.items() if k not in MADE_BY_THE_RUN} for r in rows]


@pytest.mark.parametrize(
  'place',
  [
    pytest.param('host', marks=pytest.mark.slow),
    pytest.param('disk', marks=pytest.mark.ci),
  ],
)
def test_where_activations_are_kept_does_not_change_a_row(
  config, on_device, place, monkeypatch, tmp_path
):
  # slabs of two steps, so that the five batches of an epoch take three of them
  row = 4 * 2 * 4 * 4 * 8
  monkeypatch.setattr(streaming, 'SLAB_BYTES', 2 * 8 * row)
  elsewhere = dataclasses.replace(
    config, workdir=str(tmp_path / place), cache=place, targets_from=config.workdir
  )
  rows = sweep.run(elsewhere, quiet=True).rows
  assert {row['cache'] for row in on_device} == {'device'}
  assert {row['cache'] for row in rows} == {place}
  assert comparable(rows) == comparable(on_device)
  assert not (tmp_path / place / 'activations').exists()


@pytest.mark.ci
def test_a_chunk_that_is_too_large_is_halved(
  config, on_device, monkeypatch, tmp_path, capsys
):
  train, sizes = inversion.train, []

  def train_few(decoder, lanes, *args, **options):
    sizes.append(len(lanes))
    if len(lanes) > 1:
      raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory')
    return train(decoder, lanes, *args, **options)

  monkeypatch.setattr(inversion, 'train', train_few)
  again = dataclasses.replace(
    config, workdir=str(tmp_path / 'few'), targets_from=config.workdir
  )
  rows = sweep.run(again).rows
  assert sizes == [2, 1, 1, 1, 1]
  assert '2 lanes do not fit the device; 1 at a time' in capsys.readouterr().out
  assert comparable(rows) == comparable(on_device)


@pytest.mark.ci
def test_programs_that_say_they_do_not_fit_are_not_run(
  config, on_device, monkeypatch, tmp_path
):
  plan = make_plan(config)
  attack = next(iter(plan.attacked))
  one, two = (
    ahead.compile_job(plan, Engine().resolve(), ahead.Job((4, 4, 8), attack, lanes))
    for lanes in (1, 2)
  )
  assert one.peak_bytes() < two.peak_bytes()
  monkeypatch.setattr(programs, 'device_bytes', lambda: two.peak_bytes() - 1)
  again = dataclasses.replace(
    config, workdir=str(tmp_path / 'less'), targets_from=config.workdir
  )
  rows = sweep.run(again, quiet=True).rows
  assert {row['wave'] for row in on_device} == {2}
  assert {row['wave'] for row in rows} == {1}
  assert comparable(rows) == comparable(on_device)


@pytest.mark.parametrize(
  ('budget', 'sizes'), [(1e9, [5]), (250, [2, 2, 1]), (1, [1] * 5)]
)
def test_chunks_fit_the_budget(monkeypatch, budget, sizes):
  monkeypatch.setattr(memory, 'budget_bytes', lambda plan: budget)
  monkeypatch.setattr(memory, 'bytes_per_lane', lambda plan, shape: 100)
  lane_chunks = list(memory.lane_chunks(None, (4, 4, 8), list(range(5))))
  assert [len(lane_chunk) for lane_chunk in lane_chunks] == sizes
  assert [lane for lane_chunk in lane_chunks for lane in lane_chunk] == list(range(5))


def test_other_errors_of_the_device_are_not_hidden(monkeypatch, tmp_path):
  def fail(*args, **options):
    raise jax.errors.JaxRuntimeError('INTERNAL: something else')

  monkeypatch.setattr(inversion, 'train', fail)
  config = tiny.sweep_config(tmp_path / 'fail', target_epochs=1)
  with pytest.raises(jax.errors.JaxRuntimeError, match='INTERNAL'):
    sweep.run(config, quiet=True)


def test_activations_go_to_the_first_place_they_fit(monkeypatch):
  monkeypatch.setattr(
    programs.os, 'sysconf', lambda name: {'SC_PAGE_SIZE': 1}.get(name, 100)
  )
  monkeypatch.setattr(interception.jax, 'default_backend', lambda: 'gpu')
  assert interception.choose_place(10, 10) == 'device'
  assert interception.choose_place(11, 10) == 'host'
  assert (
    interception.choose_place(51, 10) == 'disk'
  )  # over half of the host's 100 bytes
  monkeypatch.setattr(interception.jax, 'default_backend', lambda: 'cpu')
  assert interception.choose_place(11, 10) == 'disk'


def test_a_streamed_segment_holds_the_rows_of_its_steps():
  far = np.arange(2 * 10).reshape(2, 10)
  lanes = {'key': np.zeros(2), 'train': far}
  images = np.arange(10)
  feeding = streaming.Stream(lanes, {'train': images}, batch_size=3, devices=1)
  feeding.most_steps = 2
  order = np.array([[9, 1, 2], [3, 4, 5], [6, 7, 0], [8, 9, 1]], np.int32)
  masks = np.array([[1, 1, 1]] * 3 + [[1, 0, 0]], np.float32)
  near, shared, local, mask, span = feeding.segment(order, masks, np.array([1, 3]))
  assert span == (0, 2, 1, 4)
  np.testing.assert_array_equal(near['train'][:, local], far[:, order[1:3]])
  np.testing.assert_array_equal(shared['train'][local], order[1:3])
  near, _, local, mask, span = feeding.segment(order, masks, np.array([3, 4]))
  assert span == (0, 1, 3, 4)  # the rest is filling
  np.testing.assert_array_equal(near['train'][0, local[0]], order[3])
  np.testing.assert_array_equal(mask[0], masks[3])


def test_rows_are_gathered_ahead_and_anew_where_another_step_comes(monkeypatch):
  gathered = []
  gather = streaming.Stream._gather

  def note(self, order, start):
    gathered.append(start)
    return gather(self, order, start)

  monkeypatch.setattr(streaming.Stream, '_gather', note)
  far = np.arange(2 * 8).reshape(2, 8)
  lanes = {'key': np.zeros(2), 'train': far}
  feeding = streaming.Stream(lanes, {'train': np.arange(8)}, batch_size=2, devices=1)
  feeding.most_steps = 2
  masks = np.ones((4, 2), np.float32)

  def taken(order, start, stop):
    near, _, local, _, span = feeding.segment(order, masks, np.array([start, stop]))
    steps = slice(span.start, span.stop)
    np.testing.assert_array_equal(
      near['train'][:, local[steps]], far[:, order[start:stop]]
    )

  one, other = np.arange(8).reshape(4, 2), np.arange(8)[::-1].reshape(4, 2)
  taken(one, 0, 2)
  taken(one, 2, 3)  # foreseen
  taken(one, 1, 2)  # not
  taken(other, 2, 4)  # of another epoch
  assert sorted(gathered) == [0, 1, 2, 2, 2, 3]


def test_a_lane_over_the_budget_is_told_of(config, tmp_path):
  small = dataclasses.replace(
    config, workdir=str(tmp_path / 'small'), cache_budget_gb=1e-5
  )
  (line,) = memory.notes(sweep.make_plan(small))
  assert line.startswith('note: one lane at 4x4x8 takes 0.0 GiB, over')
  assert not list(memory.notes(sweep.make_plan(config)))
