"""Defences of many lanes in one program: each lane carries its numbers and a switch.

The program holds the union of what the lanes need. Where a lane has no part in a
defence its switch is off, and its loss and its updates are what they are without.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax import splits
from gpz_jax.defences import cuts, parameters, specs
from gpz_jax.defences.protocol import Defence, Step, bind, select
from gpz_jax.types import InputError

# One entry of the lanes' arrays, with an array for each form.
ENTRY = 'defences'


@dataclasses.dataclass(frozen=True)
class _Part:
  """What the lanes of one form add to the program."""

  form: Defence
  defaults: Any  # ((name, number), ...) for the lanes of other forms
  reads: tuple[str, ...]
  groups: tuple[tuple[str, ...], ...]  # parameters, such as 'conv_1/Conv_0/kernel'
  sends: tuple[str, ...]  # the splits where the training goes on from what is sent


@dataclasses.dataclass(frozen=True)
class Training:
  """What the defences of some lanes do in their training. It is hashable.

  Attributes:
    parts: One for each form that a lane has and that trains otherwise.
  """

  parts: tuple[_Part, ...] = ()

  @property
  def options(self) -> dict[str, Any]:
    """What `model.apply` must be told beside what it always is."""
    wanted = {tuple(split.split('/')) for part in self.parts for split in part.reads}
    if not wanted:
      return {'mutable': ['batch_stats']}
    return {
      'mutable': ['batch_stats', 'intermediates'],
      'capture_intermediates': lambda module, method: (
        method == '__call__' and module.path in wanted
      ),
    }

  def lane_arrays(self, texts: Sequence[str]) -> dict[str, Any]:
    """The arrays of lanes with these defences; {} where none trains otherwise."""
    defences = [specs.parse(text) for text in texts]
    entry = []
    for part in self.parts:
      of = [defence.form == part.form for defence in defences]
      defaults = dict(part.defaults)
      numbers = [
        defence.numbers if own else defaults
        for defence, own in zip(defences, of, strict=True)
      ]
      values = {
        name: jnp.array([each[name] for each in numbers], jnp.float32)
        for name in defaults
      }
      entry.append((jnp.array(of), values))
    return {ENTRY: tuple(entry)} if entry else {}

  @contextlib.contextmanager
  def sending(
    self, lane: dict[str, Any], key: jax.Array
  ) -> Iterator[dict[str, jax.Array]]:
    """A context in which the model goes on from what one lane sends in training.

    Args:
      lane: The lane's arrays.
      key: The key of the step.

    Yields:
      What the model computes at those splits, by name, once it was called.
    """
    computed: dict[str, jax.Array] = {}
    acting = [
      (part, *entry)
      for part, entry in zip(self.parts, lane.get(ENTRY, ()), strict=True)
      if part.sends
    ]
    if not acting:
      yield computed
      return

    def change(call, args, kwargs, context):
      result = call(*args, **kwargs)
      split = '/'.join(context.module.path)
      here = [(one, *rest) for one, *rest in acting if split in one.sends]
      if context.method_name != '__call__' or not here:
        return result
      computed[split] = result
      for part, is_on, values in here:
        result = jax.lax.cond(
          is_on,
          lambda z, form=part.form, values=values: cuts.send(
            form, values, z, split, key
          ).astype(z.dtype),
          lambda z: z,
          result,
        )
      return result

    with nn.intercept_methods(change):
      yield computed

  def add_penalty(
    self,
    loss: jax.Array,
    lane: dict[str, Any],
    state: dict[str, Any],
    computed: dict[str, jax.Array] | None = None,
    **step: Any,
  ) -> jax.Array:
    """The loss [] of one lane with the penalty of its defence.

    Args:
      loss: [], the loss without.
      lane: The lane's arrays.
      state: The collections that `model.apply` changed; what was captured is taken out.
      computed: What `sending` noted, which is read instead of what was captured.
      **step: The fields of `Step` but for the activations.
    """
    captured = {'intermediates': state.pop('intermediates', {})}
    entries = lane.get(ENTRY, ())
    for part, (is_on, values) in zip(self.parts, entries, strict=True):
      if not part.form.overrides('penalty'):
        continue
      found = {name: splits.find_sown(captured, name)[0] for name in part.reads}
      found |= {n: own for n, own in (computed or {}).items() if n in part.sends}
      defence = bind(part.form, values)
      # What is not computed costs nothing where lanes run one by one.
      loss = loss + jax.lax.cond(
        is_on,
        lambda step, defence=defence: jnp.asarray(defence.penalty(step), jnp.float32),
        lambda step: jnp.zeros((), jnp.float32),
        Step(activations=found, **step),
      )
    return loss

  def freeze(self, lane: dict[str, Any], updates: Any) -> Any:
    """The updates of one lane's parameters; 0 for those that its defence freezes."""
    for part, (is_on, values) in zip(self.parts, lane.get(ENTRY, ()), strict=True):
      if not part.groups:
        continue
      count = bind(part.form, values).count_frozen()
      group_of = {name: i for i, group in enumerate(part.groups) for name in group}

      def still(path, update, is_on=is_on, count=count, group_of=group_of):
        group = group_of.get(parameters.spell(path))
        if group is None:
          return update
        return jnp.where(is_on & (group < count), 0, update)

      updates = jax.tree_util.tree_map_with_path(still, updates)
    return updates

  @property
  def freezes(self) -> bool:
    """Whether any lane has frozen parameters."""
    return any(part.groups for part in self.parts)


def prepare(
  model: nn.Module, image_shape: tuple[int, int, int], texts: Sequence[str]
) -> Training:
  """What the defences of lanes do in their training.

  Args:
    model: What `wrap` gave.
    image_shape: (H, W, C).
    texts: The defence of each lane's treatment.

  Raises:
    InputError: A defence reads what is not in the model, or freezes more than it has.
  """
  parts: dict[Defence, _Part] = {}
  for text in texts:
    defence = specs.parse(text)
    if not defence.trains:
      continue
    reads = defence.list_reads(model, image_shape)
    _check_reads(defence, reads, model, image_shape)
    groups = parameters.find_groups(defence, model, image_shape)
    sends = select(defence, model, image_shape) if defence.sends_in_training else ()
    part = _Part(defence.form, tuple(defence.numbers.items()), reads, groups, sends)
    parts.setdefault(defence.form, part)
  return Training(tuple(parts.values()))


def wrap(
  model: nn.Module, image_shape: tuple[int, int, int], texts: Sequence[str]
) -> nn.Module:
  """The model with what the defence of its lanes adds to its structure.

  Raises:
    InputError: Lanes would need models of different structures.
  """
  defences = [specs.parse(text) for text in texts]
  forms = {d.form: d for d in defences if d.overrides('wrap')}
  if not forms:
    return model
  if len({defence.form for defence in defences}) > 1:
    shaping, *_ = forms.values()
    other = next(d for d in defences if d.form != shaping.form)
    raise InputError(
      f"defence '{shaping.text}' changes the layers of the model, and cannot share a"
      f" program with '{other.text}'; give them to two studies"
    )
  return defences[0].wrap(model, image_shape)


def count_trained(
  model: nn.Module, image_shape: tuple[int, int, int], text: str
) -> tuple[int, int]:
  """How many parameters a target with a defence trains, and how many it has.

  Args:
    model: What `wrap` gave.
    image_shape: (H, W, C).
    text: The defence.
  """
  sizes = parameters.list_sizes(model, image_shape)
  defence = specs.parse(text)
  groups = parameters.find_groups(defence, model, image_shape)
  count = int(defence.count_frozen())
  frozen = sum(sizes[name] for group in groups[:count] for name in group)
  total = sum(sizes.values())
  return total - frozen, total


def _check_reads(
  defence: Defence,
  reads: tuple[str, ...],
  model: nn.Module,
  image_shape: tuple[int, int, int],
) -> None:
  """Refuses to read what is no module that returns one array in one call."""
  for name in reads:
    named = bind(defence, {'at': (name,)})
    select(named, model, image_shape)
