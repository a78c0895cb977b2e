/** What each command gets: the service, what to print to, and the answers of a person. */

import { createInterface } from 'node:readline/promises';
import { type Readable, Writable } from 'node:stream';
import type { Command } from 'commander';
import { type CallQuery, Client } from './client.ts';
import { CliError, EXIT, usage } from './exit.ts';
import { Printer, type Terminal } from './output.ts';
import { chosenProfile, type Environment } from './profile.ts';
import { timeGiven } from './text.ts';

/** What a process gives to the command; a test gives its own. */
export interface Surroundings {
  env: Environment;
  input: Readable & { isTTY?: boolean };
  out: Terminal;
  err: Terminal;
  now(): number;
  /** Aborted at Ctrl-C. */
  signal: AbortSignal;
}

export type Options = Readonly<Record<string, string | boolean | undefined>>;

export class Context {
  readonly around: Surroundings;
  readonly out: Printer;
  readonly options: Options;
  #client: Client | undefined;

  constructor(around: Surroundings, options: Options) {
    this.around = around;
    this.options = options;
    this.out = new Printer({ ...around, json: options.json === true });
  }

  get now(): number {
    return this.around.now();
  }

  /** The service; its calls throw CliError without a key. */
  get client(): Client {
    const { profile, url } = this.options as { profile?: string; url?: string };
    this.#client ??= new Client(() => chosenProfile(this.around.env, { profile, url }));
    return this.#client;
  }

  text(name: string): string | undefined {
    const value = this.options[name];
    return typeof value === 'string' ? value : undefined;
  }

  /** A time option, for a query. @throws CliError */
  time(name: string): string | undefined {
    const given = this.text(name);
    if (given === undefined) return undefined;
    const time = timeGiven(given, this.now);
    if (time !== undefined) return time;
    throw usage(
      `--${name}: "${given}" is no time.`,
      'Write 2026-01-31T12:00:00Z, 2026-01-31, or how long ago: 90s, 15m, 2h, 7d.',
    );
  }

  /** Options of these names, for a query. */
  query(...names: readonly string[]): CallQuery {
    return Object.fromEntries(names.map((name) => [name, this.text(name)]));
  }

  /**
   * Asks a person before something that cannot be taken back.
   * @throws CliError when the answer is not yes, or nobody can be asked.
   */
  async confirm(question: string): Promise<void> {
    if (this.options.yes === true) return;
    const answer = await this.ask(`${question} [y/N] `, 'Add --yes to go on without being asked.');
    if (/^y(es)?$/i.test(answer.trim())) return;
    throw new CliError(EXIT.failed, 'Nothing was changed.');
  }

  /**
   * @param otherwise what to do where there is no terminal. @param hidden the answer is a secret, and is not shown.
   */
  async ask(question: string, otherwise: string, hidden = false): Promise<string> {
    const { input, err, signal } = this.around;
    if (input.isTTY !== true) throw usage(`Nobody can be asked here: ${question.trim()}`, otherwise);
    this.out.clearProgress();
    let silent = false;
    const output = new Writable({
      write(chunk: Buffer, _, done) {
        if (!silent) err.write(chunk.toString('utf8'));
        done();
      },
    });
    const lines = createInterface({ input, output, terminal: true });
    try {
      const answer = lines.question(question, { signal });
      silent = hidden;
      return await answer;
    } finally {
      lines.close();
      if (hidden) err.write('\n');
    }
  }

  /** All that stands in the standard input. */
  async standardInput(): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const chunk of this.around.input) chunks.push(Buffer.from(chunk as Uint8Array));
    return Buffer.concat(chunks).toString('utf8');
  }
}

export type Handler = (context: Context, ...args: string[]) => Promise<void> | void;

/** Registers what a command does. */
export type Act = (command: Command, handler: Handler) => Command;
