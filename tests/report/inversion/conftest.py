"""A finished study of model inversion, and its page."""

import shutil

import made_up_inversions as made_up
import pytest
from inversion_pages import ATTACKS
from pages import read_page

from gpz_jax.report.inversion import page as page_lib


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """A finished study of 7 treatments and 3 seeds, under two attacks."""
  folder = tmp_path_factory.mktemp('inversion')
  weak = made_up.make_study()
  strong = [row | {'attack': ATTACKS[1]} for row in weak]
  for row in weak:  # by a tenth, so that everything is said of the other
    for name in ('att_acc1', 'att_acc1_low', 'att_acc1_high'):
      row[name] -= 0.1
  rows = weak + strong
  made_up.write(folder, rows)
  made_up.add_files(folder, rows)
  return folder


@pytest.fixture(autouse=True)
def no_charts(monkeypatch):
  """Draws no chart, which takes a second or two, but where a test undoes this."""
  monkeypatch.setattr(page_lib.svg, 'embed', lambda panels, above: '')
  monkeypatch.setattr(page_lib, 'save_png', lambda panel, path: None)


@pytest.fixture
def workdir(finished, tmp_path):
  """A copy to be changed."""
  folder = tmp_path / 'study'
  shutil.copytree(finished, folder)
  return folder


@pytest.fixture(scope='module')
def page(finished):
  """Its text and its tables."""
  return read_page(finished)
