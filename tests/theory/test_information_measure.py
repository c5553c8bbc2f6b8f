"""Everything for one split, and for many at once."""

import math

import numpy as np
import pytest

from gpz_jax.theory.information import Options, Recipe, kinds, measure, measure_lanes
from gpz_jax.types import InputError

N = 192
TINY = Options(
  components=4,
  neighbour_components=2,
  mixture_components=1,
  networks=('infonce',),
  recipe=Recipe(steps=5, batch=32, hidden=8, features=4),
)


@pytest.fixture(scope='module')
def activations():
  """Images, and their activations: one, the same louder, and one of three values."""
  rng = np.random.default_rng(0)
  images = rng.uniform(size=(N, 4, 4, 1)).astype(np.float32)
  flat = images.reshape(N, -1)
  deep = np.maximum(flat @ rng.normal(size=(16, 300)), 0).reshape(N, 5, 5, 12)
  return images, [deep, 100 * deep, flat[:, :3]], rng.integers(0, 2, N)


@pytest.fixture(scope='module')
def found(activations):
  images, of_splits, labels = activations
  return measure_lanes(
    images, of_splits, labels, errors=[0.01, 0.02, 0.03], entropy=-2.0, options=TINY
  )


def named(quantities):
  return {quantity.name: quantity for quantity in quantities}


def test_every_quantity_says_what_it_assumes(found):
  for lane in found:
    names = [quantity.name for quantity in lane]
    assert len(set(names)) == len(names)
    for quantity in lane:
      assert kinds.direction(quantity.name) in ('upper', 'lower', 'neither')
      assert math.isfinite(quantity.value)
      noise = quantity.name.startswith('information') or 'floor' in quantity.name
      if noise and quantity.name != 'information_decoder':
        assert 'noise of variance' in quantity.assumes
  assert set(named(found[0])) == set(kinds.DIRECTIONS) - {
    f'information_{name}' for name in ('mine', 'nwj', 'smile', 'vclub')
  }


def test_projections_are_stated(found):
  texts = {q.name: q.assumes for q in found[2]}
  assert '4 random directions of x and 3 of z' in texts['information_infonce']
  assert '2 random directions of x and 2 of z' in texts['information_ksg']
  assert 'at most 3.47' in texts['information_infonce']  # ln 32


def test_bounds_belong_together(found, activations):
  _, of_splits, _ = activations
  for lane, z in zip(found, of_splits, strict=True):
    of = named(lane)
    # noise is a tenth of tr(S) / d, so that CLUB is 10 d exactly
    assert of['information_club'].value == pytest.approx(10 * z[0].size, rel=1e-4)
    least = min(of['information_club'].value, of['information_mixture'].value)
    assert of['mse_floor_factor'].value == pytest.approx(math.exp(-2 * least / 16))
    floor = math.exp(2 * (-2.0 - least) / 16) / (2 * math.pi * math.e)
    assert of['mse_floor'].value == pytest.approx(floor)
    given = of['conditional_entropy_decoder'].value
    assert of['information_decoder'].value == pytest.approx(-2.0 - given)


def test_scale_changes_nothing(found):
  scaled = named(found[1])
  for name, quantity in named(found[0]).items():
    # Lanes have different errors and initial weights.
    if 'decoder' not in name and 'infonce' not in name:
      assert scaled[name].value == pytest.approx(quantity.value, rel=1e-3)


def test_alone_a_split_gives_what_it_gives_among_others(activations, found):
  images, (*_, few), labels = activations
  alone = measure(images, few, labels, mse=0.03, entropy=-2.0, options=TINY)
  for one, other in zip(alone, found[2], strict=True):
    assert one.name == other.name
    assert one.value == pytest.approx(other.value, abs=1e-4)


def test_without_a_decoder_there_are_no_decoder_bounds(activations):
  images, (deep, *_), labels = activations
  options = Options(networks=(), components=2, projection='pca')
  names = set(named(measure(images, deep, labels, options=options)))
  assert not {n for n in names if 'decoder' in n or n == 'mse_floor'}
  assert 'mse_floor_factor' in names


def test_bad_shapes_are_refused(activations):
  images, (deep, *_), labels = activations
  with pytest.raises(InputError, match='labels of shape'):
    measure(images, deep, labels[1:], options=TINY)
  with pytest.raises(InputError, match='same examples'):
    measure(images, deep[1:], labels, options=TINY)
  with pytest.raises(InputError, match='1 activations but 2 errors'):
    measure_lanes(images, [deep], labels, errors=[0.1, 0.2], options=TINY)
  with pytest.raises(InputError, match='carries no information'):
    measure(images, 0 * deep, labels, options=TINY)
