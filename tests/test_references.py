"""What sources and documents refer to is there."""

import dataclasses
import pathlib

import pytest
import references

from gpz_jax.model_inversion import ModelInversionConfig
from gpz_jax.sweep import SweepConfig

ROOT = pathlib.Path(__file__).parents[1]
FIELDS = tuple(
  field.name
  for config in (SweepConfig, ModelInversionConfig)
  for field in dataclasses.fields(config)
)


@pytest.mark.parametrize(
  'check',
  [
    references.bad_pages,
    references.bad_links,
    references.specs,
    references.bad_files,
    references.bad_names,
  ],
)
def test_every_reference_resolves(check):
  assert check(ROOT) == []


def test_every_documented_command_and_flag_exists():
  assert references.bad_commands(ROOT, FIELDS) == []


def test_there_are_references_to_check():
  texts = [path.read_text(encoding='utf-8') for path in references.sources(ROOT)]
  assert sum(len(references.PAGE.findall(text)) for text in texts) > 40
  pages = [path.read_text(encoding='utf-8') for path in references.documents(ROOT)]
  assert sum(len(references.COMMAND.findall(text)) for text in pages) > 10
  assert sum(len(references.FILE.findall(text)) for text in pages) > 20
  assert sum(len(references.DOTTED.findall(text)) for text in pages) > 5


GOOD = """# A page
See [the other](docs/other.md#a-split-feat_3) and `experiments/flagfiles/a.cfg`.

    python -m experiments.walk --steps=3 --nofast --flagfile=experiments/flagfiles/a.cfg
    gpz-walk --preset=a --fast
    python -m gpz_jax walk --help

`zone.rules.first` is in `zone/rules.py`; `zone.parquet` is data, `jax.numpy` is not
ours. A specification is not a spec of ours.
"""


@pytest.fixture
def repository(tmp_path):
  """A made-up repository in which every reference resolves."""
  files = {
    'README.md': GOOD,
    'docs/other.md': '# Other\n\n## A split: `feat_3`\n[back](../README.md#a-page)\n',
    'experiments/flagfiles/a.cfg': '--steps=3\n',
    'gpz_jax/commands/walk.py': "flags.DEFINE_integer('steps', 1)\nFAST = 'fast'\n",
    'gpz_jax/zone/__init__.py': '',
    'gpz_jax/zone/rules.py': '"""Source: docs/other.md#other."""\nfirst = 1\n',
  }
  for name, text in files.items():
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text, encoding='utf-8')
  return tmp_path


CHECKS = (
  references.bad_pages,
  references.bad_links,
  references.specs,
  references.bad_files,
  references.bad_commands,
  references.bad_names,
)


def test_a_sound_repository_has_no_problems(repository):
  assert [problem for check in CHECKS for problem in check(repository)] == []


@pytest.mark.parametrize(
  ('name', 'before', 'after', 'problem'),
  [
    (
      'gpz_jax/zone/rules.py', 'other.md#other', 'other.md#none',
      'gpz_jax/zone/rules.py: docs/other.md has no heading for #none',
    ),
    (
      'gpz_jax/zone/rules.py', 'other.md#other', 'lost.md',
      'gpz_jax/zone/rules.py: docs/lost.md does not exist',
    ),
    (
      'docs/other.md', 'README.md#a-page', 'README.md#b-page',
      'docs/other.md: README.md has no heading for #b-page',
    ),
    (
      'docs/other.md', '../README.md', '../LICENCE.md',
      'docs/other.md: LICENCE.md does not exist',
    ),
    ('gpz_jax/zone/rules.py', 'docs/other.md#other', 'spec section 6', '.py: spec'),
    ('gpz_jax/zone/rules.py', 'Source:', 'See jumps.py,', 'rules.py: jumps.py'),
    ('README.md', '`jax.numpy`', '(spec: code)', 'README.md: (spec'),
    ('README.md', 'flagfiles/a.cfg`', 'flagfiles/b.cfg`', 'b.cfg does not exist'),
    ('README.md', 'zone/rules.py', 'zone/jumps.py', 'zone/jumps.py does not exist'),
    ('README.md', 'a.cfg`', '{a,c}.cfg`', 'experiments/flagfiles/c.cfg does not exist'),
    ('README.md', '.walk', '.run', 'README.md: no command experiments.run'),
    ('README.md', '--steps', '--stride', 'experiments.walk has no --stride'),
    ('README.md', 'gpz-walk', 'gpz-run', 'README.md: no command gpz-run'),
    ('README.md', 'gpz_jax walk', 'gpz_jax run', 'README.md: no command gpz_jax run'),
    ('README.md', '--preset=a --fast', '--fats', 'gpz-walk has no --fats'),
    ('docs/other.md', 'back', '--back', 'docs/other.md: no command has --back'),
    ('README.md', 'rules.first', 'rules.last', 'zone.rules.last does not exist'),
    ('README.md', 'zone.rules.', 'zone.jumps.', 'zone.jumps.first does not exist'),
  ],
)  # fmt: skip
def test_a_bad_reference_is_found(repository, name, before, after, problem):
  text = (repository / name).read_text(encoding='utf-8')
  assert before in text
  (repository / name).write_text(text.replace(before, after), encoding='utf-8')
  found = [line for check in CHECKS for line in check(repository)]
  assert any(problem in line for line in found), found
