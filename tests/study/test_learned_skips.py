"""The factors of skips that were learned are said, in rows and on the page."""

import pytest
import tiny
from made_up import make_row

from gpz_jax import results, sweep
from gpz_jax.models import skip_lanes

pytestmark = pytest.mark.usefixtures('blank_charts', 'short_resnet')


@pytest.mark.ci
def test_what_was_learned_is_said_and_is_in_rows_and_page(tmp_path, capfd):
  config = tiny.sweep_config(
    tmp_path / 'run',
    model='resnet18',
    skips=('intact', '111l'),
    splits=('layer1_0',),
    target_epochs=2,
  )
  found = sweep.run(config)
  by_skips = {row['skips']: row['skips_final'] for row in found.rows}
  assert by_skips['intact'] == ''
  *given, learned = by_skips['111l'].split(', ')
  assert given == ['1', '1', '1']
  assert 0 < float(learned) < 1
  said = ' '.join(''.join(capfd.readouterr()).split())
  (line,) = [part for part in said.split(' target alpha') if 'learned factors' in part]
  assert line.startswith(' 0, skips 111l seed 0: accuracy ')
  assert f'; learned factors {learned} ' in line + ' '
  page = found.report.read_text()
  ended = 'The skip factors of alpha 0, skips 111l ended at '
  assert page.count(f'{ended}{by_skips["111l"]}.') == 1
  assert '<th scope="col">skips in the end</th>' in page


def test_only_learned_stages_are_picked():
  assert skip_lanes.pick_learned('1, 0, 0.2, 0.83', '10sl/0.2') == '0.83'


def test_rows_from_before_there_was_the_column_are_read(tmp_path):
  row = make_row(status='done')
  results.append_rows(tmp_path / 'results.jsonl', [row])
  path = tmp_path / 'results.jsonl'
  path.write_text(path.read_text().replace('"skips_final": "", ', ''))
  assert 'skips_final' not in path.read_text()
  assert results.read_rows(path)[0]['skips_final'] == ''
