"""What the pages of all studies share: templates, their filters, and the one script."""

import base64
import hashlib
import io
import pathlib
import re
from typing import Any

import jinja2
import markupsafe
import numpy as np
from PIL import Image

from gpz_jax.report import figures
from gpz_jax.results import formats

FOLDER = pathlib.Path(__file__).parent


def render(template: str, **values: Any) -> str:
  """The HTML text of a page.

  Args:
    template: A template that extends shell.html, by its path in the folder of this
      module.
    **values: What the template asks for. Whatever is no `markupsafe.Markup` is escaped.
  """
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader('gpz_jax', 'report'),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters |= {
    'breakable': let_break,
    'bytes': formats.format_bytes,
    'count': formats.format_count,
    'error': formats.format_error,
    'fixed': formats.format_fixed,
    'headings': list_headings,
    'number': formats.format_number,
    'setting': formats.format_setting,
    'share': formats.format_share,
    'strip': encode_strip,
    'treatment': formats.format_treatment,
  }
  script = (FOLDER / 'page.js').read_text()
  return environment.get_template(template).render(
    script=markupsafe.Markup(script),
    script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    **values,
  )


def list_headings(body: str) -> list[tuple[str, markupsafe.Markup]]:
  """The id and title of each section of the page."""
  found = re.findall(r'<h2 id="(\w+)">(.*?)</h2>', body)
  return [(name, markupsafe.Markup(title)) for name, title in found]


def let_break(name: str) -> markupsafe.Markup:
  """A name, escaped, that a narrow column may break behind a colon."""
  return markupsafe.Markup(':<wbr>').join(name.split(':'))


def encode_strip(images: np.ndarray) -> str:
  """Images side by side as a PNG data URI."""
  buffer = io.BytesIO()
  Image.fromarray(figures.join_images(images)).save(buffer, 'png', optimize=True)
  return f'data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}'
