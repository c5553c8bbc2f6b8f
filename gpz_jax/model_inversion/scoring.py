"""What attacks found as rows: of each target, and of each class of it."""

import math
from typing import Any, NamedTuple

import jax
import numpy as np

import gpz_jax
from gpz_jax import evaluators, intervals, metrics, results, tradeoff
from gpz_jax.attacks.model import Attack, Outcome, Scenario
from gpz_jax.evaluators import Evaluator, Scores
from gpz_jax.model_inversion import doubts, evaluating, priors
from gpz_jax.model_inversion.plan import Plan
from gpz_jax.model_inversion.priors import Prior
from gpz_jax.study import conditions, histories, pictures
from gpz_jax.study.session import Session
from gpz_jax.training import lanes as lanes_lib

NUM_CLASSES, NUM_IMAGES = 10, 3  # that the report shows of each target
_INTERVALS = ('att_acc1', 'att_acc5', 'delta_eval')
_OF_CLASS = (
  'att_acc1',
  'att_acc5',
  'att_acc1_all',
  'confidence',
  'false_positives',
  'delta_eval',
  'coverage',
)
_OF_LANE = (
  *_OF_CLASS,
  'att_acc5_all',
  'delta_face',
  'precision',
  'recall',
  'density',
)


class Found(NamedTuple):
  """The scores of an attack on some lanes."""

  scores: Scores
  kes: evaluators.KES  # NaN where it was not measured
  seconds: float  # of one lane
  doubts: list[str]  # [L], of the attack's own generators; '' where there is none


def score(
  session: Session[Plan],
  scenario: Scenario,
  outcome: Outcome,
  judge: Evaluator,
  prior: Prior,
  seconds: float,
) -> Found:
  """Scores what an attack found on the lanes of a scenario."""
  plan, config = session.plan, session.plan.config
  scores = evaluators.score(
    outcome,
    judge,
    plan.task.train,
    plan.classes,
    confidence=measure_confidence(scenario, outcome),
    sure=config.sure,
    face=plan.face,
  )
  kes = evaluators.KES(np.full(len(scenario.lanes), math.nan), math.nan)
  if config.kes:
    with session.progress.phase('students of the reconstructions') as phase:
      kes = evaluators.measure_kes(
        outcome,
        plan.classes,
        plan.task.test,
        engine=session.engine,
        on_progress=phase,
      )
  own = [''] * len(scenario.lanes)
  if outcome.samples is not None:
    own = priors.doubt_samples(session, judge, prior, outcome.samples)
  return Found(scores, kes, seconds / len(scenario.lanes), own)


def measure_confidence(scenario: Scenario, outcome: Outcome) -> np.ndarray:
  """The probability [L, T, M] that each target gives the attacked class."""
  found = []
  for i, images in enumerate(outcome.images):
    variables = lanes_lib.take(scenario.targets, i)
    # Not every model has features that can be seen, and a confidence needs none. So
    # what the target puts out is taken as it is.
    target = Evaluator(
      'target', scenario.model, variables, scenario.image_shape, embeds=True
    )
    logits = target.features(images.reshape(-1, *images.shape[2:]))
    probability = np.asarray(jax.nn.softmax(logits)).reshape(*images.shape[:2], -1)
    found.append(
      np.take_along_axis(probability, scenario.classes[:, None, None], axis=2)[..., 0]
    )
  return np.stack(found)


def make_rows(
  session: Session[Plan],
  attack: Attack,
  index: list[int],
  quality: dict[str, np.ndarray],
  outcome: Outcome,
  found: Found,
  judge: Evaluator,
  prior: Prior,
) -> tuple[list[results.Row], list[results.Row]]:
  """The rows of the lanes at `index`, and those of their classes."""
  shared = _common(session, outcome, judge, prior)
  of_public = doubts.of_public(session.plan.task)
  rows, classes = [], []
  for lane, target in enumerate(index):
    who = _target(session.plan, attack, target) | {
      'status': _status(outcome, quality, lane, target),
      'version': gpz_jax.__version__,
    }
    row = (
      who
      | shared
      | _quality(quality, target)
      | _lane_scores(found, lane)
      | _gradients(outcome, lane)
    )
    texts = (
      tradeoff.describe_row(row),
      of_public,
      doubts.of_search(outcome, lane),
      doubts.of_student(found.kes, lane),
      found.doubts[lane],
    )
    rows.append(row | {'doubt': '; '.join(filter(None, texts))})
    classes += [who | each for each in _class_scores(session.plan, found, lane)]
  return rows, classes


def save_privates(session: Session[Plan]) -> None:
  """Writes private images of the classes that are shown, [T', n, H, W, C] uint8."""
  plan = session.plan
  shown = [
    plan.task.train.image[plan.task.train.label == label][:NUM_IMAGES]
    for label in plan.classes[:NUM_CLASSES]
  ]
  # A class with fewer images shows the last one again, so that the array is one.
  filled = [
    images[np.minimum(np.arange(NUM_IMAGES), len(images) - 1)] for images in shown
  ]
  pictures.write(session.workdir.privates, np.stack(filled))


def save_pictures(
  session: Session[Plan], attack: Attack, scenario: Scenario, outcome: Outcome
) -> None:
  """Writes the best reconstructions of each lane, and how its search went."""
  workdir = session.workdir
  shown = outcome.images[:, :NUM_CLASSES, : min(NUM_IMAGES, outcome.num_final)]
  for i, lane in enumerate(scenario.lanes):
    pictures.write(workdir.reconstruction(lane.lane_id, attack.text), shown[i])
    curves = {
      name: np.asarray(values[i], np.float64).mean(axis=0)
      for name, values in (outcome.history or {}).items()
    }
    histories.write(workdir.history(lane.lane_id, attack.text), curves)


def _target(plan: Plan, attack: Attack, target: int) -> results.Row:
  """What is attacked, and how."""
  lane = plan.lanes[target]
  return {
    'model': lane.model,
    'model_options': plan.model_options,
    'dataset': plan.task.name,
    'public_dataset': plan.task.aux_name,
    **lane.treatment.columns,
    'seed': lane.seed,
    'attack': attack.text,
    'lane_id': lane.lane_id,
  }


def _common(
  session: Session[Plan], outcome: Outcome, judge: Evaluator, prior: Prior
) -> results.Row:
  """What the rows of one attack share."""
  plan, config = session.plan, session.plan.config
  now = conditions.conditions(session.engine)
  num_classes = plan.task.num_classes
  return {
    'chance_accuracy': metrics.chance_accuracy(plan.task.test.label),
    'chance_att_acc': 1 / num_classes,
    'evaluator': ':'.join((config.evaluator, *config.evaluator_options)),
    'evaluator_accuracy': math.nan if judge.accuracy is None else judge.accuracy,
    'evaluator_accuracy_at_size': evaluating.accuracy_at(
      session, judge, outcome.images.shape[3:5]
    ),
    'generator': prior.name,
    'generator_fid': prior.fid,
    'num_classes': num_classes,
    'num_attacked': len(plan.classes),
    'num_candidates': outcome.images.shape[2],
    'num_final': outcome.num_final,
    'strategy': now['strategy'],
    'conv': now['conv'],
    'number_format': now['precision'],
    'devices': now['devices'],
    'device': now['device'],
    'changed': session.changed,
  }


def _quality(quality: dict[str, np.ndarray], target: int) -> results.Row:
  return {
    'target_accuracy': float(quality['test'][target]),
    'target_val_accuracy': float(quality['val'][target]),
  }


def _lane_scores(found: Found, lane: int) -> results.Row:
  """The scores of one lane as means over classes, some with intervals."""
  by_class = {name: found.scores.by_class[name][lane] for name in _OF_LANE}
  row: dict[str, Any] = {name: _mean(values) for name, values in by_class.items()}
  for name in _INTERVALS:
    low, high = intervals.bootstrap(by_class[name])
    row |= {f'{name}_low': low, f'{name}_high': high}
  fid = found.scores.fid[lane].value
  return row | {
    'fid': math.nan if fid is None else fid,
    'kes': float(found.kes.accuracy[lane]),
    'chance_kes': found.kes.chance,
    'wall_seconds': found.seconds,
  }


def _class_scores(plan: Plan, found: Found, lane: int) -> list[results.Row]:
  """The scores of each class of one lane."""
  return [
    {
      'label': int(label),
      'class_name': plan.task.class_names[label],
      **{name: float(found.scores.by_class[name][lane, i]) for name in _OF_CLASS},
    }
    for i, label in enumerate(plan.classes)
  ]


def _gradients(outcome: Outcome, lane: int) -> results.Row:
  """How large the gradient of the latents was over the steps that had one."""
  history = outcome.history or {}
  row = {}
  for name in ('gradient_mean', 'gradient_std'):
    values = np.asarray(history[name][lane] if name in history else [math.nan])
    row[name] = _mean(np.where(np.isfinite(values), values, math.nan))
  return row


def _status(
  outcome: Outcome, quality: dict[str, np.ndarray], lane: int, target: int
) -> str:
  """Whether a lane's numbers are what they should be.

  A candidate that went astray is ranked last, and counts only where it is an answer.
  """
  answers = (
    [outcome.scores] if outcome.latents is None else [outcome.scores, outcome.latents]
  )
  is_finite = quality['is_finite'][target] and all(
    np.isfinite(each[lane][:, : outcome.num_final]).all() for each in answers
  )
  return 'done' if is_finite else 'diverged'


def _mean(values: np.ndarray) -> float:
  """The mean of what has a value; NaN where nothing has."""
  known = values[~np.isnan(values)]
  return float(known.mean(dtype=np.float64)) if len(known) else math.nan
