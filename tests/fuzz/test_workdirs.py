"""Damaged files of a workdir: what reads it says so in one line, or reads it."""

import json
import math
import shutil

import damage
import made_up
import numpy as np
import pytest
import tiny

import gpz_jax
from gpz_jax import report, results, sweep
from gpz_jax.commands import recommend
from gpz_jax.report import page
from gpz_jax.study import serialization
from gpz_jax.study.workdir import Workdir
from gpz_jax.zone import LIMITS

SPLITS, ALPHAS = 3, (0.0, 0.3)
SCORES = {'mse': 0.1, 'psnr': 9.0, 'ssim': 0.1, 'mse_paper': 0.3}
# What is read by the page, by recommend, by a sweep that is resumed, and by --tune
PAGE, RECOMMEND, RESUME, TUNE = range(4)
FILES = {
  'config.json': (PAGE, RECOMMEND, RESUME),
  'env.json': (PAGE,),
  'ladder.json': (PAGE, RECOMMEND, RESUME),
  'targets.json': (RESUME,),
  'tuned.json': (RESUME, TUNE),
  'comparison.txt': (PAGE,),
  'results.jsonl': (RESUME,),
  'results.parquet': (PAGE, RECOMMEND),
  'samples/originals.npy': (PAGE,),
}
NONE = dict.fromkeys(LIMITS)


def config(workdir) -> sweep.SweepConfig:
  return tiny.sweep_config(workdir, tune=True, max_edge_params=1e6)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """The files of a finished sweep, with made-up numbers."""
  workdir = tmp_path_factory.mktemp('finished') / 'run'
  workdir.mkdir()
  Workdir(workdir).write_identity(config(workdir))
  rows = [
    row | {'model': 'cnn', 'dataset': 'shapes', 'aux_dataset': 'shapes'}
    for alpha in ALPHAS
    for row in made_up.make_rows([0.001, 0.002, 0.1][:SPLITS], alpha=alpha)
  ]
  results.append_rows(workdir / 'results.jsonl', rows)
  results.write_parquet(workdir / 'results.parquet', rows)
  (workdir / 'ladder.json').write_text(json.dumps({'mean_image': SCORES}))
  (workdir / 'targets.json').write_text('{"721fb53f": "c1e25b90719e21b8"}')
  (workdir / 'tuned.json').write_text('{"dense 3x3 16x16 3>4": "gemm"}')
  (workdir / 'comparison.txt').write_text('row  paper  ours\na    1      2\n')
  images = np.random.default_rng(0).integers(0, 255, (2, 8, 8, 3), np.uint8)
  np.save(workdir / 'samples' / 'originals.npy', images)
  for row in rows:
    path = Workdir(workdir).sample(row['lane_id'], row['split'], row['attack'])
    np.save(path, images)
  return workdir


@pytest.fixture
def workdir(finished, tmp_path):
  return shutil.copytree(finished, tmp_path / 'run')


def render(workdir) -> str:
  """The page without its figures, which take most of the time."""
  return page.render(report.read_workdir(workdir), [])


def readers(workdir):
  """Everything that reads a workdir, short of training."""
  resumed = config(workdir)
  return (
    lambda: render(workdir),
    lambda: recommend.show(workdir, NONE),
    lambda: Workdir(workdir).check(resumed),
    Workdir(workdir).read_tuned,
  )


@pytest.mark.parametrize('name', FILES)
def test_damaged_files(workdir, name, refused, monkeypatch, capsys):
  monkeypatch.setattr(page.svg, 'encode_svg', lambda figure: '<svg></svg>')
  path = workdir / name
  whole = path.read_bytes()
  noticed = 0
  for how, data in damage.damaged(whole, range(2)):
    path.write_bytes(data)
    before = sorted(workdir.rglob('*'))
    reads = readers(workdir)
    found = [refused(reads[which]) for which in FILES[name]]
    noticed += any(found)
    for message in filter(None, found):
      assert path.name in message or str(workdir) in message, (how, message)
    assert sorted(workdir.rglob('*')) == before
  assert noticed >= (2 if name == 'comparison.txt' else 8)
  assert 'Traceback' not in capsys.readouterr().err


def test_a_flip_in_the_parquet_file_is_noticed_or_harmless(workdir):
  path = workdir / 'results.parquet'
  whole, rows = path.read_bytes(), results.read_parquet(path)
  rng = np.random.default_rng(0)
  noticed = 0
  for place in rng.choice(len(whole), 150, replace=False):
    flipped = bytearray(whole)
    flipped[place] ^= 1 << rng.integers(8)
    path.write_bytes(flipped)
    try:
      assert str(results.read_parquet(path)) == str(rows), place
    except gpz_jax.types.InputError:
      noticed += 1
  assert noticed > 30


STRANGE = (
  *(None, [], {}, True, 'x', '', '<script>', '\ud800', '../../x', 'a\nb\0', 'x' * 5000),
  *(0, -1, 10**30, 1e308, -1e308, 1e-320, math.inf, -math.inf, math.nan),
)


@pytest.mark.parametrize('value', STRANGE, ids=lambda value: repr(value)[:12])
def test_strange_values_in_a_row(workdir, value, refused, monkeypatch, capsys):
  monkeypatch.setattr(page.svg, 'encode_svg', lambda figure: '<svg></svg>')
  (workdir / 'results.parquet').unlink()
  path = workdir / 'results.jsonl'
  lines = path.read_text().splitlines()
  rng = np.random.default_rng(0)
  names = [column.name for column in results.COLUMNS]
  for name in {*rng.choice(names, 6), 'alpha', 'split', 'test_mse_paper', 'n_test'}:
    number = int(rng.integers(len(lines)))
    row = json.dumps(json.loads(lines[number]) | {name: value})
    path.write_text('\n'.join([*lines[:number], row, *lines[number + 1 :], '']))
    for read in readers(workdir)[:3]:
      message = refused(read)
      assert not message or str(workdir) in message or name in message, (name, message)


@pytest.mark.filterwarnings('ignore:overflow')
@pytest.mark.parametrize(
  'change',
  [
    {'test_mse': 1e308, 'test_mse_paper': 1e308, 'attack': r'$\frac{$ <&'},
    {'split': r'$^$ </script>' + 300 * 'x'},
  ],
  ids=['attack', 'split'],
)
def test_the_whole_page_of_strange_numbers(workdir, change):
  (workdir / 'results.parquet').unlink()
  path = workdir / 'results.jsonl'
  first, *rows = results.read_rows(path)
  path.unlink()
  results.append_rows(path, [first | change, *rows])
  report.build(workdir)


@pytest.mark.parametrize(
  'array',
  [
    np.array([{}, print], object),
    np.zeros((0, 4, 4, 3), np.uint8),
    np.zeros((2, 4, 4, 3), np.float32),
    np.zeros((2, 4, 4, 4), np.uint8),
    np.zeros(3, np.uint8),
  ],
  ids=['objects', 'none', 'floats', 'four channels', 'flat'],
)
def test_samples_that_are_no_images(workdir, array, refused):
  np.save(workdir / 'samples' / 'originals.npy', array, allow_pickle=True)
  message = refused(render, workdir)
  assert 'originals.npy' in message
  assert 'remove the file' in message


def test_half_a_character_in_the_settings(workdir, monkeypatch):
  content = json.loads((workdir / 'config.json').read_text()) | {'note': '\ud800'}
  (workdir / 'config.json').write_text(json.dumps(content))
  monkeypatch.setattr(page.svg, 'encode_svg', lambda figure: '<svg></svg>')
  monkeypatch.setattr(page.figures, 'save_png', lambda figure, path: None)
  assert report.build(workdir).read_text(encoding='utf-8')


def test_samples_that_claim_to_be_huge(workdir, refused):
  path = workdir / 'samples' / 'originals.npy'
  path.write_bytes(path.read_bytes().replace(b'(2, 8, 8, 3)', b'(2**9,9,9)  '))
  assert 'originals.npy' in refused(render, workdir)
  with path.open('wb') as file:
    np.lib.format.write_array_header_1_0(
      file, {'shape': (10**9, 10**6, 8, 3), 'fortran_order': False, 'descr': '|u1'}
    )
  assert 'originals.npy' in refused(render, workdir)


def test_rows_of_another_version(workdir, refused):
  path = workdir / 'results.jsonl'
  row = json.loads(path.read_text().splitlines()[0]) | {'version': '9.0', 'new': 1}
  path.write_text(json.dumps(row) + '\n')
  message = refused(results.read_rows, path)
  assert 'version 9.0 of gpz_jax wrote it' in message
  assert 'use that version, or another workdir' in message


def test_a_config_of_another_version(workdir, refused):
  path = workdir / 'config.json'
  ours = serialization.to_json(config(workdir))
  older = {name: value for name, value in ours.items() if name != 'note'}
  path.write_text(json.dumps(older))
  Workdir(workdir).check(config(workdir))
  path.write_text(json.dumps(ours | {'from_the_future': 1}))
  message = refused(Workdir(workdir).check, config(workdir))
  assert "config.json has 'from_the_future'" in message
  assert 'name another workdir' in message


def test_tuned_names_known_implementations(workdir, refused):
  for content in ('{"dense 3x3 16x16 3>4": "os.system"}', '{"x": "lax"}', '[]'):
    (workdir / 'tuned.json').write_text(content)
    message = refused(Workdir(workdir).read_tuned)
    assert 'tuned.json' in message
    assert 'remove it' in message


@pytest.mark.parametrize(
  'name', ['x' * 300, 'file/below', '\udcff', '~no_such_user', '/proc/self/mem']
)
def test_workdirs_that_are_none(name, tmp_path, monkeypatch, refused):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'file').touch()
  for read in (
    lambda: recommend.show(tmp_path / name, NONE),
    lambda: report.build(tmp_path / name),
  ):
    assert refused(read)
  assert sorted(tmp_path.iterdir()) == [tmp_path / 'file']
