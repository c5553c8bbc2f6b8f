import dataclasses
import itertools

import numpy as np
import pytest

from gpz_jax import data, types
from gpz_jax.data import sources
from gpz_jax.data.builders import portraits
from gpz_jax.data.builders.portraits import (
  canvas,
  options,
  people,
  portraits_dataset_builder,
  render,
  scenes,
)
from gpz_jax.data.sources import names

DEFAULT = scenes.Amplitudes()
make = portraits_dataset_builder.make_examples


def picture(number=0, sample=0, amplitudes=DEFAULT, size=32) -> np.ndarray:
  return render.render(number, sample, amplitudes, size).astype(int)


def blocks(image: np.ndarray) -> list[int]:
  """Means over 3x3 blocks of an image and over its channels, rounded."""
  thirds = [np.array_split(rows, 3, axis=1) for rows in np.array_split(image, 3)]
  return [round(float(block.mean())) for row in thirds for block in row]


# Recorded from this renderer, version 1.0.0. It computes with operations that every
# machine rounds alike, so that one level of tolerance is for sines and cosines only.
@pytest.mark.parametrize(
  ('number', 'sample', 'size', 'expected'),
  [
    (0, 0, 32, [140, 56, 129, 110, 60, 91, 139, 103, 136]),
    (7, 2, 64, [89, 80, 106, 74, 91, 101, 99, 79, 100]),
    (2000, 0, 32, [111, 149, 113, 109, 142, 107, 97, 105, 90]),
    (3999, 1000007, 64, [126, 135, 126, 121, 110, 101, 113, 145, 112]),
  ],
)
def test_pictures_are_the_recorded_ones(number, sample, size, expected):
  found = blocks(picture(number, sample, size=size))
  np.testing.assert_allclose(found, expected, atol=1)


def test_examples_do_not_depend_on_how_many_are_made_at_once():
  image, label = make('private32_3x10_high', 'test', range(6))
  part, part_label = make('private32_3x10_high', 'test', [5, 1])
  np.testing.assert_array_equal(image[[5, 1]], part)
  np.testing.assert_array_equal(label[[5, 1]], part_label)
  assert image.shape == (6, 32, 32, 3)
  assert image.dtype == np.uint8
  assert label.tolist() == [0, 1, 2, 0, 1, 2]
  assert make('public64_2x2', 'train', [0])[0].shape == (1, 64, 64, 3)


def test_larger_configs_hold_smaller_ones():
  few, _ = make('public32_2x10', 'train', range(4))  # people 0, 1, 0, 1
  more, _ = make('public32_3x40', 'train', [0, 1, 3, 4])  # of 0, 1, 2, 0, 1, 2
  np.testing.assert_array_equal(few, more)


def test_both_sizes_show_the_same_picture():
  small, large = picture(3, 5), picture(3, 5, size=64)
  shrunk = large.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
  assert np.abs(small - shrunk).mean() < 8  # the noise of pixels
  assert np.abs(small - picture(4, 5)).mean() > 16


def test_train_and_test_share_no_picture():
  train, _ = make('private32_2x20', 'train', range(32))
  test, _ = make('private32_2x20', 'test', range(8))
  counts = portraits_dataset_builder.num_examples('private32_2x20')
  assert counts == {'train': 32, 'test': 8}
  seen = {image.tobytes() for image in (*train, *test)}
  assert len(seen) == 40


def traits(number: int) -> list[float]:
  """What is a number about a person, colours included."""
  person = dataclasses.astuple(people.make(number))
  colours = [part for part in person if getattr(part, 'shape', 0) == (3,)]
  return [*(part for part in person if type(part) is float), *np.ravel(colours)]


def test_no_two_people_are_alike():
  private = portraits_dataset_builder.class_names('private32_2000x2')
  public = portraits_dataset_builder.class_names('public32_2000x2')
  assert not set(private) & set(public)
  everyone = np.array([traits(int(name)) for name in (*private, *public)], np.float32)
  everyone = (everyone - everyone.mean(axis=0)) / everyone.std(axis=0)
  squares = (everyone**2).sum(axis=1)
  apart = squares[:, None] + squares - 2 * everyone @ everyone.T
  np.fill_diagonal(apart, np.inf)
  # Two people drawn at random are sqrt(2) apart in each trait, in the mean square.
  assert apart.min() > 0.1 * 2 * everyone.shape[1]


def test_a_person_is_more_like_themselves_than_like_others():
  shots = np.array([[picture(who, i) for i in range(6)] for who in range(10)])
  flat = shots.reshape(60, -1)
  apart = np.abs(flat[:, None] - flat[None]).mean(axis=-1)
  who = np.arange(60) // 6
  same = (who[:, None] == who) & ~np.eye(60, dtype=bool)
  assert apart[same].mean() < 0.85 * apart[who[:, None] != who].mean()


def spread(amplitudes: scenes.Amplitudes) -> float:
  shots = np.array([picture(1, i, amplitudes) for i in range(8)])
  return float(shots.std(axis=0).mean())


@pytest.mark.parametrize('name', scenes.NAMES)
def test_every_amplitude_does_something(name):
  low = scenes.Amplitudes.of('low')
  high = dataclasses.replace(low, **{name: 'high'})
  assert spread(high) > spread(low)
  one, other = picture(1, 0, low), picture(1, 0, high)
  assert np.abs(one - other).max() > 8


def test_all_styles_are_worn_and_drawn():
  everyone = [people.make(number) for number in range(400)]
  assert {person.style for person in everyone} == set(people.STYLES)
  assert {person.beard for person in everyone} == set(people.BEARDS)
  assert {person.glasses for person in everyone} == set(people.GLASSES)
  for style in people.STYLES:
    number = next(i for i, person in enumerate(everyone) if person.style == style)
    assert picture(number).std() > 20


def test_an_ellipse_covers_its_area():
  axis = (np.arange(canvas.SIDE, dtype=np.float32) + 0.5) / canvas.HALF - 1
  level = canvas.ellipse(axis[None], axis[:, None], (0, 0), (0.6, 0.3))
  for cover in (canvas.edge(level), canvas.outline(level)):
    # By hand: pi times both radii, of a canvas whose area is 4.
    np.testing.assert_allclose(cover.mean(), np.pi * 0.6 * 0.3 / 4, rtol=0.02)


@pytest.mark.parametrize(
  ('given', 'name'),
  [
    ('', 'private32'),
    ('/public64', 'public64'),
    ('/private32_530x40', 'private32'),
    ('/private32_50x100_high', 'private32_50x100_high'),
    ('/private32_high_pose-default', None),
    ('/private32_noise-low_pose-high', 'private32_pose-high_noise-low'),
    ('/public32_default', 'public32'),
  ],
)
def test_a_config_has_one_name(given, name):
  found = names.canonical_name(f'portraits{given}')
  if name:
    assert found == f'portraits/{name}'
  assert names.canonical_name(found) == found


def test_options_survive_their_name():
  roles, levels = options.ROLES, scenes.LEVELS
  for role, pose, noise in itertools.product(roles, levels, levels):
    amplitudes = scenes.Amplitudes(pose=pose, noise=noise)
    made = options.Options(role, 64, 7, 9, amplitudes)
    assert options.parse(options.spell(made)) == made


@pytest.mark.parametrize(
  ('config', 'why'),
  [
    ('secret32', "'secret32' is no role and size"),
    ('private48', "'private48' is no role and size"),
    ('private32_2001x40', '2001 people x 40 images is out of range'),
    ('private32_50x1', '50 people x 1 images is out of range'),
    ('private32_loud', "'loud' is no amplitude"),
    ('private32_poses-low', "'poses-low' is no amplitude; did you mean 'pose'"),
    ('private32_pose-huge', "'pose-huge' is no amplitude"),
    ('private32_low_pose-low_pose-high', 'pose is given twice'),
    ('private32_high_50x100', "'50x100' is no amplitude"),
  ],
)
def test_bad_configs_are_refused_in_one_line(config, why, tmp_path):
  with pytest.raises(types.InputError, match=why) as error:
    sources.find(f'portraits/{config}', tmp_path)
  assert f'has no config {config!r}' in str(error.value)
  assert 'as in portraits/private32_50x100_high' in str(error.value)
  assert str(error.value).isprintable()


def test_rendered_equals_prepared(tmp_path):
  name = 'portraits/private32_2x5_pose-low'
  rendered = data.load(name, data_dir=tmp_path / 'none', cache_dir=tmp_path / 'one')
  made = portraits.ensure_prepared('private32_2x5_pose-low', tmp_path)
  assert made == tmp_path / 'portraits' / 'private32_2x5_pose-low' / '1.0.0'
  assert portraits.ensure_prepared('private32_2x5_pose-low', tmp_path) == made
  prepared = data.load(name, data_dir=tmp_path, cache_dir=tmp_path / 'two')
  assert rendered.class_names == prepared.class_names == ('0', '1')
  for part in ('train', 'val', 'test', 'aux'):
    one, other = getattr(prepared, part), getattr(rendered, part)
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.label, other.label)


def load_with(aux: str, tmp_path) -> types.Task:
  name = 'portraits/private32_2x5'
  folders = {'data_dir': tmp_path / 'none', 'cache_dir': tmp_path}
  return data.load(name, aux_dataset=aux, **folders)


def test_public_people_are_the_attackers(tmp_path, caplog):
  task = load_with('portraits/public64_3x4', tmp_path)
  assert task.aux_name == 'portraits/public64_3x4'
  assert task.aux.image.shape == (9, 32, 32, 3)
  assert not caplog.records


def test_the_same_people_on_both_sides_are_warned_of(tmp_path, caplog):
  load_with('portraits/private32_3x4', tmp_path)
  assert 'show the same people' in caplog.text
