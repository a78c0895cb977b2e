/** What the command prints: tables for people, JSON for programs, progress beside it. */
import type { AnswerValue } from './client.ts';
import type { Environment } from './profile.ts';
import { type Column, cleaned, tableLines, widthOf } from './table.ts';
import { type Style, styled } from './text.ts';

export interface Terminal {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

export interface PrinterOptions {
  out: Terminal;
  err: Terminal;
  env: Environment;
  json: boolean;
}

export class Printer {
  readonly json: boolean;
  /** Whether a person reads what is printed, in a terminal. */
  readonly live: boolean;
  readonly #out: Terminal;
  readonly #err: Terminal;
  readonly #env: Environment;
  #progress = 0;

  constructor({ out, err, env, json }: PrinterOptions) {
    this.#out = out;
    this.#err = err;
    this.#env = env;
    this.json = json;
    this.live = out.isTTY === true && !json;
  }

  /** Columns of the terminal; undefined: what reads is no terminal, and gets whole lines. */
  get width(): number | undefined {
    if (!this.live) return undefined;
    const given = Number(this.#env.COLUMNS);
    return this.#out.columns || (given > 0 ? given : 80);
  }

  /** Whether colours are wanted (no-color.org). */
  get colours(): boolean {
    return this.live && !this.#env.NO_COLOR && this.#env.TERM !== 'dumb';
  }

  paint(style: Style, text: string): string {
    return this.colours ? styled(style, text) : text;
  }

  line(text = ''): void {
    this.clearProgress();
    this.#out.write(`${text}\n`);
  }

  /** A line beside the result, which a program that reads the result does not get. */
  note(text: string): void {
    this.clearProgress();
    this.#err.write(`${text}\n`);
  }

  value(value: AnswerValue): void {
    this.line(JSON.stringify(value, null, this.live ? 2 : undefined));
  }

  table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], none: string): void {
    if (rows.length === 0) {
      this.note(none);
      return;
    }
    const [titles, ...lines] = tableLines(columns, rows, this.width);
    this.line(this.paint('bold', titles!));
    for (const line of lines) this.line(line);
  }

  /** Names and values, one a line; empty ones are left out. */
  pairs(pairs: readonly (readonly [name: string, value: string | number | undefined])[]): void {
    const shown = pairs.filter(([, value]) => value !== undefined && value !== '');
    const width = Math.max(0, ...shown.map(([name]) => widthOf(name)));
    for (const [name, value] of shown) {
      this.line(`${this.paint('bold', name)}${' '.repeat(width - widthOf(name))}  ${cleaned(String(value))}`);
    }
  }

  /** Shows how far long work is, on one line of a terminal. */
  progress(text: string): void {
    if (this.#err.isTTY !== true || this.json) return;
    const line = cleaned(text).slice(0, (this.#err.columns || 80) - 1);
    this.#err.write(`\r${line}${' '.repeat(Math.max(0, this.#progress - line.length))}`);
    this.#progress = line.length;
  }

  clearProgress(): void {
    if (this.#progress === 0) return;
    this.#err.write(`\r${' '.repeat(this.#progress)}\r`);
    this.#progress = 0;
  }
}
