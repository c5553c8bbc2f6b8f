"""A page in a browser, and what is asked of it there."""

import contextlib

# Elements that reach out of the window, unless they are in a box that scrolls.
TOO_WIDE = """() => [...document.body.querySelectorAll('*')]
  .filter((e) => !e.parentElement.closest('.scroll') && !e.closest('svg svg, svg *'))
  .filter((e) => {
    const {left, right} = e.getBoundingClientRect();
    return right > innerWidth + 0.5 || left < -0.5;
  }).map((e) => e.outerHTML.slice(0, 200))"""
# Text that overflows an element which neither shows that nor scrolls.
CUT_OFF = """() => [...document.body.querySelectorAll(':not(svg, svg *)')]
  .filter((e) => e.clientWidth && e.scrollWidth > e.clientWidth + 1)
  .filter((e) => !['auto', 'scroll'].includes(getComputedStyle(e).overflowX))
  .map((e) => [e.scrollWidth, e.clientWidth, e.outerHTML.slice(0, 200)])"""
# Where each table and chart ends.
RIGHT_ENDS = """() => Object.fromEntries(
  [...document.querySelectorAll('table, svg, img')].map((e, i) =>
    [e.id || `${e.tagName} ${i}`, e.getBoundingClientRect().right]))"""
# Of each chart: the size of its smallest letter, and the texts beyond its edges.
CHARTS = """() => [...document.querySelectorAll('svg')].map((svg) => {
  const box = svg.getBoundingClientRect();
  const scale = box.width / svg.viewBox.baseVal.width;
  const texts = [...svg.querySelectorAll('g[id*="-text_"]')];
  const sizes = texts.flatMap((text) => [...text.querySelectorAll(':scope > g')])
    .map((g) => /scale\\(([\\d.]+)/.exec(g.getAttribute('transform')))
    .filter(Boolean).map((found) => 100 * scale * found[1]);
  const isOut = (r) => r.width && (r.left < box.left - 1 || r.right > box.right + 1
    || r.top < box.top - 1 || r.bottom > box.bottom + 1);
  const out = texts.filter((text) => isOut(text.getBoundingClientRect()));
  return {smallest: Math.min(...sizes), out: out.map((text) => text.id),
          left: box.left, top: box.top};
})"""


@contextlib.contextmanager
def opened(chromium, index, width, scheme='light', **options):
  """The page in a window; what its script complains of fails the test."""
  size = {'width': width, 'height': 800}
  page = chromium.new_page(viewport=size, color_scheme=scheme, **options)
  complaints = []
  page.on('pageerror', lambda error: complaints.append(error))
  page.on('console', lambda message: complaints.append(message.text))
  page.goto(index.as_uri())
  assert page.evaluate('innerWidth') == width
  yield page
  page.close()
  assert complaints == []
