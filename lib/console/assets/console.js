/**
 * The console's only script. Every page reads and every form works without it; it copies, draws charts from the figures
 * that are in the page, and puts in place what changed.
 */
document.documentElement.classList.add('js');

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
/** Names of colours by the tone of a series. */
const TONES = { good: 'good', warn: 'warn', bad: 'bad', calm: 'quiet', plan: 'plan' };
const charts = new Map();
const HEIGHT = 240;
const WHOLE = new Intl.NumberFormat('en');
const HOUR = 3_600;
/** Times on the axis: smallest step, its form, and what is added where the year, the month or the day is another one. */
const DATE = '\n{MM}-{DD}';
const TICKS = [
  [24 * HOUR, '{MM}-{DD}', '\n{YYYY}', null, null, null, null, null, 1],
  [HOUR, '{HH}:{mm}', DATE, null, DATE, null, null, null, 1],
];

function stamp(_plot, at) {
  return new Date(at * 1000).toISOString().slice(0, 16).replace('T', ' ');
}

function resolved(name) {
  // `light-dark()` is resolved by an element's own colour, not in the text of a property.
  const probe = document.createElement('span');
  probe.style.color = colour(name);
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function faded(rgb) {
  return rgb.replace(/^rgb\((.+)\)$/, 'rgba($1, 0.18)');
}

function compact(value) {
  return new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 }).format(value);
}

function draw(place) {
  if (!window.uPlot) return;
  charts.get(place)?.destroy();
  const { x, series } = JSON.parse(place.dataset.chart);
  const [quiet, edge] = [resolved('quiet'), resolved('edge')];
  const font = '12px system-ui, sans-serif';
  const axis = { stroke: quiet, font, grid: { stroke: edge, width: 1 }, ticks: { show: false } };
  const options = {
    width: place.clientWidth,
    height: HEIGHT,
    tzDate: (at) => window.uPlot.tzDate(new Date(at * 1000), 'Etc/UTC'),
    scales: { y: { range: (_plot, _least, most) => [0, Math.max(4, most * 1.1)] } },
    axes: [
      { ...axis, grid: { show: false }, values: TICKS },
      { ...axis, size: 52, values: (_plot, values) => values.map(compact) },
    ],
    series: [
      { label: 'UTC', value: (plot, at) => (at === null ? '' : stamp(plot, at)) },
      ...series.map(({ label, tone, line }) => {
        const stroke = resolved(TONES[tone]);
        const value = (_plot, found) => (found === null ? '' : WHOLE.format(found));
        return {
          label,
          stroke,
          value,
          width: 2,
          points: { show: false },
          fill: line ? undefined : faded(stroke),
        };
      }),
    ],
  };
  charts.set(place, new window.uPlot(options, [x, ...series.map(({ values }) => values)], place));
}

function drawAll() {
  for (const place of charts.keys()) if (!place.isConnected) charts.delete(place);
  for (const place of document.querySelectorAll('[data-chart]')) draw(place);
}

document.addEventListener('click', ({ target }) => {
  const button = target.closest?.('[data-copy]');
  if (button) void copy(button);
});

async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = 'Copied';
  } catch {
    // Without TLS browsers give no clipboard: the text beside the button is selected instead.
    const text = button.previousElementSibling ?? button.parentElement;
    getSelection()?.selectAllChildren(text);
    button.textContent = 'Selected';
  }
  setTimeout(() => {
    button.textContent = 'Copy';
  }, 2000);
}

/** Puts in place what differs, but nothing that somebody is at. */
function replace(markup) {
  const fresh = new DOMParser().parseFromString(markup, 'text/html');
  for (const place of document.querySelectorAll('[data-live]')) {
    const next = fresh.getElementById(place.id);
    if (!next || next.innerHTML === place.dataset.last) continue;
    const busy = place.querySelector('input:focus, select:focus, textarea:focus, .sure[open]');
    if (busy || String(getSelection()) !== '') continue;
    const focused = place.contains(document.activeElement) ? document.activeElement : undefined;
    const path = focused && indexOf(place, focused);
    const opened = [...place.querySelectorAll('details')].map((one) => one.open);
    const scrolled = [...place.querySelectorAll('.scroll')].map((one) => one.scrollLeft);
    place.dataset.last = next.innerHTML;
    place.replaceChildren(...document.adoptNode(next).childNodes);
    place.querySelectorAll('details').forEach((one, i) => {
      if (opened[i] !== undefined) one.open = opened[i];
    });
    place.querySelectorAll('.scroll').forEach((one, i) => {
      one.scrollLeft = scrolled[i] ?? 0;
    });
    if (path !== undefined) place.querySelectorAll('a, button, summary, [tabindex]')[path]?.focus();
    drawAll();
  }
}

function indexOf(place, focused) {
  return [...place.querySelectorAll('a, button, summary, [tabindex]')].indexOf(focused);
}

const POLL = 10_000;

function follow(main) {
  const address = location.href.split('#')[0];
  if (main.dataset.follow === 'stream') {
    let source;
    const open = () => {
      source = new EventSource(address);
      source.addEventListener('page', ({ data }) => replace(data));
      // A session that is over: the page itself leads to sign-in.
      source.addEventListener('over', () => {
        source.close();
        setTimeout(() => void poll(), POLL);
      });
    };
    open();
    // A page that nobody sees asks for nothing.
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) source.close();
      else if (source.readyState === EventSource.CLOSED) open();
    });
    addEventListener('pagehide', () => source.close());
    return;
  }
  setTimeout(() => void poll(), POLL);
}

async function poll() {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href.split('#')[0], { redirect: 'manual' });
      if (answer.type === 'opaqueredirect') {
        location.reload();
        return;
      }
      if (answer.ok) replace(await answer.text());
    } catch {
      // The service is away for now.
    }
  }
  setTimeout(() => void poll(), POLL);
}

for (const one of document.querySelectorAll('time')) one.title = new Date(one.dateTime).toLocaleString();
drawAll();
let width = innerWidth;
addEventListener('resize', () => {
  if (innerWidth !== width) drawAll();
  width = innerWidth;
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
const followed = document.querySelector('main[data-follow]');
if (followed) follow(followed);
