"""Names from data and modules stay names: in paths, in the page, on the terminal."""

import base64
import hashlib
import html.parser
import json

import flax.linen as nn
import made_up
import numpy as np
import pytest
import tiny

from gpz_jax import filenames, partition, report, results
from gpz_jax.study.session import Session
from gpz_jax.study.workdir import Workdir
from gpz_jax.training.engine import Engine
from gpz_jax.types import InputError, Lane, Treatment

NAMES = (
  *('../../x', '..', '.', '', '/', '/etc', '/etc/passwd', '~', 'a/../../b', '\\..\\x'),
  *('<script>alert(1)</script>', '"><img src=x onerror=alert(1)>', "'onload='", '&lt;'),
  *(
    'a\0b',
    'a\nb',
    '\x1b[31m',
    '\u202ecod.exe',
    '\udcff',
    'ü',
    'a b',
    '-rf',
    '.hidden',
  ),
  *('x' * 300, 'ü' * 200, '/' * 500, 'CON', 'a:b', 'a*b?', '{{ 7 * 7 }}', '{% x %}'),
  *('a/b', 'a.b', 'a-b', 'a_b', 'A/B'),
)


def test_safe_names_are_names_within_a_folder(tmp_path):
  made = {}
  for name in NAMES:
    found = filenames.safe(name)
    assert found not in made, (name, made.get(found))
    made[found] = name
    path = tmp_path / f'{found}.npy.partial.orbax-checkpoint-tmp'
    assert path.resolve().parent == tmp_path.resolve()
    assert len(path.name.encode()) <= 255
    assert filenames.safe(found) == found
    path.touch()
  assert len(list(tmp_path.iterdir())) == len(NAMES)


def test_plain_names_stay_readable():
  assert filenames.safe('4x4x128-0a1b2c3d-conv_2-0badcafe') == (
    '4x4x128-0a1b2c3d-conv_2-0badcafe'
  )
  assert filenames.safe('unit_3/conv_1').startswith('unit_3.conv_1-')


@pytest.mark.parametrize('name', NAMES)
def test_samples_stay_in_the_workdir(tmp_path, name):
  folder = (tmp_path / 'samples').resolve()
  for path in (
    Workdir(tmp_path).sample('id', name, 'inversion'),
    Workdir(tmp_path).sample(name, 'conv_2', 'inversion'),
    Workdir(tmp_path).sample('id', 'conv_2', name),
  ):
    assert path.resolve().parent == folder
    assert len(path.name.encode()) < 200


def test_names_that_once_collided_do_not(tmp_path):
  paths = {Workdir(tmp_path).sample('id', name, 'inversion') for name in ('a/b', 'a.b')}
  assert len(paths) == 2


class Page(html.parser.HTMLParser):
  """The tags and attributes of a page."""

  def __init__(self):
    super().__init__()
    self.tags = []

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))


ATTACKS = ['<script>', '"><img src=x onerror=alert(1)>', "' onload='x", '</title>']


@pytest.mark.filterwarnings('ignore:Glyph')
def test_the_page_shows_names_and_runs_none(tmp_path):
  workdir = tmp_path / 'run'
  workdir.mkdir()
  rows = made_up.make_rows([0.001, 0.002, 0.1, 0.2])
  for row, name in zip(rows, ATTACKS, strict=True):
    row |= {'split': name, 'lane_id': '../../x', 'activation_shape': name}
    row |= {'model': ATTACKS[0], 'dataset': ATTACKS[1], 'aux_dataset': ATTACKS[2]}
    row |= {'strategy': ATTACKS[3], 'version': ATTACKS[0], 'selection': ATTACKS[1]}
    row |= {'attack': 'inversion', 'decoder': name}
  results.append_rows(workdir / 'results.jsonl', rows)
  config = {name: name for name in ATTACKS} | {'note': ATTACKS[0], 'x': {'y': ATTACKS}}
  (workdir / 'config.json').write_text(json.dumps(config))
  scores = {'mse': 0.1, 'psnr': 9.0, 'ssim': 0.1, 'mse_paper': 0.3}
  (workdir / 'ladder.json').write_text(json.dumps(dict.fromkeys(ATTACKS, scores)))
  (workdir / 'comparison.txt').write_text('\n'.join(ATTACKS))
  (workdir / 'samples').mkdir()
  images = np.zeros((2, 8, 8, 3), np.uint8)
  np.save(workdir / 'samples' / 'originals.npy', images)
  for row in rows:
    path = Workdir(workdir).sample(row['lane_id'], row['split'], row['attack'])
    np.save(path, images)
  text = report.build(workdir).read_text()
  page = Page()
  page.feed(text)
  assert not [tag for tag, _ in page.tags if tag in ('iframe', 'object')]
  # The one script is the page's own, and the policy names it by its hash.
  assert [attributes for tag, attributes in page.tags if tag == 'script'] == [{}]
  script = text.split('<script>')[1].split('</script>')[0]
  digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
  assert f"script-src 'sha256-{digest}'" in text.replace('&#39;', "'")
  for tag, attributes in page.tags:
    assert not [name for name in attributes if name.startswith('on')], tag
    assert attributes.get('src', 'data:').startswith('data:')
  assert '&lt;script&gt;' in text
  assert list(tmp_path.iterdir()) == [workdir]


class Foreign(nn.Module):
  """A classifier whose modules have names of all kinds."""

  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    for name in ('../../x', '..', '/etc', 'a\0b', '<script>', 'y' * 300, 'a.b', 'a/b'):
      x = nn.relu(nn.Conv(2, (3, 3), strides=1, name=name)(x))
    return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


def test_splits_of_foreign_modules_are_addressable():
  for where in ('*', '*/*', '*/*/*'):
    splits = partition.list_splits(Foreign(3), (8, 8, 3), where=where)
    assert not [name for name in splits if '/' in name and where == '*']
    variables = partition.arbitrary_variables(Foreign(3), (8, 8, 3))
    images = np.zeros((2, 8, 8, 3), np.float32)
    partition.capture(Foreign(3), variables, images, list(splits))


def test_snapshots_and_decoders_stay_in_the_workdir(tmp_path):
  session = Session(
    plan=_Plan(),
    engine=Engine().resolve(),
    workdir=Workdir(tmp_path),
    progress=_Progress(),
    events=None,
  )
  for name in NAMES:
    lane = Lane('cnn', 'shapes', Treatment(), 0)
    folder = session.workdir.training('4x4x2', f'{lane.lane_id}-{name}', name)
    shadow = session.workdir.training('4x4x2', f'{lane.lane_id}-{name}', name, name)
    snapshots = session.snapshots(shadow)
    for path in (tmp_path / 'decoders' / folder, snapshots._folder):
      assert path.resolve().parent.parent == tmp_path.resolve()


class _Progress:
  def say(self, text):
    pass


class _Plan:
  config = tiny.sweep_config('run')


def test_an_error_is_one_line_whatever_it_quotes():
  for name in NAMES:
    message = str(InputError(f'dataset {name} is not there'))
    assert message.isprintable()
  assert str(InputError('a\nb \x1b[31m')) == r'a\nb \x1b[31m'
