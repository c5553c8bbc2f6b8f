"""Reproducing a table: runs, targets used again, the comparison in the report."""

import types

import numpy as np
import pytest
from PIL import Image

from gpz_jax.commands import reproduce

COMMON = """# {note}
--dataset={dataset}
--image_size=16
--model=cnn
--model_options=width=0.0625
--alphas=0
--target_epochs=1
--target_batch_size=8
--decoder_epochs=1
--decoder_batch_size=4
--splits={splits}
"""
NUMBERS = """artefact,run,row,alpha,split,attack,column,value,tolerance
table4,table4_a,first,0,conv_2,inversion,test_mse_paper,0.2,0.1
table4,table4_c,absent,0,conv_2,inversion,test_mse_paper,0.2,0.1
"""
CLAIMS = """artefact,claim,left,relation,factor,right
table4,deep is hard,table4_a|0|conv_2|inversion|test_mse_paper,>,0,table4_b|0|conv_1|inversion|test_mse_paper
"""  # noqa: E501 a line of CSV


@pytest.fixture
def folder(tmp_path):
  """Two small flagfiles of one table with the same targets, and one without data."""
  rng = np.random.default_rng(0)
  for subset, count in (('train', 12), ('test', 3)):
    for k in range(3):
      place = tmp_path / 'images' / subset / str(k)
      place.mkdir(parents=True)
      for i in range(count):
        image = rng.integers(0, 255, (16, 16, 3), np.uint8)
        Image.fromarray(image).save(place / f'{i}.png')
  images = f'folder:{tmp_path / "images"}'
  (tmp_path / 'flagfiles').mkdir()
  for name, dataset, splits in (
    ('a', images, 'conv_2'),
    ('b', images, 'conv_1'),
    ('c', f'folder:{tmp_path / "absent"}', 'conv_1'),
  ):
    text = COMMON.format(note=f'Twin {name}.', dataset=dataset, splits=splits)
    (tmp_path / 'flagfiles' / f'table4_{name}_small.cfg').write_text(text)
    (tmp_path / 'flagfiles' / f'table4_{name}.cfg').write_text('--no_such_flag')
  (tmp_path / 'paper').mkdir()
  (tmp_path / 'paper' / 'numbers.csv').write_text(NUMBERS)
  (tmp_path / 'paper' / 'claims.csv').write_text(CLAIMS)
  return tmp_path


@pytest.mark.ci
def test_a_table_is_run_compared_and_reported(folder, capsys):
  root = folder / 'runs'
  options = types.SimpleNamespace(
    scale='small', root=str(root), data_dir=None, seeds='3'
  )
  assert reproduce.reproduce('table4', options, folder) == 2  # c has no data
  out, err = capsys.readouterr()
  assert 'reproduce: table4_c_small: ' in err
  assert f'targets are those of {root}/table4_a_small_seeds_3' in out
  assert 'Twin a. Twin b.' in out.replace('\n', ' ')
  lines = out[out.index('row ') :].splitlines()
  assert lines[1].split()[0] == 'first'
  assert lines[1].split()[4] == '1'  # seed
  assert lines[2].split()[:4] == ['absent', 'test_mse_paper', '0.2', '-']
  assert lines[-1].startswith('deep is hard  cannot decide: target near chance')
  page = (root / 'table4_a_small_seeds_3' / 'report' / 'index.html').read_text()
  assert 'Beside the paper' in page
  assert 'deep is hard' in page
