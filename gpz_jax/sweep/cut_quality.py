"""How good targets are at a cut where a defence or few bits change what is sent."""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from gpz_jax.attacks.activation import interception
from gpz_jax.classification import make_evaluation
from gpz_jax.defences import Defence, cuts, parse
from gpz_jax.results import Row
from gpz_jax.study.session import Session
from gpz_jax.sweep.plan import Plan
from gpz_jax.targets import Targets
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.evaluation import HELD_OUT, Evaluator
from gpz_jax.types import PREDICTION, Dataset

SUBSETS = ('val', 'test')


def measure(session: Session[Plan], targets: Targets) -> dict[str, Any]:
  """The accuracy of the cloud that is given what is sent, where it is changed.

  A defence changes it, and so do fewer bits than 32 for each number.

  Returns:
    `cuts`: (target, split) -> subset -> accuracy. At other places the accuracy is that
    of the target.

  Raises:
    Interrupted: A signal came.
  """
  plan = session.plan
  found: dict[tuple[int, str], dict[str, float]] = {}
  for (form, split), rows in _list_places(plan).items():
    for subset in SUBSETS:
      dataset = getattr(plan.task, subset)
      accuracies = _evaluate(session, targets, form, split, rows, dataset)
      for row, accuracy in zip(rows, accuracies, strict=True):
        found.setdefault((row, split), {})[subset] = float(accuracy)
  for row, lane in enumerate(plan.lanes):
    at = [each['test'] for (i, _), each in found.items() if i == row]
    if at:
      session.say(
        f'target {lane}: accuracy {min(at):.3f} to {max(at):.3f} on test from what is'
        f' sent, by split'
      )
  return {'cuts': found}


def columns(quality: dict[str, Any], target: int, split: str) -> Row:
  """What a row says of the accuracy of a target that is cut at a split."""
  clean = {subset: quality[subset][target] for subset in SUBSETS}
  sent = quality['cuts'].get((target, split), clean)
  return {
    'target_accuracy': sent['test'],
    'target_val_accuracy': sent['val'],
    'clean_accuracy': clean['test'],
  }


def _list_places(plan: Plan) -> dict[tuple[Defence, str], list[int]]:
  """The targets by the splits where it is changed what they send, and by what form."""
  places: dict[tuple[Defence, str], list[int]] = {}
  few_bits = plan.config.payload_bits < 32
  for row, lane in enumerate(plan.lanes):
    text = lane.treatment.defence
    shape = plan.task.image_shape
    changed = cuts.list_changed(text, plan.model, shape, plan.splits)
    for split in plan.splits:
      if split in changed or (few_bits and split != PREDICTION):
        form = parse(text).form if split in changed else Defence().form
        places.setdefault((form, split), []).append(row)
  return places


def _evaluate(
  session: Session[Plan],
  targets: Targets,
  form: Defence,
  split: str,
  rows: Sequence[int],
  dataset: Dataset,
) -> np.ndarray:
  """The accuracy [n] of the targets at `rows` on a subset."""
  plan, engine = session.plan, session.engine
  code = functools.partial(interception.quantize, bits=plan.config.payload_bits)

  @engine.traced
  def classify(variables, lane, images, key):
    numbers = lane['numbers']
    return cuts.apply(
      plan.model, variables, images, split, form, numbers, key=key, code=code
    )

  numbers = [
    parse(plan.lanes[row].treatment.defence).numbers if form.sends else {}
    for row in rows
  ]
  lanes = {
    'numbers': {
      name: jnp.array([each[name] for each in numbers], jnp.float32)
      for name in itertools.chain(*numbers[:1])
    }
  }
  shared = {HELD_OUT: (jnp.asarray(dataset.image), jnp.asarray(dataset.label))}
  evaluator = Evaluator(make_evaluation(classify, len(dataset)), engine)
  variables = lanes_lib.take(targets.best.variables, np.array(rows))
  means = evaluator.run(variables, lanes, shared)
  return np.asarray(1 - means['error'].compute())
