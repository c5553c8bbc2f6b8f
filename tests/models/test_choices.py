"""The table of what was measured, and how it is read."""

import json

import jax
import pytest

from gpz_jax.models import choices
from gpz_jax.types import InputError

on_cpu = pytest.mark.skipif(
  jax.default_backend() != 'cpu', reason='the table measured on CPU is read there only'
)


def test_the_shipped_table_names_known_ways():
  table = json.loads(choices._MEASURED.read_text())
  assert list(table) == ['cpu']
  for text, way in table['cpu'].items():
    site = choices.Site.parse(text)
    assert site.text == text
    assert way in choices.KNOWN[site.kind]
    # the natural form is what is slow in compiled loops there
    assert way not in ('lax', 'subpixel')


@on_cpu
@pytest.mark.parametrize(
  ('x', 'w', 'way'),
  [
    ((8, 64, 64, 64), (3, 3, 64, 3), 'scatter'),  # as measured
    ((8, 128, 128, 64), (3, 3, 64, 3), 'scatter'),  # the nearest was
    ((8, 64, 64, 64), (3, 3, 64, 64), 'canonical'),  # of 16x16, not of 64 > 3
    ((8, 9, 9, 4), (7, 7, 4, 4), 'taps'),  # no such kernel was measured
  ],
)
def test_the_nearest_measurement_decides(x, w, way):
  assert choices.choose('dense', x, w) == way


def test_elsewhere_libraries_decide():
  site = choices.Site('dense', (3, 3), (8, 8), 4, 4)
  assert choices._measured_or_default(site, 'gpu') == 'lax'
  upsample = site._replace(kind='upsample', kernel=(4, 4))
  assert choices._measured_or_default(upsample, 'gpu') == 'subpixel'


def test_unknown_settings_are_refused():
  with pytest.raises(InputError, match="conv 'tap' is not known; did you mean 'taps'"):
    choices.check('tap')
