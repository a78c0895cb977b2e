/**
 * The request as it came over the wire. Signatures are computed over the raw path, the raw query and the headers as
 * sent; a URL parser, a proxy or a framework that normalises them breaks the signature. So every API that verifies a
 * signature reads this, never `c.req`.
 */
import type { IncomingMessage } from 'node:http';
import ipaddr from 'ipaddr.js';

/** All of a request except its body. */
export interface RequestHead {
  method: string;
  /** Path as sent, percent-encoding and all, without the query. */
  rawPath: string;
  /** The text behind the first `?`; empty when there was none. */
  rawQuery: string;
  /** Names in lower case, values as latin1 (one character is one byte), in wire order, duplicates kept. */
  headers: [name: string, value: string][];
  /** Address of the peer. */
  sourceIp: string;
}

export interface RawRequest extends RequestHead {
  body: Buffer;
}

/** A request from its server: Node's HTTP server while it still arrives, Lambda whole. */
export type Incoming = IncomingMessage | RawRequest;

/** The head of a request. */
export function headOf(incoming: Incoming): RequestHead {
  if ('rawPath' in incoming) return incoming;
  const url = incoming.url ?? '/';
  const question = url.indexOf('?');
  const raw = incoming.rawHeaders;
  const headers: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) headers.push([raw[i]!.toLowerCase(), raw[i + 1]!]);
  return {
    method: incoming.method ?? 'GET',
    rawPath: question < 0 ? url : url.slice(0, question),
    rawQuery: question < 0 ? '' : url.slice(question + 1),
    headers,
    sourceIp: incoming.socket.remoteAddress ?? '',
  };
}

/** The first value of a header. `name` in lower case. */
export function headerOf(head: RequestHead, name: string): string | undefined {
  for (const [other, value] of head.headers) if (other === name) return value;
  return undefined;
}

/** Whether there is exactly one Host (RFC 9112 §3.2): with two, a proxy and the API might each use another one. */
export function hasOneHost(head: RequestHead): boolean {
  return head.headers.filter(([name]) => name === 'host').length === 1;
}

const BESIDE_US = new Set(['loopback', 'private', 'uniqueLocal', 'linkLocal']);

/** The client's address: the peer's, or the one from a proxy beside us; a stranger's header is ignored. */
export function clientAddress(head: RequestHead): string {
  const forwarded = headerOf(head, 'x-forwarded-for')?.split(',').at(-1)?.trim();
  const trusted = ipaddr.isValid(head.sourceIp) && BESIDE_US.has(ipaddr.process(head.sourceIp).range());
  if (trusted && forwarded !== undefined && ipaddr.isValid(forwarded)) return forwarded;
  return head.sourceIp;
}
