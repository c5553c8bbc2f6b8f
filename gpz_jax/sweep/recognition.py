"""What judges that were trained on no reconstruction make of reconstructions.

A decoder is trained to lower an error. Whether its pictures still show what the image
showed is another question, and the target itself can be asked: does it give a
reconstruction to the class of the image?
"""

from typing import Any

import flax.linen as nn
import jax
import numpy as np

from gpz_jax.attacks.activation.protocol import Outcome, Scenario
from gpz_jax.evaluators import Evaluator
from gpz_jax.models import calls
from gpz_jax.training import compiling
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import Engine


class Witness:
  """Looks on while test images are rebuilt, and notes what each target says of them.

  Args:
    outcome: What an attack on L lanes found.
    scenario: Where it was found.
    judge: Who is asked beside the targets; None asks nobody.
  """

  def __init__(
    self, outcome: Outcome, scenario: Scenario, judge: Evaluator | None = None
  ):
    self.outcome, self.scenario, self.judge = outcome, scenario, judge
    nothing = np.full((len(scenario.lanes), outcome.n_test), -1)
    self._said, self._judged = nothing, nothing.copy()

  def rebuild(self, rows: np.ndarray) -> jax.Array | np.ndarray:
    """The reconstructions [L, n, H, W, C] of rows [n], as `Outcome.on_test` has them.

    The targets and the judge classify them on the way.
    """
    made, scenario = self.outcome.on_test(rows), self.scenario
    engine = scenario.engine.resolve()
    for i, lane in enumerate(scenario.lanes):
      images = made[i]
      said = _classify(scenario.model, engine, scenario.targets, lane.target, images)
      self._said[i, rows] = np.asarray(said)
      if self.judge is not None:
        pixels = np.round(255 * np.nan_to_num(np.asarray(images))).astype(np.uint8)
        self._judged[i, rows] = self.judge.logits(pixels).argmax(axis=1)
    return made

  def share(self) -> np.ndarray:
    """The share [L] of rebuilt images that the target gives to the image's class.

    NaN for a lane that diverged. All images must have been rebuilt.
    """
    return self._share(self._said)

  def judged_share(self) -> np.ndarray:
    """The share [L] that the judge gives to the image's class; NaN without a judge."""
    if self.judge is None:
      return np.full(len(self._judged), np.nan)
    return self._share(self._judged)

  def _share(self, said: np.ndarray) -> np.ndarray:
    assert (said >= 0).all(), 'examples seen != size of the subset'
    labels = self.scenario.test.label[: self.outcome.n_test]
    share = (said == labels).mean(axis=1)
    return np.where(np.asarray(self.outcome.is_finite), share, np.nan)


# Targets and the lane are arguments, so that one program serves all lanes of a sweep.
@compiling.brief_jit(static_argnums=(0, 1))
def _classify(
  model: nn.Module, engine: Engine, targets: Any, target: int, images: jax.Array
) -> jax.Array:
  """The class [n] that a target gives to images [n, H, W, C] in [0, 1]."""

  @engine.traced
  def classify(variables, images):
    def apply(rngs):
      return engine.apply(model, variables, images, train=False, rngs=rngs)

    return calls.lend_keys(apply).argmax(axis=-1)

  return classify(lanes_lib.take(targets, target), images)
