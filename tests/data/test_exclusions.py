import numpy as np
import pytest

from gpz_jax import types
from gpz_jax.data import exclusions

NAMES = ('ann', 'ben', 'cy')


@pytest.fixture
def faces() -> types.Dataset:
  label = np.array([0, 1, 2, 1, 0], np.int32)
  return types.Dataset(np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1), label)


def without(faces, tmp_path, text: str) -> types.Dataset:
  (tmp_path / 'list.txt').write_text(text)
  return exclusions.without(faces, NAMES, tmp_path / 'list.txt')


def test_listed_classes_are_left_out(faces, tmp_path):
  kept = without(faces, tmp_path, '# both\nben\n\n cy # the third\n')
  assert kept.image.ravel().tolist() == [0, 4]
  assert kept.label.tolist() == [0, 0]


@pytest.mark.parametrize(
  ('text', 'left'),
  [
    ('C#', ['C', 'F#', ' end ']),
    ('C', ['C#', 'F#', ' end ']),
    ('C# # a language', ['C', 'F#', ' end ']),
    ('C # not C#', ['C#', 'F#', ' end ']),
    (' F#', ['C', 'C#', ' end ']),
    (' end ', ['C', 'C#', 'F#']),
    (' end # with spaces\n# F#', ['C', 'C#', 'F#']),
  ],
)
def test_names_may_hold_a_mark_or_spaces(text, left, faces, tmp_path):
  names = ('C', 'C#', 'F#', ' end ')
  data = types.Dataset(faces.image[:4], np.arange(4, dtype=np.int32))
  (tmp_path / 'list.txt').write_text(text)
  kept = exclusions.without(data, names, tmp_path / 'list.txt')
  assert [names[label] for label in kept.label] == left


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('bene\n', "1 classes that the aux dataset does not have, .*mean 'ben'"),
    ('# nobody\n', 'names no class'),
    ('ann\nben\ncy\n', 'leaves no example'),
  ],
)
def test_bad_list(text, message, faces, tmp_path):
  with pytest.raises(types.InputError, match=message):
    without(faces, tmp_path, text)


def test_missing_list(faces, tmp_path):
  with pytest.raises(types.InputError, match=r'cannot read aux_exclude .*nowhere'):
    exclusions.without(faces, NAMES, tmp_path / 'nowhere')
