"""Pictures of a sweep that are damaged or gone: noticed, said, and made again."""

import contextlib
import io
import json
import shutil

import damage
import forked
import numpy as np
import pytest
import tiny

from gpz_jax import report, sweep
from gpz_jax.study import pictures
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep.verify import verify

pytestmark = pytest.mark.usefixtures('blank_charts')
ATTACKS = ('inversion', 'rmle:steps=1:images=2')


def config(workdir) -> sweep.SweepConfig:
  return tiny.sweep_config(
    workdir, model='tiny:Branched', model_options=(), splits=('stem',), attack=ATTACKS
  )


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """A finished sweep with pictures that a decoder made, and some that none made."""
  workdir = tmp_path_factory.mktemp('finished') / 'run'
  with contextlib.redirect_stdout(io.StringIO()) as out:
    sweep.run(config(workdir))
  assert 'picture' not in out.getvalue()
  return workdir


@pytest.fixture
def workdir(finished, tmp_path):
  return shutil.copytree(finished, tmp_path / 'run')


def find(workdir, attack):
  """The picture that an attack made."""
  row = next(r for r in Workdir(workdir).read_rows() if r['attack'] == attack)
  return Workdir(workdir).sample(row['lane_id'], row['split'], attack)


def flip(path):
  data = bytearray(path.read_bytes())
  data[-1] ^= 1
  path.write_bytes(data)


def replace(path):
  np.save(path, np.full_like(np.load(path), 7))


HARMS = {
  'flipped': flip,
  'truncated': lambda path: path.write_bytes(path.read_bytes()[:-9]),
  'empty': lambda path: path.write_bytes(b''),
  'replaced': replace,
  'gone': lambda path: path.unlink(),
}


def read_page(workdir) -> str:
  return report.build(workdir).read_text()


def test_intact_pictures_are_checksummed_and_nothing_is_said(finished):
  verdict = verify(finished, sample=0)
  assert verdict.problems == []
  assert not any('picture' in note for note in verdict.notes)
  folder = Workdir(finished).samples
  names = {path.name for path in folder.iterdir()} - {pictures.CHECKSUMS}
  assert len(names) == 3  # the originals, and one of each attack
  assert pictures.read_checksums(folder).keys() == names
  assert 'damaged' not in read_page(finished)


@pytest.mark.parametrize('harm', HARMS)
def test_a_harmed_picture_is_noticed_and_left_out(harm, workdir):
  originals = Workdir(workdir).originals
  HARMS[harm](find(workdir, 'inversion'))
  HARMS[harm](originals)
  state = 'gone' if harm == 'gone' else 'damaged'
  for path in (find(workdir, 'inversion'), originals):
    message = f'picture samples/{path.name} is {state}; repeat the sweep to have it'
    assert any(message in p for p in verify(workdir, sample=0).problems)
  counts = (0, 2) if harm == 'gone' else (2, 0)
  assert '{} pictures are damaged and {} are gone'.format(*counts) in read_page(workdir)


def test_harmed_pictures_are_made_again(workdir, capsys):
  whole = find(workdir, 'inversion').read_bytes()
  find(workdir, 'inversion').unlink()
  replace(Workdir(workdir).originals)
  sweep.run(config(workdir))
  said = capsys.readouterr().out
  assert '2 pictures are damaged or gone: made again from the decoders' in said
  assert verify(workdir, sample=0).problems == []
  assert find(workdir, 'inversion').read_bytes() == whole
  assert 'pictures are' not in read_page(workdir)


def test_a_picture_that_no_decoder_made_is_left_out(workdir, capsys):
  flip(find(workdir, ATTACKS[1]))
  sweep.run(config(workdir))
  assert '1 pictures cannot be made again' in capsys.readouterr().out
  page = read_page(workdir)
  assert '1 pictures are damaged and 0 are gone. They are left out' in page
  assert len(verify(workdir, sample=0).problems) == 1


def test_without_its_decoder_a_picture_cannot_be_made_again(workdir, capsys):
  flip(find(workdir, 'inversion'))
  shutil.rmtree(Workdir(workdir).decoders)
  sweep.run(config(workdir))
  assert '1 pictures cannot be made again' in capsys.readouterr().out


def test_two_pictures_that_changed_places_are_noticed(workdir):
  one, other = find(workdir, 'inversion'), Workdir(workdir).originals
  data = one.read_bytes()
  one.write_bytes(other.read_bytes())
  other.write_bytes(data)
  assert len(verify(workdir, sample=0).problems) == 2


def test_the_report_makes_pictures_again(workdir):
  whole = find(workdir, 'inversion').read_bytes()
  find(workdir, 'inversion').unlink()
  done = forked.run('report', f'--workdir={workdir}')
  assert done.returncode == 0, done.stderr
  assert done.stderr == (
    'report: note: 1 pictures are gone: made again from the decoders\n'
  )
  assert find(workdir, 'inversion').read_bytes() == whole


def test_the_report_is_made_where_pictures_cannot_be(workdir):
  find(workdir, 'inversion').unlink()
  (workdir / 'run.flags').unlink()
  settings = json.loads((workdir / 'config.json').read_text())
  (workdir / 'config.json').write_text(json.dumps(settings | {'dataset': 'folder:/x'}))
  done = forked.run('report', f'--workdir={workdir}')
  assert done.returncode == 0, done.stderr
  assert done.stderr.startswith('report: note: pictures are not made again: no images')
  assert done.stderr.count('\n') == 1
  assert '0 pictures are damaged and 1 are gone' in read_page(workdir)


def test_an_older_workdir_has_no_checksums_and_that_is_no_failure(workdir):
  (Workdir(workdir).samples / pictures.CHECKSUMS).unlink()
  verdict = verify(workdir, sample=0)
  assert verdict.problems == []
  assert '3 pictures are not checksummed' in verdict.notes
  assert '3 pictures are not checksummed.' in read_page(workdir)
  sweep.run(config(workdir), quiet=True)
  assert '3 pictures are not checksummed.' in read_page(workdir)


def test_a_damaged_list_of_checksums_is_noticed(workdir, capsys):
  path = Workdir(workdir).samples / pictures.CHECKSUMS
  for how, data in damage.damaged(path.read_bytes(), range(1)):
    path.write_bytes(data)
    verdict = verify(workdir, sample=0)
    assert verdict.problems or verdict.notes or how in ('crlf 0', 'number 0'), how
    assert 'index.html' in str(report.build(workdir))
  path.write_bytes(b'{')
  sweep.run(config(workdir))
  said = capsys.readouterr().out
  assert '3 pictures are in doubt, as their checksums are damaged: made again' in said
  assert '1 pictures cannot be made again' in said
  assert pictures.read_checksums(path.parent).keys() == {
    'originals.npy', find(workdir, 'inversion').name
  }  # fmt: skip
