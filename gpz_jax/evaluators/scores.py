"""What a model-inversion attack achieved, as evaluators see it.

Letters are those of `attacks.model.protocol`: L targets, T attacked classes, M
candidates of a class, of which the attacker answers with the first F; d features.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gpz_jax import metrics
from gpz_jax.attacks.model.protocol import Outcome
from gpz_jax.evaluators.evaluator import Answers, Evaluator
from gpz_jax.types import Dataset, InputError

SURE = 0.9  # the probability from which a target counts as sure
# The scores of each target and class. Those of final images, where nothing else is said
SCORES = {
  'att_acc1': 'share that the evaluator gives to the class',
  'att_acc5': 'share for which the class is among its first five',
  'att_acc1_all': 'att_acc1 of all candidates',
  'att_acc5_all': 'att_acc5 of all candidates',
  'confidence': 'mean probability that the target gives the class',
  'false_positives': 'share of which the target is sure and the evaluator disagrees',
  'delta_eval': 'mean squared distance to the nearest private training image',
  'delta_face': 'the same in the features of a second evaluator',
  'precision': 'see metrics.prdc',
  'recall': 'see metrics.prdc',
  'density': 'see metrics.prdc',
  'coverage': 'see metrics.prdc',
}
_PRDC = ('precision', 'recall', 'density', 'coverage')
_Part = tuple[dict[str, np.ndarray], dict[str, str]]  # scores [L, T], and reasons


class Scores(NamedTuple):
  """Scores of L targets under attack.

  Attributes:
    by_class: Each of SCORES -> [L, T] float64, NaN where there is none.
    fid: The Frechet distance of all final images of each target to the private images
      of the attacked classes, L of them.
    reasons: Name of a score, or `fid` -> why some or all of it is missing.
  """

  by_class: dict[str, np.ndarray]
  fid: tuple[metrics.Frechet, ...]
  reasons: dict[str, str]


def score(
  outcome: Outcome,
  evaluator: Evaluator,
  private: Dataset,
  classes: np.ndarray,
  *,
  confidence: np.ndarray | None = None,
  sure: float = SURE,
  face: Evaluator | None = None,
) -> Scores:
  """Scores what an attack on L targets found.

  Args:
    outcome: What the attack found.
    evaluator: Says whom an image shows. Its classes are those of the targets.
    private: The images that the targets were trained on.
    classes: The attacked classes, as labels [T].
    confidence: [L, T, M], the probability that each target gives the attacked class on
      each candidate; None leaves out what needs it.
    sure: The probability from which a target counts as sure.
    face: A second evaluator, for `delta_face`; None leaves it out.

  Raises:
    InputError: Shapes do not fit, or a class has no private image or is none of the
      evaluator's.
    Interrupted: A signal came.

  Source: docs/paper.md#metrics-of-model-inversion.
  """
  classes = np.asarray(classes)
  _check(outcome, private, classes, confidence)
  num_final = outcome.num_final
  seen = _judge(evaluator, outcome.images)
  _check_classes(evaluator, classes, seen.logits.shape[-1])
  rank = rank_class(seen.logits, classes[None, :, None])  # [L, T, M]
  features = seen.features[:, :, :num_final]
  reference = _list_references(evaluator, private, classes)
  final = outcome.images[:, :, :num_final]
  parts = (
    _accuracies(rank, seen.logits.shape[-1], num_final),
    _confidences(rank, confidence, num_final, sure),
    ({'delta_eval': _distances(features, reference)}, {}),
    _face_distances(face, final, private, classes),
    _neighbourhoods(features, reference),
  )
  values = {name: value for found, _ in parts for name, value in found.items()}
  reasons = {name: reason for _, found in parts for name, reason in found.items()}
  fid, why = _frechet_distances(features, reference)
  return Scores({name: values[name] for name in SCORES}, fid, reasons | why)


def rank_class(logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
  """How many classes a classifier prefers to the given one; 0 if it is the first.

  Args:
    logits: [..., K]. Of equal ones the first is preferred, as argmax does.
    classes: Labels that broadcast to [...].

  Returns:
    [...]; K where a logit is not a number.
  """
  label = np.broadcast_to(classes, logits.shape[:-1])[..., None]
  own = np.take_along_axis(logits, label, axis=-1)
  is_before = np.arange(logits.shape[-1]) < label
  ahead = ~(logits <= own) | ((logits == own) & is_before)
  return ahead.sum(axis=-1)


def _accuracies(rank: np.ndarray, num_classes: int, num_final: int) -> _Part:
  """AttAcc@1 and @5 of final images and of all."""
  values, reasons = {}, {}
  for k in (1, 5):
    hits = np.where(num_classes > k, rank < k, np.nan)
    found = {
      f'att_acc{k}': hits[:, :, :num_final].mean(axis=2),
      f'att_acc{k}_all': hits.mean(axis=2),
    }
    values |= found
    if num_classes <= k:
      reasons |= dict.fromkeys(found, f'of {num_classes} classes, any would be right')
  return values, reasons


def _confidences(
  rank: np.ndarray, confidence: np.ndarray | None, num_final: int, sure: float
) -> _Part:
  """The targets' confidence, and the false positives."""
  names = ('confidence', 'false_positives')
  if confidence is None:
    why = 'the confidence of the targets was not given'
    return dict.fromkeys(names, _missing(rank)), dict.fromkeys(names, why)
  final = confidence[:, :, :num_final]
  is_false = (final >= sure) & (rank[:, :, :num_final] > 0)
  return dict(zip(names, (final.mean(axis=2), is_false.mean(axis=2)), strict=True)), {}


def _face_distances(
  face: Evaluator | None, images: np.ndarray, private: Dataset, classes: np.ndarray
) -> _Part:
  """Distances in the features of a second evaluator."""
  if face is None:
    why = 'there is no second evaluator'
    return {'delta_face': _missing(images)}, {'delta_face': why}
  reference = _list_references(face, private, classes)
  return {'delta_face': _distances(_judge(face, images).features, reference)}, {}


def _frechet_distances(
  features: np.ndarray, reference: list[np.ndarray]
) -> tuple[tuple[metrics.Frechet, ...], dict[str, str]]:
  """The Frechet distance of each target's images to all private ones."""
  everyone = np.concatenate(reference)
  found = tuple(
    metrics.frechet_distance(lane.reshape(-1, lane.shape[-1]), everyone)
    for lane in features
  )
  why = next((each.reason for each in found if each.reason), None)
  return found, {'fid': why} if why else {}


def _missing(like: np.ndarray) -> np.ndarray:
  """NaN for each target and class [L, T] of an array [L, T, ...]."""
  return np.full(like.shape[:2], np.nan)


def _neighbourhoods(features: np.ndarray, reference: list[np.ndarray]) -> _Part:
  """Precision, recall, density and coverage of each class, and what is missing."""
  found = [
    metrics.prdc(images, real) for images, real in _each_class(features, reference)
  ]
  reasons = {}
  values = {}
  for name in _PRDC:
    column = np.array([getattr(each, name) for each in found])
    values[name] = column.reshape(features.shape[:2])
    if np.isnan(column).any():
      reasons[name] = next(each.reason for each in found if each.reason)
  return values, reasons


def _distances(features: np.ndarray, reference: list[np.ndarray]) -> np.ndarray:
  """Mean squared distance [L, T] to the nearest image of the reference of the class."""
  found = [
    metrics.nearest_distances(images, real).mean()
    for images, real in _each_class(features, reference)
  ]
  return np.array(found).reshape(features.shape[:2])


def _each_class(
  features: np.ndarray, reference: list[np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """The features [F, d] of each target and class with their reference [m, d]."""
  for lane in features:
    yield from zip(lane, reference, strict=True)


def _judge(evaluator: Evaluator, images: np.ndarray) -> Answers:
  """What an evaluator says of images [L, T, M, H, W, C]: [L, T, M, ...]."""
  before = images.shape[:3]
  found = evaluator.answer(images.reshape(-1, *images.shape[3:]))
  return Answers(*(each.reshape(*before, each.shape[-1]) for each in found))


def _list_references(
  evaluator: Evaluator, private: Dataset, classes: np.ndarray
) -> list[np.ndarray]:
  """The features [m, d] of the private images of each attacked class."""
  # Every attack asks for them. The subset is kept too, so that its id stays its own.
  key = id(private), classes.tobytes()
  if key not in evaluator.kept:
    wanted = [np.flatnonzero(private.label == label) for label in classes]
    features = evaluator.features(private.image[np.concatenate(wanted)])
    found = np.split(features, np.cumsum([len(each) for each in wanted])[:-1])
    evaluator.kept.clear()
    evaluator.kept[key] = private, found
  return evaluator.kept[key][1]


def _check(
  outcome: Outcome,
  private: Dataset,
  classes: np.ndarray,
  confidence: np.ndarray | None,
) -> None:
  shape = outcome.images.shape
  if len(shape) != 6 or classes.shape != shape[1:2]:
    raise InputError(
      f'images of an outcome must be [L, T, M, H, W, C] for T classes, got {shape} for'
      f' classes of shape {classes.shape}'
    )
  if confidence is not None and confidence.shape != shape[:3]:
    raise InputError(
      f'confidence must be [L, T, M] as the outcome is, got {confidence.shape} for'
      f' {shape[:3]}'
    )
  absent = sorted(set(classes.tolist()) - set(private.label.tolist()))
  if absent:
    raise InputError(
      f'class {absent[0]} is attacked and has no private image; score with the images'
      ' that the targets were trained on'
    )


def _check_classes(evaluator: Evaluator, classes: np.ndarray, num_classes: int) -> None:
  if not len(classes) or classes.min() < 0 or classes.max() >= num_classes:
    raise InputError(
      f"evaluator '{evaluator.name}' has {num_classes} classes, and of classes"
      f' {sorted(classes.tolist())} one is not among them; give one of the same classes'
    )
