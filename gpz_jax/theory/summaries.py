"""What a pass of a target over a subset needs, and what it says on the host."""

import math
from typing import Literal, get_args

import chex
import numpy as np

from gpz_jax import partition
from gpz_jax.theory.brackets import Examined
from gpz_jax.types import InputError, check_known
from gpz_jax.vocabulary import CONVENTIONS

LabelsFrom = Literal['true', 'predicted']
LABELS_FROM: tuple[LabelsFrom, ...] = get_args(LabelsFrom)


def example_values(examined: Examined, masks: np.ndarray) -> dict[str, np.ndarray]:
  """The brackets and what they are made of, for the n real examples.

  Args:
    examined: One pass [S, B], on the host.
    masks: [S, B], 1 for a real example.

  Returns:
    {name: [n] float64}, in the order of the subset.
  """
  chex.assert_shape(masks, examined.label.shape, custom_message='masks [S, B]')
  found = examined.brackets
  named = {
    't_corr': found.t_corr,
    'cos_theta': found.cos_theta,
    'bracket_one_hot': found.one_hot,
    'bracket_one_hot_correct': found.one_hot_correct,
    'bracket_one_hot_wrong': found.one_hot_wrong,
    'bracket_smooth': found.smooth,
    'bracket_smooth_correct': found.smooth_correct,
    'bracket_smooth_wrong': found.smooth_wrong,
    'gradient_norm': found.gradient_norm,
    'residual_norm': found.residual_norm,
  }
  return {name: x[masks == 1].astype(np.float64) for name, x in named.items()}


def radius_terms(
  examined: Examined, masks: np.ndarray, gamma: float
) -> dict[str, np.ndarray]:
  """Terms whose mean over a class is its R_c^2, or what a step changes it by.

  R_c^2 is quadratic in the step, so there is no third order.

  Args:
    examined: One pass [S, B], on the host.
    masks: [S, B], 1 for a real example.
    gamma: Size of the step, as `examine` was given it.

  Returns:
    {name: [n] float64} for the real examples. The means over a class are

    | name | mean over a class |
    | --- | --- |
    | `radius` | R_c^2, with 1 / N_c |
    | `radius_change_first` | -2 gamma / N_c sum of brackets |
    | `radius_change_second` | that + gamma^2 / N_c sum of squared centred gradients |
    | `radius_change_measured` | R_c^2 of the moved activations about their own |
    | | centres, less R_c^2; below 1e-6 R_c^2 it is rounding |

  Source: Eq 6 and App. C.2 of the paper.
  """
  chex.assert_shape(masks, examined.label.shape, custom_message='masks [S, B]')
  real = masks == 1
  distance, bracket, gradient, moved = (
    x[real].astype(np.float64)
    for x in (
      examined.brackets.distance,
      examined.brackets.smooth,
      examined.brackets.gradient_norm,
      examined.brackets.moved_distance,
    )
  )
  mean = examined.gradient_mean.astype(np.float64)[examined.label[real]]
  first = -2 * gamma * bracket
  return {
    'radius': distance,
    'radius_change_first': first,
    'radius_change_second': first + gamma**2 * (gradient**2 - mean),
    'radius_change_measured': moved - gamma**2 * mean - distance,
  }


def class_average(values: np.ndarray, label: np.ndarray) -> tuple[float, float]:
  """The mean over classes of class means, and its standard error.

  Args:
    values: [n], one value for each example.
    label: [n] int, the class of each example.

  Returns:
    Both over the classes met. The error is NaN where a class was met only once.
  """
  chex.assert_shape(label, values.shape, custom_message='label [n]')
  groups = [values[label == k] for k in np.unique(label)]
  mean = float(np.mean([group.mean() for group in groups]))
  if min(map(len, groups)) < 2:
    return mean, math.nan
  variance = sum(group.var(ddof=1) / len(group) for group in groups)
  return mean, math.sqrt(variance) / len(groups)


def radius_share(distance: np.ndarray, label: np.ndarray, between: float) -> float:
  """R_c^2 over the total variance, both unbiased: no scale moves it.

  Args:
    distance: [n], the squared distance of each example to its class centre.
    label: [n] int, the class of each example.
    between: Squared distances of the class centres to the mean, summed over examples.

  Returns:
    The `radius_share` of `radius.measure`; NaN where every class was met only once.
  """
  chex.assert_shape(label, distance.shape, custom_message='label [n]')
  groups = [group for k in np.unique(label) if len(group := distance[label == k]) > 1]
  variance = (distance.sum() + float(between)) / (len(distance) - 1)
  if not groups or not variance:
    return math.nan
  return float(np.mean([g.sum() / (len(g) - 1) for g in groups]) / variance)


def check(
  splits: tuple[str, ...],
  images: np.ndarray,
  labels: np.ndarray,
  convention: str,
  labels_from: str,
) -> None:
  """Checks the arguments of a pass before anything is compiled.

  Args:
    splits: Where the quantities are taken.
    images: [N, H, W, C] uint8.
    labels: [N] int.
    convention: How labels are smoothed.
    labels_from: Whose labels are used.

  Raises:
    InputError: One of them cannot be used.
  """
  if images.ndim != 4 or images.dtype != np.uint8 or labels.shape != images.shape[:1]:
    raise InputError(
      f'images must be uint8 [N, H, W, C] with labels [N], got {images.dtype} '
      f'{images.shape} and {labels.shape}'
    )
  if not splits or partition.PREDICTION in splits:
    raise InputError(
      f'splits {splits} leave no cloud to differentiate; name one or more before the '
      'logits'
    )
  check_known('convention', convention, CONVENTIONS)
  check_known('labels_from', labels_from, LABELS_FROM)


def check_labels(labels: np.ndarray, num_classes: int) -> None:
  """Raises InputError if a label is not one of the target's classes."""
  if not 0 <= labels.min() <= labels.max() < num_classes:
    raise InputError(
      f'labels from {labels.min()} to {labels.max()} are not those of a target with '
      f'{num_classes} classes; map them to 0..{num_classes - 1}'
    )
