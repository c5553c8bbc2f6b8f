"""rMLE: the attack that searches for the image instead of training a decoder.

The attacker descends on the squared error between the activation it intercepted and
that of its guess, with a total-variation prior. White-box it searches through the
target's own edge, query-free through a shadow of it (see `query_free`).

Source: He, Zhang, Lee, Model inversion attacks against collaborative inference,
ACSAC 2019; settings from their released code.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax import interruption, partition
from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.attacks.activation.interception import Activations
from gpz_jax.data import eval_order
from gpz_jax.models import layers
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.loop import OnProgress

SEGMENT_STEPS = 50  # of the search, between two looks at the clock
IMAGES_AT_A_TIME = 32
B1, B2, EPSILON = 0.9, 0.999, 1e-3  # Adam; so large an epsilon damps flat pixels


@dataclasses.dataclass(frozen=True)
class Search:
  """How an image is searched for, in standardised pixels.

  The published weight of total variation grows with the depth of the split: 0 after
  the first convolution, 10 and 1e3 after the second and third block, 1e4 after a fully
  connected layer.
  """

  steps: int = 5000
  learning_rate: float = 1e-2
  tv: float = 10.0
  l2: float = 0.0


WHITE_BOX = Search()
QUERY_FREE = Search(steps=500, learning_rate=0.1, tv=2.0)


class Found(NamedTuple):
  """What a search gives."""

  reconstructions: np.ndarray  # [L, N, H, W, C] float32 in [0, 1]
  errors: np.ndarray  # [L, N] mean squared error of the activation, of the last step


class _State(NamedTuple):
  """A search in progress, for one lane and one batch; AMSGrad's moments with it."""

  guess: jax.Array  # [B, H, W, C] standardised pixels
  errors: jax.Array  # [B] of the activation of the guess before the last step
  count: jax.Array  # []
  mean: jax.Array  # [B, H, W, C]
  square: jax.Array  # [B, H, W, C]
  largest: jax.Array  # [B, H, W, C] maximum of `square` so far


def total_variation(images: jax.Array) -> jax.Array:
  """Mean squared difference of neighbours, rows plus columns: [B, H, W, C] -> [B]."""
  rows = jnp.mean(jnp.square(jnp.diff(images, axis=1)), axis=(1, 2, 3))
  columns = jnp.mean(jnp.square(jnp.diff(images, axis=2)), axis=(1, 2, 3))
  return rows + columns


def amsgrad(state: _State, gradient: jax.Array, learning_rate: float) -> _State:
  """torch's AMSGrad step.

  Epsilon is added after the bias correction; optax adds it before, which is another
  optimiser when epsilon is as large as here.
  """
  count = state.count + 1
  mean = B1 * state.mean + (1 - B1) * gradient
  square = B2 * state.square + (1 - B2) * jnp.square(gradient)
  largest = jnp.maximum(state.largest, square)
  root = jnp.sqrt(largest / (1 - B2**count)) + EPSILON
  guess = state.guess - learning_rate * mean / (1 - B1**count) / root
  return _State(guess, state.errors, count, mean, square, largest)


def reconstruct(
  model: nn.Module,
  edges: Any,
  lanes: Sequence[AttackLane],
  activations: Activations,
  image_shape: tuple[int, int, int],
  search: Search = WHITE_BOX,
  *,
  engine: Engine = AUTO,
  on_progress: OnProgress = lambda done, total, values: None,
) -> Found:
  """Searches for the images behind intercepted activations.

  Every image is searched for by itself: neither lanes nor batches change a result.

  Args:
    model: the target.
    edges: variables [L] of the edges to search through: each lane's target (white-box)
      or shadow edge.
    lanes: L of them, of one activation shape.
    activations: [L, N, ...], as sent by the targets.
    image_shape: (H, W, C).
    search: how.
    engine: how lanes are computed; searches run in float32 always.
    on_progress: called with the steps done and the steps in all.

  Raises:
    Interrupted: a signal came; a search starts over.
  """
  engine = engine.resolve()
  num_images = activations.shape[1]
  index, _ = eval_order(num_images, min(num_images, IMAGES_AT_A_TIME))
  splits = by_split(lanes)
  total = len(splits) * len(index) * search.steps
  images = np.zeros((*activations.shape[:2], *image_shape), np.float32)
  errors = np.zeros(activations.shape[:2], np.float32)
  done = 0
  for split, rows in splits.items():
    one = _make_search(model, split, search, engine)
    run = jax.jit(engine.over_lanes(one))
    these = lanes_lib.take(edges, rows)
    for batch in index:
      state = _start((len(rows), len(batch), *image_shape))
      wanted = activations[np.ix_(rows, batch)].astype(jnp.float32)
      for start in range(0, search.steps, SEGMENT_STEPS):
        steps = min(SEGMENT_STEPS, search.steps - start)
        state = jax.block_until_ready(run((state, these, wanted), steps))
        done += steps
        on_progress(done, total, {})
        interruption.check()
      # the last batch is padded with repeated examples: written twice, equal
      images[np.ix_(rows, batch)] = jnp.clip(_to_pixels(state.guess), 0, 1)
      errors[np.ix_(rows, batch)] = state.errors
  return Found(images, errors)


def by_split(lanes: Sequence[AttackLane]) -> dict[str, np.ndarray]:
  """split -> the rows of its lanes: the split is structure, one program each."""
  splits = dict.fromkeys(lane.split for lane in lanes)
  return {
    split: np.array([i for i, lane in enumerate(lanes) if lane.split == split])
    for split in splits
  }


def _start(shape: tuple[int, ...]) -> _State:
  """The grey-blue mean image everywhere: zeros, [L, B, H, W, C]."""
  zeros = jnp.zeros(shape)
  return _State(zeros, jnp.zeros(shape[:2]), jnp.zeros(shape[:1]), zeros, zeros, zeros)


def _to_pixels(guess: jax.Array) -> jax.Array:
  """Standardised pixels -> [0, 1], not clipped: the inverse of `standardize`."""
  black = layers.standardize(jnp.zeros_like(guess))
  white = layers.standardize(jnp.ones_like(guess))
  return (guess - black) / (white - black)


def _make_search(model: nn.Module, split: str, search: Search, engine: Engine):
  """`steps` of the search for one lane: (state, edge, activation), steps -> state."""

  @engine.traced
  def objective(guess, edge, activation):
    found = partition.edge(model, edge, _to_pixels(guess), split)
    axes = tuple(range(1, found.ndim))
    errors = jnp.mean(jnp.square(found - activation), axis=axes)
    prior = search.tv * total_variation(guess)
    prior += search.l2 * jnp.mean(jnp.square(guess), axis=(1, 2, 3))
    return jnp.sum(errors + prior), errors  # a sum: images do not see each other

  def run(lane, steps):
    state, edge, activation = lane

    def body(_, state):
      gradient, errors = jax.grad(objective, has_aux=True)(
        state.guess, edge, activation
      )
      return amsgrad(state, gradient, search.learning_rate)._replace(errors=errors)

    return lax.fori_loop(0, steps, body, state)

  return run
