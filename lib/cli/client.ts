/** Calls of `/v1`, with failures as the command shows them. */
import { CliError, EXIT } from './exit.ts';
import type { Profile } from './profile.ts';

/** A value of an answer: the served document describes it, and the command only shows it. */
// biome-ignore lint/suspicious/noExplicitAny: see above
export type AnswerValue = any;

export type CallQuery = Readonly<Record<string, string | number | boolean | undefined>>;

export interface CallOptions {
  query?: CallQuery;
  /** Sent as JSON. */
  body?: unknown;
  headers?: Readonly<Record<string, string>>;
  /** Sent as it is, in place of `body`. */
  bytes?: ReadableStream<Uint8Array> | Uint8Array;
  signal?: AbortSignal;
}

/** Time for an answer to begin, ms. Long work is asked for and then looked at. */
const PATIENCE = 60_000;

export class Client {
  readonly #choose: () => Profile;
  #profile: Profile | undefined;

  /** @param choose called at the first call, so that a wrong command line is told before a missing key. */
  constructor(choose: () => Profile) {
    this.#choose = choose;
  }

  get url(): string {
    return this.#chosen.url;
  }

  get #chosen(): Profile {
    return (this.#profile ??= this.#choose());
  }

  get(path: string, query?: CallQuery): Promise<AnswerValue> {
    return this.call('GET', path, { query });
  }

  post(path: string, body?: unknown, query?: CallQuery): Promise<AnswerValue> {
    return this.call('POST', path, { body, query });
  }

  /** @returns the JSON of the answer; undefined for an answer without. @throws CliError */
  async call(method: string, path: string, options: CallOptions = {}): Promise<AnswerValue> {
    const text = await (await this.open(method, path, options)).text();
    if (text === '') return undefined;
    try {
      return JSON.parse(text);
    } catch {
      throw this.#foreign();
    }
  }

  /** The answer, its body not yet read. @throws CliError for a failure. */
  async open(method: string, path: string, options: CallOptions = {}): Promise<Response> {
    const { query = {}, body, headers, bytes, signal } = options;
    const url = new URL(`${this.url}/v1${path}`);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(name, String(value));
    const patience = AbortSignal.timeout(PATIENCE);
    const streams = bytes !== undefined || headers?.accept === 'text/event-stream';
    let response: Response;
    try {
      response = await fetch(url, {
        method,
        headers: {
          authorization: `Bearer ${this.#chosen.key}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        body: bytes ?? (body === undefined ? undefined : JSON.stringify(body)),
        ...(bytes instanceof ReadableStream && { duplex: 'half' }),
        signal: streams ? signal : AbortSignal.any([patience, ...(signal ? [signal] : [])]),
      } as RequestInit);
    } catch (error) {
      if (signal?.aborted) throw error;
      throw this.#away(error as Error);
    }
    if (response.ok) return response;
    throw await this.#refused(response, method, path);
  }

  #away(error: Error): CliError {
    const cause = error.cause as { code?: string; message?: string } | undefined;
    const why =
      error.name === 'TimeoutError'
        ? 'it did not answer within a minute'
        : (cause?.code ?? cause?.message ?? error.message);
    return new CliError(
      EXIT.unreachable,
      `${this.url} cannot be reached: ${why}.`,
      'Is it running (npm start), and is this its address? postern login --url … sets another.',
    );
  }

  #foreign(): CliError {
    return new CliError(
      EXIT.failed,
      `What answers at ${this.url} is not Postern.`,
      'Name the URL of its API with --url.',
    );
  }

  async #refused(response: Response, method: string, path: string): Promise<CliError> {
    const { status } = response;
    let error: { code?: string; message?: string; action?: string; requestId?: string } | undefined;
    try {
      ({ error } = (await response.json()) as { error?: typeof error });
    } catch {
      // A proxy in front, or another server.
    }
    if (error?.message === undefined) {
      if (status === 404) return this.#foreign();
      return new CliError(
        status >= 500 ? EXIT.unreachable : EXIT.failed,
        `${this.url} answered ${status} to ${method} /v1${path}.`,
      );
    }
    const access = status === 401 || status === 403;
    const busy = status === 429 || status >= 500;
    const exit = access ? EXIT.access : busy ? EXIT.unreachable : EXIT.failed;
    const login = status === 401 ? 'Set another key: postern login' : undefined;
    const next = login ?? error.action;
    const id = status >= 500 && error.requestId ? ` (request ${error.requestId})` : '';
    return new CliError(exit, `${error.message}${id}`, next === error.message ? undefined : next);
  }
}
