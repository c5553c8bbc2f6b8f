"""How far the activations of a class lie from their centre.

The squared radius R_c^2 of a class is the mean squared distance of its activations to
their centre: the trace of the class covariance (1/N_c). It grows with the scale of a
layer, and no attack gets easier or harder by that. So it is also given as a share of
the total variance. Names that end in `_white` are of standardised channels. Labels may
be the true ones or what the target predicts.
"""

import math

import numpy as np

from gpz_jax.theory.examples import Examples, check
from gpz_jax.theory.quantity import Quantity
from gpz_jax.theory.scatter import Scatter, gather
from gpz_jax.theory.separation import (
  Silhouette,
  Spread,
  estimate_silhouette,
  measure_spreads,
)
from gpz_jax.types import InputError

# name -> what its assumptions say of the estimate
RADII = {
  'radius': 'mean over classes, 1/N_c',
  'radius_unbiased': 'mean over classes, 1/(N_c - 1)',
  'radius_per_dim': 'mean over classes, 1/N_c',
  'radius_share': 'unbiased over unbiased',
}

SINGLE = ('radius', 'radius_per_dim')  # those that can count a class of one example


def class_radii(scatter: Scatter, *, unbiased: bool = False) -> np.ndarray:
  """R_c^2 of every class: [K], squared activation.

  Args:
    scatter: The summed activations.
    unbiased: Multiplies by N_c / (N_c - 1), so that the expectation over samples is
      the trace of the class's own covariance.

  Returns:
    [K]; nan for classes without an example, and for those with one where `unbiased`.

  Source: the radius of Eq 4 of the paper.
  """
  count = scatter.count - unbiased
  total = scatter.square.sum(axis=1)
  return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def measure(
  activations,
  labels,
  *,
  resamples: int = 500,
  silhouette_examples: int = 500,
  seed: int = 0,
  count_single: bool = False,
) -> list[Quantity]:
  """Everything this module knows of the activations at one split.

  Args:
    activations: [N, ...], channels last; arrays and memory maps of any real type.
    labels: [N] integers, true or predicted.
    resamples: Number of bootstrap draws behind the 95% intervals.
    silhouette_examples: Largest number of examples in the silhouette.
    seed: Seed of the resampling and of the sample.
    count_single: Counts a class with one example as R_c^2 = 0 in `radius` and
      `radius_per_dim`, as the released code does. By default it is left out, because
      one example says nothing of its class's scatter.

  Returns:
    `radius` (mean of R_c^2 over classes), `radius_unbiased`, `radius_per_dim`,
    `radius_share` (of the total variance), `nc1` and `silhouette`. Each comes again
    with `_white` appended. `scatter_within` and `scatter_between` are the traces.

  Raises:
    InputError: Shapes or settings do not fit, or values are not finite.

  Source: docs/paper.md#class-radius.
  """
  if resamples < 1 or silhouette_examples < 1:
    raise InputError(
      f'resamples and silhouette_examples must be at least 1, got {resamples} and '
      f'{silhouette_examples}'
    )
  data = check(activations, labels)
  scatter = gather(data)
  scales = {'': np.ones(data.flat.shape[1]), '_white': _whiten(scatter)}
  spreads = measure_spreads(data, scatter, list(scales.values()))
  quantities = []
  for (suffix, scale), spread in zip(scales.items(), spreads, strict=True):
    sampled = estimate_silhouette(data, scale, silhouette_examples, seed)
    quantities += [
      *_radius_quantities(data, spread, suffix, resamples, seed, count_single),
      _nc1_quantity(data, spread.nc1, suffix),
      _silhouette_quantity(sampled, suffix),
    ]
  return [
    *quantities,
    Quantity('scatter_within', scatter.within(), unit='squared activation'),
    Quantity('scatter_between', scatter.between(), unit='squared activation'),
  ]


def _whiten(scatter: Scatter) -> np.ndarray:
  """[D]: 1 / standard deviation of the channel, 0 for channels that do not vary."""
  variance = scatter.channel_variance()
  scale = np.zeros_like(variance)
  np.divide(1.0, np.sqrt(variance), out=scale, where=variance > 0)
  return np.tile(scale, scatter.mean.shape[1] // len(scale))


def _radius_quantities(
  data: Examples,
  spread: Spread,
  suffix: str,
  resamples: int,
  seed: int,
  count_single: bool,
) -> list[Quantity]:
  counts = data.counts
  if counts.max() < 2 or not spread.total.any():
    why = 'no class has two examples' if counts.max() < 2 else 'nothing varies'
    return [Quantity(name + suffix, math.nan, assumes=why) for name in RADII]
  members = [np.flatnonzero(data.label == k) for k in range(len(counts))]
  rng = np.random.default_rng(seed)
  drawn = [m[rng.integers(len(m), size=(resamples, len(m)))] for m in members]
  dim = data.flat.shape[1]
  values = _summarise(spread, [m[None] for m in members], dim, count_single)
  draws = _summarise(spread, drawn, dim, count_single)
  white = ', channels standardised' * bool(suffix)
  quantities = []
  for name, how in RADII.items():
    low, high = np.percentile(draws[name], [2.5, 97.5])
    note = _describe(counts, count_single and name in SINGLE) + white
    is_share = bool(suffix) or name == 'radius_share'
    quantities.append(
      Quantity(
        name + suffix,
        float(values[name][0]),
        float(low),
        float(high),
        '' if is_share else 'squared activation',
        f'{how}, {note}',
      )
    )
  return quantities


def _summarise(
  spread: Spread, members: list[np.ndarray], dim: int, count_single: bool
) -> dict[str, np.ndarray]:
  """The radius in its forms, for R choices of examples: {name: [R]}.

  Resamples keep the centres. Moving them too would change a radius by 1/N_c of it.

  Args:
    spread: The distances of all examples.
    members: For each of K classes, the examples chosen from it [R, N_c].
    dim: D.
    count_single: As given to `measure`.
  """
  counts = np.array([m.shape[1] for m in members])
  own = np.stack([spread.own[m].mean(axis=1) for m in members], axis=1)
  total = np.stack([spread.total[m].mean(axis=1) for m in members], axis=1)
  kept = counts > 1
  radius = (own if count_single else own[:, kept]).mean(axis=1)
  unbiased = own[:, kept] @ (counts[kept] / (counts[kept] - 1)) / kept.sum()
  variance = total @ (counts / (counts.sum() - 1))
  # A resample of a sparse activation may hold no variance at all.
  share = np.divide(unbiased, variance, out=np.ones_like(radius), where=variance > 0)
  return {
    'radius': radius,
    'radius_unbiased': unbiased,
    'radius_per_dim': radius / dim,
    'radius_share': share,
  }


def _describe(counts: np.ndarray, count_single: bool) -> str:
  alone = int((counts == 1).sum())
  what = 'counted as 0' if count_single else 'left out'
  note = f'N_c {counts[counts > 1].min()} to {counts.max()}'
  return note + f', {alone} classes with one example {what}' * (alone > 0)


def _nc1_quantity(data: Examples, value: float, suffix: str) -> Quantity:
  if math.isnan(value):
    return Quantity('nc1' + suffix, value, assumes='all class centres are equal')
  N, D = data.flat.shape
  note = f'centres from {data.counts.min()} to {data.counts.max()} examples'
  few = ', fewer examples than dimensions: too small' if N <= D else ''
  return Quantity('nc1' + suffix, value, assumes=note + few)


def _silhouette_quantity(sampled: Silhouette, suffix: str) -> Quantity:
  note = f'Euclidean, {sampled.examples} examples of {sampled.classes} classes'
  if math.isnan(sampled.value):
    note += ': needs two classes, one of them with two examples'
  return Quantity('silhouette' + suffix, sampled.value, assumes=note)
