"""BREP-MI: a search that sees nothing of the target but the label it answers with.

Source: Kahla, Chen, Just, Jia, Label-only model inversion attacks via boundary
repulsion, CVPR 2022 (docs/paper.md#further-attacks).
"""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gpz_jax.attacks.model import answer, chunks
from gpz_jax.attacks.model.classifiers import classify
from gpz_jax.attacks.model.protocol import COUNTS, SIZES, Attack, Outcome, Scenario
from gpz_jax.attacks.model.search import Item, Phase, Search, Shared
from gpz_jax.training.engine import Engine
from gpz_jax.types import InputError


class Walker(NamedTuple):
  """A candidate on its way from the border of its class; stacked they have M in front.

  A candidate that began outside its class has a radius of 0 and stays where it is.
  """

  latent: jax.Array  # [D]
  radius: jax.Array  # [] of the sphere that is looked at
  waited: jax.Array  # [] steps that were taken since the radius grew
  kept: jax.Array  # [D] where the radius grew for the last time
  score: jax.Array  # [] the radius by which `kept` lies in the class; 0 for none yet


@dataclasses.dataclass(frozen=True)
class BREP(Attack):
  """Moves away from those points of a sphere that the target labels otherwise.

  Candidates are sorted by the radius of the largest sphere about them that lies in the
  class, because confidences are not seen.

  Attributes:
    candidates: How many latents are searched for each class; all are the answer.
    steps: How many steps are taken at most; the released code has no limit.
    points: How many points of the sphere the target is asked about in a step.
    radius: Radius of the first sphere.
    growth: What the radius is multiplied by where enough points lie in the class.
    inside: How much larger, as a share of the points, the number of points inside must
      be than that of points outside, for the radius to grow.
    patience: How many steps may be taken at one radius.
    clip: The largest absolute value of a latent's numbers.
    draws: How many latents are looked at for a start in each class.
  """

  candidates: int = 5
  steps: int = 5000
  points: int = 32
  radius: float = 2.0
  growth: float = 1.3
  inside: float = 0.75
  patience: int = 1000
  clip: float = 1.5
  draws: int = 4096

  PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
    'paper': {},
    'small': {'candidates': 2, 'steps': 300, 'draws': 1024},
  }

  BOUNDS: ClassVar = {
    **dict.fromkeys(('candidates', 'steps', 'points', 'patience', 'draws'), COUNTS),
    **dict.fromkeys(('radius', 'clip'), SIZES),
    'growth': (1, 1e6),
    'inside': (0, 0.99),
  }

  def __post_init__(self):
    super().__post_init__()
    if self.draws < self.candidates:
      raise InputError(
        f"attack '{self.text}': draws={self.draws} is fewer than"
        f' candidates={self.candidates}; give as many at least'
      )

  @property
  def num_answers(self) -> int:
    """How many images of a class it answers with."""
    return self.candidates

  def run(self, scenario: Scenario) -> Outcome:
    """Attacks all classes of all targets, see `Attack.run`."""
    engine = scenario.engine.resolve()
    phase = scenario.phase(self.text or 'brep')
    with answer.timed() as clock, phase as on_progress:
      found = chunks.run(
        self._make_search(scenario, engine),
        scenario,
        answer.piece_name('brep', self, scenario),
        at_once=chunks.fitting(self.candidates * self.points),
        on_progress=on_progress,
      )
    return answer.outcome(found, self.candidates, clock.seconds)

  def _make_search(self, scenario: Scenario, engine: Engine) -> Search:
    generator, prepare = scenario.generator, answer.make_prepare(scenario)

    def is_class(shared: Shared, latents: jax.Array, label: jax.Array) -> jax.Array:
      """Whether the target gives the class to the images of latents [n, D]: [n]."""
      images = generator.images(shared['prior'], latents)
      seen = prepare(jnp.clip(images, 0, 1))
      logits = classify(scenario.model, shared['target'], seen, engine)
      return jnp.argmax(logits, axis=-1) == label

    def enter(_, item: Item, shared: Shared) -> Walker:
      key = jax.random.fold_in(item.key, 0)
      pool = generator.sample(shared['prior'], key, self.draws)
      pool = jnp.clip(pool, -self.clip, self.clip)
      hits = lax.map(
        lambda latent: is_class(shared, latent[None], item.label)[0],
        pool,
        batch_size=min(256, self.draws),
      )
      # The first ones inside; those that are missing are from outside.
      are_inside, rows = lax.top_k(hits.astype(jnp.int32), self.candidates)
      latents = pool[rows]
      radii = jnp.where(are_inside == 1, self.radius, 0.0)
      nothing = jnp.zeros(self.candidates)
      return Walker(latents, radii, nothing, latents, nothing)

    def step(state: Walker, item: Item, shared: Shared, number: jax.Array):
      keys = jax.random.split(
        jax.random.fold_in(jax.random.fold_in(item.key, 1), number), self.candidates
      )

      def one(walker, key):
        return self._step(
          walker, key, lambda latents: is_class(shared, latents, item.label)
        )

      state = jax.vmap(one)(state, keys)
      return state, {'radius': state.radius.mean(), 'score': state.score.mean()}

    def finish(state: Walker, item: Item, shared: Shared):
      del item
      order = jnp.argsort(-state.score)
      latents = state.kept[order]
      images = jnp.clip(generator.images(shared['prior'], latents), 0, 1)
      return {
        'images': answer.keep(scenario, images, generator.centre_crop),
        'scores': state.score[order],
        'latents': latents,
      }

    return Search((Phase(self.steps, step, enter),), finish)

  def _step(self, walker: Walker, key: jax.Array, is_class) -> Walker:
    """One step of one candidate; `is_class` judges latents [n, D]."""
    draws = jax.random.normal(key, (self.points, *walker.latent.shape))
    axes = tuple(range(1, draws.ndim))
    ways = draws / jnp.sqrt(jnp.sum(jnp.square(draws), axis=axes, keepdims=True))
    hits = is_class(walker.latent[None] + walker.radius * ways)
    grows = jnp.sum(2 * hits - 1) > self.inside * self.points
    radius = jnp.where(grows, walker.radius * self.growth, walker.radius)
    # Away from the mean of the points outside.
    away = -repulsion(ways, hits) * walker.radius / jnp.maximum(radius, 1e-9)
    length = jnp.minimum(walker.radius / 3, 3.0)
    moved = jnp.clip(walker.latent + length * away, -self.clip, self.clip)
    stays_inside = is_class(moved[None])[0]
    # A step out of the class is not taken; the next one draws other points.
    latent = jnp.where(stays_inside, moved, walker.latent)
    is_better = grows & stays_inside
    stepped = Walker(
      latent=latent,
      radius=radius,
      waited=jnp.where(grows, 0.0, walker.waited + stays_inside),
      kept=jnp.where(is_better, moved, walker.kept),
      score=jnp.where(is_better, walker.radius, walker.score),
    )
    goes_on = (walker.radius > 0) & (walker.waited < self.patience)
    return jax.tree.map(lambda new, old: jnp.where(goes_on, new, old), stepped, walker)


def repulsion(ways: jax.Array, hits: jax.Array) -> jax.Array:
  """The mean over all points of the ways [n, D] to those outside, by hits [n] bool."""
  outside = 1.0 - hits.astype(ways.dtype)
  return jnp.tensordot(outside, ways, axes=1) / len(ways)
