"""The skip connections of lanes: the factors that each carries, and when they hold.

A net whose factors are carried, see `skips.carry`, is one program for all of them.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax import skip_text
from gpz_jax.models import calls, skips
from gpz_jax.types import InputError


def lane_arrays(
  model: nn.Module, texts: Sequence[str], epochs: int
) -> dict[str, jax.Array]:
  """The arrays of lanes for a net that carries its factors; {} for any other.

  Args:
    model: What `carry` gave.
    texts: The skips of each of L lanes.
    epochs: How many epochs the lanes are trained for.

  Returns:
    `skips` [L, stages, parts], the factors; `skips_learned` [L, stages] bool; and
    `skips_from` [L], the progress from which on the factors hold. All skips are intact
    before.

  Raises:
    InputError: A schedule does not end before the training does, or the net does not
      carry its factors, although some are neither intact nor those it was made with.
  """
  if not skips.is_carrying(model):
    known = (skip_text.INTACT, *_made_with(model))
    if strange := [text for text in texts if text not in known]:
      raise InputError(
        f"skips '{strange[0]}' of a lane need a model that carries factors; make it by"
        ' skips.carry(model, texts)'
      )
    return {}
  parsed = [skips.parse_for(model, text) for text in texts]
  for text, one in zip(texts, parsed, strict=True):
    if one.intact_epochs >= epochs:
      raise InputError(
        f"skips '{text}' hold from epoch {one.intact_epochs} on, but the training"
        f' has {epochs} epochs; give a smaller number behind @, or more epochs'
      )
  names, stages = skips.part_names(model), model.num_stages
  nothing = (False,) * stages
  # Half an epoch of slack: progress is a rounded share of the epochs.
  begins = [(s.intact_epochs + 0.5) / epochs if s.intact_epochs else 0 for s in parsed]
  return {
    'skips': jnp.array([one.table(names, stages) for one in parsed]),
    'skips_learned': jnp.array([one.is_learned or nothing for one in parsed]),
    'skips_from': jnp.array(begins, jnp.float32),
  }


def apply_schedule(
  variables: dict[str, Any], lane: dict[str, Any], progress: jax.Array
) -> dict[str, Any]:
  """The variables of one lane with the factors that hold at a time of its training.

  Args:
    variables: The lane's variables.
    lane: The lane's arrays; where `lane_arrays` gave none, nothing changes.
    progress: [], the share of the training done when the epoch ends.
  """
  if 'skips' not in lane:
    return variables
  holds = progress >= lane['skips_from']
  carried = {'factors': jnp.where(holds, lane['skips'], 1.0)}
  if 'is_learned' in variables[skips.COLLECTION]:
    carried['is_learned'] = lane['skips_learned'] & holds
  return {**variables, skips.COLLECTION: carried}


def are_final(lane: dict[str, Any], progress: jax.Array) -> jax.Array:
  """Whether [] an epoch that ends at `progress` trained with the factors of the end."""
  if 'skips' not in lane:
    return jnp.ones((), bool)
  return progress >= lane['skips_from']


def describe_final(model: nn.Module, variables: Any, lane: int, text: str) -> str:
  """The factors of a trained net, by stage, where any of them was learned; else ''.

  Args:
    model: The net.
    variables: The variables of several trainings, with the lanes in front.
    lane: The training that is asked for.
    text: The skips of its treatment, where factors that were given stand already.

  Returns:
    As '1, 1, 1, 0.83'. A stage whose parts differ has 'attention 1 mlp 0.5'.
  """
  if not any(skip_text.parse(text).is_learned):
    return ''
  names = skips.part_names(model)
  own = jax.tree.map(lambda leaf: leaf[lane], variables)
  return ', '.join(
    f'{row[0]:.3g}'
    if len(set(row)) == 1
    else ' '.join(f'{name} {k:.3g}' for name, k in zip(names, row, strict=True))
    for row in skips.final_factors(model, own)
  )


def pick_learned(final: str, text: str) -> str:
  """Of what `describe_final` gave, the stages whose factors were learned."""
  told = zip(final.split(', '), skip_text.parse(text).is_learned, strict=True)
  return ', '.join(factor for factor, is_learned in told if is_learned)


def list_carried(variables: dict[str, Any]) -> dict[str, Any]:
  """The collection of carried factors; {} where the variables of a net have none."""
  return {name: variables[name] for name in (skips.COLLECTION,) if name in variables}


def drop_carried(variables: dict[str, Any]) -> dict[str, Any]:
  """The variables of a net without what only a net that carries factors has.

  A target has then the same variables whatever it was trained beside, see `adopt`.
  """
  params = {n: tree for n, tree in variables['params'].items() if n != 'skip_logits'}
  rest = {n: tree for n, tree in variables.items() if n != skips.COLLECTION}
  return {**rest, 'params': params}


def adopt(model: nn.Module, targets: Any) -> Any:
  """Targets for `model`, which were trained beside others whose skips it has not.

  Args:
    model: The net that carries what these targets need, or is plain.
    targets: Targets [L] of a net that may carry more, see `targets.Targets`.
  """
  if not skips.has_skips(model):
    return targets
  fields = getattr(model, 'skips', None)
  learns = fields is not None and any(fields.is_learned)

  def drop(variables):
    if not skips.is_carrying(model):
      variables.pop(skips.COLLECTION, None)
    if not learns:
      variables['params'].pop('skip_logits', None)
      variables.get(skips.COLLECTION, {}).pop('is_learned', None)
    return variables

  best = targets.best
  kept = drop(jax.tree.map(lambda leaf: leaf, best.variables))
  packed = calls.pack(kept)
  return targets._replace(best=best.replace(params=kept['params'], batch_stats=packed))


def _made_with(model: nn.Module) -> tuple[str, ...]:
  """The text of a net's fixed factors; () where it has none, or lanes could carry them.

  Only where factors cannot be variables do lanes with others than `intact` belong to
  such a net.
  """
  fixed = getattr(model, 'skips', None)
  if fixed is None or getattr(model, 'carries_skips', True):
    return ()
  return (skip_text.canonical(skip_text.format_factors(k for (k,) in fixed.factors)),)
