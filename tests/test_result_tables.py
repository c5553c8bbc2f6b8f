"""What is read off rows of results: means over seeds, the strongest attack, tables."""

import functools
import math

import made_up
import pytest

from gpz_jax import results
from gpz_jax.types import Treatment

make_row = functools.partial(made_up.make_row, status='done')


def test_seed_means_leave_out_diverged_lanes():
  rows = [
    make_row(alpha=0.0, seed=2, split='a', test_mse=0.3),
    make_row(alpha=0.0, seed=0, split='a', test_mse=0.1),
    make_row(alpha=0.0, seed=1, split='a', test_mse=9.0, status='diverged'),
    make_row(alpha=0.0, seed=3, split='a', test_mse=math.nan),
    make_row(alpha=0.3, seed=0, split='a', test_mse=7.0),
  ]
  # by hand
  assert results.seed_values(rows, 'test_mse', treatment=Treatment(), split='a') == [
    0.1,
    0.3,
  ]
  assert results.seed_mean(rows, 'test_mse', treatment=Treatment(), split='a') == 0.2
  assert math.isnan(
    results.seed_mean(rows, 'test_mse', treatment=Treatment(), split='b')
  )


def test_values_of_the_target_count_once_a_seed():
  rows = [
    make_row(alpha=0.0, seed=seed, split=split, target_accuracy=accuracy)
    for seed, accuracy in ((0, 0.5), (1, 0.7))
    for split in 'abc'
  ]
  assert results.seed_values(rows, 'target_accuracy', treatment=Treatment()) == [
    0.5,
    0.7,
  ]


def test_a_seed_that_diverged_everywhere_has_no_value_of_the_target():
  rows = [
    make_row(seed=seed, split=split, target_accuracy=accuracy, status=status)
    for seed, accuracy, status in ((0, 0.9, 'done'), (1, 0.1, 'diverged'))
    for split in 'ab'
  ]
  cell = {'column': 'target_accuracy', 'treatment': Treatment()}
  assert results.seed_values(rows, **cell) == [0.9]
  # where nothing else is known, a value is better than none
  assert results.seed_values(rows[2:], **cell) == [0.1]
  accuracy = results.format_table(rows).splitlines()[-1]
  assert accuracy.split() == ['test', 'accuracy', '0.900']


def make_accuracies(*cells, treatment=None):
  """Rows of (seed, split, accuracy, status) each."""
  columns = (treatment or Treatment()).columns
  return [
    make_row(seed=seed, split=split, target_accuracy=value, status=status, **columns)
    for seed, split, value, status in cells
  ]


@pytest.mark.parametrize(
  'last',
  [
    [(1, 'b', 0.86, 'diverged')],  # a decoder did, and its target is what it was
    [],  # it was not attacked there yet
  ],
)
def test_the_accuracy_of_a_target_does_not_hang_on_what_was_attacked(last):
  cells = [(0, 'a', 0.9, 'done'), (1, 'a', 0.86, 'done'), (0, 'b', 0.9, 'done'), *last]
  rows, cell = make_accuracies(*cells), ('target_accuracy', Treatment())
  assert results.split_range(rows, cell[0], treatment=cell[1]) == (0.88, 0.88)
  for split in ('a', 'b', None):
    found = results.of_targets(rows, cell[0], treatment=cell[1], split=split)
    assert found == {0: 0.9, 1: 0.86}
  accuracy = next(
    line for line in results.format_table(rows).splitlines() if 'accuracy' in line
  )
  assert accuracy.split() == ['test', 'accuracy', '0.880']


def test_the_accuracy_of_what_is_sent_is_that_of_its_split():
  noise = Treatment(defence='noise:sigma=1')
  rows = make_accuracies(
    (0, 'a', 0.5, 'done'),
    (0, 'b', 0.8, 'done'),
    (1, 'a', 0.6, 'done'),  # and nothing is known of seed 1 at b
    (2, 'a', 0.7, 'diverged'),
    (2, 'b', 0.9, 'done'),
    (3, 'a', 0.1, 'diverged'),  # its target did
    (3, 'b', 0.1, 'diverged'),
    treatment=noise,
  )
  found = functools.partial(
    results.of_targets, rows, 'target_accuracy', treatment=noise
  )
  assert found(split='a') == {0: 0.5, 1: 0.6, 2: 0.7}
  assert found(split='b') == {0: 0.8, 2: 0.9}
  assert found() == {0: 0.8, 1: 0.6, 2: 0.9}
  # by hand: (.5 + .6 + .7) / 3 and (.8 + .9) / 2
  assert results.split_range(rows, 'target_accuracy', treatment=noise) == pytest.approx(
    (0.6, 0.85)
  )
  assert all(
    map(math.isnan, results.split_range(rows, 'target_accuracy', treatment=Treatment()))
  )


def make_attacks(*attacks):
  """Rows of one lane and split: (attack, images scored, error, status) each."""
  return [
    make_row(attack=attack, n_test=count, test_mse=error, status=status)
    for attack, count, error, status in attacks
  ]


@pytest.mark.parametrize(
  ('attacks', 'expected'),
  [
    # the lowest error wins
    ([('a', 9, 0.2, 'done'), ('b', 9, 0.1, 'done'), ('c', 9, 0.3, 'done')], 'b'),
    # but not an error on fewer images
    ([('few', 3, 0.1, 'done'), ('many', 9, 0.2, 'done')], 'many'),
    ([('worse', 9, 0.3, 'done'), ('few', 3, 0.1, 'done'), ('b', 9, 0.2, 'done')], 'b'),
    # an error on fewer images, where the others diverged or have none
    ([('few', 3, 0.2, 'done'), ('gone', 9, 0.1, 'diverged')], 'few'),
    ([('few', 3, 0.2, 'done'), ('nan', 9, math.nan, 'done')], 'few'),
    ([('few', 3, 0.2, 'done'), ('inf', 9, math.inf, 'done')], 'few'),
    # of those that diverged, the one on most images
    ([('a', 3, 0.1, 'diverged'), ('b', 9, 0.2, 'diverged')], 'b'),
  ],
)
def test_the_strongest_attack(attacks, expected):
  for rows in (make_attacks(*attacks), make_attacks(*attacks[::-1])):
    (found,) = results.strongest(rows)
    assert found['attack'] == expected


def test_the_strongest_attack_is_one_for_each_lane_and_split():
  cells = [(a, s, x) for a in (0.0, 0.3) for s in (0, 1) for x in ('a', 'b')]
  rows = [make_row(alpha=a, seed=s, split=x) for a, s, x in cells]
  found = results.strongest(rows + rows)
  assert [(row['alpha'], row['seed'], row['split']) for row in found] == cells


def test_table_has_a_line_a_split_and_columns_an_alpha():
  rows = [
    make_row(
      split=split,
      split_index=index,
      alpha=alpha,
      seed=seed,
      activation_shape='4x4x128',
      edge_params_share=0.25,
      payload_bytes=8192,
      test_mse=0.01 * (1 + index) + 0.001 * seed,
      test_psnr=20.0 - index,
      target_accuracy=0.6,
    )
    for index, split in enumerate(['block_1', 'block_2'])
    for alpha in (0.3, -0.05)
    for seed in (0, 1)
    if (split, alpha) != ('block_2', 0.3)
  ]
  lines = results.format_table(rows[::-1]).splitlines()
  assert lines[0].split() == ['alpha', '-0.05', 'alpha', '0.3']
  assert lines[1].split()[4:] == ['MSE', 'PSNR', 'SSIM'] * 2
  # by hand: mean of 0.010 and 0.011 is 0.0105
  assert ' '.join(lines[2].split()) == (
    'block_1 4x4x128 25.0% 8 KiB 0.01050 20.00 0.500 0.01050 20.00 0.500'
  )
  assert lines[3].split()[-6:] == ['0.02050', '19.00', '0.500', '-', '-', '-']
  assert lines[4].split() == ['test', 'accuracy', '0.600', '0.600']
  assert lines[0].index('alpha 0.3') == lines[1].rindex('MSE')


def test_a_second_table_has_a_line_an_attack_and_split():
  rows = [
    make_row(split=split, attack=attack, n_test=9, test_mse=error)
    for attack, error in (('weak', 0.2), ('strong', 0.1))
    for split in 'ab'
  ]
  first, second = results.format_table(rows).split('\n\n')
  assert [line.split()[5] for line in first.splitlines()[2:4]] == ['0.10000'] * 2
  assert [line.split()[:3] for line in second.splitlines()[2:]] == [
    ['weak', 'a', '0.20000'],
    ['weak', 'b', '0.20000'],
    ['strong', 'a', '0.10000'],
    ['strong', 'b', '0.10000'],
  ]


def test_the_treatment_nearest_to_none_and_the_most_smoothed():
  treatments = [Treatment(alpha) for alpha in (-0.3, 0.1, 0.2)]
  assert results.nearest_untreated(treatments) == Treatment(0.1)
  assert results.most_smoothed(treatments) == Treatment(0.2)


def test_bytes_read_well():
  shown = [results.format_bytes(n) for n in (512, 1000, 1024, 8192, 3 << 19, 5 << 30)]
  assert shown == ['512 B', '1000 B', '1 KiB', '8 KiB', '1.5 MiB', '5 GiB']


def test_several_seeds_have_a_table_of_intervals():
  assert 'seeds' not in results.format_table([make_row(split='a')])
  rows = [
    make_row(alpha=alpha, seed=seed, split='a', test_mse=mse, target_accuracy=0.5)
    for alpha, errors in ((0.0, (0.01, 0.02)), (0.3, (0.03,)))
    for seed, mse in enumerate(errors)
  ]
  header, split, accuracy = results.format_table(rows).splitlines()[-3:]
  assert header.split()[:5] == ['MSE', 'over', '2', 'seeds,', '95%']
  # By hand: 0.015, and Student's 12.706 times 0.005 to either side, cut off at 0.
  assert split.split() == ['a', '0.01500', '(0.00000', 'to', '0.07853)', '0.03000']
  assert accuracy.split()[2:] == ['0.500', '(0.500', 'to', '0.500)', '0.500']
