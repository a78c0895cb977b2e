/** Writes SVG: elements, axes and their numbers. No more than the plots of the simulation need. */

type Attributes = Record<string, string | number | undefined>;

/** Colours that colour-blind readers can tell apart (after Okabe and Ito 2008). */
export const COLOURS = [
  '#0072b2',
  '#d55e00',
  '#009e73',
  '#cc79a7',
  '#e69f00',
  '#56b4e9',
  '#4b2e83',
  '#6b4c2a',
] as const;

export const INK = '#1f2933';
export const FAINT = '#7b8794';
export const GRID = '#e4e7eb';

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

export function element(name: string, attributes: Attributes, content = ''): string {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${escaped(typeof value === 'number' ? short(value) : value!)}"`)
    .join('');
  return content === '' ? `<${name}${written}/>` : `<${name}${written}>${content}</${name}>`;
}

export function text(x: number, y: number, content: string, more: Attributes = {}): string {
  return element('text', { x, y, fill: INK, 'font-size': 12, ...more }, escaped(content));
}

export function line(x1: number, y1: number, x2: number, y2: number, more: Attributes = {}): string {
  return element('line', { x1, y1, x2, y2, stroke: GRID, ...more });
}

/** A whole document with a title and, below it, a description. */
export function figure(
  width: number,
  height: number,
  title: string,
  subtitle: string,
  body: readonly string[],
): string {
  const head = [
    element('title', {}, escaped(title)),
    element('rect', { width, height, fill: '#ffffff' }),
    text(24, 34, title, { 'font-size': 18, 'font-weight': 'bold' }),
    text(24, 55, subtitle, { fill: FAINT, 'font-size': 13 }),
  ];
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    'font-family': 'Helvetica, Arial, "DejaVu Sans", sans-serif',
  };
  return `${element('svg', attributes, `\n${[...head, ...body].join('\n')}\n`)}\n`;
}

function short(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** Maps values to positions. */
export interface Scale {
  (value: number): number;
  ticks: readonly number[];
}

/** @param from, to positions of the smallest and largest value. */
export function linear(min: number, max: number, from: number, to: number, count = 6): Scale {
  const scale = (value: number): number => from + ((value - min) / (max - min)) * (to - from);
  return Object.assign(scale, { ticks: roundTicks(min, max, count) });
}

/** Powers of ten from `min` on; smaller values are drawn at `min`. */
export function logarithmic(min: number, max: number, from: number, to: number): Scale {
  const low = Math.log10(min);
  const high = Math.log10(max);
  const scale = (value: number): number =>
    from + ((Math.log10(Math.max(min, value)) - low) / (high - low)) * (to - from);
  const ticks = [];
  for (let power = Math.ceil(low); power <= high + 1e-9; power += 1) ticks.push(10 ** power);
  return Object.assign(scale, { ticks });
}

function roundTicks(min: number, max: number, count: number): number[] {
  const rough = (max - min) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough)!;
  const ticks = [];
  for (let tick = Math.ceil(min / step) * step; tick <= max + step * 1e-6; tick += step) ticks.push(tick);
  return ticks;
}

/** `1.5k`, `20M`: at most three digits. */
export function compact(value: number): string {
  const units: [number, string][] = [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ];
  const [size, unit] = units.find(([least]) => Math.abs(value) >= least) ?? [1, ''];
  return `${Number((value / size).toPrecision(3))}${unit}`;
}
