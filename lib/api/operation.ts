/** An operation of the API, one call of it, and its answer. */
import type { Caller } from '../accept/types.ts';
import { PosternError } from '../errors.ts';
import type { ApiDeps } from '../http/deps.ts';
import type { RequestHead } from '../http/raw-request.ts';
import type { Schema, SchemaValue } from './schema.ts';

export interface ApiCall<Body = unknown> {
  deps: ApiDeps;
  caller: Caller;
  head: RequestHead;
  /** Labels of the path, decoded. */
  params: Record<string, string>;
  /** Query parameters; of a repeated one the first. */
  query: Record<string, string>;
  /** Bytes of the body; empty where the operation takes none. */
  bytes: Buffer;
  /** The body, checked against the operation's schema. */
  body: Body;
  /** The body of an operation with `upload`, as it arrives; read at most once. */
  upload: AsyncIterable<Uint8Array>;
  /** Whether an answer may be of any length; false: the transport holds it whole (Lambda: 6 MB). */
  unbounded: boolean;
}

export interface ApiAnswer {
  /** JSON; absent for 204 and text. */
  body?: unknown;
  /** Server-sent events, in place of a body. */
  stream?: ReadableStream<Uint8Array>;
  /** In place of JSON: text that is made while it is sent. An error cuts the connection, so that the text is not taken as whole. */
  text?: { type: string; pieces: AsyncIterable<string>; fileName: string };
  /** Path of the next page, where a text has no place for it (RFC 8288). */
  next?: string;
  /** Version of the answer, for `If-Match` (RFC 9110 §8.8.3). */
  etag?: string;
}

export interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required?: true;
  description: string;
  schema: object;
}

export interface ApiOperation<S extends Schema = Schema> {
  method: 'get' | 'post' | 'put' | 'delete';
  /** `/messages/{id}` */
  path: string;
  operationId: string;
  summary: string;
  description?: string;
  parameters?: readonly Parameter[];
  /** Schema of the body, and examples that fit it. */
  request?: { schema: S; required: boolean; examples: Record<string, unknown> };
  /** In place of `request`: media types of a body that the handler reads as it arrives. */
  upload?: readonly string[];
  /** Answer to a call that succeeds; `media`: types of its text, where it is not JSON. */
  answer: {
    status: 200 | 201 | 202 | 204;
    description: string;
    schema?: Schema;
    example?: unknown;
    /** What it streams to who accepts `text/event-stream`. */
    stream?: string;
    media?: readonly string[];
  };
  handle(call: ApiCall<SchemaValue<S>>): ApiAnswer | Promise<ApiAnswer>;
}

/** Types the handler by the schema of its body, and forgets the type for the table of operations. */
export function operation<S extends Schema>(definition: ApiOperation<S>): ApiOperation {
  return definition as unknown as ApiOperation;
}

const string = { type: 'string' };

export function query(name: string, description: string): Parameter {
  return { name, in: 'query', description, schema: string };
}

export function label(name: string, description: string): Parameter {
  return { name, in: 'path', required: true, description, schema: string };
}

/** @throws `access_denied` unless the key is an administrator's. */
export function requireAdmin({ caller }: ApiCall, what: string): void {
  if (caller.admin) return;
  throw new PosternError(
    'access_denied',
    `The key ${caller.keyId} may not ${what}: that needs an administrator's key.`,
  );
}

/** Whether the caller may read what belongs to `tenant`. */
export function mayRead({ caller }: ApiCall, tenant: string): boolean {
  return caller.admin || caller.tenant === tenant;
}

/** A time as the API writes it. */
export function iso(time: number): string;
export function iso(time: number | undefined): string | undefined;
export function iso(time: number | undefined): string | undefined {
  return time === undefined ? undefined : new Date(time).toISOString();
}
