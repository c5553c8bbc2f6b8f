"""What an attack is: where it can be used, what it compiles and needs, and how it runs.

A kind of attack is a subclass of `Attack` in a file of its own and a line in
`specs.ATTACKS`. Users name an attack of their own by `--attack=package.module:factory`
(docs/extending.md).
"""

import abc
import contextlib
import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax.attacks.activation import scores
from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.attacks.activation.interception import Activations, Intercepted
from gpz_jax.training.engine import Engine
from gpz_jax.training.loop import OnProgress, Trainer, unwatched
from gpz_jax.training.recipe import Recipe
from gpz_jax.training.snapshots import History, Snapshots
from gpz_jax.types import Dataset, InputError, Task

Shape = tuple[int, ...]
ImageShape = tuple[int, int, int]
Reconstruct = Callable[[np.ndarray], jax.Array | np.ndarray]
# The arrays that a trained parameter takes: the parameter, its gradient, three moments
# of the optimiser, and the parameter of the best epoch.
MOMENTS = 6


class MakeSnapshots(Protocol):
  """Gives the place where one training of an attack keeps its snapshots."""

  def __call__(self, part: str, lanes: Sequence[AttackLane]) -> Snapshots | None:
    """The place for the snapshots of one training; None if none are kept.

    Args:
      part: Name of the training, or '' if the attack has only one.
      lanes: The lanes that are trained together.
    """
    ...


@dataclasses.dataclass(frozen=True)
class Scenario:
  """What an attack is handed: who is attacked, and what the attacker has.

  Attributes:
    model: Architecture of the targets.
    targets: Variables of all targets, stacked. `lane.target` is an index into them.
    lanes: The L lanes to attack, whose splits have the same activation shape.
    intercepted: What the attacker sees of each lane.
    train: The attacker's images and labels. They belong to the first activations in
      `intercepted.aux`.
    held_out: The images and labels that choose an epoch.
    held_out_activations: The activations [L, N, ...] of `held_out`.
    test: The user's images, which are to be rebuilt.
    decoder_recipe: How decoders are trained.
    target_recipe: How targets were trained, which attacks that train an edge follow.
    engine: How lanes are computed.
    order_seed: Seed of the order of examples, which all lanes share.
    phase: Function that shows the progress of a named phase in a `with` statement.
    snapshots: Function that gives the place for the snapshots of a training.
    trainer: The programs of `Attack.compile_ahead`; None if there are none.
    redraw: Function that gives the activations [L, N, ...] of `train` as they are sent
      once more. Each number from 1 on is another draw, and `train_activations` are draw
      0. None where nothing that is sent is drawn.
  """

  model: nn.Module
  targets: Any
  lanes: Sequence[AttackLane]
  intercepted: Intercepted
  train: Dataset
  held_out: Dataset
  held_out_activations: Activations
  test: Dataset
  decoder_recipe: Recipe
  target_recipe: Recipe
  engine: Engine
  order_seed: int = 0
  phase: Callable[[str], contextlib.AbstractContextManager[OnProgress]] = unwatched
  snapshots: MakeSnapshots = lambda part, lanes: None
  trainer: Trainer | None = None
  redraw: Callable[[int], Activations] | None = None

  @property
  def image_shape(self) -> ImageShape:
    """(H, W, C) of every image."""
    return self.test.image.shape[1:]

  @property
  def train_activations(self) -> Activations:
    """The activations [L, N, ...] of `train`."""
    return self.intercepted.aux[:, : len(self.train)]


class Outcome(NamedTuple):
  """What an attack on L lanes found."""

  on_test: Reconstruct  # rows [n] of the test images -> [L, n, H, W, C] in [0, 1]
  n_test: int  # how many test images it rebuilds, which are the first ones
  is_finite: Any  # [L] bool, False where a result is not finite
  on_train: Reconstruct | None = None  # as on_test for its own images; None: no scores
  n_train: int = 0  # how many images it learned from
  architecture: str = 'none'  # the name of what it trained
  num_params: int = 0  # the number of parameters that it trained for one lane
  epochs: int = 0  # the epochs of a training or the steps of a search
  steps: Any = 0  # [L] or one number, the steps taken
  best_epoch: Any = 0  # [L] or one number, the epoch that was kept, from 1
  saved: Any = None  # arrays [L] from which `Attack.restore` makes the same outcome
  history: History | None = None  # name -> [epochs, L]

  @classmethod
  def of(cls, reconstructions: np.ndarray, **values: Any) -> 'Outcome':
    """The outcome of an attack that has already rebuilt its images.

    Args:
      reconstructions: The first N test images as rebuilt, [L, N, H, W, C] in [0, 1].
      **values: Further fields of the outcome.

    Raises:
      InputError: A pixel is outside [0, 1], or the array has another rank.
    """
    made = np.asarray(reconstructions, np.float32)
    if made.ndim != 5:
      raise InputError(
        f'reconstructions have shape {made.shape}; give [L, N, H, W, C]: lanes, images,'
        ' height, width, channels'
      )
    # A lane that diverged is no error of the attack's author: it is marked as such.
    known = np.isfinite(made)
    scores.check_range(
      made.min(initial=0.0, where=known), made.max(initial=0.0, where=known)
    )
    is_finite = known.all(axis=(1, 2, 3, 4))
    values = {'is_finite': is_finite, 'n_test': made.shape[1]} | values
    return cls(on_test=lambda rows: made[:, rows], **values)


@dataclasses.dataclass(frozen=True)
class Dimensions:
  """The shapes of an attack's data, which are all that its programs depend on."""

  activation: Shape  # without lanes and batch
  image: ImageShape
  dtype: Any  # the number format of the activations
  num_lanes: int
  num_train: int
  num_held_out: int


class Network(NamedTuple):
  """What an attack trains for each lane, and the shape of its input."""

  module: nn.Module
  input_shape: Shape  # without lanes and batch

  @property
  def num_params(self) -> int:
    """The number of parameters for one lane."""
    example = jax.ShapeDtypeStruct((1, *self.input_shape), jnp.float32)
    variables = jax.eval_shape(self.module.init, jax.random.key(0), example)
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables['params']))


@dataclasses.dataclass(frozen=True)
class Attack(abc.ABC):
  """One way to rebuild images from activations. It is hashable and has no state.

  Only `run` has to be written. The other methods have defaults for an attack that works
  everywhere, compiles nothing ahead and saves nothing that could be scored again.

  Attributes:
    text: The text that named it, which the rows of its results carry.
    at: Names and globs of the splits to attack. If empty, it attacks all chosen splits.
  """

  text: str = ''
  at: tuple[str, ...] = ()

  @property
  def reads_prediction(self) -> bool:
    """Whether it attacks the model's answer instead of a split."""
    return False

  def check_task(self, task: Task) -> None:
    """Raises InputError if the attack cannot be used with these data."""
    del task

  def check_model(self, model: nn.Module) -> None:
    """Raises InputError if the attack cannot be used on a target of this kind."""
    del model

  def check_shape(self, activation: Shape, image: ImageShape) -> None:
    """Raises InputError if the attack cannot be used on activations of a shape."""
    del activation, image

  def make_network(self, activation: Shape, image: ImageShape) -> Network | None:
    """What it trains on activations of a shape; None if it trains no decoder."""
    return None

  def bytes_per_lane(self, activation: Shape, image: ImageShape) -> int:
    """The bytes of device memory that one lane needs beside its activations."""
    network = self.make_network(activation, image)
    return 0 if network is None else MOMENTS * 4 * network.num_params

  def compile_ahead(
    self, dimensions: Dimensions, recipe: Recipe, engine: Engine
  ) -> Trainer | None:
    """The compiled programs of `run`, for `Scenario.trainer`; None if it has none.

    It may run on another thread.

    Args:
      dimensions: The shapes of the data.
      recipe: How decoders are trained.
      engine: How lanes are computed.
    """
    return None

  @abc.abstractmethod
  def run(self, scenario: Scenario) -> Outcome:
    """Attacks all lanes of a scenario.

    Raises:
      Interrupted: A signal came.
    """

  def blank(self, scenario: Scenario) -> Any:
    """Arrays or shapes with the structure of `Outcome.saved`; None if it saves none."""
    return None

  def restore(self, scenario: Scenario, saved: Any) -> Outcome:
    """The outcome from what was saved of it, so that it can be scored again.

    Args:
      scenario: The scenario in which it was found.
      saved: What `Outcome.saved` held, with L in front.

    Raises:
      NotImplementedError: The attack saves nothing.
    """
    raise NotImplementedError(f'{type(self).__name__} saves nothing')
