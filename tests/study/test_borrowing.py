"""Which targets a study may take from another one."""

import pytest
import tiny

from gpz_jax import checkpoints, sweep
from gpz_jax.study import borrowing, continuing, fields
from gpz_jax.study import targets as study_targets
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


def test_a_damaged_copy_is_borrowed_again_and_nothing_is_trained(
  tmp_path, monkeypatch, capsys
):
  quick = {'model': 'tiny:Halving', 'model_options': (), 'splits': ('second',)}
  first = tiny.sweep_config(tmp_path / 'first', **quick)
  sweep.train_targets(first, quiet=True)
  monkeypatch.setattr(study_targets, '_train', lambda *_: pytest.fail('it trains'))
  second = tiny.sweep_config(
    tmp_path / 'second', **quick, targets_from=str(first.workdir)
  )
  sweep.train_targets(second, quiet=True)
  own = Workdir(second.workdir)
  before = continuing.read_targets(own)
  assert before == continuing.read_targets(Workdir(first.workdir))
  for path in own.targets.rglob('d/*'):  # the arrays
    path.write_bytes(b'\0' * path.stat().st_size)
  assert borrowing.has_targets(second)
  own.attacked.unlink()
  sweep.train_targets(second)
  captured = capsys.readouterr()
  assert f'targets are those of {first.workdir}' in captured.out + captured.err
  assert continuing.read_targets(own) == before
  assert checkpoints.find_damage(own.targets) == []
