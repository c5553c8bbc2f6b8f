import subprocess
import sys

import numpy as np
import pytest

from gpz_jax import types
from gpz_jax.data import sources
from gpz_jax.data.builders import shapes
from gpz_jax.data.builders.shapes import kinds, prepare, render, shapes_dataset_builder

ALL_KINDS = list(kinds.KINDS)
STILL = render.Variance(0, 0, 0, 0, 0, 0)


def still_life(names) -> np.ndarray:
  """One image of each kind without nuisance: [K, 64, 64, 3] in [0, 1]."""
  draws = np.zeros((len(names), render.NUM_DRAWS))
  return render.render(names, np.arange(len(names)), draws, STILL) / 255


def within_class_variance(config: str) -> float:
  image, label = shapes_dataset_builder.make_examples(config, 'train', range(200))
  return float(np.mean([image[label == k].var(axis=0).mean() for k in range(10)]))


def test_configs_cover_classes_and_variances():
  assert len(shapes.CONFIGS) == 49 * 3
  assert {'2_low', '10_default', '50_high'} <= set(shapes.CONFIGS)


def test_examples_do_not_depend_on_how_many_are_made_at_once():
  make = shapes_dataset_builder.make_examples
  image, label = make('10_high', 'test', range(8))
  part, part_label = make('10_high', 'test', [6, 3, 5])
  np.testing.assert_array_equal(image[[6, 3, 5]], part)
  np.testing.assert_array_equal(label[[6, 3, 5]], part_label)


def test_subsets_and_class_counts_have_scenes_of_their_own():
  make = shapes_dataset_builder.make_examples
  image, _ = make('10_default', 'train', range(4))
  assert (image != make('10_default', 'test', range(4))[0]).any(axis=(1, 2, 3)).all()
  assert (image != make('20_default', 'train', range(4))[0]).any(axis=(1, 2, 3)).all()


def test_classes_are_balanced_and_nested():
  _, label = shapes_dataset_builder.make_examples('10_low', 'train', range(100))
  assert np.bincount(label).tolist() == [10] * 10
  ten, _ = shapes_dataset_builder.read_config('10_low')
  twenty, _ = shapes_dataset_builder.read_config('20_low')
  assert twenty[:10] == ten


def test_variance_within_a_class_grows_with_the_config():
  low, default, high = map(within_class_variance, ('10_low', '10_default', '10_high'))
  assert 2 * low < default < high


def test_disc_covers_its_area_antialiased():
  image = still_life(['disc'])[0, :, :, 0]
  share = (image - image.min()) / np.ptp(image)
  # By hand: radius 0.85 of 0.42 of the side. Within half a percent takes pixels that
  # are covered in part.
  np.testing.assert_allclose(share.mean(), np.pi * (0.85 * 0.42) ** 2, rtol=5e-3)


def test_kinds_differ():
  image = still_life(ALL_KINDS)
  contrast = np.abs(image[0, 32, 32] - image[0, 0, 0]).mean()
  apart = np.abs(image[:, None] - image[None]).mean(axis=(2, 3, 4)) / contrast
  np.fill_diagonal(apart, 1)
  assert apart[:10, :10].min() > 0.06  # share of the pixels that change sides
  assert apart.min() > 0.03


@pytest.mark.parametrize('kind', ALL_KINDS)
def test_kinds_fit_their_map(kind):
  distance = kinds.distance_map(kind)
  axis = np.linspace(-kinds.EXTENT, kinds.EXTENT, kinds.GRID)
  outside = np.hypot(axis[:, None], axis[None]) > 1.04
  assert distance[outside].max() < 0 < distance.max()


def test_shapes_are_visible_under_high_variance():
  draws = np.random.default_rng(0).uniform(-1, 1, (50, render.NUM_DRAWS))
  variance = render.VARIANCES['high']
  label = np.zeros(50, int)
  disc = render.render(['disc', 'ring'], label, draws, variance).astype(int)
  ring = render.render(['disc', 'ring'], label + 1, draws, variance).astype(int)
  contrast = np.abs(disc - ring).max(axis=(1, 2, 3))
  assert contrast.min() > 0.15 * 255


def test_made_when_absent_and_never_twice(tmp_path, monkeypatch):
  monkeypatch.setattr(shapes_dataset_builder, 'NUM_EXAMPLES', {'train': 4, 'test': 2})
  made = shapes.ensure_prepared('2_low', tmp_path)
  assert made == tmp_path / 'shapes' / '2_low' / '1.0.0'
  assert [path.name for path in tmp_path.iterdir()] == ['shapes']
  monkeypatch.setattr(prepare, '_prepare', None)  # would fail if called
  assert shapes.ensure_prepared('2_low', tmp_path) == made


def test_unwritable_folder_is_named(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(
    types.InputError, match=r'cannot make shapes/2_low in .*another data_dir'
  ):
    shapes.ensure_prepared('2_low', tmp_path / 'file')


def test_two_processes_at_once(tmp_path):
  program = (
    'import pathlib, sys\n'
    'from gpz_jax.data.builders.shapes import prepare, shapes_dataset_builder as b\n'
    "b.NUM_EXAMPLES = {'train': 4, 'test': 2}\n"
    "print(prepare.ensure_prepared('2_low', pathlib.Path(sys.argv[1])))\n"
  )
  command = [sys.executable, '-c', program, str(tmp_path)]
  racers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
  outputs = [racer.communicate()[0] for racer in racers]
  assert [racer.returncode for racer in racers] == [0, 0]
  assert outputs[0] == outputs[1]
  assert [path.name for path in tmp_path.iterdir()] == ['shapes']
  assert sources.find('shapes/2_low', tmp_path).counts['train'] == 4
