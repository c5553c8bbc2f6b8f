"""The factor of skip connections: y = F(x) + k S(x), one k for each stage of a net.

k is 1 where a skip is intact, 0 where it is removed and between where it is scaled. It
multiplies what the shortcut gives after its projection and norm, before the addition.

A net takes part by a field `skips`, a property `num_stages`, and two calls:

    factors = skips.read(self)  # in the net's __call__
    y = skips.add(branch, shortcut, factors[stage][part])

In a net that is made with fixed factors they are constants of the program, and a
shortcut at 0 is not there. In one that *carries* them they are variables of the
collection `skips`. Targets that differ in their skips are then lanes of one program.

Source: docs/paper.md#skip-connections.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax import skip_text
from gpz_jax.types import InputError

COLLECTION = 'skips'
Factor = float | jax.Array


@dataclasses.dataclass(frozen=True)
class Skips:
  """What a net does with its skip connections; it is the net's field `skips`.

  Attributes:
    factors: For each stage and each part of it, k.
    is_learned: For each stage, whether its k is learned: the sigmoid of a parameter.
    is_carried: Whether the factors are variables, which may differ among lanes.
  """

  factors: tuple[tuple[float, ...], ...]
  is_learned: tuple[bool, ...]
  is_carried: bool = False


def num_parts(model: nn.Module) -> int:
  """How many kinds of skips a stage has, each with a factor of its own."""
  return max(1, len(getattr(model, 'skip_parts', ())))


def has_skips(model: nn.Module) -> bool:
  """Whether a net takes factors for its skip connections."""
  return hasattr(model, 'skips') and hasattr(model, 'num_stages')


def make(model: nn.Module, given: Any) -> nn.Module:
  """A net with fixed factors.

  Args:
    model: A net that takes factors.
    given: A factor for each stage, such as (1, 1, 1, 0), or a text such as '1110',
      see `skip_text`.

  Raises:
    InputError: The net takes no factors, or has not as many stages.
  """
  parsed = parse_for(model, skip_text.format_factors(given))
  if parsed.intact_epochs:
    raise InputError(
      f"skips '{given}' change during the training; give them to the treatment of a"
      ' lane (--skips), not to a model'
    )
  factors = parsed.table(part_names(model))
  if not any(parsed.is_learned) and all(k == 1 for row in factors for k in row):
    return model.clone(skips=None)  # a plain net, however it was spelled
  return model.clone(skips=Skips(factors, parsed.is_learned))


def carry(model: nn.Module, texts: Sequence[str]) -> nn.Module:
  """The net in which lanes with these skips are trained; the net itself if all intact.

  A net whose factors change its shapes has them as constants instead, and is one for
  each text.

  Args:
    model: The net.
    texts: The skips of each lane's treatment.

  Raises:
    InputError: The net takes no factors, or has not as many stages; or its shapes
      depend on them and they differ.
  """
  if set(texts) <= {skip_text.INTACT}:
    return model
  if not getattr(model, 'carries_skips', True):
    if len(set(texts)) > 1 or parse_for(model, texts[0]).intact_epochs:
      raise InputError(
        f"skips '{','.join(dict.fromkeys(texts))}' change the shapes of"
        f' {type(model).__name__}; give --model_options=skip_form=mask, or one sweep'
        ' to each text without @'
      )
    return make(model, texts[0])
  parsed = [parse_for(model, text) for text in texts]
  stages, parts = model.num_stages, num_parts(model)
  learns = tuple(
    any(one.is_learned[s] for one in parsed if one.is_learned) for s in range(stages)
  )
  ones = ((1.0,) * parts,) * stages
  return model.clone(skips=Skips(ones, learns, is_carried=True))


def is_carrying(model: nn.Module) -> bool:
  """Whether a net has its factors among its variables."""
  found = getattr(model, 'skips', None)
  return isinstance(found, Skips) and found.is_carried


def check_variables(model: nn.Module, variables: Any) -> None:
  """Refuses variables with factors that the net would not look at.

  Raises:
    InputError: The variables carry factors, and the net does not.
  """
  if COLLECTION in variables and has_skips(model) and not is_carrying(model):
    raise InputError(
      'these targets carry factors for their skip connections, which this model would'
      ' leave out; give the model that skips.carry made to train them'
    )


def read(module: nn.Module) -> list[list[Factor]]:
  """The factor of each stage and part, in the `__call__` of a net.

  Args:
    module: The net, with the fields and properties named above.
  """
  skips = getattr(module, 'skips', None)
  stages, parts = module.num_stages, num_parts(module)
  if skips is None:
    return [[1.0] * parts for _ in range(stages)]
  factors: list[list[Factor]] = [list(row) for row in skips.factors]
  if skips.is_carried:
    carried = module.variable(COLLECTION, 'factors', lambda: jnp.array(skips.factors))
    factors = [[carried.value[s, p] for p in range(parts)] for s in range(stages)]
  if any(skips.is_learned):
    logits = module.param('skip_logits', nn.initializers.zeros, (stages,))
    learned = nn.sigmoid(logits)
    if skips.is_carried:
      is_learned = module.variable(
        COLLECTION, 'is_learned', lambda: jnp.array(skips.is_learned)
      ).value
      return [
        [jnp.where(is_learned[s], learned[s], k) for k in row]
        for s, row in enumerate(factors)
      ]
    factors = [
      [learned[s]] * parts if skips.is_learned[s] else row
      for s, row in enumerate(factors)
    ]
  return factors


def add(
  branch: jax.Array, shortcut: Callable[[], jax.Array], factor: Factor
) -> jax.Array:
  """branch + factor * shortcut(), of the shape of `branch`.

  Where the factor is the number 0, the shortcut is not called, so that its parameters
  do not exist.

  Args:
    branch: [...], what the layers of the block give.
    shortcut: Computes what the skip connection gives, of the same shape.
    factor: A number, or [] traced.
  """
  if isinstance(factor, float | int):
    if factor == 0:
      return branch
    if factor == 1:
      return branch + shortcut()
  return branch + jnp.asarray(factor, branch.dtype) * shortcut()


def final_factors(model: nn.Module, variables: Any) -> list[list[float]]:
  """The factors of one trained net as plain numbers, the learned ones too.

  Args:
    model: The net.
    variables: Its variables, without an axis of lanes.

  Returns:
    For each stage and each part of it, k; nothing for a net without a field for them.
  """
  skips = getattr(model, 'skips', None)
  if skips is None:
    return []
  factors, is_learned = skips.factors, skips.is_learned
  if skips.is_carried:
    factors = variables[COLLECTION]['factors'].tolist()
    is_learned = variables[COLLECTION].get('is_learned', is_learned)
  if not any(is_learned):
    return [list(row) for row in factors]
  learned = nn.sigmoid(variables['params']['skip_logits']).tolist()
  return [
    [k] * len(row) if told else list(row)
    for row, told, k in zip(factors, is_learned, learned, strict=True)
  ]


def part_names(model: nn.Module) -> tuple[str, ...]:
  """The kinds of skips that a stage has; () where it has one."""
  return tuple(getattr(model, 'skip_parts', ()))


def parse_for(model: nn.Module, text: str) -> skip_text.SkipText:
  """What a text says of the skips of a net.

  Raises:
    InputError: The net takes no factors, has not as many stages, or cannot learn them.
  """
  if not has_skips(model):
    raise InputError(
      f"skips '{text}' need a model with skip connections that have a factor, such as"
      f' resnet18; {type(model).__name__} has none'
    )
  parsed = skip_text.parse(text)
  parsed.check(model.num_stages, part_names(model), type(model).__name__)
  if any(parsed.is_learned) and not getattr(model, 'learns_skips', True):
    raise InputError(
      f"skips '{text}' are learned, but those of {type(model).__name__} are numbers of"
      ' channels, which no gradient reaches; give a factor, such as 111s/0.2'
    )
  return parsed
