/** An answer that is made in one piece, on its way to Node's HTTP server or to a Web response. */
import type { Incoming, RequestHead } from './raw-request.ts';

export interface WholeAnswer {
  status: number;
  /** By name in lower case; the length of the body is not among them. */
  headers: Record<string, string>;
  body: string;
}

/** Answers a request without Web requests, responses and streams. Never rejects. */
export type DirectAnswer = (head: RequestHead, incoming: Incoming) => Promise<WholeAnswer>;

/** The answer as a Web response. */
export function toResponse({ status, headers, body }: WholeAnswer): Response {
  return new Response(body, { status, headers });
}
