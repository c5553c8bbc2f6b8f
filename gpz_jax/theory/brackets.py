"""What a gradient step on the activations does to the spread of a class: Eq 6 to 8.

For example i of class c, with activation z_i, class centre mu_c, cloud Jacobian J_i,
prediction p_i and label distribution y'_i:

  g_i = J_i'(p_i - y'_i)           the gradient of its cross-entropy at the split
  v_i = J_i (z_i - mu_c)           every T_k of the paper, by one product
  v_i . (p_i - y'_i)               the bracket of Eq 7 and 8, whatever the labels

The paper moves the activations themselves to z_i - gamma g_i. It asks how R_c^2, the
mean squared distance to the class centre, changes. In training the weights move all
activations together, so between two epochs R_c^2 may change in another way.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import lax

from gpz_jax.label_smoothing import smooth_labels
from gpz_jax.theory.centres import (
  between_classes,
  class_means,
  class_sums,
  dot,
  squares,
)
from gpz_jax.theory.jacobian import Cloud, linearise
from gpz_jax.types import InputError
from gpz_jax.vocabulary import Convention

SplitActivations = dict[str, jax.Array]  # at each split [B, ...]


class Brackets(NamedTuple):
  """What is found for each example, with the leading axes of the pass."""

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
  between: Any  # [] |mu_c - mu|^2 summed over the examples


class Classes(NamedTuple):
  """What the labels of a batch say."""

  label: jax.Array  # [B] int32, the class c of each example
  soft: jax.Array  # [B, K], y'


def examine_batch(
  cloud: Cloud,
  activation: jax.Array,
  classes: Classes,
  centres: jax.Array,
  gamma: jax.Array | float,
) -> tuple[Brackets, jax.Array]:
  """Eq 6 to 8 for one batch: one linearisation, one jvp for all T_k, two vjps.

  Args:
    cloud: Maps activations [B, ...] to logits [B, K].
    activation: [B, ...] float32.
    classes: label [B] and y' [B, K]. Where y' does not sum to 1, p - y' is what the
      paper writes. The gradient of the cross-entropy is then sum(y') p - y'.
    centres: [K, ...] float32, the class centres.
    gamma: Size of the step.

  Returns:
    Brackets [B], also of padded examples, and g [B, ...].

  Raises:
    InputError: A shape does not fit.

  Source: Eq 6, 7 and 8 of the paper.
  """
  logits, push, pull = linearise(cloud, activation)
  _check(logits, activation, classes, centres)
  one_hot, p = _one_hot(classes), jax.nn.softmax(logits)
  spread = activation - centres[classes.label]
  towards, gradient = jax.vmap(pull)(jnp.stack([one_hot, p - classes.soft]))
  terms = push(spread)  # T_k, [B, K]

  def sums(residual):  # over the right class, and over the wrong ones
    products = residual * terms
    return jnp.sum(products * one_hot, 1), jnp.sum(products * (1 - one_hot), 1)

  found = _gather(
    spread,
    towards,
    gradient,
    t_corr=jnp.sum(terms * one_hot, axis=1),
    one_hot=sums(p - one_hot),
    smooth=sums(p - classes.soft),
    residual_norm=jnp.linalg.norm(p - classes.soft, axis=1),
    gamma=gamma,
  )
  return found, gradient


def examine_splits(
  forward: Callable[[SplitActivations], tuple[jax.Array, SplitActivations]],
  classes: Classes,
  centres: SplitActivations,
  gamma: jax.Array | float,
) -> tuple[dict[str, Brackets], SplitActivations]:
  """Eq 6 to 8 for one batch at many splits: one backward pass serves them all.

  The brackets are taken as (z - mu_c) . g, without a jvp from each split. Unlike in
  `examine_batch`, brackets and gradients are therefore no check of each other.

  Args:
    forward: Maps offsets {split: [B, ...]}, which are added to the activations, to the
      logits [B, K] and to the activations without their own offset.
    classes: label [B] and y' [B, K].
    centres: {split: [K, ...]}, the class centres at each split.
    gamma: Size of the step.

  Returns:
    {split: Brackets [B]} and {split: g [B, ...]}.

  Source: Eq 6, 7 and 8 of the paper.
  """
  B = len(classes.label)
  offsets = {split: jnp.zeros((B, *c.shape[1:])) for split, c in centres.items()}
  logits, pull, sent = jax.vjp(forward, offsets, has_aux=True)
  for split, activation in sent.items():
    _check(logits, activation, classes, centres[split])
  one_hot, p = _one_hot(classes), jax.nn.softmax(logits)
  residual = p - classes.soft
  # One vjp of three cotangents: towards the class, one-hot labels, smoothed labels.
  (pulled,) = jax.vmap(pull)(jnp.stack([one_hot, p - one_hot, residual]))
  found, gradients = {}, {}
  for split, (towards, one_hot_gradient, gradient) in pulled.items():
    spread = sent[split] - centres[split][classes.label]
    t_corr = dot(spread, towards)

    def sums(residual, gradient, spread=spread, t_corr=t_corr):
      correct = jnp.sum(residual * one_hot, axis=1) * t_corr
      return correct, dot(spread, gradient) - correct

    found[split] = _gather(
      spread,
      towards,
      gradient,
      t_corr=t_corr,
      one_hot=sums(p - one_hot, one_hot_gradient),
      smooth=sums(residual, gradient),
      residual_norm=jnp.linalg.norm(residual, axis=1),
      gamma=gamma,
    )
    gradients[split] = gradient
  return found, gradients


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
    cloud: Maps activations [B, ...] to logits [B, K].
    activations: [S, B, ...] float32.
    labels: [S, B] int32, true or predicted. They are both the class that an example is
      counted in and the label of its loss.
    masks: [S, B] float32, 1 for a real example.
    alpha: Smoothing of the labels; may be traced.
    gamma: Size of the step; may be traced.
    num_classes: K.
    convention: How labels are smoothed, see `label_smoothing.smooth_labels`.

  Returns:
    The pass over all batches. It lists padded examples, but they have no part in
    centres and means.
  """
  leading = activations.shape[:2]
  chex.assert_shape(labels, leading, custom_message='labels [S, B]')
  chex.assert_shape(masks, leading, custom_message='masks [S, B]')
  zero = jnp.zeros((num_classes, *activations.shape[2:]), activations.dtype)

  def add(sums, batch):
    activation, label, mask = batch
    return sums + class_sums(activation, label, mask, num_classes), None

  batches = (activations, labels, masks)
  centres = class_means(lax.scan(add, zero, batches)[0], labels, masks)

  def body(sums, batch):
    activation, label, mask = batch
    soft = smooth_labels(label, jnp.asarray(alpha), num_classes, convention)
    classes = Classes(label, soft)
    found, gradient = examine_batch(cloud, activation, classes, centres, gamma)
    return sums + class_sums(gradient, label, mask, num_classes), found

  sums, found = lax.scan(body, zero, batches)
  return Examined(
    found,
    squares(class_means(sums, labels, masks)),
    labels,
    between_classes(centres, labels, masks),
  )


def _one_hot(classes: Classes) -> jax.Array:
  return jax.nn.one_hot(classes.label, classes.soft.shape[1])


def _gather(
  spread, towards, gradient, *, t_corr, one_hot, smooth, residual_norm, gamma
) -> Brackets:
  lengths = jnp.sqrt(squares(spread) * squares(towards))
  cosine = jnp.where(lengths > 0, t_corr / jnp.where(lengths > 0, lengths, 1.0), 0.0)
  return Brackets(
    squares(spread),
    t_corr,
    cosine,
    *one_hot,
    *smooth,
    gradient_norm=jnp.sqrt(squares(gradient)),
    residual_norm=residual_norm,
    moved_distance=squares(spread - gamma * gradient),
  )


def _check(logits, activation, classes: Classes, centres) -> None:
  B, K = logits.shape
  for name, found, shape in (
    ('label', classes.label.shape, (B,)),
    ('soft', classes.soft.shape, (B, K)),
    ('centres', centres.shape, (K, *activation.shape[1:])),
  ):
    if found != shape:
      raise InputError(
        f'{name} must have shape {shape} for activations {activation.shape} and '
        f'{K} classes, got {found}'
      )
