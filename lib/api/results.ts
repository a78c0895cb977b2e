/** Results of jobs, behind signed links. */
import { Hono } from 'hono';
import { asPosternError } from '../errors.ts';
import type { ApiDeps, ApiEnv } from '../http/deps.ts';
import { headOf } from '../http/raw-request.ts';
import { TRACKING_PATH } from '../tracking/links.ts';

const TYPES: Readonly<Record<string, string>> = { csv: 'text/csv', json: 'application/jsonl' };
const HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

/** The route of result links. It comes before those of tracking, whose paths begin alike. */
export function resultFiles(
  { engine, clock, log }: Pick<ApiDeps, 'engine' | 'clock' | 'log'>,
  { links }: NonNullable<ApiDeps['results']>,
): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>();
  app.get(`${TRACKING_PATH}/r/*`, async (c) => {
    const name = links.read(headOf(c.env.incoming).rawPath, clock.now());
    if (name === undefined) return c.text('This link is not valid, or has ended.\n', 404, HEADERS);
    const pieces = engine.files.results.read(name)[Symbol.asyncIterator]();
    let first: IteratorResult<Uint8Array>;
    try {
      // Only before the first piece can the answer still be an error.
      first = await pieces.next();
    } catch (cause) {
      const error = asPosternError(cause);
      if (error.code === 'not_found') return c.text('This result is not kept any more.\n', 410, HEADERS);
      log.error('a result cannot be read', { name, error });
      return c.text('The result cannot be read just now.\n', 503, HEADERS);
    }
    const type = name.slice(name.lastIndexOf('.') + 1);
    const file = name.slice(name.lastIndexOf('/') + 1);
    return new Response(streamOf(first, pieces), {
      headers: {
        ...HEADERS,
        'content-type': `${TYPES[type] ?? 'application/octet-stream'}; charset=utf-8`,
        'content-disposition': `attachment; filename="${file}"`,
      },
    });
  });
  return app;
}

/** One piece is read when the reader has taken the one before. */
function streamOf(
  first: IteratorResult<Uint8Array>,
  pieces: AsyncIterator<Uint8Array>,
): ReadableStream<Uint8Array> {
  let next: IteratorResult<Uint8Array> | undefined = first;
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = next ?? (await pieces.next());
      next = undefined;
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await pieces.return?.();
    },
  });
}
