"""The attack that searches a generator's latents for the image behind an activation.

A decoder has to learn what images look like, and a search over pixels does not know it.
A generator knows: the attacker looks for the latent whose image has the intercepted
activation. It needs the target's edge and no activation of its own images. It may then
go on through the generator's layers, which make images that no latent has.

Source: docs/paper.md#search-in-a-generator.
"""

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from gpz_jax import interruption, partition
from gpz_jax.attacks.activation.optimisation import by_program, stack_numbers
from gpz_jax.attacks.activation.protocol import Attack, Outcome, Scenario
from gpz_jax.attacks.model import views
from gpz_jax.attacks.model.layer_search import LayerSearch, Running, check_layers
from gpz_jax.attacks.model.search import Item, Shared
from gpz_jax.attacks.model.sight import Pulled
from gpz_jax.data import eval_order
from gpz_jax.defences import Defence, cuts
from gpz_jax.generators import Generator, files
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.types import InputError, Task

IMAGES = 32
SEGMENT_STEPS = 50  # steps between two reports of progress
_BOUNDS = {
  'images': (1, 2**31),
  'steps': (1, 2**31),
  'starts': (1, 2**16),
  'release': (0, 2**16),
  'release_steps': (1, 2**31),
}


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
    release: How many layers of the generator are gone through behind the latents, one
      after the other, at most; a generator that has fewer is gone through to its end.
    release_steps: Number of steps for each of these layers.
    radius: Radius of the L1 balls about the place where a layer's phase began, in which
      latents and features stay; 0 is none.
  """

  file: str = ''
  images: int = IMAGES
  steps: int = 300
  learning_rate: float = 0.05
  starts: int = 4
  prior: float = 0.0
  release: int = 0
  release_steps: int = 100
  radius: float = 1000.0

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
    if not 0 <= self.radius < 1e30:
      raise InputError(f"attack '{self.text}': radius must be at least 0")
    if not self.file:
      raise InputError(
        f"attack '{self.text}' has no generator; give its file, as in"
        ' generator:file=runs/mi_small/generator.safetensors'
      )

  def check_task(self, task: Task) -> None:
    """Refuses generators of other channels or without layers, and too many images.

    Raises:
      InputError: The attack cannot be used with these data.
    """
    generator, _ = files.load(pathlib.Path(self.file))
    if self.release:
      count = max(2, len(self._phase_steps(generator)))
      check_layers(generator, count, f"attack '{self.text}'")
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
    generator, variables = files.load(pathlib.Path(self.file))
    steps = sum(self._phase_steps(generator))
    with scenario.phase(f'{len(scenario.lanes)} searches in a generator') as phase:
      found, errors = self._search(scenario, generator, variables, n_test, phase)
    return Outcome.of(
      found, is_finite=np.isfinite(errors).all(axis=1), epochs=steps, steps=steps
    )

  def _phase_steps(self, generator: Generator) -> tuple[int, ...]:
    """The steps of each phase, that of the latents alone first."""
    layers = min(self.release, max(0, len(generator.list_layers()) - 1))
    return (self.steps, *[self.release_steps] * layers)

  def _search(
    self,
    scenario: Scenario,
    generator: Generator,
    variables: Any,
    n_test: int,
    on_progress,
  ) -> tuple[np.ndarray, np.ndarray]:
    """The images [L, N, H, W, C] in [0, 1], and the errors [L, N] of activations."""
    lanes, model, shape = scenario.lanes, scenario.model, scenario.image_shape
    index, _ = eval_order(n_test, min(n_test, IMAGES))
    programs = by_program(model, lanes, shape)
    phases = self._phase_steps(generator)
    total, done = len(programs) * len(index) * sum(phases), 0
    images = np.zeros((len(lanes), n_test, *shape), np.float32)
    errors = np.zeros((len(lanes), n_test), np.float32)
    for (split, form), rows in programs.items():
      draw, begins, runs, end = self._make_programs(scenario, generator, split, form)
      targets = np.array([lanes[i].target for i in rows])
      who = (
        lanes_lib.take(scenario.targets, targets),
        stack_numbers(form, [lanes[i] for i in rows]),
      )
      for batch in index:
        state = draw(variables, jnp.asarray(batch), len(rows))
        wanted = jnp.asarray(
          scenario.intercepted.test[np.ix_(rows, batch)], jnp.float32
        )
        for count, begin, run in zip(phases, begins, runs, strict=True):
          state = begin((state, *who, wanted), variables)
          for start in range(0, count, SEGMENT_STEPS):
            bounds = np.array([start, min(start + SEGMENT_STEPS, count)])
            state = jax.block_until_ready(run((state, *who, wanted), variables, bounds))
            done += int(bounds[1] - bounds[0])
            on_progress(done, total, {})
            interruption.check()
        made, error = end((state, *who, wanted), variables)
        images[np.ix_(rows, batch)], errors[np.ix_(rows, batch)] = made, error
    return images, errors

  def _make_programs(
    self, scenario: Scenario, generator: Generator, split: str, form: Defence
  ):
    """The compiled functions that draw latents, begin phases, take steps, and end.

    The candidates of a batch are B x S: the starts of an image stand side by side.
    """
    engine = scenario.engine.resolve()
    compare = self._make_comparison(scenario, generator, split, form)
    search = LayerSearch(
      generator=generator,
      pull=self._make_pull(compare),
      steps=(steps := self._phase_steps(generator)),
      radii=(0.0, *[self.radius] * (len(steps) - 1)),
      tx=optax.adam(self.learning_rate),
    )
    phases = search.phases(lambda item, shared: item.given[1])  # the first one begins

    def draw(variables, batch, num_lanes):
      def starts(row):  # by the image's place, so that batches change nothing
        key = jax.random.fold_in(jax.random.key(scenario.order_seed), row)
        return generator.sample(variables, key, self.starts)

      latents = jax.vmap(starts)(batch).reshape(-1, *generator.latent_shape)
      return jnp.stack([latents] * num_lanes)

    def read(lane, variables, begun=None) -> tuple[Item, Shared]:
      _, target, numbers, activation = lane
      item = Item(jnp.int32(0), jax.random.key(0), (activation, begun))
      return item, {'prior': variables, 'target': (target, numbers)}

    def make_begin(phase):
      assert phase.enter is not None, 'each phase of a search in layers has one'
      return lambda lane, variables: phase.enter(
        lane[0], *read(lane, variables, lane[0])
      )

    def make_run(phase):
      def run(lane, variables, bounds):
        def body(number, state):
          return phase.step(state, *read(lane, variables), number)[0]

        return lax.fori_loop(bounds[0], bounds[1], body, lane[0])

      return run

    def end(lane, variables):
      state: Running = lane[0]
      item, shared = read(lane, variables)
      made = search.images(state, shared)
      found, errors = compare(made, item, shared, jax.random.key(0))
      errors = errors.reshape(-1, self.starts)
      best = jnp.argmin(errors, axis=1)
      chosen = found.reshape(*errors.shape, *found.shape[1:])
      picked = jax.vmap(lambda images, i: images[i])(chosen, best)
      return jnp.clip(picked, 0, 1), jnp.min(errors, axis=1)

    def compiled(function):
      return jax.jit(engine.over_lanes(engine.traced(function)))

    return (
      jax.jit(draw, static_argnums=2),
      [compiled(make_begin(phase)) for phase in phases],
      [compiled(make_run(phase)) for phase in phases],
      compiled(end),
    )

  def _make_comparison(
    self, scenario: Scenario, generator: Generator, split: str, form: Defence
  ):
    """Makes the images [M, H, W, C] that a target is given, and their errors [M]."""
    shape, crop = scenario.image_shape, generator.centre_crop

    def compare(made, item: Item, shared: Shared, key: jax.Array):
      target, numbers = shared['target']
      made = views.prepare(made, shape, crop=crop)
      found = partition.edge(scenario.model, target, made, split, key=key)
      if form.sends:
        found = cuts.send(form, numbers, found, split, key)
      wanted = jnp.repeat(item.given[0], self.starts, axis=0)
      axes = tuple(range(1, found.ndim))
      return made, jnp.mean(jnp.square(found - wanted), axis=axes)

    return compare

  def _make_pull(self, compare):
    """Makes the gradient of each candidate's error, with the prior."""

    def pull(shared: Shared, render, where, item: Item, key: jax.Array) -> Pulled:
      def objective(where):
        _, errors = compare(render(where), item, shared, key)
        inner = tuple(range(1, where[0].ndim))
        prior = self.prior * jnp.mean(jnp.square(where[0]), axis=inner)
        # A sum, so that what an image gets does not depend on the size of the batch.
        return jnp.sum(errors + prior), errors

      gradient, errors = jax.grad(objective, has_aux=True)(where)
      return Pulled(errors, jnp.zeros_like(errors), gradient, {})

    return pull
