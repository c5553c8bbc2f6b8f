"""Precision, recall, density and coverage: how well images cover the real ones."""

import math
from typing import NamedTuple

import numpy as np
from scipy.spatial import distance

from gpz_jax.metrics.features import check_features

NEIGHBOURS = 3


class PRDC(NamedTuple):
  """Each is NaN where there are too few images for it.

  Attributes:
    precision: The share of images that lie in the neighbourhood of a real one.
    recall: The share of real images that lie in the neighbourhood of an image.
    density: In how many neighbourhoods of real images an image lies, as a share of k.
      It may exceed 1.
    coverage: The share of real images in whose neighbourhood an image lies.
    reason: What is NaN and why; None where nothing is.
  """

  precision: float
  recall: float
  density: float
  coverage: float
  reason: str | None


def prdc(features: np.ndarray, real: np.ndarray, *, k: int = NEIGHBOURS) -> PRDC:
  """Compares images with the real ones by the neighbourhoods that they form.

  The neighbourhood of an image is the closed ball that reaches to the k-th nearest
  other image of its own set.

  Args:
    features: [n, d], of the images.
    real: [m, d], of the real ones. More than k of them give precision, density and
      coverage; more than k images give recall.
    k: The number of neighbours, at least 1.

  Raises:
    InputError: The numbers of features differ.

  Source: Naeem et al., Reliable fidelity and diversity metrics for generative models,
  ICML 2020. Their code takes open balls, which differ only where distances are equal;
  an image that is a copy of a real one then lies in no ball of radius 0.
  """
  features, real = check_features(features, real)
  precision = recall = density = coverage = math.nan
  reasons = []
  between = distance.cdist(features, real, 'sqeuclidean')  # [n, m]
  if len(real) > k and len(features):
    inside = between <= _radii(real, k)[None]
    precision = float(inside.any(axis=1).mean())
    density = float(inside.sum(axis=1).mean() / k)
    coverage = float(inside.any(axis=0).mean())
  else:
    reasons.append(
      f'precision, density and coverage need an image and more than {k} real ones, got'
      f' {len(features)} and {len(real)}'
    )
  if len(features) > k and len(real):
    recall = float((between <= _radii(features, k)[:, None]).any(axis=0).mean())
  else:
    reasons.append(
      f'recall needs a real image and more than {k} images, got {len(real)} and'
      f' {len(features)}'
    )
  return PRDC(precision, recall, density, coverage, '; '.join(reasons) or None)


def _radii(points: np.ndarray, k: int) -> np.ndarray:
  """The squared distance of each point [n, d] to its k-th nearest other one: [n]."""
  apart = distance.cdist(points, points, 'sqeuclidean')
  np.fill_diagonal(apart, np.inf)  # an equal point is a neighbour, the point is not
  return np.partition(apart, k - 1, axis=1)[:, k - 1]
