/** `top` on a terminal: asks, draws, and follows the keys until it is left. The terminal is given back as it was. */
import { emitKeypressEvents } from 'node:readline';
import type { ReadStream } from 'node:tty';
import type { AnswerValue } from './client.ts';
import type { Context } from './context.ts';
import { CliError, EXIT } from './exit.ts';
import { rowColumns, totalLine } from './queue-table.ts';
import { cut, tableLines } from './table.ts';
import { styled } from './text.ts';
import { pressed, type TopState, topQuery, topState } from './top-state.ts';

/** Another screen, without a cursor; and back. */
const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const CLEAR_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';

interface PressedKey {
  name?: string;
  ctrl?: boolean;
  sequence?: string;
}

export interface TopOptions {
  by: readonly string[];
  sort: string;
  filter: Readonly<Record<string, string>>;
  /** Between two looks, ms. */
  interval: number;
}

export async function runTop(context: Context, options: TopOptions): Promise<void> {
  const { out: screen, input, signal } = context.around;
  const keys = input as ReadStream;
  const size = (): { width: number; height: number } => {
    const { columns, rows } = screen as { columns?: number; rows?: number };
    return { width: columns || 80, height: rows || 24 };
  };
  let state: TopState | undefined = topState(options);
  let answer: AnswerValue;
  let failure: CliError | undefined;
  let wake: () => void = () => undefined;

  const draw = (): void => {
    if (state === undefined) return;
    const lines = screenLines(context, state, answer, failure, size());
    screen.write(HOME + lines.map((line) => line + CLEAR_LINE).join('\r\n') + CLEAR_BELOW);
  };
  const onKey = (character: string | undefined, key: PressedKey): void => {
    if (state === undefined) return;
    const name = key.ctrl && key.name === 'c' ? 'ctrl-c' : nameOf(character, key);
    const view = JSON.stringify(topQuery(state, 0));
    state = pressed(state, name, (answer?.rows as AnswerValue[]) ?? []);
    if (state === undefined || JSON.stringify(topQuery(state, 0)) !== view) wake();
    draw();
  };
  const onSize = (): void => draw();
  const onAbort = (): void => {
    state = undefined;
    wake();
  };

  emitKeypressEvents(keys);
  keys.setRawMode(true);
  keys.on('keypress', onKey);
  keys.resume();
  (screen as NodeJS.WriteStream).on('resize', onSize);
  signal.addEventListener('abort', onAbort);
  screen.write(ENTER);
  try {
    while (state !== undefined) {
      if (!state.held || answer === undefined) {
        const asked = topQuery(state, Math.max(10, Math.min(500, size().height)));
        try {
          answer = await context.client.get('/queues', asked);
          failure = undefined;
        } catch (error) {
          failure = error instanceof CliError ? error : new CliError(EXIT.failed, (error as Error).message);
          // Only what may be better at the next look is waited for.
          if (failure.exit !== EXIT.unreachable && answer === undefined) throw failure;
        }
      }
      draw();
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, options.interval);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
        if (state === undefined) wake();
      });
    }
  } finally {
    screen.write(LEAVE);
    keys.off('keypress', onKey);
    keys.setRawMode(false);
    keys.pause();
    (screen as NodeJS.WriteStream).off('resize', onSize);
    signal.removeEventListener('abort', onAbort);
  }
}

function nameOf(character: string | undefined, key: PressedKey): string {
  if (key.name === 'return' || key.name === 'enter') return 'return';
  if (['up', 'down', 'backspace', 'escape', 'space'].includes(key.name ?? '')) return key.name!;
  return character ?? key.name ?? '';
}

/** The lines of a screen. */
export function screenLines(
  context: Pick<Context, 'out' | 'now'>,
  state: TopState,
  answer: AnswerValue,
  failure: CliError | undefined,
  { width, height }: { width: number; height: number },
): string[] {
  const paint = (style: Parameters<typeof styled>[0], text: string): string =>
    context.out.colours ? styled(style, text) : text;
  const filter = Object.entries(state.filter).map(([name, value]) => `${name}=${value}`);
  const head = [
    `by ${state.by.join(',')}`,
    `order ${state.sort}`,
    ...filter,
    ...(state.held ? ['held'] : []),
  ].join('  ');
  const lines = [paint('bold', cut(`postern top  ${head}`, width))];
  if (failure !== undefined) lines.push(paint('red', cut(failure.message, width)));
  if (answer === undefined) return [...lines, 'Looking…'];
  lines.push(cut(totalLine(answer, context.now), width));
  const [titles, ...rows] = tableLines(
    rowColumns(state.by, context.now),
    answer.rows as AnswerValue[],
    width,
  );
  lines.push(paint('underline', titles!));
  const room = Math.max(1, height - lines.length - 1);
  const from = Math.max(0, Math.min(state.at - room + 1, rows.length - room));
  for (const [i, row] of rows.slice(from, from + room).entries()) {
    const marked = from + i === state.at;
    lines.push(marked ? paint('inverse', row) : row);
  }
  const foot =
    state.typed === undefined
      ? (state.fault ?? 'p o i t s c by  Enter into  Backspace out  r order  / filter  space hold  q leave')
      : `filter: ${state.typed}_`;
  return [...lines, paint('dim', cut(foot, width))];
}
