"""A sweep worked out: everything that is known before anything is trained."""

import dataclasses
import fnmatch
import itertools
from typing import Any

import jax
import jax.numpy as jnp

from gpz_jax import partition, results, skip_text
from gpz_jax.attacks.activation import specs
from gpz_jax.attacks.activation.cohorts import AttackLane, cohorts
from gpz_jax.attacks.activation.protocol import Attack
from gpz_jax.evaluators import Evaluator
from gpz_jax.models import skips
from gpz_jax.partition import PREDICTION
from gpz_jax.study.plan import StudyPlan, plan_study
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep import judge as judge_lib
from gpz_jax.sweep import measurable
from gpz_jax.sweep.config import SweepConfig
from gpz_jax.types import InputError

Shape = tuple[int, ...]
LEAST_AUX = 2  # one image to train on, and one to choose the epoch
Missing = dict[Shape, dict[AttackLane, list[Attack]]]


@dataclasses.dataclass(frozen=True)
class Plan(StudyPlan):
  """What a sweep does.

  Attributes:
    shapes: Shape of the activation at every split of the model, in forward order, and
      of its prediction.
    attacked: For each attack, the splits it works on.
    dropped: For each split or attack that a glob named in vain, the reason.
    costs: What cutting at each attacked split costs, for each text of skips.
    modules: The class of the module at each attacked split.
    judge: Who looks at reconstructions beside the target; None without one.
  """

  config: SweepConfig
  shapes: dict[str, jax.ShapeDtypeStruct]
  attacked: dict[Attack, tuple[str, ...]]
  dropped: dict[str, str]
  costs: dict[str, dict[str, dict[str, float]]]
  modules: dict[str, str]
  judge: Evaluator | None = None

  @property
  def splits(self) -> tuple[str, ...]:
    """Every split that some attack works on, in forward order."""
    return order_splits(self.shapes, self.attacked)

  @property
  def total(self) -> int:
    """Rows of the finished sweep."""
    return len(self.lanes) * sum(map(len, self.attacked.values()))

  def missing(self, done: list[results.Row]) -> Missing:
    """The attacks without a row in `done`, by cohort and lane."""
    have = {results.row_key(row) for row in done}
    wanted: Missing = {}
    for shape, splits in cohorts(self.shapes, self.splits).items():
      for split, (i, lane) in itertools.product(splits, enumerate(self.lanes)):
        attacks = [
          attack
          for attack, places in self.attacked.items()
          if split in places and (lane.lane_id, split, attack.text) not in have
        ]
        if attacks:
          wanted.setdefault(shape, {})[AttackLane(i, lane, split)] = attacks
    return wanted


def order_splits(shapes: dict[str, Any], attacked: dict[Attack, tuple[str, ...]]):
  """Every split that some attack works on, in forward order."""
  found = set(itertools.chain.from_iterable(attacked.values()))
  return tuple(split for split in shapes if split in found)


def make_plan(config: SweepConfig) -> Plan:
  """Checks everything a sweep needs; writes nothing but the cache of decoded images.

  Raises:
    InputError: The data, a model, a split, an attack or the workdir is not usable, or
      the theory has too few examples, or other ones than the epochs so far.
  """
  Workdir(config.workdir).check(config)
  attacks = [specs.parse(text) for text in config.attack]
  study = plan_study(
    config,
    aux_dataset=config.aux_dataset,
    aux_exclude=config.aux_exclude,
    aux_limit=config.aux_limit,
  )
  _check_sizes(study, config)
  _check_private_enough(study, config)
  splits = _list_splits(study, config)
  if config.theory or config.theory_every:
    measurable.check_sent(config, '--theory' if config.theory else '--theory_every')
  measurable.check_epochs(config, study.task)
  if not all(attack.reads_prediction for attack in attacks):
    _drop_false_cuts(splits, study)
    if config.theory:
      measurable.check_examples(config, study.task)
  attacked = {attack: _places(attack, splits, study) for attack in attacks}
  attacked = {attack: places for attack, places in attacked.items() if places}
  if not attacked:
    why = '; '.join(f'{name}: {reason}' for name, reason in splits.dropped.items())
    raise InputError(f'nothing is left to attack: {why}')
  task, chosen = study.task, order_splits(splits.shapes, attacked)
  common = {f.name: getattr(study, f.name) for f in dataclasses.fields(StudyPlan)}
  return Plan(
    **common,
    shapes=splits.shapes,
    attacked=attacked,
    dropped=splits.dropped,
    costs={
      text: _costs(study, text, chosen, config.payload_bits) for text in config.skips
    },
    modules=partition.list_modules(study.model, task.image_shape, chosen),
    judge=judge_lib.load(config, task),
  )


def _check_private_enough(study: StudyPlan, config: SweepConfig) -> None:
  """Refuses to compare with a class mean that the ladder will not have."""
  task = study.task
  if config.private_enough == 'class_mean' and task.aux_name != task.name:
    raise InputError(
      f'private_enough=class_mean has no meaning here, because the labels of'
      f" aux_dataset '{task.aux_name}' are not those of '{task.name}'; give another"
      ' guess, such as 4x4'
    )


def _costs(
  study: StudyPlan, text: str, splits: tuple[str, ...], payload_bits: int
) -> dict[str, dict[str, float]]:
  """What each split costs a target whose skips are written as `text`.

  A shortcut that is removed costs nothing, so the factors are constants here.
  """
  model, task = study.model, study.task
  if skips.is_carrying(model):
    model = skips.make(model, skip_text.strip_schedule(text))
  return partition.split_costs(
    model,
    task.image_shape,
    task.num_classes,
    splits,
    payload_bits=payload_bits,
  )


def _check_sizes(study: StudyPlan, config: SweepConfig) -> None:
  """Refuses what is too little to train an attack on and to choose its epoch."""
  count = len(study.task.aux)
  if config.selection == 'aux' and count < LEAST_AUX:
    raise InputError(
      f'the attacker has {count} image; --selection=aux trains on some and chooses on'
      f' others, so that --aux_limit must leave {LEAST_AUX} at least'
    )


@dataclasses.dataclass
class _Splits:
  """The splits of a model, while it is worked out which of them are attacked."""

  shapes: dict[str, jax.ShapeDtypeStruct]  # of all, in forward order, PREDICTION last
  chosen: tuple[str, ...]
  named: set[str]  # chosen by more than a glob: what is wrong with them is an error
  dropped: dict[str, str]  # what a glob met in vain, and why


def _list_splits(study: StudyPlan, config: SweepConfig) -> _Splits:
  shape = study.task.image_shape
  found = partition.find_splits(study.model, shape, where=config.split_where)
  listed, left_out = found.shapes, found.left_out
  wanted = study.paper_splits() if config.splits == ('paper',) else config.splits
  for entry in wanted:
    met = fnmatch.filter(left_out, entry)
    if met and not fnmatch.filter(listed, entry):
      raise InputError(f"split '{met[0]}' cannot be sent: {left_out[met[0]]}")
  if not listed:
    why = ''.join(f'; {name}: {reason}' for name, reason in left_out.items())
    raise InputError(
      f'--split_where={config.split_where} meets no module of {config.model} that'
      f" returns one array; try '*' or '*/*'{why}"
    )
  chosen = partition.select_splits(wanted, tuple(listed))
  named = _named(wanted, tuple(listed))
  met = {name for entry in wanted for name in fnmatch.filter(left_out, entry)}
  dropped = {name: reason for name, reason in left_out.items() if name in met}
  logits = jax.ShapeDtypeStruct((study.task.num_classes,), jnp.float32)
  return _Splits(listed | {PREDICTION: logits}, chosen, named, dropped)


def _named(entries: tuple[str, ...], splits: tuple[str, ...]) -> set[str]:
  """The splits that entries other than globs name."""
  plain = [entry for entry in entries if not any(c in entry for c in '*?[')]
  return set(partition.select_splits(plain, splits))


def _drop_false_cuts(splits: _Splits, study: StudyPlan) -> None:
  """Checks the chosen splits: a named one must be a true cut, others are dropped."""
  model, task = study.model, study.task
  sample = jnp.asarray(task.test.image[:2], jnp.float32) / 255
  variables = partition.arbitrary_variables(model, task.image_shape)
  named = [split for split in splits.chosen if split in splits.named]
  partition.check_cuts(model, variables, sample, named)
  others = [split for split in splits.chosen if split not in splits.named]
  cuts = partition.true_cuts(model, variables, sample, others)
  for split in others:
    if not cuts[split]:
      splits.dropped[split] = 'no true cut: the cloud needs more than its activation'
  splits.chosen = tuple(s for s in splits.chosen if s not in splits.dropped)


def _places(attack: Attack, splits: _Splits, study: StudyPlan) -> tuple[str, ...]:
  """The splits an attack works on; those that a glob met in vain are dropped."""
  shapes, image_shape = splits.shapes, study.task.image_shape
  attack.check_task(study.task)
  attack.check_model(study.model)
  if attack.reads_prediction:
    attack.check_shape(shapes[PREDICTION].shape, image_shape)
    return (PREDICTION,)
  chosen, named = splits.chosen, splits.named
  if attack.at:
    every = tuple(split for split in shapes if split != PREDICTION)
    chosen = partition.select_splits(attack.at, every)
    named = _named(attack.at, every)
    if strange := [split for split in chosen if split not in splits.chosen]:
      raise InputError(
        f"attack '{attack.text}': --splits does not choose '{strange[0]}'; it chooses"
        f' {", ".join(splits.chosen)}'
      )
  places, reasons = [], {}
  for split in chosen:
    try:
      attack.check_shape(shapes[split].shape, image_shape)
      places.append(split)
    except InputError as error:
      if split in named:
        raise InputError(
          f"attack '{attack.text}' at split '{split}': {error}"
        ) from None
      reasons[split] = str(error)
  if reasons and not places:
    first, reason = next(iter(reasons.items()))
    raise InputError(
      f"attack '{attack.text}' cannot be used at any of the splits chosen for it, as at"
      f" '{first}': {reason}"
    )
  splits.dropped |= {f'{attack.text} at {place}': why for place, why in reasons.items()}
  return tuple(places)
