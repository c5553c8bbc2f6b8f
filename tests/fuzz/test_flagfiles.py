"""Damaged flagfiles: a config, or one line that names the file or the flag."""

import damage
import pytest

from gpz_jax.commands import sweep as sweep_flags
from gpz_jax.study import serialization
from gpz_jax.sweep import SweepConfig
from gpz_jax.types import InputError


@pytest.fixture
def flagfile(tmp_path):
  path = tmp_path / 'run.flags'
  path.write_text(serialization.to_flags(SweepConfig(note='a note')))
  return path


def parse(path) -> SweepConfig:
  return sweep_flags.parse_config([f'--flagfile={path}'])


def test_damaged_flagfiles(flagfile, refused):
  whole = flagfile.read_bytes()
  count = 0
  for how, data in damage.damaged(whole, range(15)):
    flagfile.write_bytes(data)
    message = refused(parse, flagfile)
    count += bool(message)
    assert message or not how.startswith(('noise', 'latin-1')), how
  assert count > 60  # a flip in a note is none's business


@pytest.mark.parametrize(
  ('content', 'complaint'),
  [
    ('--no_such_flag=1', "Unknown command line flag 'no_such_flag'"),
    ('--seed=1', 'seeds'),
    ('--note=a\x00b', '--note=a\\x00b is not allowed; give one line of text'),
    ('--flagfile=other\x00.cfg', 'cannot be read (embedded null byte)'),
    ('--decoder_epochs=' + '9' * 5000, '--decoder_epochs='),
    ('--seeds=' + '9' * 5000, '--seeds='),
    ('--flip=maybe', 'flip'),
    ('\ufeff--seeds=1', 'is not a flag'),
  ],
)
def test_lines_that_are_no_flags(flagfile, content, complaint):
  flagfile.write_text(content, encoding='utf-8')
  with pytest.raises(InputError) as caught:
    parse(flagfile)
  assert complaint in str(caught.value)
  assert str(caught.value).isprintable()


def test_files_that_are_none(tmp_path, refused):
  for path in (tmp_path, tmp_path / 'absent', f'{tmp_path}/{"x" * 300}', '/dev/mem/x'):
    message = refused(parse, path)
    assert str(path) in message


def test_a_flagfile_that_names_itself_is_read_once(flagfile, capsys):
  flagfile.write_text(f'--seeds=4\n--flagfile={flagfile}\n')
  assert parse(flagfile).seeds == (4,)
  assert 'circular' in capsys.readouterr().err
