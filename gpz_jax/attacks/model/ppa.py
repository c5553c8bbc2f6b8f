"""Plug-and-Play Attacks: search the latents of any generator by the target's gradient.

Many latents are drawn, and for each class the candidates are those that the target
likes best. Each is optimised by Adam on the Poincare loss of a random crop. The attack
answers with those whose confidence survives many strong random views.

Source: Struppek et al., ICML 2022 (docs/paper.md#plug-and-play-attacks).
"""

import dataclasses
import time
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gpz_jax.attacks.model import (
  answer,
  candidates,
  chunks,
  initial,
  losses,
  sight,
  views,
)
from gpz_jax.attacks.model.adam import BETAS, EPSILON, Optimised, move
from gpz_jax.attacks.model.adaptive import Adaptive, Kind
from gpz_jax.attacks.model.protocol import COUNTS, SIZES, Attack, Outcome, Scenario
from gpz_jax.attacks.model.search import Item, Phase, Search, Shared
from gpz_jax.attacks.model.sight import Sight
from gpz_jax.attacks.model.views import Convention
from gpz_jax.types import InputError

FINAL_SCALE, FINAL_RATIO = (0.5, 0.9), (0.8, 1.2)
_OPTIMISE, _SELECT = 0, 1  # what the keys of the two phases are folded in with


class Judged(NamedTuple):
  """The candidates of one class while the final ones are selected."""

  latents: jax.Array  # [M, *latent_shape]
  images: jax.Array  # [M, H, W, C] as the target is given them
  total: jax.Array  # [M] sum of confidences


@dataclasses.dataclass(frozen=True)
class Ppa(Attack):
  """The attack. Its defaults are the preset `paper16`.

  Attributes:
    latents: How many latents are drawn for the initial selection.
    candidates: How many are optimised for each class.
    final: How many of them the attack answers with.
    steps: Steps of Adam.
    learning_rate: Its rate.
    decay: The steps at which the rate falls to a tenth; `none` for none.
    loss: One of `losses.LOSSES`.
    crop: The share of each side of a generator's image that the target is given; 0
      leaves it to the generator, see `Generator.centre_crop`.
    antialias: Whether images that shrink are smoothed first.
    least_view: The least share of the area that a random view keeps in a step.
    convention: Whether each candidate has random views of its own, or those that are
      computed together share them, as in the released code.
    draws: How many random views the final selection takes.
    adaptive: How a gradient is averaged over views, see `adaptive`.
    views: How many views that are.
    norms: The splits of the target at which the norm of the gradient is noted.
  """

  latents: int = 2000
  candidates: int = 16
  final: int = 8
  steps: int = 50
  learning_rate: float = 0.005
  decay: tuple[str, ...] = ('30', '40')
  loss: Literal['poincare', 'cross_entropy', 'identity', 'margin'] = 'poincare'
  crop: float = 0.0
  antialias: Literal['yes', 'no'] = 'no'
  least_view: float = 0.9
  convention: Convention = 'per_sample'
  draws: int = 100
  adaptive: Kind = 'none'
  views: int = 20
  norms: tuple[str, ...] = ()

  PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
    'paper16': {},
    'ppa200': {
      'candidates': 200,
      'final': 50,
      'decay': ('none',),
      'antialias': 'yes',
    },
    'small': {
      'latents': 400,
      'candidates': 8,
      'final': 4,
      'decay': ('none',),
      'antialias': 'yes',
      'draws': 32,
    },
  }

  BOUNDS: ClassVar = {
    'latents': (1, 2**31),
    **dict.fromkeys(('candidates', 'final', 'steps', 'draws'), COUNTS),
    'learning_rate': SIZES,
    'crop': (0, 1),
    'least_view': (1e-3, 1),
  }

  def __post_init__(self):
    super().__post_init__()
    for more, fewer in (('latents', 'candidates'), ('candidates', 'final')):
      if getattr(self, fewer) > getattr(self, more):
        raise InputError(
          f"attack '{self.text}': {fewer}={getattr(self, fewer)} is more than"
          f' {more}={getattr(self, more)}; give as many at most'
        )
    Adaptive(self.adaptive, self.views)
    if self.decay != ('none',) and not all(step.isdecimal() for step in self.decay):
      raise InputError(
        f"attack '{self.text}': decay={'|'.join(self.decay)} are no steps; give numbers"
        " with '|' between them, or none"
      )

  @property
  def num_answers(self) -> int:
    """How many images of a class it answers with."""
    return self.final

  @property
  def averaging(self) -> Adaptive:
    """How gradients are averaged."""
    return Adaptive(self.adaptive, self.views)

  @property
  def decay_steps(self) -> tuple[int, ...]:
    """The steps at which the rate falls."""
    return () if self.decay == ('none',) else tuple(map(int, self.decay))

  def check(self, scenario: Scenario) -> None:
    """Refuses a generator of other channels, and splits that the target has not."""
    image = jax.ShapeDtypeStruct((1, *scenario.generator.image_shape), jnp.float32)
    jax.eval_shape(lambda images: self._prepare(scenario, images), image)
    self._sight(scenario)

  def run(self, scenario: Scenario) -> Outcome:
    """Attacks all classes of all targets."""
    self.check(scenario)
    began = time.perf_counter()
    text = dataclasses.replace(self, text='')
    name = chunks.piece_name('ppa', text, scenario)
    with scenario.phase('initial latents') as on_progress:
      given = initial.select(
        scenario,
        self._sight(scenario),
        lambda images: self._prepare(scenario, images),
        name=name,
        count=self.latents,
        per_class=self.candidates,
        on_progress=on_progress,
      )
    given = candidates.divide(given)
    what = f'{len(scenario.lanes)} x {len(scenario.classes)} searches'
    with scenario.phase(what) as on_progress:
      found = chunks.run(
        self._search(scenario),
        scenario,
        name,
        given,
        at_once=chunks.fitting(given.shape[3]),
        groups=given.shape[2],
        on_progress=on_progress,
      )
    seconds = time.perf_counter() - began
    return candidates.join(found, self.candidates, self.final, seconds)

  def _sight(self, scenario: Scenario) -> Sight:
    engine = scenario.engine.resolve()
    return Sight.of(scenario.model, engine, scenario.image_shape, self.norms)

  def _crop(self, scenario: Scenario) -> float:
    """The share of each side of the images that targets are shown."""
    return self.crop or scenario.generator.centre_crop

  def _prepare(self, scenario: Scenario, images: jax.Array) -> jax.Array:
    return views.prepare(
      images,
      scenario.image_shape,
      crop=self._crop(scenario),
      antialias=self.antialias == 'yes',
    )

  def _search(self, scenario: Scenario) -> Search:
    """The search for one class of one target."""
    return Search(
      (
        Phase(self.steps, self._make_step(scenario), self._enter),
        Phase(self.draws, self._make_draw(scenario), self._make_judged(scenario)),
      ),
      lambda state, item, shared: {
        'images': answer.keep(
          scenario,
          scenario.generator.images(shared['prior'], state.latents),
          self._crop(scenario),
        ),
        'scores': state.total,
        'latents': state.latents,
      },
    )

  @property
  def _tx(self) -> optax.GradientTransformation:
    return optax.scale_by_adam(*BETAS, eps=EPSILON)

  def _enter(self, state: None, item: Item, shared: Shared) -> Optimised:
    del state, shared
    return Optimised(item.given, self._tx.init(item.given))

  def _make_step(self, scenario: Scenario):
    """One step of Adam for the M candidates of a class."""
    looks = self._sight(scenario)
    decay = jnp.array(self.decay_steps, jnp.int32)

    def see(images, key):
      keys = views.sample_keys(key, len(images), self.convention)
      antialias = self.antialias == 'yes'
      scale = (self.least_view, 1.0)
      return views.random_resized_crop(keys, images, scale, antialias=antialias)

    def step(state: Optimised, item: Item, shared: Shared, i: jax.Array):
      key = jax.random.fold_in(jax.random.fold_in(item.key, _OPTIMISE), i)
      pulled = looks.pull(
        shared['target'],
        lambda latents: self._prepare(
          scenario, scenario.generator.images(shared['prior'], latents)
        ),
        state.latents,
        item.label,
        key,
        loss=losses.LOSSES[self.loss],
        see=see,
        adaptive=self.averaging,
      )
      rate = self.learning_rate * 0.1 ** jnp.sum(i >= decay)
      return move(state, pulled.gradient, rate, self._tx), sight.metrics(pulled)

    return step

  def _make_judged(self, scenario: Scenario):
    def enter(state: Optimised, item: Item, shared: Shared) -> Judged:
      del item
      images = scenario.generator.images(shared['prior'], state.latents)
      seen = self._prepare(scenario, images)
      return Judged(state.latents, seen, jnp.zeros(len(seen)))

    return enter

  def _make_draw(self, scenario: Scenario):
    """One random view of the M candidates, and how sure the target is of it."""
    looks = self._sight(scenario)

    def draw(state: Judged, item: Item, shared: Shared, i: jax.Array):
      key = jax.random.fold_in(jax.random.fold_in(item.key, _SELECT), i)
      crop_key, flip_key, draw_key = jax.random.split(key, 3)
      count = len(state.images)
      seen = views.random_resized_crop(
        views.sample_keys(crop_key, count, self.convention),
        state.images,
        FINAL_SCALE,
        FINAL_RATIO,
        antialias=self.antialias == 'yes',
      )
      seen = views.random_flip(
        views.sample_keys(flip_key, count, self.convention), seen
      )
      logits = looks.logits(shared['target'], seen, draw_key)
      sure = losses.confidence(logits, jnp.broadcast_to(item.label, (count,)))
      return state._replace(total=state.total + sure / self.draws), {}

    return draw
