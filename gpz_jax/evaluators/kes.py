"""KES, knowledge extraction: what a student learns from the reconstructions alone."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gpz_jax import metrics, models, targets
from gpz_jax.attacks.model.protocol import Outcome
from gpz_jax.evaluators.evaluator import resize_all
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.loop import OnProgress
from gpz_jax.training.recipe import Recipe
from gpz_jax.types import Dataset, InputError, Lane, Task, Treatment

# Source: docs/paper.md#metrics-of-model-inversion.
PAPER_STUDENT = 'resnet50'
PAPER_RECIPE = Recipe(
  75, optimizer='sgd', learning_rate=0.1, momentum=0.9, schedule='cosine', flip=True
)
VAL_SHARE = 0.1


class KES(NamedTuple):
  """What the student of each target reached.

  Attributes:
    accuracy: [L], on the real test images of the attacked classes; NaN where the
      student diverged.
    chance: What guessing may reach there, see `metrics.chance_accuracy`.
  """

  accuracy: np.ndarray
  chance: float


def measure_kes(
  outcome: Outcome,
  classes: np.ndarray,
  test: Dataset,
  *,
  student: str = PAPER_STUDENT,
  recipe: Recipe = PAPER_RECIPE,
  options: Mapping[str, Any] | None = None,
  seed: int = 0,
  engine: Engine = AUTO,
  on_progress: OnProgress = lambda done, total, values: None,
) -> KES:
  """Trains a student for each target on its final images, and tests it on real ones.

  A tenth of the images chooses the epoch: no real image is seen before the end. Images
  of another size are resized to that of the real ones, as the target is shown them.

  Args:
    outcome: What the attack found on L targets.
    classes: The attacked classes, as labels [T].
    test: Real test images; those of other classes are left out.
    student: A name that `models.make` knows.
    recipe: How students are trained.
    options: The student's own options.
    seed: Seed of the students and of what is held out.
    engine: How they are computed.
    on_progress: Called after each segment, see `Trainer.fit`.

  Raises:
    InputError: As of `check_student`, or the images have other channels than the real
      ones.
    Interrupted: A signal came.

  Source: docs/paper.md#metrics-of-model-inversion.
  """
  options = options or {}
  classes = np.asarray(classes)
  check_student(classes, outcome.num_final, test, student=student, options=options)
  test = _relabel(test, classes)
  _check_channels(outcome, test)
  model = models.make(student, num_classes=len(classes), **options)
  lane = Lane(f'student {student}', 'reconstructions', Treatment(), seed)
  accuracies = []
  for images in outcome.images[:, :, : outcome.num_final]:
    task = _make_task(images, test, seed)
    found, _ = targets.train(
      model, task, [lane], recipe, engine=engine, on_progress=on_progress
    )
    scores = targets.evaluate(model, found, test, engine=engine)
    accuracies.append(scores['accuracy'][0] if found.is_finite[0] else np.nan)
  return KES(np.array(accuracies), metrics.chance_accuracy(test.label))


def check_student(
  classes: np.ndarray,
  num_final: int | None,
  test: Dataset,
  *,
  student: str = PAPER_STUDENT,
  options: Mapping[str, Any] | None = None,
) -> None:
  """Refuses what no student can learn from, or be tested on.

  A study asks this before anything is trained.

  Args:
    classes: The attacked classes, as labels [T].
    num_final: How many images of a class the attack answers with; None if that is not
      known yet.
    test: Real test images.
    student: A name that `models.make` knows.
    options: The student's own options.

  Raises:
    InputError: There are fewer than two classes or final images of a class, there is no
      test image of the classes, or the student does not take such images.
  """
  if len(classes) < 2 or (num_final is not None and num_final < 2):
    images = '' if num_final is None else f' and {num_final}'
    raise InputError(
      f'a student needs two classes and two images of each, got {len(classes)}{images};'
      ' attack more, or leave KES out'
    )
  if not np.isin(test.label, classes).any():
    raise InputError('no test image is of an attacked class; give those of the target')
  models.check_image(student, test.image.shape[1:], options or {})


def _relabel(test: Dataset, classes: np.ndarray) -> Dataset:
  """The test images of the attacked classes, labelled by their place in `classes`."""
  chosen = test.take(np.isin(test.label, classes))
  order = np.argsort(classes)
  places = order[np.searchsorted(classes, chosen.label, sorter=order)]
  return dataclasses.replace(chosen, label=places.astype(np.int32))


def _make_task(images: np.ndarray, test: Dataset, seed: int) -> Task:
  """The reconstructions [T, F, H, W, C] of one target as a task."""
  num_classes, count = images.shape[:2]
  label = np.repeat(np.arange(num_classes, dtype=np.int32), count)
  flat = images.reshape(-1, *images.shape[2:])
  whole = Dataset(resize_all(flat, test.image.shape[1:3]), label)
  order = np.random.default_rng(seed).permutation(len(whole))
  held_out = max(1, int(VAL_SHARE * len(whole)))
  val, train = whole.take(order[:held_out]), whole.take(order[held_out:])
  names = tuple(map(str, range(num_classes)))
  name = 'reconstructions'
  return Task(name, name, num_classes, names, train, val, test, val)


def _check_channels(outcome: Outcome, test: Dataset) -> None:
  found, wanted = outcome.images.shape[-1], test.image.shape[-1]
  if found != wanted:
    raise InputError(
      f'a student trains on images of {found} channels and would be tested on {wanted};'
      ' load the test images with as many channels as the generator makes'
    )
