"""What an attack takes for the identity of an image: the loss that GMI and KEDMI share.

As published it is the target's cross-entropy. LOMMA replaces it by the logit alone,
holds the target's features to those of public images, and averages over students that
were distilled from the target.

Source: Nguyen, Chandrasegaran, Abdollahzadeh, Cheung, Re-thinking model inversion
attacks against deep neural networks, CVPR 2023 (docs/paper.md#further-attacks).
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp

from gpz_jax import models
from gpz_jax.attacks.model import chunks, distillation, losses, pieces
from gpz_jax.attacks.model.adaptive import Adaptive, Kind
from gpz_jax.attacks.model.classifiers import classify, num_classes
from gpz_jax.attacks.model.protocol import COUNTS, WEIGHTS, Attack, Scenario
from gpz_jax.attacks.model.search import Shared
from gpz_jax.models import calls, penultimate
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import Engine
from gpz_jax.types import InputError, check_known

# (shared, images [M, H, W, C] as the target takes them, labels [M], key) -> losses [M]
# and the target's logits [M, K]
Identity = Callable[
  [Shared, jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]
]
# The published students are EfficientNet-B0, B1 and B2; of these we have the first.
STUDENTS = ('efficientnet_b0',) * 3
SMALL = {'students': ('cnn',), 'student_width': 0.25, 'student_epochs': 10}
Loss = Literal['cross_entropy', 'identity', 'margin', 'poincare']


@dataclasses.dataclass(frozen=True)
class IdentityAttack(Attack):
  """An attack that descends on the identity of an image.

  Attributes:
    loss: The loss of one classifier, see `losses`.
    feature_weight: Weight of the distance between the target's features and their mean
      over public images.
    feature_images: How many public images the mean is taken over, at most.
    students: Architectures of the students; the loss is averaged over the target and
      them.
    student_epochs: How many epochs students are trained for.
    student_width: Width of the students, for architectures that have one.
    adaptive: How the gradient at the image is averaged, see `adaptive.Adaptive`.
    views: How many views it is averaged over.
  """

  loss: Loss = 'cross_entropy'
  feature_weight: float = 0.0
  feature_images: int = 5000
  students: tuple[str, ...] = ()
  student_epochs: int = 20
  student_width: float = 1.0
  adaptive: Kind = 'none'
  views: int = 20

  BOUNDS: ClassVar = {
    'feature_weight': WEIGHTS,
    'feature_images': (1, 2**31),
    'student_epochs': COUNTS,
    'student_width': (1e-3, 1e3),
  }

  @property
  def averaging(self) -> Adaptive:
    """How the gradient at the image is averaged."""
    return Adaptive(self.adaptive, self.views)

  def check(self, scenario: Scenario) -> None:
    """Raises InputError if the loss cannot be computed in a scenario."""
    check_known('loss', self.loss, losses.LOSSES)
    _ = self.averaging
    for name in self.students:
      check_known('student', name, models.MODELS)
      models.check_image(name, scenario.image_shape, {})
    needs_public = bool(self.students) or self.feature_weight > 0
    if needs_public:
      check_public(self, scenario)
    if self.feature_weight:
      one = jax.eval_shape(lambda each: lanes_lib.take(each, 0), scenario.targets)
      penultimate.check(scenario.model, one, scenario.image_shape)

  def add_knowledge(self, scenario: Scenario) -> Scenario:
    """The scenario with what the loss needs of each target beside its variables.

    Entries of `targets` are then 'target', its variables; 'students', a tuple of
    variables; and 'features' [D], the mean features, where they are used.

    Raises:
      Interrupted: A signal came; what was finished is in the store.
    """
    engine = scenario.engine.resolve()
    known: dict[str, Any] = {'target': scenario.targets, 'students': ()}
    if self.feature_weight:
      known['features'] = mean_features(scenario, self.feature_images, engine)
    if self.students:
      known['students'] = tuple(
        self._train_student(scenario, i) for i in range(len(self.students))
      )
    return dataclasses.replace(scenario, targets=known)

  def make_identity(self, scenario: Scenario, engine: Engine) -> Identity:
    """Makes the loss; it reads a target that `add_knowledge` gave.

    Args:
      scenario: What `add_knowledge` gave.
      engine: How it is computed; it must be resolved.
    """
    one = losses.LOSSES[self.loss]
    plain = dataclasses.replace(scenario, targets=scenario.targets['target'])
    students = [self._make_student(plain, i) for i in range(len(self.students))]

    def identity(shared: Shared, images: jax.Array, labels: jax.Array, key: jax.Array):
      known = shared['target']
      regulariser = jnp.zeros(len(images))
      if self.feature_weight:
        logits, features = penultimate.apply(
          scenario.model, known['target'], images, engine.apply, key
        )
        apart = jnp.square(features - known['features'][None])
        regulariser = self.feature_weight * jnp.mean(apart, axis=-1)
      else:
        logits = classify(scenario.model, known['target'], images, engine, key)
      answers = [logits] + [
        classify(student, variables, images, engine)
        for student, variables in zip(students, known['students'], strict=True)
      ]
      identities = jnp.stack([one(answer, labels) for answer in answers])
      return identities.mean(axis=0) + regulariser, logits

    return identity

  def _make_student(self, scenario: Scenario, index: int) -> Any:
    options: dict[str, Any] = {}
    if self.student_width != 1:
      options['width'] = self.student_width
    classes = num_classes(scenario)
    return models.make(self.students[index], num_classes=classes, **options)

  def _train_student(self, scenario: Scenario, index: int) -> Any:
    """The variables [L] of a student of each target, from the store if it is there."""
    name = f'student {index + 1} {self.students[index]}'
    student = self._make_student(scenario, index)
    settings = (self.student_epochs, self.student_width, len_public(scenario))
    piece = _lanes_piece(name, settings, scenario)
    blank = jnp.zeros((1, *scenario.image_shape))
    count = len(scenario.lanes)
    like = jax.eval_shape(
      jax.vmap(lambda _: calls.init(student, jax.random.key(0), blank)),
      jnp.arange(count),
    )
    like = {'batch_stats': {}, **like}
    kept = None if scenario.store is None else scenario.store.load(piece)
    if kept is not None:
      return pieces.restore(like, kept)
    assert scenario.public is not None, 'checked before'
    with scenario.phase(name) as on_progress:
      variables, _ = distillation.train(
        student,
        name,
        (scenario.model, scenario.targets),
        scenario.lanes,
        scenario.public,
        dataclasses.replace(distillation.RECIPE, epochs=self.student_epochs),
        engine=scenario.engine,
        seed=scenario.seed,
        on_progress=on_progress,
      )
    if scenario.store is not None:
      scenario.store.save(piece, pieces.flatten(variables))
    return variables


def mean_features(scenario: Scenario, limit: int, engine: Engine) -> jax.Array:
  """The mean of the targets' features over public images, [L, D].

  Args:
    scenario: Who is attacked.
    limit: How many images are taken at most, the first ones.
    engine: How it is computed; it must be resolved.
  """
  assert scenario.public is not None, 'checked before'
  images = scenario.public.image[:limit]

  def one(target, images):
    def features(image):
      pixels = image[None].astype(jnp.float32) / 255
      return penultimate.apply(scenario.model, target, pixels, engine.apply)[1][0]

    return jax.lax.map(features, images, batch_size=min(128, len(images))).mean(axis=0)

  return jax.jit(engine.over_lanes(one))(scenario.targets, jnp.asarray(images))


def check_public(attack: Attack, scenario: Scenario, least: int = 2) -> None:
  """Raises InputError if the attacker has no public images that fit the targets."""
  if scenario.public is None or len(scenario.public) < least:
    has = 'none' if scenario.public is None else str(len(scenario.public))
    raise InputError(
      f"attack '{attack.text}' learns from public images, at least {least}, but this"
      f' run has {has}; give a task with more aux images'
    )
  shape = scenario.public.image.shape[1:]
  if shape != scenario.image_shape:
    raise InputError(
      f"attack '{attack.text}': public images are {shape}, but the targets take"
      f' {scenario.image_shape}; resize them'
    )


def len_public(scenario: Scenario) -> int:
  """The number of public images, 0 if there are none."""
  return 0 if scenario.public is None else len(scenario.public)


def _lanes_piece(kind: str, settings: Any, scenario: Scenario) -> str:
  """The name of a piece that holds all lanes."""
  ids = tuple(lane.lane_id for lane in scenario.lanes)
  return chunks.piece_name(kind.replace(' ', '-'), (settings, ids), scenario)
