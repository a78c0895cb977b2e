/** The zone of the keys of Easy DKIM, as a file for a name server. */
import type { DkimZone, Page } from '../control/types.ts';
import { serialAt } from '../dns/zone.ts';
import { zoneHead, zoneLine } from '../dns/zone-file.ts';
import { PosternError } from '../errors.ts';
import { onePiece } from './imports.ts';
import { operation, query, requireAdmin } from './operation.ts';

/** Records read at one time, and of one answer where the transport holds it whole: some 2 MB. */
const PAGE = 500;
const BOUNDED = 5_000;

export const dkimZone = operation({
  method: 'get',
  path: '/dkim-zone',
  operationId: 'dkimZone',
  summary: "The zone of DKIM keys as a master file (administrator's key)",
  description:
    'What the CNAMEs of identities lead to (RFC 1035 §5), for a name server or provider that imports it: again whenever ' +
    'an identity was made, and once a week, because keys take turns. A key signs only when DNS has shown it for a week. ' +
    'Where Postern answers for the zone itself, or writes it into Route 53, nothing needs to be imported. On AWS a file has ' +
    '5,000 records at most, and the header `Link` with `rel="next"` (RFC 8288) names the rest.',
  parameters: [query('after', 'From a `Link`.')],
  answer: { status: 200, description: 'The file.', media: ['text/dns'] },
  async handle(call) {
    requireAdmin(call, 'read the zone of DKIM keys');
    const { control, hostname, clock } = call.deps;
    const zone = control.dkimZone;
    if (!zone)
      throw new PosternError(
        'unsupported_operation',
        'This service has no zone for DKIM keys. Set POSTERN_DKIM_ZONE (dkimZone), or dkimZone of the stage.',
      );
    const { after } = call.query;
    const server = zone.isElsewhere ? undefined : hostname;
    const head =
      after === undefined ? zoneHead({ name: zone.name, server, serial: serialAt(clock.now()) }) : '';
    const file = { type: 'text/dns', fileName: `${zone.name}.zone` };
    if (call.unbounded) return { text: { ...file, pieces: wholeZone(zone, head, after) } };
    const found = await zone.list({ after, max: BOUNDED + 1 });
    const records = found.slice(0, BOUNDED);
    const next = found.length > BOUNDED ? `/v1/dkim-zone?after=${records.at(-1)!.token}` : undefined;
    return { text: { ...file, pieces: onePiece(head + linesOf(records)) }, next };
  },
});

async function* wholeZone(zone: DkimZone, head: string, from: string | undefined): AsyncGenerator<string> {
  yield head;
  for (let page: Page | undefined = { after: from, max: PAGE }; page; ) {
    const records = await zone.list(page);
    yield linesOf(records);
    page = records.length < PAGE ? undefined : { after: records.at(-1)!.token, max: PAGE };
  }
}

function linesOf(records: readonly { token: string; value: string }[]): string {
  return records.map(({ token, value }) => zoneLine(token, value)).join('');
}
