'use strict';
// The page is complete without this. Here headings become buttons that sort, and what
// scrolls sideways says so and can be reached by keyboard.

const ORDERS = ['ascending', 'descending', 'none'];

function valueOf(row, column) {
  const cell = row.cells[column];
  const text = (cell.dataset.value ?? cell.textContent).trim();
  const isMissing = text === '-' || text === '';
  return {text, number: Number(text.replace(/[,%]/g, '')), isMissing};
}

function compare(a, b, sign) {
  if (a.isMissing || b.isMissing) return a.isMissing - b.isMissing; // the last, always
  if ([a, b].every(({number}) => Number.isFinite(number))) {
    return sign * (a.number - b.number);
  }
  return sign * a.text.localeCompare(b.text, undefined, {numeric: true});
}

function makeSortable(table) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const headings = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  headings.forEach((heading, column) => {
    if (heading.textContent.trim() === '') return;
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener('click', () => {
      const before = heading.getAttribute('aria-sort') ?? 'none';
      const order = ORDERS[(ORDERS.indexOf(before) + 1) % ORDERS.length];
      headings.forEach((each) => each.removeAttribute('aria-sort'));
      let rows = original;
      if (order !== 'none') {
        heading.setAttribute('aria-sort', order);
        const sign = order === 'ascending' ? 1 : -1;
        const values = new Map(original.map((row) => [row, valueOf(row, column)]));
        rows = [...original].sort((a, b) => compare(values.get(a), values.get(b), sign));
      }
      body.append(...rows);
    });
  });
}

function makeScroller(box) {
  const hint = document.createElement('p');
  hint.className = 'hint';
  hint.textContent = '\u2194 More to the side: scroll.';
  hint.hidden = true;
  box.before(hint);
  const look = () => {
    const scrolls = box.scrollWidth > box.clientWidth + 1;
    hint.hidden = !scrolls;
    if (scrolls) box.tabIndex = 0;
    else box.removeAttribute('tabindex');
  };
  new ResizeObserver(look).observe(box);
  look();
}

document.querySelectorAll('table.sortable').forEach(makeSortable);
document.querySelectorAll('.scroll').forEach(makeScroller);
