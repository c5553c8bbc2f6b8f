"""metadata.csv and metadata.jsonl: labels of images, or why there are none."""

import json
import os

import numpy as np
import pytest

from gpz_jax import types
from gpz_jax.data.sources import folder


@pytest.fixture
def root(tmp_path, write_image):
  """Twelve images in one folder, and two beside it."""
  for i in range(12):
    write_image(tmp_path / 'set' / f'{i}.png', np.full((4, 4), i, np.uint8))
  for i in range(2):
    write_image(tmp_path / 'set' / 'more' / f'{i}.png', np.full((4, 4), 99, np.uint8))
  return tmp_path / 'set'


def rows(count=12, **columns):
  return [{'file_name': f'{i}.png', 'label': i % 3, **columns} for i in range(count)]


def write_csv(file, listed):
  lines = [','.join(listed[0]), *(','.join(map(str, row.values())) for row in listed)]
  file.write_text('\n'.join(lines) + '\n')


def write_jsonl(file, listed):
  file.write_text('\n'.join(map(json.dumps, listed)) + '\n\n')


@pytest.mark.parametrize(
  ('name', 'write'), [('metadata.csv', write_csv), ('metadata.jsonl', write_jsonl)]
)
def test_labels_come_from_a_table(name, write, root, caplog):
  nested = {'file_name': 'more/0.png', 'label': 0, 'n': ''}
  write(root / name, [*rows(n='x'), nested])
  source = folder.open_source(root, test_share=0.25)
  assert source.class_names == ('0', '1', '2')
  assert source.counts == {'train': 10, 'test': 3}
  for subset in ('train', 'test'):
    for example in source.read(subset):
      stem = int(os.path.basename(example.where).removesuffix('.png'))
      assert example.label == stem % 3
  notes = ' '.join(source.notes)
  assert f'labels come from {root / name} (13 rows), not from the names' in notes
  assert 'columns are not read: n' in notes
  assert f'1 images in {root} are left out: no table names them' in notes
  assert not caplog.records  # the table itself is not left out


def test_a_table_in_each_subset(root, write_image):
  for part in ('train', 'test'):
    for i in range(4):
      write_image(root / part / f'{i}.png', np.full((4, 4), i, np.uint8))
    write_csv(root / part / 'metadata.csv', rows(4))
  source = folder.open_source(root)
  assert source.counts == {'train': 4, 'test': 4}
  assert [example.label for example in source.read('test')] == [0, 1, 2, 0]


def test_whole_numbers_keep_their_order(root):
  numbers = [{'file_name': f'{i}.png', 'label': i} for i in range(12)]
  write_csv(root / 'metadata.csv', numbers)
  source = folder.open_source(root, is_aux=True)
  assert source.class_names == tuple(map(str, range(12)))


def test_other_labels_are_other_data(root):
  write_csv(root / 'metadata.csv', rows())
  first = folder.open_source(root, is_aux=True).key
  write_csv(
    root / 'metadata.csv', [row | {'label': 7 - row['label']} for row in rows()]
  )
  assert folder.open_source(root, is_aux=True).key != first


def test_a_table_without_labels_is_named(grey_folder):
  write_csv(grey_folder / 'train' / 'metadata.csv', [{'file_name': 'x', 'text': 'y'}])
  (grey_folder / 'metadata.parquet').touch()
  source = folder.open_source(grey_folder)
  assert source.class_names == ('even', 'odd')
  notes = ' '.join(source.notes)
  assert 'is not read, because labels need the columns file_name and label' in notes
  assert 'metadata.parquet is not read' in notes


@pytest.mark.parametrize(
  ('listed', 'message'),
  [
    ([{'file_name': '99.png', 'label': 1}], 'names .*99.png, but there is no such'),
    ([{'file_name': '../x.png', 'label': 1}], "gives '../x.png' a place outside"),
    ([{'file_name': '/etc/x.png', 'label': 1}], 'a place outside the folder'),
    ([{'file_name': '0.png', 'label': ''}], "gives '0.png' no label"),
    ([{'file_name': '0.png', 'label': 1}] * 2, "names '0.png' twice"),
    ([{'file_name': 7, 'label': [1]}], r'has the file_name 7 with the label \[1\]'),
    ([['0.png', 1]], 'has a row of another form'),
  ],
)
def test_a_table_that_cannot_be_right_is_refused(listed, message, root):
  write_jsonl(root / 'metadata.jsonl', listed)
  with pytest.raises(types.InputError, match=message):
    folder.open_source(root, is_aux=True)


@pytest.mark.parametrize('content', [b'{', b'\xff\xfe', b'[' * 100_000, b'1\n'])
def test_a_damaged_table_is_named(content, root):
  (root / 'metadata.jsonl').write_bytes(content)
  with pytest.raises(types.InputError, match=r'metadata.jsonl .*; correct it'):
    folder.open_source(root, is_aux=True)


def test_a_pipe_is_no_table(root):
  os.mkfifo(root / 'metadata.csv')
  with pytest.raises(types.InputError, match='cannot be read: it is no file'):
    folder.open_source(root, is_aux=True)
