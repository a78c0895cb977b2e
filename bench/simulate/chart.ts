/** Lines over time. */
import {
  COLOURS,
  compact,
  element,
  FAINT,
  figure,
  GRID,
  INK,
  line,
  linear,
  logarithmic,
  text,
} from './svg.ts';

export interface Series {
  name: string;
  points: readonly (readonly [x: number, y: number])[];
  /** Dashed and grey: the reference for the others. */
  reference?: boolean;
  /** Filled down to the axis. */
  area?: boolean;
}

/** A stretch of time that is shaded and named. */
export interface Band {
  from: number;
  to: number;
  name: string;
}

export interface Chart {
  title: string;
  subtitle: string;
  x: {
    name: string;
    min: number;
    max: number;
    format?: (value: number) => string;
    ticks?: readonly number[];
  };
  y: { name: string; max: number; min?: number; log?: boolean; format?: (value: number) => string };
  series: readonly Series[];
  bands?: readonly Band[];
}

const WIDTH = 960;
const HEIGHT = 460;
const LEFT = 84;
const TOP = 92;
const BOTTOM = 56;
/** Room for the names at the ends of the lines. */
const RIGHT = 158;
const NAME_HEIGHT = 17;

/** Each line is named at its end, in its colour, so that no legend has to be looked up. */
export function chart({ title, subtitle, x, y, series, bands = [] }: Chart): string {
  const across = linear(x.min, x.max, LEFT, WIDTH - RIGHT, 8);
  const bottom = HEIGHT - BOTTOM;
  const up = y.log ? logarithmic(y.min ?? 1, y.max, bottom, TOP) : linear(y.min ?? 0, y.max, bottom, TOP, 5);
  const body: string[] = [];

  for (const { from, to, name } of bands) {
    const left = across(from);
    body.push(
      element('rect', { x: left, y: TOP, width: across(to) - left, height: bottom - TOP, fill: '#fff1e0' }),
    );
    body.push(
      text((left + across(to)) / 2, TOP - 7, name, {
        'text-anchor': 'middle',
        fill: '#b45309',
        'font-size': 11,
      }),
    );
  }
  for (const tick of up.ticks) {
    body.push(line(LEFT, up(tick), WIDTH - RIGHT, up(tick), { stroke: GRID }));
    body.push(
      text(LEFT - 9, up(tick) + 4, (y.format ?? compact)(tick), {
        'text-anchor': 'end',
        fill: FAINT,
        'font-size': 11,
      }),
    );
  }
  for (const tick of x.ticks ?? across.ticks) {
    body.push(line(across(tick), bottom, across(tick), bottom + 5, { stroke: FAINT }));
    body.push(
      text(across(tick), bottom + 19, (x.format ?? compact)(tick), {
        'text-anchor': 'middle',
        fill: FAINT,
        'font-size': 11,
      }),
    );
  }
  body.push(line(LEFT, bottom, WIDTH - RIGHT, bottom, { stroke: FAINT }));
  body.push(text(LEFT - 60, TOP - 9, y.name, { 'font-size': 12, fill: FAINT }));
  body.push(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, x.name, { 'text-anchor': 'middle', fill: FAINT }));

  let colour = 0;
  const names: { at: number; svg: (at: number) => string }[] = [];
  for (const { name, points, reference, area } of series) {
    const stroke = reference ? FAINT : COLOURS[colour % COLOURS.length]!;
    if (!reference) colour += 1;
    const path = points.map(([px, py]) => `${round(across(px))},${round(up(py))}`).join(' ');
    if (area) {
      const ends = `${round(across(points.at(-1)![0]))},${bottom} ${round(across(points[0]![0]))},${bottom}`;
      body.push(element('polygon', { points: `${path} ${ends}`, fill: stroke, opacity: 0.12 }));
    }
    body.push(
      element('polyline', {
        points: path,
        fill: 'none',
        stroke,
        'stroke-width': reference ? 1.5 : 2,
        'stroke-dasharray': reference ? '5 4' : undefined,
        'stroke-linejoin': 'round',
      }),
    );
    const at = up(points.at(-1)![1]);
    const svg = (place: number): string =>
      line(WIDTH - RIGHT + 2, at, WIDTH - RIGHT + 13, place, { stroke, 'stroke-width': 1 }) +
      text(WIDTH - RIGHT + 17, place + 4, name, { fill: reference ? INK : stroke, 'font-size': 12 });
    names.push({ at, svg });
  }
  body.push(...placed(names));
  return figure(WIDTH, HEIGHT, title, subtitle, body);
}

/** Names at the heights of their lines, moved apart where they would touch. */
function placed(names: { at: number; svg: (at: number) => string }[]): string[] {
  const sorted = [...names].sort((a, b) => a.at - b.at);
  const places = sorted.map(({ at }) => at);
  for (let i = 1; i < places.length; i += 1) places[i] = Math.max(places[i]!, places[i - 1]! + NAME_HEIGHT);
  const over = Math.max(0, (places.at(-1) ?? 0) - (HEIGHT - BOTTOM));
  if (over > 0) places[places.length - 1]! -= over;
  for (let i = places.length - 2; i >= 0; i -= 1)
    places[i] = Math.min(places[i]!, places[i + 1]! - NAME_HEIGHT);
  return sorted.map(({ svg }, i) => svg(places[i]!));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
