"""GMI: a search for latents that the generator's critic takes for real as well.

Source: Zhang, Jia, Pei, Wang, Li, Song, The secret revealer, CVPR 2020
(docs/paper.md#further-attacks).
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from gpz_jax.attacks.model import answer, chunks, pull
from gpz_jax.attacks.model.lomma import SMALL, STUDENTS, IdentityAttack, Loss
from gpz_jax.attacks.model.protocol import COUNTS, SIZES, WEIGHTS, Outcome, Scenario
from gpz_jax.attacks.model.search import Item, Phase, Search, Shared
from gpz_jax.training.engine import Engine
from gpz_jax.types import InputError

# (shared, images [M, h, w, C]) -> losses [M]
Prior = Callable[[Shared, jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class GMI(IdentityAttack):
  """Descends on minus the critic's score plus a multiple of the identity loss.

  Attributes:
    candidates: How many latents are searched for each class; all are the answer.
    steps: How many steps are taken.
    learning_rate: The published rate, of a loss that is averaged over a batch.
    averaged_over: How many candidates the published batch had. A loss that is averaged
      moves each candidate by so much less; here each is searched by itself.
    momentum: Share of the velocity that stays.
    clip: The largest absolute value of a latent's numbers after each step.
    identity_weight: Weight of the identity loss.
    prior_weight: Weight of the critic's score; 0 needs no critic.
  """

  candidates: int = 5
  steps: int = 1500
  learning_rate: float = 0.02
  averaged_over: int = 60
  momentum: float = 0.9
  clip: float = 1.0
  identity_weight: float = 100.0
  prior_weight: float = 1.0

  PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
    'paper': {},
    'small': {'candidates': 2, 'steps': 100},
  }

  BOUNDS: ClassVar = {
    **IdentityAttack.BOUNDS,
    **dict.fromkeys(('candidates', 'steps', 'averaged_over'), COUNTS),
    **dict.fromkeys(('learning_rate', 'clip'), SIZES),
    'momentum': (0, 0.9999),
    'identity_weight': (1e-12, 1e12),
    'prior_weight': WEIGHTS,
  }

  @property
  def num_answers(self) -> int:
    """How many images of a class it answers with."""
    return self.candidates

  @property
  def asks_critic(self) -> bool:
    """Whether the critic's score has a weight."""
    return self.prior_weight != 0

  @property
  def without_critic(self) -> str:
    """The option with which it asks none."""
    return 'prior_weight=0'

  def check(self, scenario: Scenario) -> None:
    """Raises InputError if there is no critic, or the loss cannot be computed."""
    super().check(scenario)
    if self.asks_critic and scenario.critic is None:
      raise InputError(
        f"attack '{self.text}' asks the generator's critic, and this run has none;"
        ' train the generator here, which keeps its critic, or give prior_weight=0'
      )

  def run(self, scenario: Scenario) -> Outcome:
    """Attacks all classes of all targets, see `Attack.run`."""
    self.check(scenario)
    with answer.timed() as clock:
      scenario = self.add_knowledge(scenario)
      engine = scenario.engine.resolve()
      search = self._make_search(scenario, engine)
      with scenario.phase(self.text or 'gmi') as on_progress:
        found = chunks.run(
          search,
          scenario,
          answer.piece_name('gmi', self, scenario),
          extra={'critic': scenario.critic_variables},
          at_once=chunks.fitting(self.candidates),
          on_progress=on_progress,
        )
    return answer.outcome(found, self.candidates, clock.seconds)

  def _make_search(self, scenario: Scenario, engine: Engine) -> Search:
    generator = scenario.generator
    prepare = answer.make_prepare(scenario)
    identity = self.make_identity(scenario, engine)
    prior = _make_prior(scenario, self.prior_weight, engine)

    def make(shared: Shared, latents: jax.Array) -> jax.Array:
      return generator.images(shared['prior'], latents)

    def enter(_, item: Item, shared: Shared):
      key = jax.random.fold_in(item.key, 0)
      latents = generator.sample(shared['prior'], key, self.candidates)
      return latents, jnp.zeros_like(latents)

    def step(state, item: Item, shared: Shared, number: jax.Array):
      latents, velocity = state
      labels = jnp.broadcast_to(item.label, (len(latents),))
      gradient, metrics = pull.pull(
        lambda latents: make(shared, latents),
        latents,
        item.label,
        jax.random.fold_in(jax.random.fold_in(item.key, 1), number),
        prepare=prepare,
        identity=lambda images, key: identity(shared, images, labels, key),
        weight=self.identity_weight,
        prior=lambda images: prior(shared, images),
        adaptive=self.averaging,
      )
      rate = self.learning_rate / self.averaged_over
      latents, velocity = ahead(latents, velocity, gradient, rate, self.momentum)
      return (jnp.clip(latents, -self.clip, self.clip), velocity), metrics

    def finish(state, item: Item, shared: Shared):
      crop = generator.centre_crop
      return answer.finish(
        make, scenario, engine, shared, item.label, state[0], crop=crop
      )

    return Search((Phase(self.steps, step, enter),), finish)


@dataclasses.dataclass(frozen=True)
class LommaGMI(GMI):
  """GMI with the loss of LOMMA, see `lomma`."""

  loss: Loss = 'identity'
  feature_weight: float = 1.0
  students: tuple[str, ...] = STUDENTS

  PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
    'paper': {},
    'small': {**GMI.PRESETS['small'], **SMALL},
  }


def ahead(
  latents: jax.Array,
  velocity: jax.Array,
  gradient: jax.Array,
  learning_rate: float,
  momentum: float,
) -> tuple[jax.Array, jax.Array]:
  """One step with Nesterov's momentum, in the form that looks ahead.

  With v' = m v - r g, the latent moves by -m v + (1 + m) v'.

  Args:
    latents: Where the search is.
    velocity: Its velocity v, of the same shape.
    gradient: The gradient g at `latents`.
    learning_rate: r.
    momentum: m.

  Returns:
    The next latents and velocity.
  """
  faster = momentum * velocity - learning_rate * gradient
  return latents - momentum * velocity + (1 + momentum) * faster, faster


def _make_prior(scenario: Scenario, weight: float, engine: Engine) -> Prior:
  """Makes minus the critic's score, by its weight; it is 0 where nothing is weighed."""
  critic = scenario.critic
  if not weight or critic is None:
    return lambda shared, images: jnp.zeros(len(images))

  def prior(shared: Shared, images: jax.Array) -> jax.Array:
    scores = engine.apply(critic, shared['critic'], images)
    return -weight * scores.reshape(len(images), -1).mean(axis=-1)

  return prior
