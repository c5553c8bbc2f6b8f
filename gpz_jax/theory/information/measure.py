"""All estimates of what an activation says about the input, side by side."""

import dataclasses
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax.theory.information import bounds, kinds, neural, pairs
from gpz_jax.theory.information.critics import BOUNDS
from gpz_jax.theory.information.gaussian import gaussian_information, least_pairs
from gpz_jax.theory.information.mixture import mixture, mixture_plug_in
from gpz_jax.theory.information.neighbours import ksg
from gpz_jax.theory.quantity import Quantity
from gpz_jax.types import InputError


@dataclasses.dataclass(frozen=True)
class Options:
  """The noise added to an activation, and how it is made small enough to measure."""

  noise: float = 0.1  # variance in every coordinate of z, as a share of tr(S) / d
  components: int = 16  # coordinates of x and of z for estimators with a network
  neighbour_components: int = 4  # those for KSG, which is far off with more
  projection: pairs.Projection = 'random'
  mixture_components: int = 3  # for each class
  networks: tuple[str, ...] = tuple(BOUNDS)
  recipe: neural.Recipe = dataclasses.field(default_factory=neural.Recipe)
  strategy: str = 'auto'
  seed: int = 0


def least_examples(options: Options | None = None) -> int:
  """The fewest examples that `measure` accepts, whatever the shapes of x and z.

  Args:
    options: Noise, projections and networks.

  Returns:
    At least 4. Activations of fewer elements than `options.components` can do with
    less where no network is trained.
  """
  options = options or Options()
  return max(
    pairs.LEAST_EXAMPLES,
    least_pairs(options.components, options.components),
    neural.least_examples(options.recipe) if options.networks else 0,
  )


def measure(
  x: np.ndarray,
  z: np.ndarray,
  labels: np.ndarray,
  *,
  mse: np.ndarray | float | None = None,
  entropy: float | None = None,
  options: Options | None = None,
) -> list[Quantity]:
  """Every estimate of I(x; z + noise) and h(x|z) for one split.

  Args:
    x: Inputs, [N, H, W, C] or [N, ...].
    z: Activations without noise, [N, h, w, c] or [N, ...].
    labels: [N], the classes of the mixture bounds.
    mse: A decoder's squared error per element of x: a number, or [N], one for each
      example. Without it no decoder bound is returned.
    entropy: h(x) in nats, or a lower bound on it. Without it the decoder bounds h(x|z)
      but no information, and the floor of the error is relative.
    options: Noise, projections and networks.

  Returns:
    Quantities, each with its noise and its ceiling in `assumes`. `kinds.direction`
    tells by the name on which side of the truth it is.

  Raises:
    InputError: Shapes do not match, there are too few examples, or nothing varies.
  """
  errors = None if mse is None else [mse]
  return measure_lanes(x, [z], labels, errors=errors, entropy=entropy, options=options)[
    0
  ]


def measure_lanes(
  x: np.ndarray,
  activations: Sequence[np.ndarray],
  labels: np.ndarray,
  *,
  errors: Sequence[np.ndarray | float] | None = None,
  entropy: float | None = None,
  options: Options | None = None,
) -> list[list[Quantity]]:
  """`measure` for many splits or targets, whose networks train together.

  Activations of all shapes are projected to one shape, and then lanes of one program.

  Args:
    x: As given to `measure`, the same for all lanes.
    activations: L arrays [N, ...], whatever their shapes.
    labels: [N], the classes of the mixture bounds.
    errors: L values of `mse`.
    entropy: As given to `measure`.
    options: As given to `measure`.

  Returns:
    The quantities of each lane, as `measure` gives them. They differ by the rounding
    of a batched program and by the initial weights. Those follow a lane's place among
    the lanes with as many coordinates.

  Raises:
    InputError: As of `measure`.
  """
  options = options or Options()
  x, labels = np.asarray(x), np.asarray(labels)
  _check(x, activations, labels, errors)
  order = np.random.default_rng(options.seed).permutation(len(x))
  x, labels = x[order], labels[order]
  activations = [np.asarray(z)[order] for z in activations]
  dimension = math.prod(x.shape[1:])
  variances = [pairs.noise_variance(z, options.noise) for z in activations]
  found = [
    _closed(z, labels, variance, dimension, entropy, options)
    for z, variance in zip(activations, variances, strict=True)
  ]
  for lane, mse in zip(found, errors or [], strict=errors is not None):
    lane.append(bounds.decoder_entropy(mse, dimension))
    if entropy is not None:
      lane.append(bounds.decoder_information(mse, dimension, entropy))
  for lane, of_pairs in zip(
    found, _projected(x, activations, variances, options), strict=True
  ):
    lane.extend(of_pairs)
  return found


def _closed(z, labels, variance, dimension, entropy, options) -> list[Quantity]:
  """Bounds on all of z, and the floor that the tightest of them sets."""
  of_mixture = {'components': options.mixture_components, 'seed': options.seed}
  upper = [
    bounds.club(z, variance),
    mixture(z, labels, variance, **of_mixture),
  ]
  least = min(quantity.value for quantity in upper)
  floors = [bounds.mse_floor_factor(least, dimension)]
  if entropy is not None:
    floors.append(bounds.mse_floor(entropy - least, dimension))
  note = f'noise of variance {variance:.3g} a coordinate of z'
  return [
    *upper,
    mixture_plug_in(z, labels, variance, **of_mixture),
    *(kinds.with_note(floor, note) for floor in floors),
  ]


def _projected(x, activations, variances, options: Options) -> list[list[Quantity]]:
  """What is estimated between a few coordinates of x and of z + noise, by lane."""
  how = {'kind': options.projection, 'seed': options.seed}
  of_x = pairs.project(x, options.components, **how)
  of_z = [
    pairs.add_noise(pairs.project(z, options.components, **how), v, options.seed)
    for z, v in zip(activations, variances, strict=True)
  ]
  few = options.neighbour_components
  found = [
    [gaussian_information(of_x, z), ksg(of_x[:, :few], z[:, :few])] for z in of_z
  ]
  for m in sorted({z.shape[1] for z in of_z}):
    index = [i for i, z in enumerate(of_z) if z.shape[1] == m]
    stacked = np.stack([of_z[i] for i in index])
    for name in options.networks:
      lanes = neural.estimate(
        jax.random.key(options.seed),
        jnp.broadcast_to(of_x[None], (len(index), *of_x.shape)),
        jnp.asarray(stacked),
        name=name,
        recipe=options.recipe,
        strategy=options.strategy,
      )
      for i, quantity in zip(index, lanes, strict=True):
        found[i].append(quantity)
  return [
    [_note(q, of_x, z, v, options) for q in lane]
    for lane, z, v in zip(found, of_z, variances, strict=True)
  ]


def _note(quantity, x, z, variance, options: Options) -> Quantity:
  """The quantity with its noise and its projections stated."""
  most = options.neighbour_components if quantity.name == 'information_ksg' else 64
  dx, dz = (min(part.shape[1], most) for part in (x, z))
  kind = {'random': 'random', 'pca': 'leading'}[options.projection]
  return kinds.with_note(
    quantity,
    f'noise of variance {variance:.3g} a coordinate of z; between {dx} {kind} '
    f'directions of x and {dz} of z',
  )


def _check(x, activations, labels, errors) -> None:
  if x.ndim < 2 or labels.shape != x.shape[:1]:
    raise InputError(f'{x.shape} inputs but labels of shape {labels.shape}')
  for z in activations:
    if np.ndim(z) < 2 or len(z) != len(x):
      raise InputError(
        f'{len(x)} inputs but activations of shape {np.shape(z)}; both are of the '
        f'same examples'
      )
  if errors is not None and len(errors) != len(activations):
    raise InputError(f'{len(activations)} activations but {len(errors)} errors')
