"""Pages of made-up studies of model inversion, read back."""

import made_up_inversions as made_up
from pages import read_page

ATTACKS = ('ppa', 'ppa:adaptive=taa')


def write(folder, rows, **options):
  """The page of some rows, and its tables."""
  made_up.write(folder, rows, **options)
  return read_page(folder)


def column(table, title):
  """Row heading -> the text of a cell, without its interval."""
  place = table[0].index(title)
  return {line[0]: line[place] for line in table[1:]}
