"""The attack that searches a generator's latents for the image behind an activation.

A decoder has to learn what images look like, and a search over pixels does not know it.
A generator knows: the attacker looks for the latent whose image has the intercepted
activation. It needs the target's edge and no activation of its own images.

Source: docs/paper.md#search-in-a-generator.
"""

import dataclasses
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from gpz_jax import interruption, partition
from gpz_jax.attacks.activation.optimisation import by_program, stack_numbers
from gpz_jax.attacks.activation.protocol import Attack, Outcome, Scenario
from gpz_jax.data import eval_order
from gpz_jax.defences import Defence, cuts
from gpz_jax.generators import Generator, files
from gpz_jax.models import calls
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.types import InputError, Task

IMAGES = 32
SEGMENT_STEPS = 50  # steps between two reports of progress
_BOUNDS = {'images': (1, 2**31), 'steps': (1, 2**31), 'starts': (1, 2**16)}


class _State(NamedTuple):
  """A search under way for one lane and one batch."""

  latents: jax.Array  # [B, S, *latent_shape]
  opt_state: Any
  errors: jax.Array  # [B, S] errors of the activation before the last step
  count: jax.Array  # [] steps taken


@dataclasses.dataclass(frozen=True)
class GeneratorAttack(Attack):
  """A search in the latents of a generator.

  Attributes:
    file: File of the generator, as `generators.save` writes it.
    images: Number of test images that are searched for. Where there are fewer than the
      default, it stands for all.
    steps: Number of steps of Adam.
    learning_rate: Learning rate of Adam.
    starts: Number of latents that are searched for an image; the best one is kept.
    prior: Weight of the mean squared latent.
  """

  file: str = ''
  images: int = IMAGES
  steps: int = 300
  learning_rate: float = 0.05
  starts: int = 4
  prior: float = 0.0

  def __post_init__(self):
    for name, (least, below) in _BOUNDS.items():
      if not least <= getattr(self, name) < below:
        raise InputError(
          f"attack '{self.text}': {name} must be at least {least:g} and below {below:g}"
        )
    if not 1e-12 <= self.learning_rate < 1e6 or not 0 <= self.prior < 1e30:
      raise InputError(
        f"attack '{self.text}': learning_rate must be above 0, and prior at least 0"
      )
    if not self.file:
      raise InputError(
        f"attack '{self.text}' has no generator; give its file, as in"
        ' generator:file=runs/mi_small/generator.safetensors'
      )

  def check_task(self, task: Task) -> None:
    """Refuses a generator of other channels, and more images than there are.

    Raises:
      InputError: The attack cannot be used with these data.
    """
    generator, _ = files.load(pathlib.Path(self.file))
    channels = generator.image_shape[-1]
    if channels != task.image_shape[-1]:
      raise InputError(
        f"attack '{self.text}': the generator makes images of {channels} channels, and"
        f' those of {task.name} have {task.image_shape[-1]}; set --channels={channels}'
      )
    if self.images > max(len(task.test), IMAGES):
      raise InputError(
        f"attack '{self.text}': images={self.images} is more than the {len(task.test)}"
        ' images of the test subset; give as many at most'
      )

  def run(self, scenario: Scenario) -> Outcome:
    """Searches through the edge of each lane."""
    n_test = min(self.images, len(scenario.test))
    with scenario.phase(f'{len(scenario.lanes)} searches in a generator') as phase:
      found, errors = self._search(scenario, n_test, phase)
    return Outcome.of(
      found,
      is_finite=np.isfinite(errors).all(axis=1),
      epochs=self.steps,
      steps=self.steps,
    )

  def _search(self, scenario, n_test, on_progress) -> tuple[np.ndarray, np.ndarray]:
    """The images [L, N, H, W, C] in [0, 1], and the errors [L, N] of activations."""
    lanes, model, shape = scenario.lanes, scenario.model, scenario.image_shape
    generator, variables = files.load(pathlib.Path(self.file))
    index, _ = eval_order(n_test, min(n_test, IMAGES))
    programs = by_program(model, lanes, shape)
    total, done = len(programs) * len(index) * self.steps, 0
    images = np.zeros((len(lanes), n_test, *shape), np.float32)
    errors = np.zeros((len(lanes), n_test), np.float32)
    for (split, form), rows in programs.items():
      begin, run, end = self._make_programs(scenario, generator, split, form)
      targets = np.array([lanes[i].target for i in rows])
      who = (
        lanes_lib.take(scenario.targets, targets),
        stack_numbers(form, [lanes[i] for i in rows]),
      )
      for batch in index:
        state = begin(variables, jnp.asarray(batch), len(rows))
        wanted = jnp.asarray(
          scenario.intercepted.test[np.ix_(rows, batch)], jnp.float32
        )
        for start in range(0, self.steps, SEGMENT_STEPS):
          steps = min(SEGMENT_STEPS, self.steps - start)
          state = jax.block_until_ready(run((state, *who, wanted), variables, steps))
          done += steps
          on_progress(done, total, {})
          interruption.check()
        made, error = end(state, variables)
        images[np.ix_(rows, batch)], errors[np.ix_(rows, batch)] = made, error
    return images, errors

  def _make_programs(
    self, scenario: Scenario, generator: Generator, split: str, form: Defence
  ):
    """The compiled functions that begin a search, take steps of it, and end it."""
    engine, model = scenario.engine.resolve(), scenario.model
    height, width, channels = scenario.image_shape
    tx = optax.adam(self.learning_rate)

    def render(variables, latents):  # [B, S, ...] -> [B, S, H, W, C]
      flat = latents.reshape(-1, *generator.latent_shape)
      made = generator.images(variables, flat)
      if made.shape[1:3] != (height, width):
        size = (len(made), height, width, channels)
        made = jax.image.resize(made, size, 'linear', antialias=True)
      return made.reshape(*latents.shape[:2], height, width, channels)

    @engine.traced
    def objective(latents, variables, target, numbers, activation, count):
      made = render(variables, latents)
      key = calls.evaluation_key(count)
      flat = made.reshape(-1, height, width, channels)
      found = partition.edge(model, target, flat, split, key=key)
      if form.sends:
        found = cuts.send(form, numbers, found, split, key)
      found = found.reshape(*latents.shape[:2], *activation.shape[1:])
      axes = tuple(range(2, found.ndim))
      errors = jnp.mean(jnp.square(found - activation[:, None]), axis=axes)
      inner = tuple(range(2, latents.ndim))
      prior = self.prior * jnp.mean(jnp.square(latents), axis=inner)
      # A sum, so that what an image gets does not depend on the size of the batch.
      return jnp.sum(errors + prior), errors

    def begin(variables, batch, num_lanes):
      def draw(row):  # by the image's place, so that batches change nothing
        key = jax.random.fold_in(jax.random.key(scenario.order_seed), row)
        return generator.sample(variables, key, self.starts)

      latents = jax.vmap(draw)(batch)
      one = _State(
        latents,
        tx.init(latents),
        jnp.zeros(latents.shape[:2]),
        jnp.zeros((), jnp.int32),
      )
      return jax.tree.map(lambda leaf: jnp.stack([leaf] * num_lanes), one)

    def steps_of(lane, variables, steps):
      state, target, numbers, activation = lane

      def body(_, state):
        gradient, errors = jax.grad(objective, has_aux=True)(
          state.latents, variables, target, numbers, activation, state.count
        )
        updates, opt_state = tx.update(gradient, state.opt_state)
        latents = state.latents + updates
        return _State(latents, opt_state, errors, state.count + 1)

      return lax.fori_loop(0, steps, body, state)

    def end(state, variables):
      best = jnp.argmin(state.errors, axis=1)
      chosen = jax.vmap(lambda latents, i: latents[i])(state.latents, best)
      made = render(variables, chosen[:, None])[:, 0]
      return jnp.clip(made, 0, 1), jnp.min(state.errors, axis=1)

    return (
      jax.jit(begin, static_argnums=2),
      jax.jit(engine.over_lanes(steps_of)),
      jax.jit(engine.over_lanes(engine.traced(end))),
    )
