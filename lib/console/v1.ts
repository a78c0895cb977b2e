/** Calls `/v1` in this process with the key of a session: what a page can do, a program can. */
import type { RawRequest } from '../http/raw-request.ts';

/** The HTTP API of this process. */
export type ApiFetch = (request: Request, env: { incoming: RawRequest }) => Response | Promise<Response>;

export type Query = Record<string, string | number | undefined>;

/** A call that the API refused, in its own words. */
export class ApiFailure extends Error {
  override readonly name = 'ApiFailure';
  readonly status: number;
  readonly code: string;
  /** What can be done about it. */
  readonly action: string | undefined;

  constructor(status: number, code: string, message: string, action?: string) {
    super(message);
    this.status = status;
    this.code = code;
    this.action = action;
  }
}

export interface V1Options {
  fetch: ApiFetch;
  bearer: string;
  /** Name of this service in the request of the browser. */
  host: string;
  sourceIp: string;
}

export class V1 {
  readonly #options: V1Options;

  constructor(options: V1Options) {
    this.#options = options;
  }

  /** @throws ApiFailure */
  get<T>(path: string, query?: Query): Promise<T> {
    return this.#json('GET', path, query);
  }

  /** @throws ApiFailure */
  send<T = undefined>(
    method: 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: object,
    { query, ifMatch }: { query?: Query; ifMatch?: number } = {},
  ): Promise<T> {
    const headers: [string, string][] = ifMatch === undefined ? [] : [['if-match', `"${ifMatch}"`]];
    return this.#json(method, path, query, headers, body && Buffer.from(JSON.stringify(body)));
  }

  /** An answer as it is, or a body that is not JSON. @throws ApiFailure */
  async raw(
    method: string,
    path: string,
    { query = {}, headers = [], body }: { query?: Query; headers?: [string, string][]; body?: Buffer } = {},
  ): Promise<Response> {
    const { fetch, bearer, host, sourceIp } = this.#options;
    const rawQuery = queryText(query);
    const url = `http://console.invalid/v1${path}${rawQuery && `?${rawQuery}`}`;
    const incoming: RawRequest = {
      method,
      rawPath: `/v1${path}`,
      rawQuery,
      headers: [['host', host], ['authorization', `Bearer ${bearer}`], ...headers],
      sourceIp,
      body: body ?? Buffer.alloc(0),
    };
    const response = await fetch(new Request(url, { method }), { incoming });
    if (response.ok) return response;
    throw await failureOf(response);
  }

  async #json<T>(
    method: string,
    path: string,
    query?: Query,
    headers: [string, string][] = [],
    body?: Buffer,
  ): Promise<T> {
    const type: [string, string][] = body ? [['content-type', 'application/json']] : [];
    const response = await this.raw(method, path, { query, headers: [...type, ...headers], body });
    return (response.status === 204 ? undefined : await response.json()) as T;
  }
}

/** Query parameters that have a value, as a form would send them. */
export function queryText(query: Query): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  return new URLSearchParams(
    given.map(([name, value]): [string, string] => [name, String(value)]),
  ).toString();
}

/** A label of a path. */
export function labelText(value: string): string {
  return encodeURIComponent(value);
}

async function failureOf(response: Response): Promise<ApiFailure> {
  const { status } = response;
  try {
    const { error } = (await response.json()) as {
      error: { code: string; message: string; action?: string };
    };
    return new ApiFailure(status, error.code, error.message, error.action);
  } catch {
    return new ApiFailure(status, 'internal', `The API answered ${status} without a reason.`);
  }
}
