"""rMLE: the attack that searches for the image instead of training a decoder.

The attacker minimises the squared error between the intercepted activation and that of
its guess, with a prior of total variation. A white-box attacker searches through the
target's own edge, and a query-free one through a shadow of it (see `query_free`).

Source: He, Zhang, Lee, Model inversion attacks against collaborative inference,
ACSAC 2019. The settings are those of their released code.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax import interruption, partition
from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.attacks.activation.interception import Activations
from gpz_jax.data import eval_order
from gpz_jax.defences import Defence, cuts, parse
from gpz_jax.models import calls, layers
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.loop import OnProgress

SEGMENT_STEPS = 50  # steps of the search between two reports of progress
IMAGES_AT_A_TIME = 32
B1, B2, EPSILON = 0.9, 0.999, 1e-3  # of Adam; the large epsilon damps flat pixels


@dataclasses.dataclass(frozen=True)
class Search:
  """How an image is searched for, in standardised pixels.

  The published weight of total variation grows with the depth of the split. It is 0
  after the first convolution, 10 and 1e3 after the second and third block, and 1e4
  after a fully connected layer.

  Attributes:
    steps: Number of steps.
    learning_rate: Learning rate of AMSGrad.
    tv: Weight of the total variation.
    l2: Weight of the mean squared pixel.
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
  errors: np.ndarray  # [L, N] mean squared error of the activation at the last step


class _State(NamedTuple):
  """A search in progress for one lane and one batch, with the moments of AMSGrad."""

  guess: jax.Array  # [B, H, W, C] standardised pixels
  errors: jax.Array  # [B] errors of the activation before the last step
  count: jax.Array  # [] steps taken
  mean: jax.Array  # [B, H, W, C] first moment
  square: jax.Array  # [B, H, W, C] second moment
  largest: jax.Array  # [B, H, W, C] maximum of `square` so far


def total_variation(images: jax.Array) -> jax.Array:
  """The mean squared difference of neighbours, rows plus columns.

  Args:
    images: [B, H, W, C].

  Returns:
    [B].
  """
  chex.assert_rank(images, 4, custom_message='images [B, H, W, C]')
  rows = jnp.mean(jnp.square(jnp.diff(images, axis=1)), axis=(1, 2, 3))
  columns = jnp.mean(jnp.square(jnp.diff(images, axis=2)), axis=(1, 2, 3))
  return rows + columns


def amsgrad(state: _State, gradient: jax.Array, learning_rate: float) -> _State:
  """Takes one step of torch's AMSGrad.

  Epsilon is added after the bias correction. optax adds it before, which gives another
  optimiser when epsilon is as large as it is here.
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

  Every image is searched for by itself, so that neither lanes nor batches change a
  result.

  Args:
    model: The architecture of the targets.
    edges: Variables [L] of the edges to search through. They are those of each lane's
      target in a white-box attack, and those of its shadow edge in a query-free one.
    lanes: The L lanes, whose splits have the same activation shape.
    activations: The activations [L, N, ...] that the targets sent.
    image_shape: (H, W, C).
    search: How images are searched for.
    engine: How lanes are computed. Searches always run in float32.
    on_progress: Called after each segment with the steps done, the steps in all and {}.

  Raises:
    AssertionError: Edges or activations are not of L lanes.
    Interrupted: A signal came. The search is lost and has to start again.
  """
  _check_lanes(edges, lanes, activations)
  engine = engine.resolve()
  num_images = activations.shape[1]
  index, _ = eval_order(num_images, min(num_images, IMAGES_AT_A_TIME))
  programs = by_program(model, lanes, image_shape)
  total = len(programs) * len(index) * search.steps
  images = np.zeros((*activations.shape[:2], *image_shape), np.float32)
  errors = np.zeros(activations.shape[:2], np.float32)
  done = 0
  for (split, form), rows in programs.items():
    one = _make_search(model, split, form, search, engine)
    run = jax.jit(engine.over_lanes(one))
    these = lanes_lib.take(edges, rows), stack_numbers(form, [lanes[i] for i in rows])
    for batch in index:
      state = _start((len(rows), len(batch), *image_shape))
      wanted = activations[np.ix_(rows, batch)].astype(jnp.float32)
      for start in range(0, search.steps, SEGMENT_STEPS):
        steps = min(SEGMENT_STEPS, search.steps - start)
        state = jax.block_until_ready(run((state, *these, wanted), steps))
        done += steps
        on_progress(done, total, {})
        interruption.check()
      # The last batch is filled up with examples that were searched for already. They
      # are written twice, with equal values.
      images[np.ix_(rows, batch)] = jnp.clip(_to_pixels(state.guess), 0, 1)
      errors[np.ix_(rows, batch)] = state.errors
  return Found(images, errors)


def _check_lanes(edges: Any, lanes: Sequence[AttackLane], activations: Any) -> None:
  """Refuses edges or activations that are not of as many lanes."""
  message = f'edges [L, ...] must be of {len(lanes)} lanes'
  for leaf in jax.tree.leaves(edges):
    chex.assert_shape(leaf, (len(lanes), ...), custom_message=message)
  message = f'activations [L, N, ...] must be of {len(lanes)} lanes'
  chex.assert_shape(activations, (len(lanes), None, ...), custom_message=message)


def by_split(lanes: Sequence[AttackLane]) -> dict[str, np.ndarray]:
  """Maps each split to the rows of its lanes.

  A split is structure and not a number, so that each split needs a program of its own.
  """
  splits = dict.fromkeys(lane.split for lane in lanes)
  return {
    split: np.array([i for i, lane in enumerate(lanes) if lane.split == split])
    for split in splits
  }


def by_program(
  model: nn.Module, lanes: Sequence[AttackLane], image_shape: tuple[int, int, int]
) -> dict[tuple[str, Defence], np.ndarray]:
  """Maps each split, and the form of the defence that acts there, to their lanes."""
  found: dict[tuple[str, Defence], list[int]] = {}
  for i, lane in enumerate(lanes):
    text = lane.lane.treatment.defence
    acts = cuts.list_changed(text, model, image_shape, (lane.split,))
    form = parse(text).form if acts else Defence().form
    found.setdefault((lane.split, form), []).append(i)
  return {program: np.array(rows) for program, rows in found.items()}


def stack_numbers(form: Defence, lanes: Sequence[AttackLane]) -> dict[str, jax.Array]:
  """The numbers [L] of the defences of lanes that have this form."""
  if not form.sends:
    return {}
  numbers = [parse(lane.lane.treatment.defence).numbers for lane in lanes]
  return {name: jnp.array([each[name] for each in numbers]) for name in numbers[0]}


def _start(shape: tuple[int, ...]) -> _State:
  """The start of a search: standardised zeros, which are the mean colour.

  Args:
    shape: (L, B, H, W, C).
  """
  zeros = jnp.zeros(shape)
  return _State(zeros, jnp.zeros(shape[:2]), jnp.zeros(shape[:1]), zeros, zeros, zeros)


def _to_pixels(guess: jax.Array) -> jax.Array:
  """The inverse of `standardize`: pixels in [0, 1], but not clipped to it."""
  black = layers.standardize(jnp.zeros_like(guess))
  white = layers.standardize(jnp.ones_like(guess))
  return (guess - black) / (white - black)


def _make_search(
  model: nn.Module, split: str, form: Defence, search: Search, engine: Engine
):
  """Makes the function that takes some steps of the search for one lane.

  It is given (state, edge, numbers, activation) and the number of steps, and returns
  the state. `numbers` are those of the defence, which the attacker knows.
  """

  @engine.traced
  def objective(guess, edge, numbers, activation, count):
    # The attacker does not know the noise of a target that draws some, and averages
    # over draws of its own.
    key = calls.evaluation_key(count.astype(jnp.int32))
    found = partition.edge(model, edge, _to_pixels(guess), split, key=key)
    if form.sends:
      found = cuts.send(form, numbers, found, split, key)
    axes = tuple(range(1, found.ndim))
    errors = jnp.mean(jnp.square(found - activation), axis=axes)
    prior = search.tv * total_variation(guess)
    prior += search.l2 * jnp.mean(jnp.square(guess), axis=(1, 2, 3))
    # Each image's gradient comes from its own terms of the sum only. A mean would make
    # it depend on the size of the batch.
    return jnp.sum(errors + prior), errors

  def run(lane, steps):
    state, edge, numbers, activation = lane

    def body(_, state):
      gradient, errors = jax.grad(objective, has_aux=True)(
        state.guess, edge, numbers, activation, state.count
      )
      return amsgrad(state, gradient, search.learning_rate)._replace(errors=errors)

    return lax.fori_loop(0, steps, body, state)

  return run
