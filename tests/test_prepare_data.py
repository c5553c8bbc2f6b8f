import functools
import importlib.util

import forked
import PIL.Image
import pytest

from gpz_jax import types
from gpz_jax.commands import prepare_data
from gpz_jax.data.builders.shapes import shapes_dataset_builder

run = functools.partial(forked.run, 'prepare_data')


@pytest.fixture
def few_shapes(monkeypatch):
  counts = {'train': 4, 'test': 2}
  monkeypatch.setattr(shapes_dataset_builder, 'NUM_EXAMPLES', counts)


def test_prepares_and_reads_back(few_shapes, tmp_path):
  folder = prepare_data.prepare('shapes/2_low', tmp_path, None)
  assert folder == tmp_path / 'shapes' / '2_low' / '1.0.0'
  line = prepare_data.summary('shapes/2_low', folder)
  assert line.startswith('shapes/2_low: train 4, test 2, 64x64x3')
  done = run('--dataset=shapes/2_low', f'--data_dir={tmp_path}')
  assert (done.returncode, done.stdout, done.stderr) == (0, line + '\n', '')


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--dataset=cifr10'], "did you mean 'cifar10'"),
    (['--datasett=cifar10'], 'Unknown command line flag'),
    ([], '--dataset is missing'),
  ],
)
def test_errors_take_one_line_and_status_2(arguments, message):
  done = run(*arguments)
  assert done.returncode == 2
  assert message in done.stderr
  assert done.stderr.startswith('prepare_data: ')
  assert done.stderr.count('\n') == 1
  assert done.stdout == ''


def test_missing_tensorflow_is_said_with_the_way_round(tmp_path, monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(
    types.InputError,
    match=r'needs TensorFlow .*gpz_jax\[prepare\].*or fetch t10k-images-idx3-ubyte.gz '
    r'\(1,648,877 bytes\), .* set --manual_dir',
  ):
    prepare_data.prepare('mnist', tmp_path, None)


def test_prepares_from_files_fetched_by_hand(tmp_path):
  for name in ('ann', 'ben'):
    (tmp_path / 'manual' / name).mkdir(parents=True)
    picture = PIL.Image.new('RGB', (80, 90), (9, 9, 9))
    picture.save(tmp_path / 'manual' / name / '1.jpg')
  done = run(
    '--dataset=facescrub',
    f'--data_dir={tmp_path / "tfds"}',
    f'--manual_dir={tmp_path / "manual"}',
  )
  assert (done.returncode, done.stderr) == (0, '')
  assert 'facescrub: train 2, 64x64x3 (the first), 2 classes' in done.stdout


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('kuzushiji49', r'lacks k49-train-imgs.npz \(63 MB\), .*labels.npz \(50 KB\)'),
    ('emnist/letters', r'lacks gzip.zip \(561,753,746 bytes\)'),
    ('celeb_a', r'lacks identity_CelebA.txt \(3,424,458 bytes\), img_align_celeba.zip'),
    ('facescrub', 'fewer than 2 identities; wanted: a folder <identity>/'),
  ],
)
def test_missing_files_are_named_with_their_sizes(name, message, tmp_path):
  (tmp_path / 'manual').mkdir()
  (tmp_path / 'manual' / 'other').write_text('')
  with pytest.raises(types.InputError, match=message):
    prepare_data.prepare(name, tmp_path / 'tfds', str(tmp_path / 'manual'))


@pytest.mark.parametrize(
  ('name', 'manual_dir', 'message'),
  [
    ('folder:/there', None, 'needs no preparation'),
    ('mnist', '/not/there', '--manual_dir /not/there is not a folder'),
    ('shapes/99_low', None, 'has no config'),
    ('kuzushiji49', None, r'set --manual_dir to a folder with k49-train-imgs.npz \(63'),
    ('facescrub', None, 'set --manual_dir to a folder <identity>'),
  ],
)
def test_bad_input(name, manual_dir, message, tmp_path):
  with pytest.raises(types.InputError, match=message):
    prepare_data.prepare(name, tmp_path, manual_dir)
