"""IF-GMI: PPA that goes on through the layers of the generator.

Source: Qiu et al., A closer look at GAN priors: exploiting intermediate features for
enhanced model inversion attacks, ECCV 2024 (docs/paper.md#further-attacks).
"""

import dataclasses
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gpz_jax.attacks.model import answer, losses, views
from gpz_jax.attacks.model.adam import BETAS, EPSILON
from gpz_jax.attacks.model.layer_search import LayerSearch, Running, check_layers
from gpz_jax.attacks.model.ppa import Ppa
from gpz_jax.attacks.model.protocol import Scenario
from gpz_jax.attacks.model.search import Item, Phase, Search, Shared
from gpz_jax.types import InputError


class _Judged(NamedTuple):
  """The candidates of one class while the final ones are selected."""

  latents: jax.Array  # [M, *latent_shape]
  kept: jax.Array  # [M, h, w, C] uint8, what is kept of them
  images: jax.Array  # [M, H, W, C] as the target is given them
  total: jax.Array  # [M] sum of confidences

  def arrays(self) -> dict[str, jax.Array]:
    """What is kept of the candidates, in their order."""
    return {
      'images': self.kept,
      'scores': self.total,
      'latents': self.latents,
    }


@dataclasses.dataclass(frozen=True)
class IfGmi(Ppa):
  """PPA with a phase more for each of the layers behind the first.

  Attributes:
    layers: How many layers are gone through at most; a generator that has fewer is
      gone through to its end.
    layer_steps: Steps of each of these phases.
    radii: Radius of the L1 balls of each phase, that of the latents alone first; the
      last one holds for all phases beyond. 0 is no ball.
  """

  candidates: int = 50
  final: int = 50
  decay: tuple[str, ...] = ('none',)
  antialias: Literal['yes', 'no'] = 'yes'
  layers: int = 7
  layer_steps: int = 10
  radii: tuple[str, ...] = (
    '1000',
    '2000',
    '3000',
    '4000',
    '5000',
    '6000',
    '8000',
    '8000',
  )

  PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
    'paper': {},
    'small': {'latents': 400, 'candidates': 8, 'final': 4, 'draws': 32},
  }

  def __post_init__(self):
    super().__post_init__()
    for name in ('layers', 'layer_steps'):
      if getattr(self, name) < 1:
        raise InputError(
          f"attack '{self.text}': {name}={getattr(self, name)} must be at least 1"
        )
    _ = self.radius_of_phases

  @property
  def radius_of_phases(self) -> tuple[float, ...]:
    """The radii as numbers.

    Raises:
      InputError: An entry is no number from 0 on.
    """
    try:
      found = tuple(map(float, self.radii))
    except ValueError:
      found = ()
    if not found or min(found) < 0:
      raise InputError(
        f"attack '{self.text}': radii={'|'.join(self.radii)} are no radii; give numbers"
        " from 0 on with '|' between them"
      )
    return found

  def check(self, scenario: Scenario) -> None:
    """Refuses what PPA refuses, and generators that cannot be gone through."""
    super().check(scenario)
    what = f"attack '{self.text}'"
    check_layers(scenario.generator, max(2, self._num_phases(scenario)), what)

  def _num_phases(self, scenario: Scenario) -> int:
    """How many phases there are, the first for the latents alone."""
    return min(1 + self.layers, len(scenario.generator.list_layers()))

  def _search(self, scenario: Scenario) -> Search:
    """The search for one class of one target."""
    layers = self._make_layer_search(scenario)

    def enter(state: Running, item: Item, shared: Shared) -> _Judged:
      del item
      made = layers.images(state, shared)
      seen = self._prepare(scenario, made)
      kept = answer.keep(scenario, made, self._crop(scenario))
      return _Judged(state.at.latents, kept, seen, jnp.zeros(len(seen)))

    phases = layers.phases(lambda item, shared: item.given)
    judging = Phase(self.draws, self._make_draw(scenario), enter)
    return Search((*phases, judging), lambda state, item, shared: state.arrays())

  def _make_layer_search(self, scenario: Scenario) -> LayerSearch:
    looks = self._sight(scenario)
    antialias = self.antialias == 'yes'
    count = self._num_phases(scenario)
    radii = self.radius_of_phases

    def see(images: jax.Array, key: jax.Array) -> jax.Array:
      keys = views.sample_keys(key, len(images), self.convention)
      scale = (self.least_view, 1.0)
      return views.random_resized_crop(keys, images, scale, antialias=antialias)

    def pull(shared: Shared, render, where, item: Item, key: jax.Array):
      return looks.pull(
        shared['target'],
        lambda where: self._prepare(scenario, render(where)),
        where,
        item.label,
        key,
        loss=losses.LOSSES[self.loss],
        see=see,
        adaptive=self.averaging,
      )

    return LayerSearch(
      generator=scenario.generator,
      pull=pull,
      steps=(self.steps, *[self.layer_steps] * (count - 1)),
      radii=tuple(radii[min(i, len(radii) - 1)] for i in range(count)),
      tx=optax.chain(
        optax.scale_by_adam(*BETAS, eps=EPSILON),
        optax.scale_by_schedule(self._minus_rate),
      ),
    )

  def _minus_rate(self, step: Any) -> Any:
    """Minus the learning rate of a step, counted from 0 in each phase."""
    decay = jnp.array(self.decay_steps, jnp.int32)
    return -self.learning_rate * 0.1 ** jnp.sum(step >= decay)
