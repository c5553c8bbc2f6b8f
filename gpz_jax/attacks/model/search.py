"""What a search is: phases of steps, written for one class of one target.

An attack writes its search for one class; `chunks.run` batches it over the classes of
a chunk, cuts its steps into segments, and keeps what is finished.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

State = Any
Metrics = dict[str, jax.Array]  # name -> []
# What all classes of a chunk read: 'target' holds the variables of the one target,
# 'prior' those of the generator; an attack adds entries of its own.
Shared = dict[str, Any]


class Item(NamedTuple):
  """One class of one target; in a compiled program all entries have C in front."""

  label: jax.Array  # [] int32, the class that is searched for
  key: jax.Array  # [], the random key of this class of this target
  given: Any  # what the search starts from, such as latents [M, ...]


@dataclasses.dataclass(frozen=True)
class Phase:
  """Steps of one kind.

  Attributes:
    steps: How many there are.
    step: Takes (state, item, shared, step []) to the next state and to metrics, of
      which a history is kept. Steps are counted from 0 in each phase.
    enter: Makes the state that the phase begins with, of (state, item, shared). The
      first phase must have one, and is given None for the state. Without one, a phase
      goes on with the state that the phase before it left.
  """

  steps: int
  step: Callable[[State, Item, Shared, jax.Array], tuple[State, Metrics]]
  enter: Callable[[State, Item, Shared], State] | None = None


@dataclasses.dataclass(frozen=True)
class Search:
  """A whole search for one class of one target.

  Attributes:
    phases: What is done, in this order.
    finish: Makes of (state, item, shared) the arrays that are kept, by name.
  """

  phases: tuple[Phase, ...]
  finish: Callable[[State, Item, Shared], dict[str, jax.Array]]

  @property
  def steps(self) -> int:
    """The steps of all phases."""
    return sum(phase.steps for phase in self.phases)
