"""The studies that can be cut into units, and what listing them must know of each.

Nothing here needs JAX: `--status` must not wait for it.
"""

from typing import NamedTuple

from gpz_jax.model_inversion.config import ModelInversionConfig
from gpz_jax.study.config import StudyConfig
from gpz_jax.sweep.config import SweepConfig


class Study(NamedTuple):
  """What is known of a study without planning it.

  Attributes:
    config: Class of its config.
    rows: Stem of the files of its rows.
  """

  config: type[StudyConfig]
  rows: str


SWEEP, MODEL_INVERSION = 'sweep', 'model_inversion'
STUDIES = {
  SWEEP: Study(SweepConfig, 'results'),
  MODEL_INVERSION: Study(ModelInversionConfig, 'inversions'),
}
