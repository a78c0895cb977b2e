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

/** Who answers a request with this method and plain path, if that is possible. */
export type DirectRoutes = (method: string, path: string) => DirectAnswer | undefined;

/** The status of an answer that has no body, not even an empty one. */
export const NO_CONTENT = 204;

/** The answer as a Web response. */
export function toResponse({ status, headers, body }: WholeAnswer): Response {
  return new Response(status === NO_CONTENT ? null : body, { status, headers });
}
