"""The attacks that search for the image itself (`rmle`, `query_free`)."""

import dataclasses

import numpy as np

from gpz_jax.attacks.activation import optimisation, query_free
from gpz_jax.attacks.activation.optimisation import WHITE_BOX, Search
from gpz_jax.attacks.activation.protocol import Attack, Outcome, Scenario
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.types import InputError, Task

# What float32 cannot hold would become 0 or infinite without a word.
_BOUNDS = {
  'images': (1, 2**31),
  'steps': (1, 2**31),
  'tv': (0, 1e30),
  'l2': (0, 1e30),
}
_LEARNING_RATES = (1e-12, 1e6)
_IMAGES = 32


@dataclasses.dataclass(frozen=True)
class SearchAttack(Attack):
  """A search for the images themselves, see `optimisation`.

  Attributes:
    shadow: Whether it searches through a shadow edge, see `query_free`.
    images: Number of test images that are searched for. Where there are fewer than the
      default, it stands for all.
    steps: Number of steps of the search.
    learning_rate: Learning rate of the search.
    tv: Weight of total variation. It should grow with the depth of the split.
    l2: Weight of the mean squared pixel.
  """

  shadow: bool = False
  images: int = _IMAGES
  steps: int = WHITE_BOX.steps
  learning_rate: float = WHITE_BOX.learning_rate
  tv: float = WHITE_BOX.tv
  l2: float = WHITE_BOX.l2

  def __post_init__(self):
    for name, (least, below) in _BOUNDS.items():
      if not least <= getattr(self, name) < below:
        raise InputError(
          f"attack '{self.text}': {name} must be at least {least:g} and below {below:g}"
        )
    least, below = _LEARNING_RATES
    if not least <= self.learning_rate < below:
      raise InputError(
        f"attack '{self.text}': learning_rate must be above 0, which is {least:g} at"
        f' least, and below {below:g}'
      )

  @property
  def search(self) -> Search:
    """The settings of the search."""
    return Search(self.steps, self.learning_rate, self.tv, self.l2)

  def check_task(self, task: Task) -> None:
    """Refuses more images than there are, and a shadow without the target's classes.

    A shadow edge learns to classify aux data, which must therefore have these classes.

    Raises:
      InputError: The attack cannot be used with these data.
    """
    if self.images > max(len(task.test), _IMAGES):
      raise InputError(
        f"attack '{self.text}': images={self.images} is more than the {len(task.test)}"
        ' images of the test subset; give as many at most'
      )
    if self.shadow and task.aux_name != task.name:
      raise InputError(
        f"attack '{self.text}' needs aux data labelled with the target's classes, not"
        f' --aux_dataset={task.aux_name}; use aux data of {task.name}'
      )

  def run(self, scenario: Scenario) -> Outcome:
    """Searches through the edge of each lane or through a shadow of it."""
    count = len(scenario.lanes)
    rows = np.array([lane.target for lane in scenario.lanes])
    edges = lanes_lib.take(scenario.targets, rows)
    is_finite, best_epoch = np.ones(count, bool), np.zeros(count, int)
    if self.shadow:
      with scenario.phase(f'{count} shadow edges') as phase:
        shadows, _ = query_free.train(
          scenario.model,
          edges,
          scenario.lanes,
          scenario.train,
          scenario.held_out,
          scenario.target_recipe,
          engine=scenario.engine,
          order_seed=scenario.order_seed,
          on_progress=phase,
          make_snapshots=lambda split: scenario.snapshots(
            split, [lane for lane in scenario.lanes if lane.split == split]
          ),
        )
      edges, is_finite = shadows.best.variables, np.asarray(shadows.is_finite)
      best_epoch = shadows.best.epoch
    n_test = min(self.images, len(scenario.test))
    with scenario.phase(f'{count} searches') as phase:
      found = optimisation.reconstruct(
        scenario.model,
        edges,
        scenario.lanes,
        scenario.intercepted.test[:, :n_test],
        scenario.image_shape,
        self.search,
        engine=scenario.engine,
        on_progress=phase,
      )
    return Outcome(
      on_test=lambda rows: found.reconstructions[:, rows],
      n_test=n_test,
      is_finite=is_finite & np.isfinite(found.errors).all(axis=1),
      n_train=len(scenario.train) if self.shadow else 0,
      epochs=self.steps,
      steps=self.steps,
      best_epoch=best_epoch,
    )
