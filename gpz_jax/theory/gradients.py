"""Gradients at one split of one target: Eq 6 to 8 and the bound of App. D."""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax import partition
from gpz_jax.data import eval_order
from gpz_jax.label_smoothing import smooth_labels
from gpz_jax.theory import brackets, jacobian, summaries
from gpz_jax.theory.brackets import Examined
from gpz_jax.theory.gradient_quantities import SigmaSample, describe
from gpz_jax.theory.jacobian import SigmaMin
from gpz_jax.theory.quantity import Quantity
from gpz_jax.theory.summaries import LabelsFrom
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.step import pixels
from gpz_jax.types import InputError
from gpz_jax.vocabulary import Convention

EXPLICIT_CLASSES = 128  # with more classes sigma_min is found iteratively
STEPS = 100  # products with J and J' that the iterative method takes
HELD_NUMBERS = 2**26  # elements of all Jacobians held at the same time: 256 MB


class _Program(NamedTuple):
  """What the compiled functions depend on, all of it hashable."""

  model: nn.Module
  split: str
  engine: Engine


def measure(
  model: nn.Module,
  variables: Any,
  split: str,
  images: np.ndarray,
  labels: np.ndarray,
  *,
  alpha: float,
  gamma: float = 1.0,
  convention: Convention = 'standard',
  labels_from: LabelsFrom = 'true',
  batch_size: int = 64,
  jacobians: int = 128,
  steps: int | None = None,
  engine: Engine = AUTO,
) -> list[Quantity]:
  """Eq 6 to 8 and the bound of App. D for one target at one split.

  Args:
    model: The target, in evaluation mode.
    variables: Its parameters and batch statistics.
    split: A true cut of the model (`partition.check_cuts`).
    images: [N, H, W, C] uint8. All N activations are held.
    labels: [N] int.
    alpha: Smoothing of the labels. At 0 both brackets are those of one-hot labels.
    gamma: Size of the step. At 1, `radius_change_first` is the coefficient of gamma.
    convention: How labels are smoothed. Those of `table1` do not sum to 1: their p - y'
      is what the paper writes, not the gradient of the cross-entropy.
    labels_from: `predicted` takes the target's prediction as label and class.
    batch_size: Number of examples in a batch.
    jacobians: Number of examples, evenly spread, whose sigma_min is found.
    steps: Steps of the iterative method for sigma_min. By default all K vjps are taken
      up to 128 classes, and 100 steps beyond.
    engine: Chooses the convolutions. The computation is always in float32.

  Returns:
    Quantities with 95% intervals: normal ones for means, Wilson's for shares. The
    `radius*` are means over the classes met. Their intervals take the centres as known.
    `gradient_bound_holds` must be 1 where sigma_min is exact.

  Raises:
    InputError: A split, convention, label or shape cannot be used.

  Source: Eq 6, 7, 8 and App. D of the paper.
  """
  summaries.check((split,), images, labels, convention, labels_from)
  _check_jacobians(jacobians)
  program = _Program(model, split, engine.resolve())
  index, masks = eval_order(len(images), batch_size)
  shared = (images, labels.astype(np.int32), index, masks)
  examined = jax.device_get(
    _examine(program, convention, labels_from, variables, shared, alpha, gamma)
  )
  num_classes = len(examined.gradient_mean)
  summaries.check_labels(labels, num_classes)
  steps = _choose_steps(steps, num_classes)
  spectrum = _find_spectrum(program, steps, variables, images, jacobians)
  c_a = smoothing_norm(alpha, num_classes, convention)
  labelled = f'{labels_from} labels, {convention} smoothing at alpha={alpha:g}'
  return describe(examined, masks, spectrum, c_a=c_a, gamma=gamma, assumes=labelled)


def _check_jacobians(jacobians: int) -> None:
  if jacobians < 1:
    raise InputError(f'jacobians={jacobians} is not allowed; give at least 1')


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _examine(
  program: _Program,
  convention: Convention,
  labels_from: LabelsFrom,
  variables: Any,
  shared: tuple[jax.Array, ...],
  alpha: jax.Array,
  gamma: jax.Array,
) -> Examined:
  """Goes over images [N, ...] and labels [N] in batches of index and masks [S, B]."""

  @program.engine.traced
  def run(variables, images, labels, index, masks):
    logits, sent = lax.map(
      lambda rows: _run_target(program, variables, pixels(images, rows)), index
    )
    labels = labels[index]
    if labels_from == 'predicted':
      labels = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    return brackets.examine(
      _cloud(program, variables, images.shape[1:]),
      sent,
      labels,
      masks,
      alpha=alpha,
      gamma=gamma,
      num_classes=logits.shape[-1],
      convention=convention,
    )

  with jax.default_matmul_precision('highest'):  # differences are taken of the results
    return run(variables, *shared)


def _run_target(program: _Program, variables: Any, images: jax.Array):
  """Logits [B, K] and the activation [B, ...] at the split."""
  logits, sent = partition.capture(program.model, variables, images, (program.split,))
  return logits, sent[program.split]


def _cloud(program: _Program, variables: Any, image_shape) -> jacobian.Cloud:
  return lambda activation: partition.cloud(
    program.model, variables, activation, program.split, image_shape=image_shape
  )


def smoothing_norm(alpha: float, num_classes: int, convention: Convention) -> float:
  """c_a of App. D: |onehot - y'|, where |p - y'| would tend as p tends to onehot.

  The paper's value is that of `table1`, sqrt(a^2 + (K - 1)(a / K)^2). Training on
  smoothed labels tends to p = y' instead, where |p - y'| is 0.
  """
  label = jnp.zeros(1, jnp.int32)
  soft = smooth_labels(label, jnp.float32(alpha), num_classes, convention)
  return float(jnp.linalg.norm(jax.nn.one_hot(label, num_classes) - soft))


def _find_spectrum(
  program: _Program, steps: int | None, variables, images, jacobians: int
) -> SigmaSample:
  """The smallest singular values at examples evenly spread over the subset."""
  rows = np.linspace(0, len(images) - 1, min(jacobians, len(images))).astype(int)
  sigma = jax.device_get(_sigma_min(program, steps, variables, images[rows]))
  method = (
    'all vjps'
    if steps is None
    else f'{steps} Golub-Kahan steps, an upper bound (exact at K - 1)'
  )
  return SigmaSample(rows, sigma, f'{method}; {len(rows)} examples')


@functools.partial(jax.jit, static_argnums=(0, 1))
def _sigma_min(program: _Program, steps: int | None, variables, images) -> SigmaMin:
  """Works on images [n, H, W, C] in batches as large as `HELD_NUMBERS` allows."""
  number = len(images)

  @program.engine.traced
  def run(variables, images):
    logits, sent = _run_target(program, variables, pixels(images, jnp.arange(number)))
    cloud = _cloud(program, variables, images.shape[1:])
    held = logits[0].size * sent[0].size
    index, _ = eval_order(number, int(np.clip(HELD_NUMBERS // held, 1, number)))
    if steps is None:
      find = functools.partial(jacobian.sigma_min, cloud)
    else:
      key = jax.random.key(0)
      find = functools.partial(
        jacobian.sigma_min_iterative, cloud, steps=steps, key=key
      )
    found = lax.map(lambda rows: find(sent[rows]), jnp.asarray(index))
    return jax.tree.map(lambda x: x.ravel()[:number], found)

  with jax.default_matmul_precision('highest'):
    return run(variables, images)


def _choose_steps(steps: int | None, num_classes: int) -> int | None:
  """The steps of the iterative method; None for all K vjps, where K is small."""
  if steps is None and num_classes > EXPLICIT_CLASSES:
    return STEPS
  return steps
