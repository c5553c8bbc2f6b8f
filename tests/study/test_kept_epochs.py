"""Epochs of targets that are kept, and chosen by their accuracy."""

import jax
import numpy as np
import pytest
import tiny
import toys

from gpz_jax import results, sweep
from gpz_jax.study import kept_epochs
from gpz_jax.study import targets as study_targets
from gpz_jax.study.kept_epochs import Keeper
from gpz_jax.study.workdir import Workdir
from gpz_jax.targets import Targets
from gpz_jax.types import InputError, Lane, Treatment

pytestmark = pytest.mark.usefixtures('blank_charts')
LANES = [
  Lane('line', 'x', Treatment(), 0),
  Lane('line', 'x', Treatment(skips='1110@2'), 0),
]


@pytest.fixture(scope='module')
def states():
  return toys.fit(toys.make_trainer())[0]


def keep(folder, states, errors, *, count=2, begin=1):
  """Runs a keeper over epochs with errors [epochs, L], each with its own states."""
  keeper = Keeper(folder, LANES, count, epochs=10)
  for epoch, error in enumerate(errors, begin):
    keeper.watch({'error': np.array(error)})
    params = jax.tree.map(lambda leaf, e=epoch: leaf * 0 + e, states.train.params)
    keeper.keep(epoch, states.replace(train=states.train.replace(params=params)))


def epochs(folder, lane=LANES[0]):
  return [kept.epoch for kept in kept_epochs.list_kept(folder, lane)]


def test_the_best_few_are_kept_half_a_point_apart(tmp_path, states):
  errors = [[e, e] for e in (0.9, 0.5, 0.6, 0.497, 0.4, np.nan, 0.2)]
  keep(tmp_path, states, errors)
  assert epochs(tmp_path) == [5, 7]  # 3 was worse, 4 too near, 2 not of the best two
  assert epochs(tmp_path, LANES[1]) == [5, 7]


def test_none_is_dropped_before_there_are_too_many(tmp_path, states):
  keep(tmp_path, states, [[e, 0.9] for e in (0.9, 0.8, 0.7, 0.6)], count=5)
  assert epochs(tmp_path) == [1, 2, 3, 4]
  keep(tmp_path, states, [[e, 0.9] for e in (0.5, 0.4)], count=5, begin=5)
  assert epochs(tmp_path) == [2, 3, 4, 5, 6]


def test_epochs_before_a_schedule_ends_are_not_kept(tmp_path, states):
  keep(tmp_path, states, [[0.5, 0.5], [0.4, 0.4], [0.45, 0.45]], count=5)
  assert epochs(tmp_path) == [1, 2]
  assert epochs(tmp_path, LANES[1]) == [3]


def test_a_training_that_goes_on_from_before_drops_what_came_after(tmp_path, states):
  keep(tmp_path, states, [[0.5, 0.9], [0.4, 0.9], [0.3, 0.9]], count=5)
  keep(tmp_path, states, [[0.45, 0.9]], count=5, begin=2)
  assert epochs(tmp_path) == [1, 2]
  assert kept_epochs.list_kept(tmp_path, LANES[0])[-1].accuracy == pytest.approx(0.55)


def test_the_nearest_accuracy_is_chosen(tmp_path, states):
  keep(tmp_path, states, [[0.5, 0.9], [0.4, 0.8], [0.1, 0.7]], count=5)
  best = Targets(states.best, states.train.is_finite)
  found = kept_epochs.select(tmp_path, LANES[:1], best, 0.65)
  assert found.best.epoch.tolist() == [2]
  for leaf in jax.tree.leaves(found.best.params):
    assert (leaf == 2).all()
  with pytest.raises(InputError, match='keep_checkpoints=8'):
    kept_epochs.select(tmp_path / 'nowhere', LANES[:1], best, 0.65)


def test_the_accuracy_of_what_is_attacked_decides(tmp_path, states):
  keep(tmp_path, states, [[0.5, 0.5], [0.4, 0.5], [0.1, 0.5]], count=5)
  targets = Targets(states.best, states.train.is_finite)
  seen = []

  def measure(found):  # its averages lagged behind, so that training measured less
    seen.append(found.best.epoch.tolist())
    return np.array([0, 0.7, 0.8, 0.9])[found.best.epoch]

  found = kept_epochs.select(tmp_path, LANES, targets, 0.6, measure)
  assert found.best.epoch.tolist() == [1, 3]  # it would be epoch 2 by the training
  assert seen == [[1, 3], [2, 3], [3, 3]]


def test_none_is_kept_by_default(tmp_path, states):
  keep(tmp_path, states, [[0.5, 0.5]], count=0)
  assert not list(tmp_path.iterdir())


@pytest.mark.ci
def test_a_sweep_attacks_the_epoch_that_is_asked_for(tmp_path, capsys):
  first = tmp_path / 'first'
  config = tiny.sweep_config(
    first, target_epochs=4, keep_checkpoints=9, train_limit=64, val_limit=64
  )
  sweep.run(config, quiet=True)
  (lane,) = config.list_lanes()
  kept = kept_epochs.list_kept(first / 'epochs', lane)
  assert kept
  changes = {'targets_from': str(first), 'at_accuracy': 0.0, 'keep_checkpoints': 0}
  second = tiny.sweep_config(
    tmp_path / 'second', target_epochs=4, train_limit=64, val_limit=64, **changes
  )
  sweep.run(second)
  (row,) = results.read_parquet(tmp_path / 'second' / 'results.parquet')
  assert row['target_val_accuracy'] == pytest.approx(kept[0].accuracy)
  captured = capsys.readouterr()
  told = captured.out + captured.err
  assert f'epoch {kept[0].epoch}, by --at_accuracy' in told
  assert 'no kept epoch is nearer to --at_accuracy=0: it is not compared' in told


def test_averages_are_refreshed_before_an_epoch_is_chosen(tmp_path, monkeypatch):
  config = tiny.sweep_config(
    tmp_path / 'run', bn_refresh=True, keep_checkpoints=8, at_accuracy=0.6
  )
  plan = sweep.make_plan(config)

  def refresh(model, found, images, *, engine):
    return found | {'is_refreshed': True}

  def select(folder, lanes, found, accuracy, measure):
    assert measure(found) == 0.7
    return found

  def evaluate(model, found, dataset, *, engine):
    assert found['is_refreshed']
    assert dataset is plan.task.val
    return {'accuracy': 0.7}

  monkeypatch.setattr(study_targets.targets_lib, 'refresh_batch_norm', refresh)
  monkeypatch.setattr(study_targets.targets_lib, 'evaluate', evaluate)
  monkeypatch.setattr(study_targets.kept_epochs, 'select', select)
  monkeypatch.setattr(study_targets, 'restore', lambda *arguments: ({}, {}))
  same = {lane.lane_id: 'same' for lane in plan.lanes}
  monkeypatch.setattr(study_targets.continuing, 'digest_targets', lambda *_: same)
  found = study_targets.load(plan, Workdir(config.workdir))
  assert found == {'is_refreshed': True}
