"""python -m experiments.recommend on a made-up workdir."""

import functools
import json
import os
import signal
import subprocess
import sys

import forked
import pytest
from made_up import make_rows, make_theory

from gpz_jax import results

LADDER = {
  name: {'mse': error / 3, 'psnr': 9.0, 'ssim': 0.6, 'mse_paper': error}
  for name, error in (('thumbnail_4', 0.03), ('mean_image', 0.18))
}


run = functools.partial(forked.run, 'recommend')


@pytest.fixture
def workdir(tmp_path):
  """A finished sweep of two alphas and two seeds, with theory, ladder and config."""
  lanes = [(alpha, seed) for alpha in (0.0, 0.3) for seed in (0, 1)]
  rows = [
    row | {'guess_mse': 0.06}  # as in the ladder
    for alpha, seed in lanes
    for row in make_rows([0.01, 0.012, 0.05, 0.06 + alpha], alpha=alpha, seed=seed)
  ]
  theory = [
    row
    for alpha, seed in lanes
    for row in make_theory([0.9, 0.8, 0.4, 0.35], alpha=alpha, seed=seed, width=0.01)
  ]
  results.write_parquet(tmp_path / 'results.parquet', rows)
  results.write_parquet(tmp_path / 'theory.parquet', theory, results.THEORY)
  (tmp_path / 'ladder.json').write_text(json.dumps(LADDER))
  (tmp_path / 'config.json').write_text(json.dumps({'max_edge_params': 300}))
  return tmp_path


def test_the_recommendation_its_alternatives_and_the_votes(workdir):
  done = run(f'--workdir={workdir}', '--max_payload_bytes=4096')
  assert (done.returncode, done.stderr) == (0, '')
  lines = done.stdout.splitlines()
  # b sends 4000 bytes and c 2000; d breaks the config's limit of 300 parameters
  assert lines[0].startswith(
    'Cut at c with alpha 0: no attack on it is better than a 4x4 thumbnail (MSE 0.01,'
    ' SSIM 0.6), and it is the cheapest such cut within max_edge_params=300,'
    ' max_payload_bytes=4,096 ('
  )
  assert 'That holds in 2 of 2 seeds. It is also the most private cut.' in lines[0]
  starred = [line for line in lines if line.startswith('*')]
  assert [line.split()[1:3] for line in starred] == [['c', '0']]
  assert starred[0].startswith('*+')
  assert (
    'The attack there is no better than the 4x4 thumbnail, and better than the mean'
    ' image.'
  ) in done.stdout
  rest = lines[next(i for i, line in enumerate(lines) if line.startswith('vote of')) :]
  votes = [
    line.split() for line in rest if line.startswith(('the attack ', 'the radius '))
  ]
  assert votes == [
    ['the', 'attack', 'c', '100%', 'c', '100%'],
    ['the', 'radius', 'share', 'c', '100%', 'c', '100%'],
  ]
  assert 'alpha 0.3: the zone begins at c by the attack and the radius share: they' in (
    done.stdout
  )
  assert "The radius share names the attack's split in 100% of 4 lanes" in done.stdout


def test_a_flag_replaces_the_limit_of_the_config(workdir):
  done = run(f'--workdir={workdir}', '--max_edge_params=inf')
  assert done.stdout.startswith('Cut at c with alpha 0: no attack on it is better than')
  assert 'and it is the cheapest such cut (MSE' in done.stdout
  assert 'The most private cut is d with alpha 0.3, with MSE 0.12;' in done.stdout
  assert '\n(* recommended, + most private)\n' in done.stdout
  done = run(f'--workdir={workdir}', '--max_edge_params=50')
  assert done.returncode == 4
  assert 'the binding limit is max_edge_params=50' in done.stdout
  assert 'Of all cuts, no other outdoes these' in done.stdout


def test_what_is_private_enough_is_the_sweeps_unless_a_flag_says_otherwise(workdir):
  config = {'max_edge_params': None, 'private_enough': 'mean_image'}
  (workdir / 'config.json').write_text(json.dumps(config))
  done = run(f'--workdir={workdir}')
  assert done.returncode == 0
  assert done.stdout.startswith(
    'Cut at d with alpha 0.3: no attack on it is better than the mean image (MSE 0.06,'
  )
  done = run(f'--workdir={workdir}', '--private_enough=0.2')
  assert done.returncode == 4
  assert done.stdout.startswith(
    'No cut is private enough: on every cut an attack is better than an MSE of 0.2; the'
    ' most private cut is d with alpha 0.3 ('
  )


def test_a_doubt_of_all_treatments_is_said_once_and_no_cut_is_praised(tmp_path):
  rows = [
    row | {'target_accuracy': accuracy}
    for alpha, accuracy in ((0.0, 0.1), (0.3, 0.15))
    for row in make_rows([0.01, 0.012, 0.05], alpha=alpha)
  ]
  results.write_parquet(tmp_path / 'results.parquet', rows)
  done = run(f'--workdir={tmp_path}')
  assert done.returncode == 4
  assert done.stdout.count('within reach of guessing') == 1
  assert "every target's accuracy, 15.0% at best, is within" in done.stdout
  assert 'outdoes' not in done.stdout
  assert 'from which nothing can be concluded:' in done.stdout


def test_several_workdirs_each_get_an_answer(workdir, tmp_path):
  other = tmp_path / 'other'
  other.mkdir()
  results.write_parquet(other / 'results.parquet', make_rows([0.03, 0.04]))
  done = run(f'--workdir={workdir},{other}')
  assert done.returncode == 4  # the other has no zone, and no limit was given
  assert [
    line for line in done.stdout.splitlines() if line.startswith(str(tmp_path))
  ] == [
    f'{workdir}:',
    f'{other}:',
  ]
  assert 'No cut is recommended: no split stands out' in done.stdout
  assert "How often the theory alone names the attack's split, by model:" in done.stdout
  assert done.stdout.splitlines()[-1].split()[:5] == [
    'x',
    'the',
    'radius',
    'share',
    '4',
  ]


def test_a_running_sweep_without_theory(tmp_path):
  for row in make_rows([0.01, 0.012, 0.05])[:2]:
    results.append_rows(tmp_path / 'results.jsonl', [row])
  done = run(f'--workdir={tmp_path}', '--max_edge_params=30000')
  assert done.returncode == 0
  assert done.stdout.startswith('The sweep is not finished: 2 rows so far.\nCut at b')
  assert 'max_edge_params=30,000 (' in done.stdout
  assert 'so nothing tells what is private enough.' in done.stdout
  assert 'No theory.parquet: the attack votes alone.' in done.stdout


@pytest.mark.parametrize(
  ('arguments', 'complaint'),
  [
    ((), '--workdir is missing'),
    (('--workdir=nowhere',), '--workdir=nowhere is not a folder'),
    (('--workdir=tests',), "no results.parquet or results.jsonl in workdir 'tests'"),
    (('--workdir={0},{0}/../{0.name}',), 'twice; name each sweep once'),
    (('--workdir={}', '--max_edge_params=few'), 'flag --max_edge_params=few'),
    (('--workdir={}', '--max_payload_bytes=-1'), 'flag --max_payload_bytes=-1'),
    (('--workdir={}', '--max_edge_flops=nan'), 'max_edge_flops=nan is not allowed'),
    (('--workdir={}', '--min_accuracy=90'), 'flag --min_accuracy=90'),
    (('--workdir={}', '--private_enough=5x5'), 'private_enough=5x5 is not allowed'),
    (
      ('--workdir={}', '--private_enough=class_mean'),
      'no score of the class mean; give',
    ),
    (('--workdir={}', '--max_cost=1'), "Unknown command line flag 'max_cost'"),
  ],
)
def test_bad_input_is_one_line_and_status_2(workdir, arguments, complaint):
  done = run(*(text.format(workdir) for text in arguments))
  assert (done.returncode, done.stdout) == (2, '')
  assert done.stderr.startswith('recommend: ')
  assert complaint in done.stderr
  assert done.stderr.count('\n') == 1


def test_damaged_files_are_named(workdir):
  (workdir / 'theory.parquet').write_text('not parquet')
  done = run(f'--workdir={workdir}')
  assert (done.returncode, done.stdout) == (2, '')
  assert done.stderr.startswith('recommend: cannot read theory ')


def test_a_reader_that_has_seen_enough_is_no_error(workdir):
  reading, writing = os.pipe()
  os.close(reading)
  done = subprocess.run(
    [sys.executable, '-m', 'experiments.recommend', f'--workdir={workdir}'],
    stdout=writing,
    stderr=subprocess.PIPE,
    check=False,
  )
  os.close(writing)
  assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b'')
