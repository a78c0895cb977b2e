/** Tables for people: columns as wide as their cells, and where the terminal is narrow, fewer of them. Pure. */

export interface Column<Row> {
  title: string;
  cell(row: Row): string | number | undefined;
  /** To the right, for numbers. */
  right?: boolean;
  /** The first to go where there is no room: 1 before 2; absent: it stays, and is cut if it must be. */
  drop?: number;
}

const GAP = 2;
/** A column that is cut keeps this many characters, and this many before another column goes for it. */
const LEAST = 8;
const COMFORT = 32;

/** A text without what a terminal would run: replies of strangers are shown. */
export function cleaned(text: string): string {
  return text.replace(/[\x00-\x1f\x7f-\x9f]+/g, ' ');
}

/** Characters that a text takes; wide ones of East Asia and emoji take two. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (isMark(code)) continue;
    width += isWide(code) ? 2 : 1;
  }
  return width;
}

function isMark(code: number): boolean {
  return (code >= 0x300 && code <= 0x36f) || code === 0x200d || (code >= 0xfe00 && code <= 0xfe0f);
}

function isWide(code: number): boolean {
  return (
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe4f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0x1f300 && code <= 0x1faff)
  );
}

/** A text of at most `width` characters, its end cut off with `…`. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let short = '';
  let used = 1;
  for (const character of text) {
    used += widthOf(character);
    if (used > width) break;
    short += character;
  }
  return `${short}…`;
}

/**
 * Lines of a table, the titles first.
 * @param width of the terminal; undefined: nothing is dropped or cut.
 */
export function tableLines<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number | undefined,
): string[] {
  const cells = rows.map((row) => columns.map(({ cell }) => cleaned(String(cell(row) ?? ''))));
  // A column that is empty in every row says nothing.
  let kept = columns
    .map((_, i) => i)
    .filter((i) => rows.length === 0 || cells.some((line) => line[i] !== ''));
  const widths = columns.map(({ title }, i) =>
    Math.max(widthOf(title), ...cells.map((line) => widthOf(line[i]!))),
  );
  if (width !== undefined) kept = fitted(columns, kept, widths, width);
  const line = (texts: readonly string[]): string =>
    kept
      .map((i, at) => {
        const text = cut(texts[i]!, widths[i]!);
        const room = ' '.repeat(widths[i]! - widthOf(text));
        if (columns[i]!.right) return room + text;
        return at === kept.length - 1 ? text : text + room;
      })
      .join(' '.repeat(GAP))
      .trimEnd();
  return [line(columns.map(({ title }) => title)), ...cells.map(line)];
}

/** Cuts long columns a little, then drops some, then cuts more, until the table fits; `widths` is changed. */
function fitted<Row>(
  columns: readonly Column<Row>[],
  all: number[],
  widths: number[],
  width: number,
): number[] {
  let kept = all;
  const total = (): number => kept.reduce((sum, i) => sum + widths[i]! + GAP, -GAP);
  shrink(columns, kept, widths, COMFORT, () => total() - width);
  const orders = [...new Set(columns.flatMap(({ drop }) => drop ?? []))].sort((a, b) => a - b);
  for (const order of orders) {
    if (total() <= width) return kept;
    kept = kept.filter((i) => columns[i]!.drop !== order);
  }
  shrink(columns, kept, widths, LEAST, () => total() - width);
  return kept;
}

/** Cuts the widest text columns, to `least` characters at most, until nothing is over. */
function shrink<Row>(
  columns: readonly Column<Row>[],
  kept: readonly number[],
  widths: number[],
  least: number,
  over: () => number,
): void {
  for (let much = over(); much > 0; much = over()) {
    const texts = kept.filter((i) => !columns[i]!.right && widths[i]! > least);
    if (texts.length === 0) return;
    const widest = texts.reduce((a, b) => (widths[b]! > widths[a]! ? b : a));
    widths[widest] = Math.max(least, widths[widest]! - much);
  }
}
