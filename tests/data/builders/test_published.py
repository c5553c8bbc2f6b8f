import hashlib

import pytest

from gpz_jax import types
from gpz_jax.data.builders import published

CONTENT = b'published'
FILE = published.File('a.bin', '9 bytes', 9, f'md5:{hashlib.md5(CONTENT).hexdigest()}')
LARGE = published.File('b.bin', '63 MB')


def test_stock_files_have_sizes_and_checksums():
  # docs/paper.md#data.
  sizes = {
    'mnist': [1_648_877, 4_542, 9_912_422, 28_881],
    'emnist': [561_753_746],
    'cifar10': [170_052_171],
  }
  for name, expected in sizes.items():
    files = published.stock_files(name)
    assert [file.num_bytes for file in files] == expected
    assert all(str(file.checksum).startswith('sha256:') for file in files)
  celeb_a = {file.name: file.num_bytes for file in published.stock_files('celeb_a')}
  assert celeb_a['img_align_celeba.zip'] == 1_443_490_838
  assert celeb_a['identity_CelebA.txt'] == 3_424_458


def test_whole_files_pass(tmp_path):
  (tmp_path / 'a.bin').write_bytes(CONTENT)
  (tmp_path / 'b.bin').write_bytes(b'')
  published.check([FILE, LARGE], tmp_path)


def test_every_missing_file_is_named_with_its_size(tmp_path):
  with pytest.raises(types.InputError, match=r'lacks a.bin \(9 bytes\), b.bin \(63 MB'):
    published.check([FILE, LARGE], tmp_path)


@pytest.mark.parametrize(
  ('content', 'message'),
  [(b'short', '5 bytes in place of 9'), (b'Published', 'its md5 is not ')],
)
def test_other_files_are_refused(content, message, tmp_path):
  (tmp_path / 'a.bin').write_bytes(content)
  with pytest.raises(types.InputError, match=f'a.bin is not the .*{message}'):
    published.check([FILE], tmp_path)
