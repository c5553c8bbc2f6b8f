"""Entropy of a quantised activation, which is what a payload holds.

There are two estimates of each. `entropy_*` is the differential bound plus
D ln(1 / step). It knows dependences between elements, but only those that the sample
spans. `payload_*` is what a coder of single elements with one table needs. It is an
upper bound that knows no dependences.
"""

import math

import numpy as np

from gpz_jax.theory.examples import Examples
from gpz_jax.theory.quantity import Quantity
from gpz_jax.theory.spectrum import Spectrum, subsample
from gpz_jax.types import InputError

INT8_LEVELS = 256
COUNTED = 2**23  # elements whose codes are counted
FLOAT16_MAX = float(np.finfo(np.float16).max)


def bound_quantised(spectrum: Spectrum, step: float) -> float:
  """Upper bound in nats on the entropy of an activation quantised at `step`.

  With uniform noise of one step added, a quantised z has a density. Its entropy is
  H - D ln(1 / step), and its covariance is larger by step^2 / 12. The Gaussian of that
  covariance bounds H. It exceeds the entropy of a constant by 0.18 nats per element.

  Args:
    spectrum: Spectrum of the covariance of the quantised z. For a fine step that of z
      serves.
    step: Width of a cell, in the unit of the activation.

  Raises:
    InputError: The step is not above 0.

  Source: App. B of the paper, H(z_step) = h(z) + D ln(1 / step).
  """
  if not 0 < step < math.inf:
    raise InputError(f'the step of a quantiser must be above 0, got {step}')
  # In units of a step: no variance of a small activation underflows.
  values = np.square(np.sqrt(spectrum.eigenvalues) / step) + 1 / 12
  rest = spectrum.dim - len(values)
  logdet = float(np.log(values).sum()) + rest * math.log(1 / 12)
  return 0.5 * (spectrum.dim * math.log(2 * math.pi * math.e) + logdet)


def encode_int8(block: np.ndarray, low: float, high: float) -> np.ndarray:
  """Codes in [0, 255] of activations in [low, high], one scale for all elements."""
  step = (high - low) / (INT8_LEVELS - 1) or 1.0
  return np.rint((block.astype(np.float64) - low) / step).astype(np.uint16)


def encode_float16(block: np.ndarray) -> np.ndarray:
  """Bit patterns of activations as float16, clipped to its range: [0, 65535]."""
  clipped = np.clip(block.astype(np.float64), -FLOAT16_MAX, FLOAT16_MAX)
  return (clipped.astype(np.float16) + np.float16(0)).view(np.uint16)  # -0 is 0


def measure(
  data: Examples, spectrum: Spectrum, step: float | None = None, *, seed: int = 0
) -> list[Quantity]:
  """The entropies of a payload, in nats per activation.

  Args:
    data: N examples of D elements.
    spectrum: Spectrum of all examples, or of a sample of them.
    step: Width of a cell of a further quantiser, in the unit of the activation.
    seed: Seed of the sample of examples whose elements are counted. Their codes fill up
      to 65,536 cells, and 8 million elements miss less than 0.004 nats each.

  Returns:
    `entropy_int8` and `entropy_float16`, and `entropy_step` where a step is given;
    `payload_int8` and `payload_float16`. The step of float16 is the one at the root
    mean square, because float16 has no single step.

  Raises:
    InputError: The step is not above 0.
  """
  low, high = float(data.flat.min()), float(data.flat.max())
  N, D = data.flat.shape
  rows = subsample(np.arange(N), max(1, COUNTED // D), np.random.default_rng(seed))
  sample = data.flat[rows].astype(np.float64)
  size = math.sqrt(np.square(sample).mean())
  steps = {
    'int8': ((high - low) / (INT8_LEVELS - 1), 'range / 255'),
    'float16': (_float16_step(size), 'at the root mean square'),
  }
  if step is not None:
    steps['step'] = (step, 'as given')
  codes = {'int8': encode_int8(sample, low, high), 'float16': encode_float16(sample)}
  note = f'upper bound: elements coded alone with one table, {len(rows)} examples'
  return [
    *(_entropy_quantity(name, spectrum, *how) for name, how in steps.items()),
    *(
      Quantity(f'payload_{name}', D * _entropy(code), unit='nats', assumes=note)
      for name, code in codes.items()
    ),
  ]


def _entropy_quantity(name: str, spectrum: Spectrum, step: float, how: str) -> Quantity:
  few = '; too few examples to span D' if spectrum.count <= spectrum.dim else ''
  # A range of 0 is no step; the caller says that nothing varies.
  value = bound_quantised(spectrum, step) if spectrum.trace else math.nan
  note = f'step {step:.3g} ({how}){few}'
  return Quantity(f'entropy_{name}', value, unit='nats', assumes=note)


def _float16_step(size: float) -> float:
  """Distance of neighbouring float16 numbers at `size`."""
  exponent = math.frexp(size)[1] - 1
  return 2.0 ** (min(max(exponent, -14), 15) - 10)  # float16's range and fraction


def _entropy(codes: np.ndarray) -> float:
  """The entropy of the frequencies of the codes, in nats."""
  counts = np.bincount(codes.ravel())
  share = counts[counts > 0] / codes.size
  return float(-(share * np.log(share)).sum())
