"""Bounds on I(x; z) from networks: trained on half of the pairs, valued on the rest.

What is evaluated on pairs the network never saw is, for every network, a lower bound
in expectation where the objective is one. It can be far below: of 3 nats between 2000
linear-Gaussian pairs, small networks found 50 to 80% in 2 and 8 dimensions and a third
in 32 (`python -m experiments.bench --suite=estimators`). All lanes are one compiled
program, which is the same for all activations projected to as many coordinates.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from gpz_jax.data.order import epoch_order
from gpz_jax.intervals import Z95
from gpz_jax.theory.information import kinds
from gpz_jax.theory.information.critics import BOUNDS, Bound, log_mean_exp_apart
from gpz_jax.theory.quantity import Quantity
from gpz_jax.training.lanes import over_lanes, resolve
from gpz_jax.types import InputError, hint

ORDER_SEED = 0  # as everywhere, lanes share the order: comparisons are paired
CHECKS = 12  # times in a training that the best network so far is chosen
CHOOSING = 4  # one part in so many of the training half chooses
MAX_NORM = 1.0  # largest norm of a gradient: exp(score) makes steps of any size
NOTES = {
  'vclub': 'upper bound only where the Gaussian q(z|x) fits',
  'mine': 'lower bound; partition function of the training half',
  'nwj': 'lower bound',
  'infonce': 'lower bound',
  'smile': 'no bound: density ratios clipped at exp(5)',
}


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How the networks of an estimate are trained."""

  steps: int = 600
  batch: int = 128  # B: InfoNCE reports at most ln B
  hidden: int = 64
  features: int = 32  # width of an embedding
  learning_rate: float = 3e-3
  averaging: float = 0.05  # share of a batch in the moving average of MINE

  def __post_init__(self):
    for name in ('steps', 'batch', 'hidden', 'features'):
      least = 2 if name == 'batch' else 1
      if getattr(self, name) < least:
        raise InputError(
          f'{name} {getattr(self, name)} is not allowed; give at least {least}'
        )


class _Training(NamedTuple):
  params: Any
  opt_state: optax.OptState
  log_partition: jax.Array  # [] moving average


class _Best(NamedTuple):
  params: Any
  choice: jax.Array  # []


class _Pairs(NamedTuple):
  x: jax.Array  # [N, dx]
  z: jax.Array  # [N, dz]


def least_examples(recipe: Recipe) -> int:
  """The fewest examples that `estimate` accepts: half train, half are evaluated."""
  return 4 * recipe.batch


def estimate(
  key: jax.Array,
  x: jax.Array,
  z: jax.Array,
  *,
  name: str,
  recipe: Recipe | None = None,
  strategy: str = 'auto',
) -> list[Quantity]:
  """I(x; z) of every lane by one of the estimators with a network.

  Args:
    key: Key of the lanes. Lane i folds in i, so its result does not depend on L.
    x: [L, N, dx], a few coordinates (see `pairs.project`).
    z: [L, N, dz] with noise (see `pairs.add_noise`). The first half of the examples
      trains and the second is evaluated, so shuffle them first.
    name: One of mine, nwj, infonce, smile and vclub.
    recipe: How the network is trained.
    strategy: How lanes run, see `training.lanes`.

  Returns:
    One quantity per lane, in nats. The interval is that of the evaluation, over batches
    of the second half. It does not tell how well the network was trained.

  Raises:
    InputError: Shapes do not match, the name is unknown, or there are too few examples
      (see `least_examples`).

  Source: The papers named beside `critics.BOUNDS`.
  """
  recipe = recipe or Recipe()
  if name not in BOUNDS:
    raise InputError(f"estimator '{name}' is not known{hint(name, BOUNDS)}")
  x, z = jnp.asarray(x, jnp.float32), jnp.asarray(z, jnp.float32)
  if x.ndim != 3 or z.ndim != 3 or x.shape[:2] != z.shape[:2]:
    raise InputError(
      f'lanes must be [L, N, dx] and [L, N, dz], got {x.shape} and {z.shape}'
    )
  L, N = x.shape[:2]
  if (least := least_examples(recipe)) > N:
    raise InputError(
      f'{N} examples are too few for batches of {recipe.batch}: two to train and '
      f'choose, two to evaluate; give {least} or a smaller batch'
    )
  keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(L))
  run = _program(name, recipe, resolve(strategy))
  network = BOUNDS[name].network(recipe.hidden, recipe.features)
  params = _initialise(network)((keys, x[:, :1], z[:, :1]))
  values = np.asarray(run((params, x, z), _order(N // 2, recipe)))
  return [_quantity(name, lane, N, recipe) for lane in values.astype(np.float64)]


@functools.lru_cache(maxsize=32)
def _initialise(network: nn.Module) -> Callable[..., Any]:
  """(keys [L], x [L, 1, dx], z [L, 1, dz]) -> variables of all lanes.

  XLA:CPU takes longer to compile random bits than all the rest, and longest with vmap.
  So this is a program of its own, mapped, which four estimators share.
  """
  return jax.jit(over_lanes(lambda lane: network.init(*lane), 'map'))


@functools.lru_cache(maxsize=32)
def _program(name: str, recipe: Recipe, strategy: str) -> Callable[..., jax.Array]:
  """((variables, x [L, N, dx], z [L, N, dz]), order) -> values [L, batches]."""
  bound = BOUNDS[name]

  def one(lane, order):
    params, x, z = lane
    return _estimate_lane(params, x, z, order, bound, recipe)

  return jax.jit(over_lanes(one, strategy))


def _estimate_lane(params, x, z, order, bound: Bound, recipe: Recipe) -> jax.Array:
  """Trains on the first half and values the batches of the second: [batches]."""
  half = len(x) // 2
  fit = half - _choosing(half, recipe)
  x, z = (_standardise(part, half) for part in (x, z))
  train, choose, rest = (
    _Pairs(x[part], z[part])
    for part in (slice(fit), slice(fit, half), slice(half, None))
  )
  network = bound.network(recipe.hidden, recipe.features)
  params = _train(params, order, network, train, choose, bound, recipe)

  def scores(pairs) -> jax.Array:  # of [B, ...] of each
    return jnp.asarray(network.apply(params, *pairs))

  log_partition = _log_partition(scores, _batches(train, recipe.batch))
  return lax.map(
    lambda pairs: bound.value(scores(pairs), log_partition),
    _batches(rest, recipe.batch),
  )


def _train(params, order, network, train, choose, bound: Bound, recipe: Recipe) -> Any:
  """The best variables after any of the checks, by the pairs kept for choosing.

  Args:
    params: Variables to begin with.
    order: [checks, steps, B] positions in the pairs of `train`.
    network: Computes the scores.
    train: Pairs to train on.
    choose: Pairs to choose by, at least a batch.
    bound: What is minimised.
    recipe: Settings of the optimiser.
  """
  tx = optax.chain(
    optax.clip_by_global_norm(MAX_NORM),
    optax.adam(optax.cosine_decay_schedule(recipe.learning_rate, recipe.steps)),
  )
  tx = optax.flatten(tx)  # one vector: half the time to compile

  def step(state: _Training, index):  # [B]
    pairs = jax.tree.map(lambda leaf: leaf[index], train)

    def loss(params):
      scores = network.apply(params, *pairs)
      batch = lax.stop_gradient(log_mean_exp_apart(scores))
      average = jnp.logaddexp(
        state.log_partition + math.log1p(-recipe.averaging),
        batch + math.log(recipe.averaging),
      )
      return bound.loss(scores, average), average

    grads, average = jax.grad(loss, has_aux=True)(state.params)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    return _Training(optax.apply_updates(state.params, updates), opt_state, average), ()

  def value(state: _Training) -> jax.Array:  # by the pairs kept for choosing
    def of_batch(pairs):
      return bound.choice(network.apply(state.params, *pairs), state.log_partition)

    return jnp.mean(lax.map(of_batch, _batches(choose, recipe.batch)))

  def check(carry, steps):  # [steps, B]
    state, best = carry
    state, _ = lax.scan(step, state, steps)
    now = _Best(state.params, value(state))
    is_better = now.choice < best.choice
    best = jax.tree.map(lambda new, old: jnp.where(is_better, new, old), now, best)
    return (state, best), ()

  state = _Training(params, tx.init(params), jnp.zeros(()))
  return lax.scan(check, (state, _Best(params, value(state))), order)[0][1].params


def _log_partition(scores, batches: _Pairs) -> jax.Array:
  """ln E[exp score] over pairs of the marginals in all batches: []."""
  found = lax.map(lambda pairs: log_mean_exp_apart(scores(pairs)), batches)
  return jax.nn.logsumexp(found) - jnp.log(1.0 * len(found))


def _choosing(half: int, recipe: Recipe) -> int:
  """How many pairs of the training half choose among the checks, in whole batches."""
  return max(1, half // CHOOSING // recipe.batch) * recipe.batch


def _order(examples: int, recipe: Recipe) -> np.ndarray:
  """The examples of each step, the same in all lanes: [checks, steps, B]."""
  examples -= _choosing(examples, recipe)
  a_epoch = -(-examples // recipe.batch)
  epochs = -(-recipe.steps // a_epoch)
  orders = [
    epoch_order(ORDER_SEED, epoch, examples, recipe.batch)[0] for epoch in range(epochs)
  ]
  a_check = -(-recipe.steps // CHECKS)
  whole = np.concatenate(orders)[: recipe.steps // a_check * a_check]
  return whole.reshape(-1, a_check, recipe.batch)


def _batches(pairs: _Pairs, batch: int) -> _Pairs:
  """[N, d] -> [N // B, B, d], without the pairs that do not fill a batch."""
  count = len(pairs.x) // batch
  return jax.tree.map(
    lambda leaf: leaf[: count * batch].reshape(count, batch, -1), pairs
  )


def _standardise(values: jax.Array, half: int) -> jax.Array:
  """Zero mean and unit variance on the training half, which changes no information."""
  mean, spread = jnp.mean(values[:half], axis=0), jnp.std(values[:half], axis=0)
  return (values - mean[None]) / jnp.maximum(spread, 1e-12)[None]


def _quantity(name: str, values: np.ndarray, examples: int, recipe: Recipe) -> Quantity:
  """Mean and interval over the batches of one lane, [batches]."""
  full = f'information_{name}'
  value, half = float(values.mean()), math.nan
  if len(values) > 1:
    half = Z95 * float(values.std(ddof=1)) / math.sqrt(len(values))
  top = kinds.ceiling(full, examples=examples, batch=recipe.batch)
  note = NOTES[name] if math.isinf(top) else f'{NOTES[name]}; at most {top:.2f} nats'
  return Quantity(full, value, value - half, value + half, 'nats', note)
