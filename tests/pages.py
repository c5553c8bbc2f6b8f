"""A report read back from its HTML."""

import base64
import hashlib
import html.parser
import pathlib

from gpz_jax import report


class Tables(html.parser.HTMLParser):
  """The cells of each table with an id: {id: [[text, ...], ...]}."""

  def __init__(self):
    super().__init__()
    self.tables, self.name, self.tags = {}, None, []
    self.cell: list[str] | None = None

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))
    if tag == 'table':
      self.name = dict(attrs).get('id')
      self.tables[self.name] = []
    elif tag == 'tr':
      self.tables[self.name].append([])
    elif tag in ('td', 'th'):
      self.cell = []

  def handle_data(self, data):
    if self.cell is not None:
      self.cell.append(data)

  def handle_endtag(self, tag):
    if tag in ('td', 'th') and self.cell is not None:
      self.tables[self.name][-1].append(''.join(self.cell).strip())
      self.cell = None


def check_is_self_contained(text, parser):
  """The page fetches nothing, and runs its own script and nothing else."""
  own = (pathlib.Path(report.__file__).parent / 'page.js').read_text()
  assert [attrs for tag, attrs in parser.tags if tag == 'script'] == [{}]
  assert text.count('<script') == 1
  assert f'<script>{own}</script>' in text
  allowed = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
  (policy,) = (attrs['content'] for _, attrs in parser.tags if attrs.get('http-equiv'))
  assert policy == (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    f"script-src 'sha256-{allowed}'"
  )
  for tag, attrs in parser.tags:
    assert tag not in ('link', 'iframe', 'object', 'base')
    for name in ('src', 'href', 'xlink:href'):
      assert attrs.get(name, '#').startswith(('#', 'data:image/png;base64,'))


def read_page(workdir):
  text = report.build(workdir).read_text()
  parser = Tables()
  parser.feed(text)
  return text, parser
