"""Which targets a study may take from another one."""

import pytest
import tiny

from gpz_jax.study import borrowing, fields
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep import SweepConfig
from gpz_jax.types import InputError


def test_targets_that_were_chosen_on_the_attackers_images_need_other_ones(tmp_path):
  faces = tiny.inversion_config(tmp_path / 'faces')
  workdir = Workdir(faces.workdir)
  workdir.path.mkdir()
  workdir.write_identity(faces)
  names = fields.in_scope(SweepConfig, 'targets')
  same = {name: getattr(faces, name) for name in names}
  same |= {'workdir': str(tmp_path / 'sweep'), 'targets_from': faces.workdir}
  with pytest.raises(InputError, match=r'study of model inversion.*give --aux_dataset'):
    borrowing.locate(SweepConfig(**same))
  with pytest.raises(InputError, match='lacks the targets'):  # none were trained
    borrowing.locate(SweepConfig(**same, aux_dataset='portraits/public32_6x6'))
