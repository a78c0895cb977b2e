/** A suppression list as a file. */
import type { ConsolePage, PageCall } from '../page.ts';
import { PAGE_HEADERS } from '../security.ts';
import { ApiFailure } from '../v1.ts';
import { ofTenant } from './take-back.ts';

/** Most that a function may answer, with room for its envelope. */
const BOUNDED = 5 * 1024 * 1024;

export const suppressionExport: ConsolePage = {
  path: '/suppression/export',
  nav: '/suppression',
  async show(call) {
    const first = await call.v1.raw('GET', '/suppressions/export', { query: ofTenant(call) });
    const headers = {
      ...PAGE_HEADERS,
      'content-type': 'text/csv; charset=utf-8',
      'content-disposition': 'attachment; filename="suppressions.csv"',
    };
    if (call.unbounded) return new Response(pieces(call, first), { headers });
    const found: string[] = [];
    let size = 0;
    for await (const piece of texts(call, first)) {
      found.push(piece);
      if ((size += Buffer.byteLength(piece)) > BOUNDED)
        throw new ApiFailure(
          413,
          'too_large',
          'The list is longer than a page of this installation may be.',
          'Take it with GET /v1/suppressions/export, which answers part by part.',
        );
    }
    return new Response(found.join(''), { headers });
  },
};

/** The parts of a file, each named by the one before (RFC 8288). A part of CSV begins with the same heads. */
async function* texts({ v1 }: PageCall, first: Response): AsyncGenerator<string> {
  for (let part = first, number = 0; ; number++) {
    const text = await part.text();
    yield number === 0 ? text : text.slice(text.indexOf('\n') + 1);
    const next = /<\/v1([^?>]*)\?([^>]*)>; rel="next"/.exec(part.headers.get('link') ?? '');
    if (!next) return;
    part = await v1.raw('GET', next[1]!, { query: Object.fromEntries(new URLSearchParams(next[2])) });
  }
}

function pieces(call: PageCall, first: Response): ReadableStream<Uint8Array> {
  const parts = texts(call, first);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await parts.next();
        if (done) controller.close();
        else controller.enqueue(Buffer.from(value));
      },
      async cancel() {
        await parts.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
