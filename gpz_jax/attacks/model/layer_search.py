"""A search that goes through the layers of a generator, one phase for each.

The first phase moves latents. Each of the next moves latents and what one layer is
given, from where the phase before it ended; both stay in L1 balls about the place
where the phase began.

Source: docs/paper.md#further-attacks.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gpz_jax.attacks.model import l1_ball, sight
from gpz_jax.attacks.model.search import Item, Phase, Shared
from gpz_jax.attacks.model.sight import Pulled
from gpz_jax.generators import Generator
from gpz_jax.types import InputError

# (shared, rendering of where the search is, where it is, item, key of the step) -> what
# comes back from the target
Pull = Callable[[Shared, Callable[[Any], jax.Array], Any, Item, jax.Array], Pulled]


class LayerState(NamedTuple):
  """The candidates of a class in one phase."""

  latents: jax.Array  # [M, *latent_shape]
  features: Any  # [M, ...] what the layer is given; None in the first phase
  moments: Any  # of Adam


class Running(NamedTuple):
  """A phase under way: where it is and where it began."""

  at: LayerState
  latents: jax.Array  # [M, *latent_shape]
  features: Any  # [M, ...] or None


@dataclasses.dataclass(frozen=True)
class LayerSearch:
  """How layers are searched.

  Attributes:
    generator: The generator, which must hand features from layer to layer.
    pull: Gives the gradient of each candidate's loss. It is given a function that makes
      images [M, h, w, C] of latents and features.
    steps: Steps of each phase.
    radii: Radius of the L1 balls of each phase, of latents and of each array of
      features; 0 for none.
    tx: The optimiser, with its rate.
  """

  generator: Generator
  pull: Pull
  steps: tuple[int, ...]
  radii: tuple[float, ...]
  tx: optax.GradientTransformation

  def phases(self, enter: Callable[[Item, Shared], jax.Array]) -> tuple[Phase, ...]:
    """The phases.

    Args:
      enter: Gives the latents [M, ...] that the search begins with.
    """

    def begin(_, item: Item, shared: Shared) -> Running:
      return self._begin(enter(item, shared), None)

    first = Phase(self.steps[0], self._make_step(0), begin)
    return (first, *(self._make_phase(i) for i in range(1, len(self.steps))))

  def images(self, state: Running, shared: Shared) -> jax.Array:
    """The images [M, h, w, C] of the state that the last phase leaves."""
    last = len(self.steps) - 1
    return self._render(last, shared, state.at.latents, state.at.features)

  @property
  def _layers(self) -> tuple[str, ...]:
    return self.generator.list_layers()

  def _begin(self, latents: jax.Array, features: Any) -> Running:
    # A state is overwritten by the next one, so that no array may be in it twice.
    begun: Any = jax.tree.map(jnp.copy, (latents, features))
    origin: Any = jax.tree.map(jnp.copy, (latents, features))
    at = LayerState(begun[0], begun[1], self.tx.init(begun))
    return Running(at, origin[0], origin[1])

  def _make_phase(self, index: int) -> Phase:
    """The phase that moves what the layer of an index is given."""

    def enter(state: Running, item: Item, shared: Shared) -> Running:
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
    # PPA draws by 0 in its steps, as the first phase does, and by 1 when it judges.
    draw = index and 1 + index

    def step(state: Running, item: Item, shared: Shared, number: jax.Array):
      key = jax.random.fold_in(jax.random.fold_in(item.key, draw), number)
      before = state.at.latents, state.at.features

      pulled = self.pull(
        shared, lambda where: self._render(index, shared, *where), before, item, key
      )
      gradient = without_broken(pulled.gradient)
      updates, moments = self.tx.update(gradient, state.at.moments)
      moved: Any = optax.apply_updates(before, updates)
      if radius > 0:
        origin = state.latents, state.features
        moved = jax.tree.map(
          lambda new, old: stay_near(new, old, radius), moved, origin
        )
      at = LayerState(moved[0], moved[1], moments)
      of_latents = pulled._replace(gradient=pulled.gradient[0])
      return state._replace(at=at), sight.metrics(of_latents)

    return step


def without_broken(gradient: Any) -> Any:
  """The gradient [M, ...], 0 for each candidate whose own is not finite."""
  leaves = jax.tree.leaves(gradient)
  flat = [jnp.isfinite(leaf).reshape(len(leaf), -1).all(axis=1) for leaf in leaves]
  are_finite = jnp.stack(flat).all(axis=0)

  def keep(leaf):
    return jnp.where(are_finite.reshape((-1,) + (1,) * (leaf.ndim - 1)), leaf, 0.0)

  return jax.tree.map(keep, gradient)


def stay_near(moved: jax.Array, origin: jax.Array, radius: float) -> jax.Array:
  """Projects each candidate onto the L1 ball about its origin: both are [M, ...]."""
  return origin + jax.vmap(lambda change: l1_ball.project(change, radius))(
    moved - origin
  )


def check_layers(generator: Generator, num_phases: int, what: str) -> None:
  """Refuses a generator without layers, or one that hands no features on.

  Args:
    generator: The generator.
    num_phases: How many phases there are, the first for latents alone.
    what: The attack, for messages.

  Raises:
    InputError: The generator cannot be gone through.
  """
  name = type(generator).__name__
  if num_phases > 1 and len(generator.list_layers()) < num_phases:
    raise InputError(
      f'{what} enters {name} between its layers, but it lists'
      f' {len(generator.list_layers())}; take another generator, or fewer layers'
    )
  hands_on = type(generator).features_from is not Generator.features_from
  if num_phases > 2 and not hands_on:
    raise InputError(
      f'{what} goes through several layers, but {name} has no features_from; write it,'
      ' or give layers=1'
    )
