/** Small multiples: one panel for each provider, a row for each IP, a column for each day. */
import { compact, element, FAINT, figure, line, text } from './svg.ts';

export interface Panel {
  name: string;
  /** Values by row and column; 0 is left white. */
  rows: readonly (readonly number[])[];
}

export interface HeatMap {
  title: string;
  subtitle: string;
  panels: readonly Panel[];
  /** Smallest and largest value of the colours, on a logarithmic scale. */
  min: number;
  max: number;
  /** Labels of rows and columns. */
  rows: string;
  columns: string;
  /** Label of the colours. */
  values: string;
}

const ACROSS = 4;
const CELL = { width: 6.6, height: 3 };
const LEFT = 56;
const TOP = 104;
const GAP = { x: 34, y: 52 };
/** Light to dark, even to the eye (after ColorBrewer's YlGnBu). */
const SCALE = ['#edf8b1', '#c7e9b4', '#7fcdbb', '#41b6c4', '#1d91c0', '#225ea8', '#0c2c84'] as const;

export function heatMap({ title, subtitle, panels, min, max, rows, columns, values }: HeatMap): string {
  const days = panels[0]!.rows[0]!.length;
  const width = days * CELL.width;
  const height = panels[0]!.rows.length * CELL.height;
  const full = LEFT + ACROSS * (width + GAP.x);
  const down = Math.ceil(panels.length / ACROSS);
  const body: string[] = [];
  for (const [n, panel] of panels.entries()) {
    const x = LEFT + (n % ACROSS) * (width + GAP.x);
    const y = TOP + Math.floor(n / ACROSS) * (height + GAP.y);
    body.push(text(x, y - 7, panel.name, { 'font-weight': 'bold' }));
    for (const [i, row] of panel.rows.entries()) {
      // Adjacent cells of one colour are drawn as one: a tenth of the size, and no seams.
      for (let from = 0; from < row.length; ) {
        const fill = colourOf(row[from]!, min, max);
        let to = from + 1;
        while (to < row.length && colourOf(row[to]!, min, max) === fill) to += 1;
        const place = { x: x + from * CELL.width, y: y + i * CELL.height, width: (to - from) * CELL.width };
        if (fill !== undefined) body.push(element('rect', { ...place, height: CELL.height, fill }));
        from = to;
      }
    }
    body.push(element('rect', { x, y, width, height, fill: 'none', stroke: FAINT, 'stroke-width': 0.6 }));
    for (const day of [1, 10, 20, 30].filter((each) => each <= days)) {
      const at = x + (day - 0.5) * CELL.width;
      body.push(line(at, y + height, at, y + height + 4, { stroke: FAINT }));
      body.push(
        text(at, y + height + 16, String(day), { 'text-anchor': 'middle', fill: FAINT, 'font-size': 10 }),
      );
    }
    if (n % ACROSS > 0) continue;
    const middle = y + height / 2;
    body.push(
      text(x - 16, middle, rows, {
        transform: `rotate(-90 ${x - 16} ${middle})`,
        'text-anchor': 'middle',
        fill: FAINT,
        'font-size': 11,
      }),
    );
  }
  const bottom = TOP + down * (height + GAP.y) - 4;
  body.push(text(LEFT, bottom + 14, columns, { fill: FAINT, 'font-size': 11 }));
  body.push(...legend(full - GAP.x - 7 * 62, bottom, min, max, values));
  return figure(full, bottom + 34, title, subtitle, [
    element('g', { 'shape-rendering': 'crispEdges' }, body.join('\n')),
  ]);
}

function colourOf(value: number, min: number, max: number): string | undefined {
  if (value <= 0) return undefined;
  const share = (Math.log(value) - Math.log(min)) / (Math.log(max) - Math.log(min));
  const place = Math.floor(Math.max(0, Math.min(0.999, share)) * SCALE.length);
  return SCALE[place];
}

function legend(x: number, y: number, min: number, max: number, values: string): string[] {
  const parts = SCALE.map((fill, i) => {
    const from = min * (max / min) ** (i / SCALE.length);
    return (
      element('rect', { x: x + i * 62, y, width: 62, height: 10, fill }) +
      text(x + i * 62, y + 23, compact(Number(from.toPrecision(2))), { fill: FAINT, 'font-size': 10 })
    );
  });
  return [...parts, text(x - 10, y + 10, values, { 'text-anchor': 'end', fill: FAINT, 'font-size': 11 })];
}
