"""What the report says and draws of the theory, on made-up rows; values by hand."""

import math

import numpy as np
import pytest
from made_up import (
  ERRORS,
  SHARE,
  embed,
  make_finished,
  make_row,
  make_rows,
  make_theory,
  make_training,
  write,
)

from gpz_jax import results
from gpz_jax.report.styles import treatment_colours
from gpz_jax.report.theory import along_epochs, along_splits, embeddings, read_theory
from gpz_jax.report.theory.findings import interval
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError, Treatment
from gpz_jax.zone import Vote
from gpz_jax.zone.profiles import theory_profile


def read(folder, rows, theory_rows):
  """What the report makes of rows; its files go to `folder`."""
  write(folder, rows, theory_rows)
  theory = read_theory(folder, rows)
  assert theory is not None
  return theory


def test_the_story_needs_three_epochs(tmp_path):
  theory = read(tmp_path, make_rows(ERRORS), make_training([[8.0], [9.0]]))
  (only,) = along_epochs.tell_story(theory)
  assert only.startswith('Measured at 2 epochs only: too few')


@pytest.mark.parametrize(
  ('alphas', 'beginnings'),
  [
    ((0.0,), ['Do one-hot']),
    ((0.1, 0.3), ['Do smoothed']),
    ((-0.05,), []),
    ((0.0, 0.3), ['Do one-hot', 'Do smoothed']),
  ],
)
def test_the_story_is_told_of_the_alphas_there_are(tmp_path, alphas, beginnings):
  rows = [row for alpha in alphas for row in make_rows(ERRORS, alpha=alpha)]
  radii = [[8.0], [9.0], [7.0]]
  followed = [row for alpha in alphas for row in make_training(radii, alpha=alpha)]
  theory = read(tmp_path, rows, followed)
  story = along_epochs.tell_story(theory)
  assert [' '.join(sentence.split()[:2]) for sentence in story] == beginnings


def test_middle_and_end_are_thirds_of_the_epochs(tmp_path):
  radii = [[8.0], [8.0], [8.0], [10.0], [11.0], [11.0], [5.5]]  # epochs 2 to 14
  theory = read(tmp_path, make_rows(ERRORS), make_training(radii))
  assert along_epochs.tell_story(theory)[0].endswith(
    'From epoch 6 to 10 it grew at 1 of 1 splits with alpha 0 (median change +37.5%).'
  )


def test_changes_and_trails_are_means_over_seeds(tmp_path):
  rows = [row for seed in range(3) for row in make_rows(ERRORS, seed=seed)]
  followed = make_training([[8.0], [9.0]], [[-1.0], [5.0]])
  followed += make_training([[10.0], [12.0]], [[-2.0], [5.0]], seed=1)
  # no change is known of seed 2, which therefore counts at neither epoch
  followed += make_training([[30.0], [math.nan]], [[math.nan], [5.0]], seed=2)
  theory = read(tmp_path, rows, followed)
  assert theory.trail('radius', Treatment(), 'a').tolist() == [9.0, 10.5]
  predicted, true = along_epochs.changes(theory, Treatment(), 'a')
  assert (predicted.tolist(), true.tolist()) == ([-1.5], [1.5])
  assert np.isnan(theory.trail('nc1', Treatment(), 'a')).all()


def test_the_lines_of_a_training_look_as_their_treatment(tmp_path):
  rows = make_rows(ERRORS[:1]) + make_rows(ERRORS[:1], alpha=0.3)
  followed = [
    row
    for alpha in (0.0, 0.3)
    for row in make_training([[8.0], [9.0]], [[1.0], [1.0]], alpha=alpha)
  ]
  theory = read(tmp_path, rows, followed)
  figure = along_epochs.draw_epochs(theory)
  assert figure is not None
  expected = list(treatment_colours(theory.treatments).values())
  radius, _, _, change, _ = figure.axes
  assert [line.get_color() for line in radius.lines] == expected
  # predicted changes first, dashed, then true ones; the line at 0 comes last
  lines = change.lines[:-1]
  assert [line.get_color() for line in lines] == expected * 2
  assert [line.get_linestyle() for line in lines] == ['--', '--', '-', '-']


def test_splits_of_the_training_figure(tmp_path):
  errors = [0.01, 0.03, 0.04, 0.05, 0.05, 0.06]  # jumps at b
  theory = read(tmp_path, make_rows(errors), make_training([[1.0] * 6]))
  assert along_epochs.choose_splits(theory) == ['a', 'b', 'd', 'f']


def test_one_seed_has_the_interval_it_was_measured_with():
  rows = make_theory([0.9, 0.8], width=0.2)
  low, high = interval(
    theory_profile(rows, Treatment(), 'radius_share', ('a', 'b', 'c'))
  )
  np.testing.assert_allclose(low, [0.8, 0.7, np.nan])
  np.testing.assert_allclose(high, [1.0, 0.9, np.nan])
  without = theory_profile(make_theory([0.9]), Treatment(), 'radius_share', ('a',))
  assert np.isnan(interval(without)).all()


def test_the_error_that_is_drawn_is_per_element(tmp_path):
  theory = read(tmp_path, make_rows(ERRORS), make_finished(SHARE))
  attack = along_splits.draw_splits(theory).axes[0]
  assert attack.get_ylabel() == 'test MSE per element'
  # the rows' error is a third of the one summed over three channels
  np.testing.assert_allclose(attack.lines[0].get_ydata(), np.array(ERRORS) / 3)
  # the ring is round c, which the vote by the published form names
  ring = attack.lines[-1]
  np.testing.assert_allclose(ring.get_ydata(), [ERRORS[2] / 3])


@pytest.mark.parametrize(
  ('smooth', 'expected'),
  [
    ([0.009, 0.013, 0.01], 'at 1 of the 2 splits before c (a)'),
    ([0.02, 0.02, 0.01], 'at 0 of the 2 splits before c'),
  ],
)
def test_smoothing_at_shallow_splits(tmp_path, smooth, expected):
  rows = make_rows(ERRORS[:3]) + make_rows(smooth, alpha=0.3)
  theory = read(tmp_path, rows, make_theory(SHARE))
  found = along_splits.compare_shallow(theory)
  assert found == f'alpha 0.3 is rebuilt with less error than alpha 0 {expected}'


def test_a_vote_in_words():
  note = 'no better than the mean image'
  vote = Vote('attack', 'c', 4.0, None, 1, (('c', 0.75), ('b', 0.25)), note)
  assert along_splits.cast(vote) == (
    'c',
    ('4x the error', 'no better than the mean image', '75% of resamples'),
  )
  silent = Vote('radius_share', None, math.nan, None, 1, ())
  assert along_splits.cast(silent) == ('none', ())
  assert along_splits.cast(None) is None


def make_embedding():
  return embeddings.Embedding(np.zeros((3, 2)), np.array([0, 1, 1]), 0, {})


def test_embeddings_that_are_shown():
  splits = [f's{i}' for i in range(50)]
  treatments = [Treatment(alpha) for alpha in (-0.3, 0.0, 0.1, 0.3)]
  having = {(t, s): make_embedding() for t in treatments for s in splits}
  chosen, shown = embeddings.choose(having, splits)
  assert chosen == [Treatment(0.0), Treatment(0.3)]
  # 49 / 7 = 7 splits apart
  assert shown == [f's{i}' for i in range(0, 50, 7)]
  only = {(Treatment(0.3), 's4'): make_embedding()}
  assert embeddings.choose(only, splits) == ([Treatment(0.3)], ['s4'])


def test_an_embedding_is_of_the_lowest_seed_with_its_own_numbers(tmp_path):
  rows = [make_theory([0.5], quantity='nc1', seed=s)[0] for s in (2, 1, 0)]
  rows[1]['value'] = 0.7
  embed(tmp_path, rows[:2])
  found = embeddings.read_embeddings(tmp_path, rows)[Treatment(), 'a']
  assert (found.seed, found.twins, found.points.shape) == (1, {'nc1': 0.7}, (40, 2))


@pytest.mark.parametrize(
  ('table', 'complaint'),
  [
    (np.zeros((4, 2)), r'must hold an array \[N, 3\], got \(4, 2\)'),
    (np.full((4, 3), np.nan), 'not finite'),
  ],
)
def test_a_damaged_embedding_is_refused(tmp_path, table, complaint):
  (row,) = make_theory([0.5])
  (tmp_path / 'theory').mkdir()
  path = Workdir(tmp_path).embedding(row['lane_id'], row['split'])
  np.save(path, table)
  with pytest.raises(InputError, match=complaint):
    embeddings.read_embeddings(tmp_path, [row])
  path.write_bytes(b'torn')
  with pytest.raises(InputError, match='cannot read embedding'):
    embeddings.read_embeddings(tmp_path, [row])


def test_theory_of_another_target_is_refused(tmp_path):
  other = [make_row(results.THEORY, model='other', epoch=0, split_index=0)]
  with pytest.raises(InputError, match='several values of model'):
    read(tmp_path, make_rows(ERRORS), other)
