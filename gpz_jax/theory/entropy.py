"""Upper bounds on the entropy of what is sent, from its covariance alone.

Among all variables of one covariance the Gaussian has the largest differential entropy
(Eq 3). Among all Gaussians of one trace the isotropic one has the largest. These give a
log-determinant and a trace bound, of all activations and of every class (Eq 4). All are
in nats.

The bounds have two limits. Scaling an activation by s moves them by D ln s and leaves
its inversion as it was, so only layers of one scale compare. With D >= N the sample's
determinant is 0, so a noise floor or shrinkage decides its logarithm.
"""

import math
from collections.abc import Sequence

import chex
import numpy as np

from gpz_jax.theory import quantised
from gpz_jax.theory.examples import Examples, check
from gpz_jax.theory.quantity import Quantity
from gpz_jax.theory.spectrum import (
  Spectra,
  Spectrum,
  effective_rank,
  estimate_spectra,
  participation_ratio,
  shrink_ledoit_wolf,
  shrink_oas,
)
from gpz_jax.types import InputError

LN_2PIE = math.log(2 * math.pi * math.e)
NOISE_SHARE = 0.01  # noise variance over the mean variance of an element: 20 dB


def bound_logdet(spectrum: Spectrum, noise: float = 0.0) -> float:
  """D/2 ln(2 pi e) + 1/2 ln det(S + noise I), in nats.

  Args:
    spectrum: Spectrum of the covariance S.
    noise: Variance of white noise added to every element.

  Returns:
    Nats; -inf where S + noise I is singular, as S is for N <= D.

  Source: Eq 3 (first bound), and Eq 4 for a class.
  """
  values = spectrum.eigenvalues + noise
  rest = spectrum.dim - len(values)
  if not (values > 0).all() or (rest and not noise):
    return -math.inf
  logdet = np.log(values).sum() + (rest * math.log(noise) if rest else 0.0)
  return 0.5 * float(spectrum.dim * LN_2PIE + logdet)


def bound_trace(spectrum: Spectrum, noise: float = 0.0) -> float:
  """D/2 ln(2 pi e (tr S / D + noise)), in nats; -inf where nothing varies.

  Source: Eq 3 (second bound), and Eq 4 for a class, where tr S = R_c^2.
  """
  variance = spectrum.trace / spectrum.dim + noise
  if not variance:
    return -math.inf
  return 0.5 * spectrum.dim * (LN_2PIE + math.log(variance))


def bound_shrunk(spectrum: Spectrum, weight: float) -> float:
  """`bound_logdet` of (1 - weight) S + weight (tr S / D) I, in nats."""
  shrunk = spectrum._replace(eigenvalues=(1 - weight) * spectrum.eigenvalues)
  return bound_logdet(shrunk, weight * spectrum.trace / spectrum.dim)


def bound_information(spectrum: Spectrum, noise: float) -> float:
  """1/2 sum ln(1 + lambda / noise), in nats: at least I(z; z + N(0, noise I)).

  A Gaussian z reaches equality. The bound is finite also for a deterministic network,
  and does not change when activations and noise are scaled together.
  """
  return 0.5 * float(np.log1p(spectrum.eigenvalues / noise).sum())


def label_entropy(counts: np.ndarray) -> float:
  """H(Y) in nats of labels with `counts` [K] examples of each class."""
  chex.assert_rank(counts, 1, custom_message='counts [K]')
  share = counts[counts > 0] / counts.sum()
  return float(-(share * np.log(share)).sum())


def measure(
  activations,
  labels,
  *,
  noise_share: float = NOISE_SHARE,
  step: float | None = None,
  max_examples: int = 4_000,
  seed: int = 0,
) -> list[Quantity]:
  """Everything this module knows of the activations at one split.

  Args:
    activations: [N, ...], channels last; arrays and memory maps of any real type.
    labels: [N] integers, true or predicted.
    noise_share: Variance of the noise floor over tr S / D of all examples.
    step: Width of a cell of a further quantiser, in the unit of the activation.
    max_examples: Sample size of the whole, and of each class. Log-determinants grow
      with it, so compare splits at one size.
    seed: Seed of the samples.

  Returns:
    Quantities of

    | what | names |
    | --- | --- |
    | all examples | `entropy_logdet`, `entropy_trace`, `entropy_gap`, |
    | | `information_bound`, `effective_rank`, `participation_ratio`, |
    | | `noise_variance` |
    | all, with shrinkage | `entropy_logdet_lw`, `entropy_logdet_oas`, `shrinkage_*` |
    | means over classes | `entropy_class_*`, `effective_rank_class`, |
    | | `participation_ratio_class` |
    | the decision chain | `entropy_decision_*`; `_label` has H(Y) for ln K |
    | payloads | what `quantised.measure` returns |

  Raises:
    InputError: Shapes or settings do not fit, or values are not finite.
  """
  if not noise_share > 0:
    raise InputError(f'noise_share must be above 0, got {noise_share}')
  data = check(activations, labels)
  spectra = estimate_spectra(data, max_examples=max_examples, seed=seed)
  noise = noise_share * spectra.total.trace / spectra.total.dim
  quantities = [
    *_total_quantities(spectra.total, noise),
    *_class_quantities(data, spectra, noise),
    *quantised.measure(data, spectra.total, step, seed=seed),
  ]
  if spectra.total.trace > 0:
    return quantities
  return [
    q._replace(value=math.nan, assumes='activations do not vary') for q in quantities
  ]


def compare(
  feature: Sequence[Quantity], decision: Sequence[Quantity]
) -> list[Quantity]:
  """What the bounds of two splits say of cutting at the later one, in nats.

  Args:
    feature: What `measure` returns of the earlier split.
    decision: What `measure` returns of the later split, with the same examples, labels
      and settings.

  Returns:
    `delta_h_trace` and `delta_h_logdet`, the bound of `feature` less that of the
    decision chain. `residual_gain_*` is how much the lower bound on H(x | z) of Eq 5
    rises, because H(x) cancels. All are differences of upper bounds: neither the true
    difference nor its sign follows.

  Raises:
    InputError: A bound is missing on one of the sides.

  Source: Delta h as printed below Eq 4, and Eq 5 of the paper.
  """
  first = {q.name: q.value for q in feature}
  second = {q.name: q.value for q in decision}
  note = 'difference of two upper bounds: bounds neither the difference nor its sign'
  pairs = (
    ('delta_h_trace', 'entropy_trace', 'entropy_decision_trace', 'ln K'),
    ('delta_h_logdet', 'entropy_logdet', 'entropy_decision_logdet', 'ln K'),
    ('residual_gain_trace', 'entropy_trace', 'entropy_trace', 'equation 5'),
    ('residual_gain_logdet', 'entropy_logdet', 'entropy_logdet', 'equation 5'),
    ('residual_gain_int8', 'entropy_int8', 'entropy_int8', 'equation 5, int8 payload'),
  )
  missing = [a for _, a, _, _ in pairs if a not in first]
  missing += [b for _, _, b, _ in pairs if b not in second]
  if missing:
    raise InputError(f'compare needs {missing[0]!r}; pass what entropy.measure returns')
  return [
    Quantity(name, first[a] - second[b], unit='nats', assumes=f'{note}; {how}')
    for name, a, b, how in pairs
  ]


def _total_quantities(spectrum: Spectrum, noise: float) -> list[Quantity]:
  floor = _describe(spectrum, noise)
  return [
    *_bounds('entropy', spectrum, noise, floor),
    Quantity(
      'information_bound',
      bound_information(spectrum, noise) if noise else math.nan,
      unit='nats',
      assumes=f'of I(z; z + noise), {floor}',
    ),
    *_shrunk_quantities(spectrum),
    Quantity('effective_rank', effective_rank(spectrum), assumes=_size(spectrum)),
    Quantity(
      'participation_ratio', participation_ratio(spectrum), assumes=_size(spectrum)
    ),
    Quantity('noise_variance', noise, unit='squared activation'),
  ]


def _bounds(
  prefix: str, spectrum: Spectrum, noise: float, floor: str
) -> list[Quantity]:
  logdet = bound_logdet(spectrum, noise)
  gap = bound_trace(spectrum, noise) - logdet if noise else math.nan
  return [
    Quantity(f'{prefix}_logdet', logdet, unit='nats', assumes=f'upper bound, {floor}'),
    Quantity(
      f'{prefix}_trace',
      bound_trace(spectrum),
      unit='nats',
      assumes=f'upper bound, no noise, {_size(spectrum)}',
    ),
    Quantity(f'{prefix}_gap', gap, unit='nats', assumes=f'both bounds with {floor}'),
  ]


def _shrunk_quantities(spectrum: Spectrum) -> list[Quantity]:
  quantities = []
  for name, shrink in (('lw', shrink_ledoit_wolf), ('oas', shrink_oas)):
    weight = shrink(spectrum)
    note = f'shrinkage {weight:.3g}, {_size(spectrum)}'
    value = bound_shrunk(spectrum, weight)
    if math.isinf(value):
      value, note = math.nan, f'{note}: still singular'
    quantities += [
      Quantity(f'entropy_logdet_{name}', value, unit='nats', assumes=note),
      Quantity(f'shrinkage_{name}', weight, assumes=_size(spectrum)),
    ]
  return quantities


def _class_quantities(data: Examples, spectra: Spectra, noise: float) -> list[Quantity]:
  kept = [k for k, spectrum in enumerate(spectra.classes) if spectrum.trace > 0]
  classes = [spectra.classes[k] for k in kept]
  weight = data.counts[kept] / max(data.counts[kept].sum(), 1)
  note = _describe_classes(classes, len(spectra.classes))
  floor = f'noise variance {noise:.3g}, {note}'
  logdets = np.array([bound_logdet(s, noise) for s in classes])
  traces = np.array([bound_trace(s) for s in classes])
  gaps = np.array([bound_trace(s, noise) for s in classes]) - logdets
  ranks = np.array([effective_rank(s) for s in classes])
  ratios = np.array([participation_ratio(s) for s in classes])
  quantities = [
    Quantity(name, float(weight @ values) if kept else math.nan, unit=unit, assumes=how)
    for name, values, unit, how in (
      ('entropy_class_logdet', logdets, 'nats', f'mean over examples, {floor}'),
      ('entropy_class_trace', traces, 'nats', f'mean over examples, no noise, {note}'),
      ('entropy_class_gap', gaps, 'nats', f'mean over examples, {floor}'),
      ('effective_rank_class', ranks, '', f'mean over examples, {note}'),
      ('participation_ratio_class', ratios, '', f'mean over examples, {note}'),
    )
  ]
  for name, values, how in (('logdet', logdets, floor), ('trace', traces, note)):
    largest = float(values.max()) if kept else math.nan
    for suffix, added, word in (
      ('', math.log(len(data.counts)), 'ln K'),
      ('_label', label_entropy(data.counts), 'H(Y)'),
    ):
      quantities.append(
        Quantity(
          f'entropy_decision_{name}{suffix}',
          largest + added,
          unit='nats',
          assumes=f'largest class bound + {word}, {how}',
        )
      )
  return quantities


def _size(spectrum: Spectrum) -> str:
  few = ' (too few to span D)' if spectrum.count <= spectrum.dim else ''
  return f'N = {spectrum.count}{few}, D = {spectrum.dim}'


def _describe(spectrum: Spectrum, noise: float) -> str:
  return f'noise variance {noise:.3g}, {_size(spectrum)}'


def _describe_classes(classes: list[Spectrum], K: int) -> str:
  if not classes:
    return 'no class has two different examples'
  counts = [s.count for s in classes]
  note = f'N_c {min(counts)} to {max(counts)}, D = {classes[0].dim}'
  left_out = K - len(classes)
  return note + f', {left_out} classes that do not vary left out' * (left_out > 0)
