"""Every estimator of I(x; z) where the truth is known, over many seeds.

Linear-Gaussian channels of 1 and 3 nats in 2, 8 and 32 dimensions, of equal gains
and of falling ones; such a channel seen through a cube, which changes no information;
Gaussian clusters in noise; pairs that are independent. A bound is on the wrong side
where its mean over the seeds is beyond the truth by more than three standard errors.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq

from gpz_jax.theory.information import bounds, kinds, neural
from gpz_jax.theory.information.critics import BOUNDS
from gpz_jax.theory.information.gaussian import LinearGaussian, gaussian_information
from gpz_jax.theory.information.mixture import mixture, mixture_plug_in
from gpz_jax.theory.information.neighbours import ksg
from gpz_jax.theory.quantity import Quantity

ERRORS = 3  # standard errors beyond which a bound is on the wrong side
MOST_NEIGHBOUR_DIMENSIONS = 8  # of KSG: beyond, it is slow and far below the truth
# Small, as hundreds are trained; ln 64 = 4.2 is above every truth here.
RECIPE = neural.Recipe(steps=200, batch=64, hidden=32, learning_rate=5e-3)
CLUSTER = (1.0, 0.3, 0.5)  # centres +-a, their spread t, the noise s, per coordinate


@dataclasses.dataclass(frozen=True)
class EstimatorRecord:
  """One estimator in one case. All numbers are nats."""

  estimator: str
  case: str
  truth: float
  mean: float  # over seeds
  bias: float  # mean - truth
  spread: float  # standard deviation over seeds
  error: float  # standard error of the mean
  ceiling: float | None  # the most it can report; None where nothing caps it
  direction: kinds.Direction
  wrong_side: bool
  seeds: int
  examples: int


@dataclasses.dataclass(frozen=True)
class Draw:
  """One sample of a case."""

  x: np.ndarray  # [N, d]
  z: np.ndarray  # [N, d]
  clean: np.ndarray | None = None  # z without its noise, where noise is added
  noise_variance: float = 1.0


@dataclasses.dataclass(frozen=True)
class Case:
  """Pairs of known information."""

  name: str
  dimension: int
  truth: float  # I(x; z)
  entropy: float  # h(x)
  sample: Callable[[np.random.Generator, int], Draw]
  components: int = 1  # of the mixture that the clean z are


def linear(
  dimension: int, nats: float, *, cube: bool = False, falling: bool = False
) -> Case:
  """z = W x + e, or its cube; with gains that are equal, or fall as 1, 1/2, 1/3, ..."""
  rng = np.random.default_rng(0)
  channel = LinearGaussian.of_information(dimension, nats, rng)
  if falling:
    channel = _falling(channel, nats)

  def sample(rng, examples):
    x, clean, z = channel.sample(examples, rng)
    return Draw(x, z**3) if cube else Draw(x, z, clean, channel.noise_variance)

  kind = 'cube' if cube else 'falling' if falling else 'linear'
  name = f'{kind} d={dimension} I={nats:g}'
  return Case(name, dimension, nats, channel.entropy, sample)


def _falling(channel: LinearGaussian, nats: float) -> LinearGaussian:
  """The channel with its j-th gain divided by j, all scaled to keep I(x; z)."""
  weight = channel.weight / np.arange(1, len(channel.weight) + 1)[:, None]

  def scaled(scale: float) -> LinearGaussian:
    return dataclasses.replace(channel, weight=scale * weight)

  root: Any = brentq(lambda scale: scaled(scale).information - nats, 0.0, 1e3)
  return scaled(root)


def independent(dimension: int) -> Case:
  """x and z of separate draws."""

  def sample(rng, examples):
    return Draw(*rng.normal(size=(2, examples, dimension)))

  entropy = dimension / 2 * math.log(bounds.TWO_PI_E)
  return Case(f'independent d={dimension}', dimension, 0.0, entropy, sample)


def clusters(dimension: int) -> Case:
  """z = x + e with every coordinate of x from two clusters: 2^d of them."""
  centre, spread, noise = CLUSTER

  def sample(rng, examples):
    shape = (examples, dimension)
    x = centre * rng.choice([-1.0, 1.0], shape) + spread * rng.normal(size=shape)
    return Draw(x, x + noise * rng.normal(size=shape), x, noise**2)

  of_x = dimension * two_cluster_entropy(centre, spread)
  of_z = dimension * two_cluster_entropy(centre, math.hypot(spread, noise))
  truth = of_z - dimension / 2 * math.log(bounds.TWO_PI_E * noise**2)
  return Case(f'clusters d={dimension}', dimension, truth, of_x, sample, 2**dimension)


def two_cluster_entropy(centre: float, spread: float) -> float:
  """Entropy of N(-a, t^2) and N(a, t^2) in equal parts, by quadrature, in nats."""

  def density(value):
    squares = [(value - side * centre) ** 2 for side in (-1, 1)]
    parts = [math.exp(-square / (2 * spread**2)) for square in squares]
    return sum(parts) / (2 * spread * math.sqrt(2 * math.pi))

  def integrand(value):
    found = density(value)
    return -found * math.log(found) if found > 0 else 0.0

  end = centre + 12 * spread
  return 2 * float(quad(integrand, 0.0, end, limit=200)[0])  # it is symmetric


CASES: dict[str, Case] = {
  case.name: case
  for case in (
    *(linear(d, nats) for d in (2, 8, 32) for nats in (1.0, 3.0)),
    linear(8, 3.0, falling=True),
    linear(2, 1.0, cube=True),
    clusters(2),
    independent(8),
  )
}


def estimators(
  *,
  seeds: int = 20,
  examples: int = 2000,
  recipe: neural.Recipe = RECIPE,
  strategy: str = 'auto',
  cases: Sequence[Case] = tuple(CASES.values()),
  networks: Sequence[str] = tuple(BOUNDS),
) -> list[EstimatorRecord]:
  """What every estimator says in every case.

  Args:
    seeds: samples of each case, >= 2. Those of all cases with as many dimensions are
      lanes of one program.
    examples: N, pairs of a sample.
    recipe: of the networks.
    strategy: how lanes run.
    cases: what to sample.
    networks: which estimators with a network, beside all others.

  Returns:
    One record for each case and estimator, by case.
  """
  found: dict[tuple[str, str], list[float]] = {}
  for dimension in sorted({case.dimension for case in cases}):
    chosen = [case for case in cases if case.dimension == dimension]
    draws = [
      (case, case.sample(np.random.default_rng((dimension, seed)), examples))
      for case in chosen
      for seed in range(seeds)
    ]
    for case, draw in draws:
      for quantity in _on_host(case, draw):
        found.setdefault((case.name, quantity.name), []).append(quantity.value)
    for name in networks:
      lanes = neural.estimate(
        jax.random.key(0),
        jnp.stack([draw.x for _, draw in draws]),
        jnp.stack([draw.z for _, draw in draws]),
        name=name,
        recipe=recipe,
        strategy=strategy,
      )
      for (case, _), quantity in zip(draws, lanes, strict=True):
        found.setdefault((case.name, quantity.name), []).append(quantity.value)
  return [
    _record(case, name, values, examples, recipe)
    for case in cases
    for (of_case, name), values in found.items()
    if of_case == case.name
  ]


def format_estimators(records: Sequence[EstimatorRecord]) -> str:
  """The records as text, one line each."""
  header = (
    f'{"case":18}{"estimator":30}{"truth":>7}{"mean":>9}{"bias":>9}{"spread":>8}'
    f'{"error":>7}{"ceiling":>9}  {"direction":10}{"wrong side":10}'
  )
  lines = [
    f'{r.case:18}{r.estimator:30}{r.truth:7.2f}{r.mean:9.3f}{r.bias:9.3f}'
    f'{r.spread:8.3f}{r.error:7.3f}'
    f'{"-" if r.ceiling is None else f"{r.ceiling:.2f}":>9}  {r.direction:10}'
    f'{"WRONG" if r.wrong_side else ""}'.rstrip()
    for r in records
  ]
  return '\n'.join([header, *lines])


def _on_host(case: Case, draw: Draw) -> Iterator[Quantity]:
  """The estimators without a network, on one sample."""
  yield gaussian_information(draw.x, draw.z)
  if case.dimension <= MOST_NEIGHBOUR_DIMENSIONS:
    yield ksg(draw.x, draw.z)
  errors = _linear_decoder_errors(draw)
  yield bounds.decoder_information(errors, case.dimension, case.entropy)
  if draw.clean is not None:
    zeros = np.zeros(len(draw.x), np.int32)
    yield bounds.club(draw.clean, draw.noise_variance)
    for bound in (mixture, mixture_plug_in):
      yield bound(draw.clean, zeros, draw.noise_variance, components=case.components)


def _linear_decoder_errors(draw: Draw) -> np.ndarray:
  """Squared error of each held-out example under least squares: [N / 2]."""
  half = len(draw.x) // 2
  inputs = np.column_stack([draw.z, np.ones(len(draw.z))])
  weights = np.linalg.lstsq(inputs[:half], draw.x[:half])[0]
  return np.mean((draw.x[half:] - inputs[half:] @ weights) ** 2, axis=1)


def _record(case, name, values, examples, recipe) -> EstimatorRecord:
  mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
  error = spread / math.sqrt(len(values))
  ceiling = kinds.ceiling(name, examples=examples, batch=recipe.batch)
  direction = kinds.direction(name)
  beyond = {'upper': case.truth - mean, 'lower': mean - case.truth, 'neither': 0.0}
  return EstimatorRecord(
    name,
    case.name,
    case.truth,
    mean,
    mean - case.truth,
    spread,
    error,
    None if math.isinf(ceiling) else ceiling,
    direction,
    beyond[direction] > ERRORS * error,
    len(values),
    examples,
  )
