"""What searches in latent space measure on the way and answer with in the end."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax.attacks.model import chunks, losses, views
from gpz_jax.attacks.model.classifiers import classify
from gpz_jax.attacks.model.protocol import Attack, Outcome, Scenario
from gpz_jax.attacks.model.search import Shared
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import Engine

# Of a generator that an attack trained itself, so many times SAMPLE_PIECE are drawn.
SAMPLE_PIECE, SAMPLE_PIECES = 128, 4


class Clock:
  """The seconds of what ran within `timed`."""

  seconds: float = 0.0


@contextlib.contextmanager
def timed() -> Iterator[Clock]:
  """Measures how long what is done within takes."""
  clock, began = Clock(), time.perf_counter()
  yield clock
  clock.seconds = time.perf_counter() - began


def finish(
  make: Callable[[Shared, jax.Array], jax.Array],
  scenario: Scenario,
  engine: Engine,
  shared: Shared,
  label: jax.Array,
  latents: jax.Array,
  *,
  crop: float = 1.0,
) -> dict[str, jax.Array]:
  """The candidates of a class, the one of which the target is surest first.

  Args:
    make: Makes images of latents.
    scenario: Who is attacked.
    engine: How targets are computed.
    shared: What the search reads; the target's variables are its 'target' there.
    label: [], the class.
    latents: [M, ...].
    crop: The share of each side of the images that targets are shown.

  Returns:
    'images' [M, h, w, C] uint8, 'scores' [M] and 'latents' [M, ...].
  """
  images = jnp.clip(make(shared, latents), 0, 1)
  seen = views.prepare(images, scenario.image_shape, crop=crop)
  logits = classify(scenario.model, shared['target']['target'], seen, engine)
  sure = losses.confidence(logits, jnp.broadcast_to(label, (len(latents),)))
  order = jnp.argsort(-sure, stable=True)  # what is no number comes last
  return {
    'images': keep(scenario, images, crop)[order],
    'scores': sure[order],
    'latents': latents[order],
  }


def keep(scenario: Scenario, images: jax.Array, crop: float) -> jax.Array:
  """What is kept of images [M, h, w, C] of a generator, as uint8.

  It is what targets were shown of them, so that the evaluator, the students and the
  user see the same.

  Args:
    scenario: Says how large they are kept at most.
    images: Nearly in [0, 1].
    crop: The share of each side that targets are shown.
  """
  return views.to_uint8(views.shrink(views.cut(images, crop), scenario.most_side))


def outcome(
  found: dict[str, np.ndarray],
  num_final: int,
  seconds: float,
  samples: np.ndarray | None = None,
) -> Outcome:
  """The outcome of what `chunks.run` gave for searches that end with `finish`."""
  arrays, history = chunks.split_history(found)
  return Outcome(
    images=arrays['images'],
    scores=arrays['scores'],
    num_final=num_final,
    latents=arrays['latents'],
    history=history,
    samples=samples,
    seconds=seconds,
  )


def draw_samples(
  draw: Callable[[Any, jax.Array], jax.Array], made_by: Any, scenario: Scenario
) -> np.ndarray:
  """What the generators that an attack trained itself make at random.

  Args:
    draw: Makes images [n, H, W, C] of a generator's variables and a key.
    made_by: The variables [L] of the generators.
    scenario: The scenario, whose seed is that of the draws.

  Returns:
    [L, S, H, W, C] uint8, by the same keys for all generators.
  """
  one = jax.jit(lambda variables, key: views.to_uint8(draw(variables, key)))
  keys = jax.random.split(jax.random.key(scenario.seed), SAMPLE_PIECES)
  return np.stack(
    [
      np.concatenate([one(lanes_lib.take(made_by, row), key) for key in keys])
      for row in range(len(scenario.lanes))
    ]
  )


def piece_name(kind: str, attack: Attack, scenario: Scenario) -> str:
  """The name of an attack's pieces; how it was written does not change a result."""
  return chunks.piece_name(kind, dataclasses.replace(attack, text=''), scenario)


def make_prepare(scenario: Scenario) -> Callable[[jax.Array], jax.Array]:
  """Makes the function that gives what targets are given of the generator's images."""
  crop = scenario.generator.centre_crop
  return lambda images: views.prepare(images, scenario.image_shape, crop=crop)
