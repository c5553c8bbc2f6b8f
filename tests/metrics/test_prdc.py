import math

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from gpz_jax import metrics
from gpz_jax.types import InputError


def test_prdc_of_points_on_a_line_by_hand():
  # With k = 1 the balls of the real points reach 1, 1 and 7 to each side
  real = np.array([[0.0], [1.0], [8.0]])
  images = np.array([[0.5], [3.0], [20.0], [21.0]])
  found = metrics.prdc(images, real, k=1)
  # by hand: 0.5 lies in the first two balls, 3 in the last alone, 20 and 21 in none
  assert found.precision == 2 / 4
  assert found.density == (2 + 1 + 0 + 0) / 4
  assert found.coverage == 3 / 3
  # by hand: the balls of the images reach 2.5, 2.5, 1 and 1: 0 and 1, but not 8
  assert found.recall == 2 / 3
  assert found.reason is None


def test_prdc_matches_neighbours_of_sklearn():
  rng = np.random.default_rng(0)
  real, images = rng.normal(size=(40, 4)), rng.normal(0.5, 0.8, (30, 4))

  def ball_counts(points, centres):  # [points, centres], scikit-learn 1.9
    searched = NearestNeighbors(n_neighbors=4).fit(centres)
    radii = searched.kneighbors(centres)[0][:, 3]  # the first neighbour is itself
    reach = np.linalg.norm(points[:, None] - centres[None], axis=2)
    return reach <= radii[None]

  inside, covered = ball_counts(images, real), ball_counts(real, images)
  found = metrics.prdc(images, real)
  assert found.precision == pytest.approx(inside.any(1).mean())
  assert found.density == pytest.approx(inside.sum(1).mean() / 3)
  assert found.coverage == pytest.approx(inside.any(0).mean())
  assert found.recall == pytest.approx(covered.any(1).mean())
  assert 0 < found.recall < 1  # so that the comparison says something
  assert 0 < found.coverage < 1


def test_images_of_the_same_gaussian_are_precise_and_far_ones_are_not():
  rng = np.random.default_rng(1)
  real, same = rng.normal(size=(400, 3)), rng.normal(size=(400, 3))
  near = metrics.prdc(same, real)
  # Naeem et al. 2020: the expected density is 1; the coverage is
  # 1 - (m - 1) ... (m - k) / ((n + m - 1) ... (n + m - k)), about 1 - 2^-3
  assert near.density == pytest.approx(1, abs=0.1)
  expected = 1 - math.prod(399 - i for i in range(3)) / math.prod(
    799 - i for i in range(3)
  )
  assert near.coverage == pytest.approx(expected, abs=0.05)
  far = metrics.prdc(same + 100, real)
  assert far[:4] == (0, 0, 0, 0)
  copies = metrics.prdc(real, real)
  assert (copies.precision, copies.recall, copies.coverage) == (1, 1, 1)


def test_one_copied_image_is_precise_but_does_not_cover():
  real = np.arange(20.0)[:, None]
  collapsed = np.full((10, 1), 10.0)
  found = metrics.prdc(collapsed, real)
  assert found.precision == 1
  # by hand: away from the ends a ball reaches 2, so that 10 lies in those of 8 ... 12
  assert found.coverage == 5 / 20
  assert found.recall == 1 / 20  # balls of radius 0 hold 10 alone


def test_too_few_images_are_nan_and_say_so():
  points = np.arange(10.0)[:, None]
  few = metrics.prdc(points[:3], points)
  assert math.isnan(few.recall)
  assert few.precision == 1
  assert few.reason == 'recall needs a real image and more than 3 images, got 10 and 3'
  none = metrics.prdc(points, points[:3])
  assert math.isnan(none.precision)
  assert math.isnan(none.density)
  assert math.isnan(none.coverage)
  assert none.recall == 1
  assert none.reason is not None
  assert 'more than 3 real ones, got 10 and 3' in none.reason
  assert all(math.isnan(x) for x in metrics.prdc(points[:0], points)[:4])
  with pytest.raises(InputError, match='take both from one evaluator'):
    metrics.prdc(points, np.zeros((10, 2)))
