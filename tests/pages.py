"""A report read back from its HTML."""

import html.parser

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


def read_page(workdir):
  text = report.build(workdir).read_text()
  parser = Tables()
  parser.feed(text)
  return text, parser
