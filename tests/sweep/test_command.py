"""The real command with tiny flags: results, repeats, refusals, interruption."""

import json
import math
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import forked
import numpy as np
import pytest
from PIL import Image

from gpz_jax import results, sweep, targets
from gpz_jax.commands.sweep import parse_config
from gpz_jax.study import serialization

ROOT = pathlib.Path(__file__).parents[2]
TINY = {
  'image_size': 16,
  'model': 'cnn',
  'model_options': 'width=0.0625',
  'alphas': '0,0.3',
  'splits': 'conv_2,fc_1',
  'target_epochs': 2,
  'target_batch_size': 16,
  'decoder_epochs': 2,
  'decoder_batch_size': 16,
}


@pytest.fixture(scope='module')
def images(tmp_path_factory) -> pathlib.Path:
  """A folder data set: three colours, 60 images to train on, 20 to test."""
  root = tmp_path_factory.mktemp('images')
  rng = np.random.default_rng(0)
  for subset, count in (('train', 20), ('test', 7)):
    for k, name in enumerate(('red', 'green', '<blue>')):
      folder = root / subset / name
      folder.mkdir(parents=True)
      for i in range(count):
        pixels = rng.integers(0, 80, (16, 16, 3))
        pixels[..., k] += 150
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f'{i}.png')
  return root


def command(*flags, cache, prefix=()):
  environment = os.environ | {'XDG_CACHE_HOME': str(cache)}
  arguments = [*prefix, sys.executable, '-m', 'experiments.sweep', *flags]
  return subprocess.Popen(
    arguments,
    cwd=ROOT,
    env=environment,
    text=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  )


def again(*flags, cache):
  return forked.run('sweep', *flags, environment={'XDG_CACHE_HOME': str(cache)})


def flags(images, workdir, **changes):
  values = TINY | {'dataset': f'folder:{images}', 'workdir': workdir} | changes
  return [f'--{name}={value}' for name, value in values.items()]


@pytest.fixture(scope='module')
def finished(images, tmp_path_factory):
  """One run of the real command: its workdir, its output and its cache."""
  workdir = tmp_path_factory.mktemp('run') / 'tiny'
  cache = tmp_path_factory.mktemp('cache')
  process = command(*flags(images, workdir), cache=cache)
  out, err = process.communicate(timeout=300)
  assert process.returncode == 0, err
  return workdir, out, cache


def test_there_is_one_finite_row_for_each_lane_and_split(finished):
  rows = results.read_parquet(finished[0] / 'results.parquet')
  assert {(row['alpha'], row['split']) for row in rows} == {
    (alpha, split) for alpha in (0.0, 0.3) for split in ('conv_2', 'fc_1')
  }
  assert len(rows) == 4
  for row in rows:
    numbers = {name for name, value in row.items() if isinstance(value, float)}
    lacking = {name for name in numbers if not math.isfinite(row[name])}
    assert lacking == {'judge_recognised', 'judge_accuracy'}  # there is no judge
    assert 0 <= row['recognised'] <= 1
    assert (row['n_test'], row['n_aux'], row['status']) == (21, 11, 'done')
  lines = results.read_rows(finished[0] / 'results.jsonl')
  assert sorted(map(str, lines)) == sorted(map(str, rows))


def test_the_workdir_holds_what_the_readme_says(finished):
  workdir, out, _ = finished
  names = {path.name for path in workdir.iterdir()}
  assert names == {
    'config.json', 'run.flags', 'env.json', 'ladder.json', 'results.jsonl',
    'results.parquet', 'targets', 'decoders', 'samples', 'tb', 'report', 'lock',
    'targets.json',
  }  # fmt: skip
  assert not list(workdir.rglob('*.partial'))
  rows = results.read_rows(workdir / 'results.jsonl')
  lanes = {(r['model'], f'alpha={r["alpha"]:g}', f'seed={r["seed"]}') for r in rows}
  tb = workdir / 'tb'
  runs = {path.parent.relative_to(tb).parts for path in tb.rglob('events.*')}
  assert runs == lanes | {
    (r['model'], f'alpha={r["alpha"]:g}', f'seed={r["seed"]}', r['split']) for r in rows
  }
  assert str(workdir / 'report' / 'index.html') in out
  assert 'test accuracy' in out
  assert 'peak memory' in out
  page = (workdir / 'report' / 'index.html').read_text()
  assert '<blue>' not in page


def test_repeating_the_command_trains_nothing(finished, images):
  workdir, _, cache = finished
  before = (workdir / 'results.jsonl').read_bytes()
  done = again(f'--flagfile={workdir / "run.flags"}', cache=cache)
  assert done.returncode == 0, done.stderr
  assert '4 rows are there already' in done.stdout
  assert (workdir / 'results.jsonl').read_bytes() == before


def test_a_workdir_that_was_moved_is_repeated_where_it_lies_now(finished, tmp_path):
  old, new = tmp_path / 'old', tmp_path / 'new'
  shutil.copytree(finished[0], new)
  text = (new / 'run.flags').read_text()
  (new / 'run.flags').write_text(text.replace(str(finished[0]), str(old)))
  done = again(f'--flagfile={new / "run.flags"}', cache=finished[2])
  assert done.returncode == 0, done.stderr
  assert '4 rows are there already' in done.stdout
  assert f'report: {new}' in done.stdout
  assert not old.exists()
  assert f'--workdir={new}\n' in (new / 'run.flags').read_text()


def test_a_flagfile_names_its_folder_unless_a_flag_behind_it_does(
  tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  study, other = tmp_path / 'study', tmp_path / 'other'
  for folder in (study, other):
    folder.mkdir()
    (folder / 'run.flags').write_text('--workdir=old\n--alphas=0.5\n')
  (study / 'config.json').touch()
  for arguments, workdir in (
    ([f'--flagfile={study}/run.flags'], str(study)),
    (['--flagfile', 'study/run.flags'], 'study'),
    (['-flagfile=study/run.flags', '--workdir=new'], 'new'),
    (['--workdir=new', '--flagfile=study/run.flags'], 'study'),
    (['--flagfile=other/run.flags'], 'old'),
  ):
    config = parse_config(arguments)
    assert (config.workdir, config.alphas) == (workdir, (0.5,))
  monkeypatch.chdir(study)
  assert parse_config(['--flagfile=run.flags']).workdir == '.'


@pytest.mark.ci
def test_missing_rows_are_filled_in_from_the_saved_targets(finished, monkeypatch):
  workdir, _, cache = finished
  monkeypatch.setenv('XDG_CACHE_HOME', str(cache))
  path = workdir / 'results.jsonl'
  lines = path.read_text().splitlines(keepends=True)
  whole = results.read_rows(path)
  path.write_text(''.join(lines[:-1]))
  values = json.loads((workdir / 'config.json').read_text())
  config = sweep.SweepConfig(
    **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
  )
  calls = []
  monkeypatch.setattr(targets, 'train', lambda *a, **k: calls.append(a))
  found = sweep.run(config, quiet=True)
  assert not calls
  lost = next(r for r in found.rows if results.row_key(r) == results.row_key(whole[-1]))
  for name, value in whole[-1].items():
    if name not in ('wall_seconds', 'wave'):  # alone now
      assert repr(lost[name]) == repr(value), name  # repr: NaN is NaN


def test_another_config_in_the_workdir_is_refused_untouched(finished, images):
  workdir, _, cache = finished
  before = {path: path.stat().st_mtime_ns for path in workdir.rglob('*')}
  done = again(*flags(images, workdir, alphas='0,0.2'), cache=cache)
  err = done.stderr
  assert done.returncode == 2
  assert 'holds another sweep: alphas is [0.0, 0.3] there and [0.0, 0.2] here' in err
  assert err.count('\n') == 1
  assert {path: path.stat().st_mtime_ns for path in workdir.rglob('*')} == before


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'alphas': '0,x'}, '--alphas=0,x is not allowed; give float values'),
    ({'seeds': '-3'}, '--seeds=-3 is not allowed'),
    ({'decoder_epochs': 'many'}, 'flag --decoder_epochs=many: invalid literal'),
    ({'splits': 'conv_9'}, "split 'conv_9' is not in the model; did you mean"),
    ({'model_options': 'widht=2'}, "has no option 'widht'"),
    ({'dataset': 'cifar11'}, 'cifar10'),
    ({'no_such_flag': 1}, 'no_such_flag'),
    ({'flagfile': 'missing.cfg'}, 'missing.cfg'),
  ],
)
def test_bad_flags_end_in_one_line_and_status_2(images, tmp_path, changes, message):
  workdir = tmp_path / 'run'
  done = again(*flags(images, workdir, **changes), cache=tmp_path / 'cache')
  err = done.stderr
  assert done.returncode == 2
  assert message in err
  assert err.startswith('sweep: ')
  assert err.count('\n') == 1, err
  assert not workdir.exists()


@pytest.mark.slow
def test_an_interrupted_sweep_saves_and_asks_to_be_run_again(
  images, tmp_path, finished
):
  workdir = tmp_path / 'run'
  many = flags(images, workdir, decoder_epochs=100_000, splits='conv_2', save_seconds=1)
  process = command(
    *many,
    cache=finished[2],
    prefix=('sh', '-c', 'trap "" INT; exec "$@"', 'sh'),  # as a shell's & has it
  )
  deadline = time.monotonic() + 60

  def list_snapshots():
    return list((workdir / 'running').glob('[!t]*/*/state'))  # not of the targets

  while not list_snapshots() and time.monotonic() < deadline:
    time.sleep(0.2)
  time.sleep(1)
  sent = time.time()
  process.send_signal(signal.SIGINT)
  _, err = process.communicate(timeout=60)
  assert process.returncode == 75
  assert 'the same command continues' in err
  assert 'Traceback' not in err
  # One was saved because of the signal.
  assert max(state.stat().st_mtime for state in list_snapshots()) > sent - 1


def test_run_flags_spell_the_config(finished):
  values = json.loads((finished[0] / 'config.json').read_text())
  config = sweep.SweepConfig(
    **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
  )
  assert (finished[0] / 'run.flags').read_text() == serialization.to_flags(config)
