"""How far images are from others in the features of a classifier.

Everything is computed on the host in float64: differences of large squares, and roots
of small eigenvalues, do not survive float32.
"""

from typing import NamedTuple

import numpy as np
from scipy.spatial import distance

from gpz_jax.types import InputError

BLOCK = 1024  # images whose distances are in memory at once


class Frechet(NamedTuple):
  """A Frechet distance, and what is to be known of it.

  Attributes:
    value: The distance, at least 0; None where there are too few images for it.
    biased: What the formula gives anyway, with covariances that are not of full rank.
      It is far too large, and is comparable only to that of as many other images. None
      where there is no covariance at all.
    reason: Why `value` is None; None where it is not.
  """

  value: float | None
  biased: float | None
  reason: str | None


def nearest_distances(
  features: np.ndarray, reference: np.ndarray, *, block: int = BLOCK
) -> np.ndarray:
  """The squared L2 distance of each image to the nearest of a reference.

  Args:
    features: [n, d].
    reference: [m, d], m at least 1.
    block: Number of images whose distances are in memory at once.

  Returns:
    [n] float64, at least 0.

  Raises:
    InputError: The reference is empty, or the numbers of features differ.

  Source: docs/paper.md#metrics-of-model-inversion.
  """
  features, reference = check_features(features, reference)
  if not len(reference):
    raise InputError('the reference has no images to be near to; give at least one')
  parts = [
    distance.cdist(features[i : i + block], reference, 'sqeuclidean').min(axis=1)
    for i in range(0, len(features), block)
  ]
  return np.concatenate(parts) if parts else np.zeros(0)


def frechet_distance(features: np.ndarray, reference: np.ndarray) -> Frechet:
  """The Frechet distance of two sets of features, each taken for a Gaussian.

  |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), with unbiased covariances. In the
  features of Inception-v3 it is the FID.

  Args:
    features: [n, d].
    reference: [m, d].

  Returns:
    The distance. It is None unless both sets have more images than there are features,
    because a covariance of fewer has not full rank.

  Raises:
    InputError: The numbers of features differ.

  Source: Heusel et al., GANs trained by a two time-scale update rule converge to a
  local Nash equilibrium, NeurIPS 2017.
  """
  features, reference = check_features(features, reference)
  least, dimensions = min(len(features), len(reference)), features.shape[1]
  if least < 2:
    return Frechet(None, None, f'{least} images have no covariance; at least 2 do')
  found = _distance_of_gaussians(*_moments(features), *_moments(reference))
  if least > dimensions:
    return Frechet(found, found, None)
  reason = (
    f'{least} images are too few for {dimensions} features; the covariance needs more'
    ' images than features'
  )
  return Frechet(None, found, reason)


def check_features(
  features: np.ndarray, reference: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Both as arrays of float64, if they are [n, d] and [m, d].

  Raises:
    InputError: They are not.
  """
  features, reference = (np.asarray(x, np.float64) for x in (features, reference))
  is_pair = features.ndim == reference.ndim == 2
  if not is_pair or features.shape[1] != reference.shape[1]:
    raise InputError(
      f'features must be [n, d] and [m, d], got {features.shape} and'
      f' {reference.shape}; take both from one evaluator'
    )
  return features, reference


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The mean [d] and the unbiased covariance [d, d] of features [n, d]."""
  return features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False))


def _distance_of_gaussians(
  mean: np.ndarray, covariance: np.ndarray, mean_2: np.ndarray, covariance_2: np.ndarray
) -> float:
  """The Frechet distance of two Gaussians of d dimensions.

  S1 S2 has the eigenvalues of S1^(1/2) S2 S1^(1/2), which is symmetric: no complex
  number can appear, as it does in the root of the product itself.
  """
  values, vectors = np.linalg.eigh(covariance)
  root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
  between = np.linalg.eigvalsh(root @ covariance_2 @ root)
  overlap = np.sqrt(np.maximum(between, 0)).sum()
  gap = np.square(mean - mean_2).sum()
  return float(
    max(0.0, gap + np.trace(covariance) + np.trace(covariance_2) - 2 * overlap)
  )
