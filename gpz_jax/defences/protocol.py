"""What a defence is: what it adds to the loss, changes on the way out, and freezes.

A kind of defence is a subclass of `Defence` in a file of its own and a line in
`specs.DEFENCES`. Users name a defence of their own by
`--defence=package.module:factory` (docs/extending.md).
"""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax import splits
from gpz_jax.types import InputError

Bound = TypeVar('Bound', bound='Defence')


class Step(NamedTuple):
  """What the forward pass of a training step knows, for one lane."""

  images: jax.Array  # [B, H, W, C] in [0, 1], as the model was given them
  labels: jax.Array  # [B] int32
  mask: jax.Array  # [B] float32, 1 where an example counts and 0 where it is filling
  logits: jax.Array  # [B, K]
  activations: Mapping[str, jax.Array]  # what `list_reads` names -> [B, ...]


@dataclasses.dataclass(frozen=True)
class Defence:
  """One way to defend a target. It is hashable and has no state.

  A method that a subclass does not define does nothing and costs nothing. Fields that
  `traced` names are numbers of the lane: lanes that differ in nothing else train as one
  program, and where a method is called they may be traced arrays [].

  Attributes:
    text: The text that named it, which the rows of its targets carry.
    at: Names and globs of splits. What they choose is for the defence to say.
    traced: The names of the fields that may differ among lanes of one program.
    sends_in_training: Whether the training goes on from what `send` gives, too, at the
      splits of `at`.
  """

  text: str = 'none'
  at: tuple[str, ...] = ()

  traced: ClassVar[tuple[str, ...]] = ()
  sends_in_training: ClassVar[bool] = False

  def list_reads(
    self, model: nn.Module, image_shape: tuple[int, int, int]
  ) -> tuple[str, ...]:
    """The splits whose activations `penalty` reads; by default those of `at`.

    Raises:
      InputError: `at` names what is not in the model.
    """
    return select(self, model, image_shape) if self.at else ()

  def penalty(self, step: Step) -> jax.Array:
    """What is added to the loss [] of a training step.

    It reads activations as the edge computes them, before `send`.
    """
    del step
    return jnp.zeros(())

  def send(self, activation: jax.Array, key: jax.Array) -> jax.Array:
    """What leaves the device in place of an activation at a split.

    It is so in use, and in training only with `sends_in_training`: the attacker sees
    it, and the cloud goes on from it. The model's answer is never changed.

    Args:
      activation: [B, ...], what the edge computes.
      key: The key of what is drawn.

    Returns:
      The same shape.
    """
    del key
    return activation

  def list_frozen(
    self, model: nn.Module, image_shape: tuple[int, int, int]
  ) -> tuple[tuple[str, ...], ...]:
    """What can be frozen, group by group from the image on; () if nothing.

    Each group names modules as splits do, such as 'block_1', or parameters by their
    path in params, such as 'block_1/conv/kernel'. It is an error if the model has no
    such thing, or if nothing that is frozen has parameters.

    Raises:
      InputError: There are not as many groups as the defence freezes.
    """
    del model, image_shape
    return ()

  def count_frozen(self) -> Any:
    """How many of the groups of `list_frozen` are frozen; it may be traced."""
    return 0

  def wrap(self, model: nn.Module, image_shape: tuple[int, int, int]) -> nn.Module:
    """The model with what the defence adds to its structure."""
    del image_shape
    return model

  def overrides(self, *names: str) -> bool:
    """Whether its class defines one of these methods itself."""
    return any(getattr(type(self), n) is not getattr(Defence, n) for n in names)

  @property
  def trains(self) -> bool:
    """Whether the training of a target differs by it."""
    return self.sends_in_training or self.overrides('penalty', 'list_frozen')

  @property
  def sends(self) -> bool:
    """Whether it changes what is sent."""
    return self.overrides('send')

  def sends_at(self, split: str, chosen: tuple[str, ...]) -> bool:
    """Whether it changes what is sent at a split.

    Args:
      split: The split.
      chosen: The splits that `at` names.
    """
    return self.sends and (not self.at or split in chosen)

  @property
  def form(self) -> 'Defence':
    """The defence without its numbers: equal for those that share a program."""
    return bind(self, {'text': '', **dict.fromkeys(self.traced)})

  @property
  def numbers(self) -> dict[str, float]:
    """The values of its traced fields."""
    return {name: float(getattr(self, name)) for name in self.traced}


def bind(defence: Bound, values: Mapping[str, Any]) -> Bound:
  """A copy with other values in its fields, which may be traced and are not checked."""
  bound = copy.copy(defence)
  for name, value in values.items():
    object.__setattr__(bound, name, value)  # the way a frozen dataclass sets itself
  return bound


def select(
  defence: Defence, model: nn.Module, image_shape: tuple[int, int, int]
) -> tuple[str, ...]:
  """The splits of a model that `at` of a defence names, in forward order.

  Raises:
    InputError: An entry names none; the message lists what there is.
  """
  chosen: list[str] = []
  for entry in defence.at:
    where = '/'.join('*' for _ in entry.split('/'))  # as deep as the entry is
    known = splits.list_splits(model, image_shape, where=where)
    try:
      chosen += splits.select_splits([entry], tuple(known))
    except InputError as error:
      raise InputError(f"defence '{defence.text}': {error}") from None
  return tuple(dict.fromkeys(chosen))


def list_stages(model: nn.Module, image_shape: tuple[int, int, int]) -> tuple[str, ...]:
  """The outputs of a model's stages, in forward order.

  They are the last split at each height and width. A transformer has one resolution,
  and each of its numbered blocks is a stage; where a model sends vectors only, each
  split is.
  """
  found = splits.list_splits(model, image_shape)
  last = {s.shape[:-1]: name for name, s in found.items() if len(s.shape) == 3}
  if last:
    return tuple(name for name in found if name in last.values())
  tokens = [name for name, s in found.items() if len(s.shape) == 2]
  numbered = [name for name in tokens if name.rpartition('_')[2].isdecimal()]
  return tuple(numbered or tokens or found)
