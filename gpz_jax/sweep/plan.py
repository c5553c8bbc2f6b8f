"""A sweep worked out: everything that is known before anything is trained."""

import dataclasses
import functools
import itertools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax import data, models, partition, results
from gpz_jax.attacks.activation import inversion, specs
from gpz_jax.attacks.activation.inversion import AttackLane
from gpz_jax.attacks.activation.specs import Attack, DecoderAttack, SearchAttack
from gpz_jax.interop import torch as interop
from gpz_jax.partition import PREDICTION
from gpz_jax.sweep import config as config_lib
from gpz_jax.sweep import workdir as workdir_lib
from gpz_jax.sweep.config import SweepConfig
from gpz_jax.types import InputError, Lane, Task

Shape = tuple[int, ...]
MOST_PARAMS = 10**9  # of a target: ten times the largest that was published


@dataclasses.dataclass(frozen=True)
class Plan:
  """What a sweep does.

  Attributes:
    config: what was asked for.
    task: the data.
    model: the target.
    weights: variables of an imported target; None where targets are trained.
    borrowed: rows [L] of the targets in the sweep `targets_from`; None without it.
    lanes: of the targets.
    shapes: of the activation of every split of the model, and of its prediction.
    attacked: for each attack, the splits it works on.
    dropped: for each split or attack a glob named in vain, the reason.
    costs: of every attacked split.
    done: rows that are there already.
  """

  config: SweepConfig
  task: Task
  model: nn.Module
  weights: Any
  borrowed: np.ndarray | None
  lanes: tuple[Lane, ...]
  shapes: dict[str, jax.ShapeDtypeStruct]
  attacked: dict[Attack, tuple[str, ...]]
  dropped: dict[str, str]
  costs: dict[str, dict[str, float]]
  done: list[results.Row]

  @property
  def splits(self) -> tuple[str, ...]:
    """Every split that some attack works on, in forward order."""
    found = set(itertools.chain.from_iterable(self.attacked.values()))
    return tuple(split for split in self.shapes if split in found)

  @property
  def total(self) -> int:
    """Rows of the finished sweep."""
    return len(self.lanes) * sum(map(len, self.attacked.values()))

  def missing(self) -> dict[Shape, dict[AttackLane, list[Attack]]]:
    """The attacks without a row, by cohort and lane."""
    have = {results.row_key(row) for row in self.done}
    wanted: dict[Shape, dict[AttackLane, list[Attack]]] = {}
    for shape, splits in inversion.cohorts(self.shapes, self.splits).items():
      for split, (i, lane) in itertools.product(splits, enumerate(self.lanes)):
        attacks = [
          attack
          for attack, places in self.attacked.items()
          if split in places and (lane.lane_id, split, attack.text) not in have
        ]
        if attacks:
          wanted.setdefault(shape, {})[AttackLane(i, lane, split)] = attacks
    return wanted


def make_plan(config: SweepConfig) -> Plan:
  """Checks everything a sweep needs; writes nothing but the cache of decoded images.

  Raises:
    InputError: a field, the data, a model, a split, an attack or the workdir is not
      usable.
  """
  config = config_lib.validate(config)
  done = workdir_lib.check(config)
  attacks = [specs.parse(text) for text in config.attack]
  task = data.load(
    config.dataset,
    data_dir=config.data_dir,
    image_size=config.image_size,
    aux_dataset=config.aux_dataset,
    aux_exclude=config.aux_exclude,
    train_limit=config.train_limit,
    val_limit=config.val_limit,
    test_limit=config.test_limit,
    aux_limit=config.aux_limit,
    data_seed=config.data_seed,
  )
  options = config_lib.parse_model_options(config.model_options)
  model = models.make(config.model, num_classes=task.num_classes, **options)
  _check_images(config, task)
  _check_model(config, model, task)
  weights = _load_weights(config, task, options)
  splits = _list_splits(config, model, task)
  if not all(isinstance(a, DecoderAttack) and a.reads_prediction for a in attacks):
    _drop_false_cuts(splits, model, task)
  attacked = {attack: _places(attack, splits, task) for attack in attacks}
  attacked = {attack: places for attack, places in attacked.items() if places}
  if not attacked:
    why = '; '.join(f'{name}: {reason}' for name, reason in splits.dropped.items())
    raise InputError(f'nothing is left to attack: {why}')
  borrowed = workdir_lib.check_targets(config)
  plan = Plan(
    config,
    task,
    model,
    weights,
    borrowed,
    config_lib.target_lanes(config),
    splits.shapes,
    attacked,
    splits.dropped,
    {},
    done,
  )
  costs = partition.split_costs(model, task.image_shape, task.num_classes, plan.splits)
  return dataclasses.replace(plan, costs=costs)


def _check_images(config: SweepConfig, task: Task) -> None:
  height, width, _ = task.image_shape
  if min(height, width) < config_lib.LEAST_SIZE:
    raise InputError(
      f'--dataset={config.dataset} has images of {height}x{width}; set --image_size to'
      f' {config_lib.LEAST_SIZE} at least'
    )


def _load_weights(config: SweepConfig, task: Task, options: dict[str, Any]) -> Any:
  if config.target_weights is None:
    return None
  if len(config.alphas) * len(config.seeds) != 1:
    raise InputError(
      f'--target_weights={config.target_weights} is one target; give one value each for'
      ' --alphas (what it was trained with) and --seeds'
    )
  state_dict = interop.load_state_dict(config.target_weights)
  return interop.import_weights(
    config.model,
    state_dict,
    num_classes=task.num_classes,
    image_shape=task.image_shape,
    **options,
  )


def _check_model(config: SweepConfig, model: nn.Module, task: Task) -> None:
  """Raises InputError unless the model can be called as the built-in ones are."""
  image = jax.ShapeDtypeStruct((2, *task.image_shape), jnp.float32)
  call = functools.partial(model.init_with_output, jax.random.key(0), train=False)
  try:
    logits, variables = jax.eval_shape(call, image)
  except InputError:
    raise
  except Exception as error:  # anything may go wrong in a foreign module
    reason = str(error).strip().splitlines() or [type(error).__name__]
    raise InputError(
      f'--model={config.model} cannot be called as module(images, train=False) on'
      f' images {task.image_shape} ({reason[0]}); choose another model, --model_options'
      ' or --image_size'
    ) from error
  wanted = (2, task.num_classes)
  if getattr(logits, 'shape', None) != wanted or 'params' not in variables:
    found = getattr(logits, 'shape', type(logits).__name__)
    raise InputError(
      f'--model={config.model} must have parameters and return logits'
      f' [B, {task.num_classes}]; it returns {found} for two images'
    )
  count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables['params']))
  if count > MOST_PARAMS:
    raise InputError(
      f'--model={config.model} has {count:,} parameters with'
      f' --model_options={",".join(config.model_options)}, more than {MOST_PARAMS:,};'
      ' make it smaller'
    )


@dataclasses.dataclass
class _Splits:
  """The splits of a model, while it is worked out which of them are attacked."""

  shapes: dict[str, jax.ShapeDtypeStruct]  # of all, in forward order, PREDICTION last
  chosen: tuple[str, ...]
  named: set[str]  # chosen by more than a glob: what is wrong with them is an error
  dropped: dict[str, str]  # what a glob met in vain, and why


def _list_splits(config: SweepConfig, model: nn.Module, task: Task) -> _Splits:
  listed = partition.list_splits(model, task.image_shape, where=config.split_where)
  if not listed:
    raise InputError(
      f'--split_where={config.split_where} meets no module of {config.model} that'
      " returns one array; try '*' or '*/*'"
    )
  wanted = config.splits
  if wanted == ('paper',):
    wanted = models.info(config.model).paper_splits
    if not wanted:
      raise InputError(
        f'--splits=paper: the paper attacks {", ".join(models.paper_models())}, not'
        f" {config.model}; give names or globs, such as '*'"
      )
  chosen = partition.select_splits(wanted, tuple(listed))
  named = _named(wanted, tuple(listed))
  logits = jax.ShapeDtypeStruct((task.num_classes,), jnp.float32)
  return _Splits(listed | {PREDICTION: logits}, chosen, named, {})


def _named(entries: tuple[str, ...], splits: tuple[str, ...]) -> set[str]:
  """The splits that entries other than globs name."""
  plain = [entry for entry in entries if not any(c in entry for c in '*?[')]
  return set(partition.select_splits(plain, splits))


def _drop_false_cuts(splits: _Splits, model: nn.Module, task: Task) -> None:
  """Checks the chosen splits: a named one must be a true cut, others are dropped."""
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


def _places(attack: Attack, splits: _Splits, task: Task) -> tuple[str, ...]:
  """The splits an attack works on; those a glob met in vain are dropped."""
  if isinstance(attack, DecoderAttack) and attack.reads_prediction:
    attack.make(splits.shapes[PREDICTION].shape, task.image_shape)
    return (PREDICTION,)
  chosen, named = splits.chosen, splits.named
  if attack.at:
    every = tuple(split for split in splits.shapes if split != PREDICTION)
    chosen = partition.select_splits(attack.at, every)
    named = _named(attack.at, every)
    if strange := [split for split in chosen if split not in splits.chosen]:
      raise InputError(
        f"attack '{attack.text}': --splits does not choose '{strange[0]}'; it chooses"
        f' {", ".join(splits.chosen)}'
      )
  if isinstance(attack, SearchAttack):
    if attack.shadow and task.aux_name != task.name:
      raise InputError(
        f"attack '{attack.text}' needs aux data labelled with the target's classes, not"
        f' --aux_dataset={task.aux_name}'
      )
    return chosen
  places = []
  for split in chosen:
    try:
      attack.make(splits.shapes[split].shape, task.image_shape)
      places.append(split)
    except InputError as error:
      if split in named:
        raise InputError(
          f"attack '{attack.text}' at split '{split}': {error}"
        ) from None
      splits.dropped[f'{attack.text} at {split}'] = str(error)
  return tuple(places)
