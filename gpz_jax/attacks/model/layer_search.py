"""A search that goes through the layers of a generator, one phase for each.

The first phase moves latents. Each of the next moves latents and what one layer is
given, from where the phase before it ended; both stay in L1 balls about the place
where the phase began.

Source: docs/paper.md#further-attacks.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gpz_jax.attacks.model import answer, l1_ball
from gpz_jax.attacks.model.search import Item, Phase, Shared
from gpz_jax.generators import Generator
from gpz_jax.types import InputError

# (shared, images [M, h, w, C], item, key of the step) -> losses [M], logits [M, K]
See = Callable[[Shared, jax.Array, Item, jax.Array], tuple[jax.Array, jax.Array]]


class LayerState(NamedTuple):
  """The candidates of a class in one phase."""

  latents: jax.Array  # [M, *latent_shape]
  features: Any  # [M, ...] what the layer is given; None in the first phase
  moments: Any  # of Adam


class _Running(NamedTuple):
  """A phase under way: where it is and where it began."""

  at: LayerState
  latents: jax.Array  # [M, *latent_shape]
  features: Any  # [M, ...] or None


@dataclasses.dataclass(frozen=True)
class LayerSearch:
  """How layers are searched.

  Attributes:
    generator: The generator, which must hand features from layer to layer.
    see: The loss of each image.
    steps: Steps of each phase.
    radii: Radius of the L1 balls of each phase, of latents and of each array of
      features; 0 for none.
    tx: The optimiser, with its rate.
  """

  generator: Generator
  see: See
  steps: tuple[int, ...]
  radii: tuple[float, ...]
  tx: optax.GradientTransformation

  def phases(self, enter: Callable[[Item, Shared], jax.Array]) -> tuple[Phase, ...]:
    """The phases.

    Args:
      enter: Gives the latents [M, ...] that the search begins with.
    """

    def begin(_, item: Item, shared: Shared) -> _Running:
      return self._begin(enter(item, shared), None)

    first = Phase(self.steps[0], self._make_step(0), begin)
    return (first, *(self._make_phase(i) for i in range(1, len(self.steps))))

  def images(self, state: _Running, shared: Shared) -> jax.Array:
    """The images [M, h, w, C] of the state that the last phase leaves."""
    last = len(self.steps) - 1
    return self._render(last, shared, state.at.latents, state.at.features)

  @property
  def _layers(self) -> tuple[str, ...]:
    return self.generator.list_layers()

  def _begin(self, latents: jax.Array, features: Any) -> _Running:
    moments = self.tx.init((latents, features))
    return _Running(LayerState(latents, features, moments), latents, features)

  def _make_phase(self, index: int) -> Phase:
    """The phase that moves what the layer of an index is given."""

    def enter(state: _Running, item: Item, shared: Shared) -> _Running:
      del item
      prior, latents, wanted = shared['prior'], state.at.latents, self._layers[index]
      if index == 1:
        features = self.generator.features(prior, latents, wanted)
      else:
        features = self.generator.features_from(
          prior, latents, self._layers[index - 1], state.at.features, wanted
        )
      return self._begin(latents, features)

    return Phase(self.steps[index], self._make_step(index), enter)

  def _render(
    self, index: int, shared: Shared, latents: jax.Array, features: Any
  ) -> jax.Array:
    prior = shared['prior']
    if index == 0:
      return self.generator.images(prior, latents)
    return self.generator.images_from(prior, latents, self._layers[index], features)

  def _make_step(self, index: int):
    radius = self.radii[index]

    def step(state: _Running, item: Item, shared: Shared, number: jax.Array):
      key = jax.random.fold_in(jax.random.fold_in(item.key, 1 + index), number)
      before = state.at.latents, state.at.features

      def loss(where):
        images = self._render(index, shared, *where)
        losses, logits = self.see(shared, images, item, key)
        labels = jnp.broadcast_to(item.label, losses.shape)
        # Each candidate's gradient comes from its own terms of the sum only.
        return losses.sum(), answer.metrics(losses, logits, labels)

      gradient, metrics = jax.grad(loss, has_aux=True)(before)
      updates, moments = self.tx.update(gradient, state.at.moments)
      moved = optax.apply_updates(before, updates)
      if radius > 0:
        origin = state.latents, state.features
        moved = jax.tree.map(
          lambda new, old: stay_near(new, old, radius), moved, origin
        )
      latents, features = moved
      return state._replace(at=LayerState(latents, features, moments)), metrics

    return step


def stay_near(moved: jax.Array, origin: jax.Array, radius: float) -> jax.Array:
  """Projects each candidate onto the L1 ball about its origin: both are [M, ...]."""
  return origin + jax.vmap(lambda change: l1_ball.project(change, radius))(
    moved - origin
  )


def check_layers(generator: Generator, steps: Sequence[int], what: str) -> None:
  """Raises InputError if a generator has too few layers, or hands no features on."""
  layers = generator.list_layers()
  name = type(generator).__name__
  if len(layers) < len(steps):
    raise InputError(
      f'{what} searches {len(steps) - 1} layers behind the first, but {name} has'
      f' {max(0, len(layers) - 1)}; give {len(layers)} entries of steps at most'
    )
  hands_on = type(generator).features_from is not Generator.features_from
  if len(steps) > 2 and not hands_on:
    raise InputError(
      f'{what} goes through several layers, but {name} has no features_from; write it,'
      ' or give two entries of steps'
    )
