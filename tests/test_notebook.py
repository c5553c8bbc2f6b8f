"""The notebook in examples/: its code cells run in their order, in an empty folder."""

import json
import os
import pathlib
import re
import subprocess
import sys

import PIL.Image
import pytest

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOK = ROOT / 'examples' / 'inversion.ipynb'
CELLS = json.loads(NOTEBOOK.read_text(encoding='utf-8'))['cells']
# Stands for the cell of sizes where only that the cells run is of interest.
SMALL = """
SIZES = {'train_limit': 64, 'val_limit': 32, 'test_limit': 40, 'aux_limit': 64}
TARGET_EPOCHS = DECODER_EPOCHS = 1
"""


def list_code() -> list[str]:
  """The code cells in their order."""
  return [''.join(cell['source']) for cell in CELLS if cell['cell_type'] == 'code']


def run(folder: pathlib.Path, cells: list[str]) -> str:
  """What a script of the cells prints that runs in a folder."""
  (folder / 'cells.py').write_text('\n\n'.join(cells), encoding='utf-8')
  done = subprocess.run(
    [sys.executable, 'cells.py'],
    cwd=folder,
    env=os.environ
    | {
      'PYTHONPATH': str(ROOT),
      'XDG_CACHE_HOME': str(folder / 'cache'),
      'MPLBACKEND': 'agg',
    },
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  with PIL.Image.open(folder / 'reconstructions.png') as picture:
    assert picture.width > picture.height > 200  # three rows of eight images
  assert (folder / 'runs' / 'notebook' / 'report' / 'index.html').is_file()
  return done.stdout


def test_the_notebook_holds_no_output_and_no_path():
  for cell in CELLS:
    assert not cell.get('outputs')
    assert cell.get('execution_count') is None
  text = NOTEBOOK.read_text(encoding='utf-8')
  assert not re.search(r'(?<![\w.:/*-])/\w+/', text)  # an absolute path


@pytest.mark.slow  # half a minute, most of it imports and compilation
def test_its_cells_run_with_small_sizes(tmp_path):
  cells = [SMALL if cell.startswith('SIZES =') else cell for cell in list_code()]
  assert cells.count(SMALL) == 1
  text = run(tmp_path, cells)
  assert 'aux' in text
  assert text.count(' done\n') == 5  # a row for each split


@pytest.mark.slow
def test_its_cells_run_as_they_stand(tmp_path):
  text = run(tmp_path, list_code())
  error = {
    line.split(':')[0]: float(line.split()[3])
    for line in text.splitlines()
    if ': test MSE ' in line
  }
  guess = next(line for line in text.splitlines() if line.startswith('mean_image: '))
  shallow = next(iter(error.values()))
  assert shallow < float(guess.split()[-1])  # the attack has learnt something
  assert 'no conclusion' not in text
