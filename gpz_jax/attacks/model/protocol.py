"""What a model-inversion attack is: it searches for what a class looks like.

A kind of attack is a subclass of `Attack` in a file of its own and a line in
`specs.ATTACKS`. Users name an attack of their own by package.module:factory
(docs/extending.md).

Letters beyond those of `gpz_jax.types`: T attacked classes, M candidates of a class,
F final ones.
"""

import abc
import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import flax.linen as nn
import numpy as np

from gpz_jax.generators import Generator
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.loop import OnProgress, unwatched
from gpz_jax.types import Dataset, InputError, Lane

# Bounds of options that several attacks have.
COUNTS, SIZES, WEIGHTS = (1, 2**20), (1e-12, 1e6), (0, 1e12)


class Store(Protocol):
  """Where the finished pieces of an attack are kept, safe from the process's death."""

  def load(self, name: str) -> Any | None:
    """The arrays of a piece that is finished and intact; None if there is none."""
    ...

  def save(self, name: str, arrays: dict[str, np.ndarray]) -> None:
    """Keeps the arrays of a finished piece."""
    ...


@dataclasses.dataclass(frozen=True)
class Scenario:
  """What an attack is handed: who is attacked, and what the attacker has.

  Attributes:
    model: Architecture of the targets.
    targets: Variables of all targets, stacked [L].
    lanes: The L lanes of the targets, whose ids name random keys.
    generator: The attacker's prior.
    prior: Its variables, which all lanes share.
    critic: What was trained beside the generator to tell its images from public ones,
      where an attack asks it. It is called as `critic(images)` with images [n, H, W, C]
      of the generator, and returns scores [n] or [n, 1], higher for real ones.
    critic_variables: Its variables, which all lanes share.
    classes: The T classes to attack, as labels [T].
    image_shape: (H, W, C) of what the targets take.
    most_side: The longest side at which reconstructions are kept, as far as whoever
      judges them looks at; None keeps them as large as they are made.
    public: The attacker's images, where an attack learns from them; their labels mean
      nothing to the targets.
    engine: How lanes are computed.
    seed: Seed of what the attacker draws, which all lanes share.
    phase: Function that shows the progress of a named phase in a `with` statement.
    store: Where finished pieces are kept; None keeps none.
  """

  model: nn.Module
  targets: Any
  lanes: Sequence[Lane]
  generator: Generator
  prior: Any
  classes: np.ndarray
  image_shape: tuple[int, int, int]
  most_side: int | None = None
  critic: nn.Module | None = None
  critic_variables: Any = None
  public: Dataset | None = None
  engine: Engine = AUTO
  seed: int = 0
  phase: Callable[[str], contextlib.AbstractContextManager[OnProgress]] = unwatched
  store: Store | None = None


class Outcome(NamedTuple):
  """What an attack on L targets found.

  Candidates are sorted: the best one of each class comes first, as the attacker sees
  it, who has the target and no evaluator. The first `num_final` are the attack's
  answer; the others are kept so that both can be scored.
  """

  # [L, T, M, H, W, C] uint8, of which targets are shown all, see `answer.keep`
  images: np.ndarray
  scores: np.ndarray  # [L, T, M] what they were sorted by, higher is better
  num_final: int  # F <= M, how many the attacker answers with
  latents: np.ndarray | None = None  # [L, T, M, *latent_shape]
  history: dict[str, np.ndarray] | None = None  # name -> [L, T, steps]
  seconds: float = 0.0  # that the search took
  # [L, S, H, W, C] uint8, drawn from the generators that the attack trained itself
  samples: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Attack(abc.ABC):
  """One way to search for what a class looks like. It is hashable and has no state.

  Attributes:
    text: The text that named it, which the rows of its results carry.
  """

  text: str = ''

  # Option -> the least and the largest value that it may have.
  BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {}

  def __post_init__(self):
    for name, (least, most) in self.BOUNDS.items():
      if not least <= getattr(self, name) <= most:
        raise InputError(
          f"attack '{self.text}': {name}={getattr(self, name):g} must be at least"
          f' {least:g} and at most {most:g}'
        )

  @property
  def asks_critic(self) -> bool:
    """Whether it cannot be used without the generator's critic."""
    return False

  @property
  def without_critic(self) -> str:
    """The option with which it asks none; '' if there is none."""
    return ''

  @property
  def num_answers(self) -> int | None:
    """How many images of a class it answers with; None if only its outcome says so."""
    return None

  def check_generator(
    self, generator: Generator, image_shape: tuple[int, int, int]
  ) -> None:
    """Raises InputError if it cannot be used with a generator.

    A study asks this before anything is trained, and `check` before the attack runs.

    Args:
      generator: The attacker's prior.
      image_shape: (H, W, C) of what the targets take.
    """
    del generator, image_shape

  def check(self, scenario: Scenario) -> None:
    """Raises InputError if the attack cannot be used in a scenario."""
    del scenario

  @abc.abstractmethod
  def run(self, scenario: Scenario) -> Outcome:
    """Attacks all classes of all targets.

    Raises:
      Interrupted: A signal came; what was finished is in `scenario.store`.
    """
