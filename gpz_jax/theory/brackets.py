"""What a gradient step on the activations does to the spread of a class: Eq 6 to 8.

For example i of class c, with activation z_i, class centre mu_c, cloud Jacobian J_i,
prediction p_i and label distribution y'_i:

  g_i = J_i'(p_i - y'_i)           the gradient of its cross-entropy at the split
  v_i = J_i (z_i - mu_c)           every T_k of the paper, by one product
  v_i . (p_i - y'_i)               the bracket of Eq 7 and 8, whatever the labels

The paper moves the activations themselves, z_i - gamma g_i, and asks how R_c^2, the
mean squared distance to the class centre, changes. In training the weights move, and
all activations with them: between two epochs R_c^2 may do something else.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax.targets import Convention, smooth_labels
from gpz_jax.theory.jacobian import Cloud, linearise
from gpz_jax.types import InputError


class Brackets(NamedTuple):
  """What is found for each example; leading axes as the pass has them."""

  distance: Any  # |z - mu_c|^2
  t_corr: Any  # (z - mu_c) . J'e_c
  cos_theta: Any  # between z - mu_c and J'e_c; 0 where either vanishes
  one_hot_correct: Any  # (p_c - 1) T_corr
  one_hot_wrong: Any  # sum of p_k T_k over the wrong classes
  smooth_correct: Any  # (p_c - y'_c) T_corr
  smooth_wrong: Any  # sum of (p_k - y'_k) T_k over the wrong classes
  gradient_norm: Any  # |g| for the smoothed labels
  residual_norm: Any  # |p - y'| for the smoothed labels
  moved_distance: Any  # |z - gamma g - mu_c|^2

  @property
  def one_hot(self) -> Any:
    """The bracket of Eq 7."""
    return self.one_hot_correct + self.one_hot_wrong

  @property
  def smooth(self) -> Any:
    """The bracket of Eq 8."""
    return self.smooth_correct + self.smooth_wrong


class Examined(NamedTuple):
  """A pass over S batches of B examples."""

  brackets: Brackets  # [S, B] each
  gradient_mean: Any  # [K] |mean of g over the class|^2
  label: Any  # [S, B] int32, the class each example was counted in


def class_means(sums: jax.Array, labels: jax.Array, masks: jax.Array) -> jax.Array:
  """Divides sums [K, ...] by the number of real examples a class has; 0 for none."""
  K = len(sums)
  counts = jnp.zeros(K).at[labels.ravel()].add(masks.ravel())
  return sums / jnp.maximum(counts, 1.0).reshape(K, *(1,) * (sums.ndim - 1))


def class_centres(
  activations: jax.Array, labels: jax.Array, masks: jax.Array, num_classes: int
) -> jax.Array:
  """Mean activation of each class.

  Args:
    activations: [S, B, ...] float32.
    labels: [S, B] int32.
    masks: [S, B] float32, 1 for a real example.
    num_classes: K.

  Returns:
    [K, ...]; 0 for a class without examples.
  """

  def add(sums, batch):
    activation, label, mask = batch
    return sums + _class_sums(activation, label, mask, num_classes), None

  zero = jnp.zeros((num_classes, *activations.shape[2:]), activations.dtype)
  sums, _ = lax.scan(add, zero, (activations, labels, masks))
  return class_means(sums, labels, masks)


def examine_batch(
  cloud: Cloud,
  activation: jax.Array,
  label: jax.Array,
  centres: jax.Array,
  soft: jax.Array,
  gamma: jax.Array | float,
) -> tuple[Brackets, jax.Array]:
  """Eq 6 to 8 for one batch: one linearisation, one jvp, two vjps.

  Args:
    cloud: [B, ...] -> logits [B, K].
    activation: [B, ...] float32.
    label: [B] int32, the class c of each example.
    centres: [K, ...] float32.
    soft: [B, K], y'. Where it does not sum to 1, p - y' is what the paper writes and
      not the gradient of the cross-entropy, which is sum(y') p - y'.
    gamma: size of the step.

  Returns:
    Brackets [B], padded examples among them, and g [B, ...].

  Raises:
    InputError: a shape does not fit.

  Source: Eq 6, 7 and 8 of the paper.
  """
  logits, push, pull = linearise(cloud, activation)
  _check_batch(logits, activation, label=label, centres=centres, soft=soft)
  one_hot = jax.nn.one_hot(label, logits.shape[1], dtype=logits.dtype)
  p = jax.nn.softmax(logits)
  spread = activation - centres[label]
  towards = pull(one_hot)
  gradient = pull(p - soft)
  terms = push(spread)  # T_k, [B, K]
  t_corr = jnp.sum(terms * one_hot, axis=1)
  lengths = jnp.sqrt(_squares(spread) * _squares(towards))

  def sums(residual):  # over the right class, and over the wrong ones
    products = residual * terms
    return jnp.sum(products * one_hot, 1), jnp.sum(products * (1 - one_hot), 1)

  return Brackets(
    _squares(spread),
    t_corr,
    jnp.where(lengths > 0, t_corr / jnp.where(lengths > 0, lengths, 1.0), 0.0),
    *sums(p - one_hot),
    *sums(p - soft),
    gradient_norm=jnp.sqrt(_squares(gradient)),
    residual_norm=jnp.sqrt(_squares(p - soft)),
    moved_distance=_squares(spread - gamma * gradient),
  ), gradient


def examine(
  cloud: Cloud,
  activations: jax.Array,
  labels: jax.Array,
  masks: jax.Array,
  *,
  alpha: jax.Array | float,
  gamma: jax.Array | float,
  num_classes: int,
  convention: Convention = 'standard',
) -> Examined:
  """Eq 6 to 8 around the centres of the examples given: two passes, jittable.

  Args:
    cloud: [B, ...] -> logits [B, K].
    activations: [S, B, ...] float32.
    labels: [S, B] int32, true or predicted: both the class an example is counted in
      and the label of its loss.
    masks: [S, B] float32, 1 for a real example.
    alpha: of the smoothed labels; traced.
    gamma: size of the step; traced.
    num_classes: K.
    convention: of the smoothed labels, see `targets.smooth_labels`.

  Returns:
    Examined; padded examples are listed, but have no part in centres and means.
  """
  centres = class_centres(activations, labels, masks, num_classes)

  def body(sums, batch):
    activation, label, mask = batch
    soft = smooth_labels(label, jnp.asarray(alpha), num_classes, convention)
    found, gradient = examine_batch(cloud, activation, label, centres, soft, gamma)
    return sums + _class_sums(gradient, label, mask, num_classes), found

  batches = (activations, labels, masks)
  sums, found = lax.scan(body, jnp.zeros_like(centres), batches)
  mean = class_means(sums, labels, masks)
  return Examined(found, _squares(mean), labels)


def example_values(examined: Examined, masks: np.ndarray) -> dict[str, np.ndarray]:
  """The brackets and what they are made of, for the n real examples.

  Args:
    examined: of one pass [S, B], on the host.
    masks: [S, B].

  Returns:
    {name: [n] float64}, in the order of the subset.
  """
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

  Args:
    examined: of one pass [S, B], on the host.
    masks: [S, B].
    gamma: what `examine` was given.

  Returns:
    {name: [n] float64} for the real examples: `radius` (with 1 / N_c);
    `radius_change_first`, -2 gamma / N_c sum of brackets; `radius_change_second`, that
    and gamma^2 / N_c sum of squared centred gradients; `radius_change_measured`, R_c^2
    of the moved activations about their own centres, less R_c^2. The predictions go by
    the jvp, and R_c^2 being quadratic in the step there is no third order; the measured
    change goes by the gradients, and is rounding below 1e-6 R_c^2.

  Source: Eq 6 and App. C.2 of the paper.
  """
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
    values: [n].
    label: [n].

  Returns:
    Over the classes met; the error is NaN where one was met only once.
  """
  groups = [values[label == k] for k in np.unique(label)]
  mean = float(np.mean([group.mean() for group in groups]))
  if min(map(len, groups)) < 2:
    return mean, math.nan
  variance = sum(group.var(ddof=1) / len(group) for group in groups)
  return mean, math.sqrt(variance) / len(groups)


def _class_sums(values, label, mask, num_classes: int) -> jax.Array:
  """[B, ...] -> [K, ...]."""
  member = jax.nn.one_hot(label, num_classes, dtype=values.dtype) * mask[:, None]
  return jnp.einsum('bk,b...->k...', member, values, precision='highest')


def _squares(x: jax.Array) -> jax.Array:
  """Squared length of each: [B, ...] -> [B]."""
  return jnp.sum(jnp.square(x.reshape(len(x), -1)), axis=1)


def _check_batch(logits, activation, **found: jax.Array) -> None:
  B, K = logits.shape
  expected = {'label': (B,), 'centres': (K, *activation.shape[1:]), 'soft': (B, K)}
  for name, shape in expected.items():
    if found[name].shape != shape:
      raise InputError(
        f'{name} must have shape {shape} for activations {activation.shape} and '
        f'{K} classes, got {found[name].shape}'
      )
