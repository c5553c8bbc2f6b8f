"""Gradients at one split of one target: Eq 6 to 8 and the bound of App. D."""

import functools
import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jax import lax

from gpz_jax import partition
from gpz_jax.data import eval_order
from gpz_jax.intervals import Z95
from gpz_jax.targets import Convention, pixels, smooth_labels
from gpz_jax.theory import brackets, jacobian, summaries
from gpz_jax.theory.brackets import Examined
from gpz_jax.theory.jacobian import SigmaMin
from gpz_jax.theory.quantity import Quantity
from gpz_jax.theory.summaries import LabelsFrom
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.types import InputError

EXPLICIT_CLASSES = 128  # up to here all K vjps, beyond it the iterative method
STEPS = 100  # of the iterative method
HELD_NUMBERS = 2**26  # of Jacobians at a time: 256 MB
ROUNDING = 1e-4  # relative; beyond it a bound is broken
UNITS = {
  't_corr': 'nats',
  'cos_theta': '',
  'gradient_norm': 'nats per unit of activation',
  'residual_norm': '',
}


class _Program(NamedTuple):
  """What the compiled functions depend on: static and hashable."""

  model: nn.Module
  split: str
  engine: Engine


class _Spectrum(NamedTuple):
  """Where the Jacobian was taken, and what was found there."""

  rows: np.ndarray  # [n] of the subset
  sigma: SigmaMin  # [n] each
  method: str


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
    model: the target, in evaluation mode.
    variables: its parameters and batch statistics.
    split: a true cut of the model (`partition.check_cuts`).
    images: [N, H, W, C] uint8; all N activations are held.
    labels: [N] int.
    alpha: of the smoothed labels; at 0 both brackets are those of one-hot labels.
    gamma: size of the step; at 1, `radius_change_first` is the coefficient of gamma.
    convention: of the smoothed labels. `table1` does not sum to 1: its p - y' is what
      the paper writes, not the gradient of its cross-entropy.
    labels_from: `predicted` takes what the target predicts as label and class.
    batch_size: examples at a time.
    jacobians: examples, evenly spread over the N, whose sigma_min is found.
    steps: of the iterative method for sigma_min; by default all K vjps up to 128
      classes, and 100 steps beyond.
    engine: whose convolutions are used; always in float32.

  Returns:
    Quantities with 95% intervals: normal ones for means, Wilson's for shares. The
    `radius*` are means over the classes met, with intervals that take the centres as
    known. `gradient_bound_holds` must be 1 where sigma_min is exact.

  Raises:
    InputError: a split, convention, label or shape cannot be used.

  Source: Eq 6, 7, 8 and App. D of the paper.
  """
  summaries.check((split,), images, labels, convention, labels_from)
  if jacobians < 1:
    raise InputError(f'jacobians={jacobians} is not allowed; at least 1')
  program = _Program(model, split, engine.resolve())
  index, masks = eval_order(len(images), batch_size)
  shared = (images, labels.astype(np.int32), index, masks)
  examined = jax.device_get(
    _examine(program, convention, labels_from, variables, shared, alpha, gamma)
  )
  num_classes = len(examined.gradient_mean)
  summaries.check_labels(labels, num_classes)
  if steps is None and num_classes > EXPLICIT_CLASSES:
    steps = STEPS
  spectrum = _find_spectrum(program, steps, variables, images, jacobians)
  labelled = f'{labels_from} labels, {convention} smoothing at alpha={alpha:g}'
  values = summaries.example_values(examined, masks)
  return [
    *_describe_examples(values, labelled),
    *_describe_radius(examined, masks, gamma, labelled),
    *_describe_bound(
      values, spectrum, smoothing_norm(alpha, num_classes, convention), labelled
    ),
  ]


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
  """The pass over images [N, ...], labels [N], index and masks [S, B] of `shared`."""

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
  logits, sent = summaries.capture_known(
    program.model, variables, images, (program.split,)
  )
  return logits, sent[program.split]


def _cloud(program: _Program, variables: Any, image_shape) -> jacobian.Cloud:
  return lambda activation: partition.cloud(
    program.model, variables, activation, program.split, image_shape=image_shape
  )


def smoothing_norm(alpha: float, num_classes: int, convention: Convention) -> float:
  """c_a of App. D: |onehot - y'|, where |p - y'| would tend as p tends to onehot.

  The paper's is that of `table1`, sqrt(a^2 + (K - 1)(a / K)^2). Training on smoothed
  labels tends to p = y' instead, where |p - y'| is 0.
  """
  label = jnp.zeros(1, jnp.int32)
  soft = smooth_labels(label, jnp.float32(alpha), num_classes, convention)
  return float(jnp.linalg.norm(jax.nn.one_hot(label, num_classes) - soft))


def _find_spectrum(
  program: _Program, steps: int | None, variables, images, jacobians: int
) -> _Spectrum:
  """At examples evenly spread over the subset."""
  rows = np.linspace(0, len(images) - 1, min(jacobians, len(images))).astype(int)
  sigma = jax.device_get(_sigma_min(program, steps, variables, images[rows]))
  method = (
    'all vjps'
    if steps is None
    else f'{steps} Golub-Kahan steps, an upper bound (exact at K - 1)'
  )
  return _Spectrum(rows, sigma, f'{method}; {len(rows)} examples')


@functools.partial(jax.jit, static_argnums=(0, 1))
def _sigma_min(program: _Program, steps: int | None, variables, images) -> SigmaMin:
  """For images [n, H, W, C], as many at a time as `HELD_NUMBERS` allows."""
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


def _describe_examples(values: dict[str, np.ndarray], assumes: str) -> list[Quantity]:
  """Means over examples, and how often T_corr has the sign the paper argues with."""
  positive = _share('t_corr_positive', values['t_corr'] > 0, assumes)
  return [
    positive,
    *(
      _mean(name, found, UNITS.get(name, 'nats'), assumes)
      for name, found in values.items()
    ),
  ]


def _describe_radius(
  examined: Examined, masks: np.ndarray, gamma: float, assumes: str
) -> list[Quantity]:
  label = examined.label[masks == 1]
  assumes = f'{assumes}; gamma={gamma:g}, {len(np.unique(label))} classes met'
  quantities = []
  for name, terms in summaries.radius_terms(examined, masks, gamma).items():
    value, error = summaries.class_average(terms, label)
    quantities.append(
      Quantity(
        name,
        value,
        value - Z95 * error,
        value + Z95 * error,
        'squared activation',
        assumes,
      )
    )
  return quantities


def _describe_bound(
  values: dict[str, np.ndarray], spectrum: _Spectrum, c_a: float, assumes: str
) -> list[Quantity]:
  """|g| >= sigma_min |p - y'|, and what the paper takes it to be: sigma_min c_a."""
  full, sum_zero = (np.asarray(sigma, np.float64) for sigma in spectrum.sigma)
  gradient = values['gradient_norm'][spectrum.rows] * (1 + ROUNDING)
  residual = values['residual_norm'][spectrum.rows]
  assumes = f'{assumes}; sigma_min by {spectrum.method}'
  unit = UNITS['gradient_norm']
  return [
    _mean('sigma_min', full, unit, spectrum.method),
    _mean('sigma_min_sum_zero', sum_zero, unit, spectrum.method),
    Quantity('c_a', c_a, assumes=assumes),
    _share('gradient_bound_holds', gradient >= full * residual, assumes),
    _share('gradient_bound_c_a_holds', gradient >= full * c_a, assumes),
  ]


def _mean(name: str, values: np.ndarray, unit: str, assumes: str) -> Quantity:
  mean, error = float(values.mean()), math.nan
  if len(values) > 1:
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
  return Quantity(name, mean, mean - Z95 * error, mean + Z95 * error, unit, assumes)


def _share(name: str, holds: np.ndarray, assumes: str) -> Quantity:
  count = int(holds.sum())
  interval = scipy.stats.binomtest(count, len(holds)).proportion_ci(method='wilson')
  return Quantity(
    name, count / len(holds), float(interval.low), float(interval.high), assumes=assumes
  )
