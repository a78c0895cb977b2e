/** Suppression lists as files: import and export, of any length. */
import { exportList, exportPage } from '../contacts/transfer/suppression-export.ts';
import { suppressionTarget } from '../contacts/transfer/suppression-rows.ts';
import {
  actionOf,
  exampleAnswer,
  FILE_TYPES,
  formatOf,
  Import,
  MEDIA,
  onePiece,
  runUpload,
} from './imports.ts';
import { operation, query } from './operation.ts';
import { LIST_RANGE, rangeOf, reasonOf, tenantOf, tenantQuery } from './suppressions.ts';

/** Entries of one answer where the transport holds it whole: some 3 MB. */
const BOUNDED = 10_000;

const format = query('format', 'csv or jsonl; absent: by the media type, else csv.');

export const importSuppressions = operation({
  method: 'post',
  path: '/suppressions/import',
  operationId: 'importSuppressions',
  summary: 'Put the addresses of a file on a suppression list, or take them off',
  description:
    'The file is read as it arrives; good rows are taken whatever stands around them, and each bad one is answered ' +
    'with its line. Sent again, the same file changes nothing. Taken are CSV as SES has it (`address,reason`), with ' +
    'any header that names a column of addresses, addresses one a line with `reason` in the query, PowerMTA’s ' +
    'accounting files (hard bounces and complaints of them), JSON lines as SES has them, and what export writes.',
  parameters: [
    tenantQuery,
    format,
    query('action', 'put or delete; absent: put.'),
    query('reason', 'BOUNCE or COMPLAINT, for rows that name none.'),
  ],
  upload: FILE_TYPES,
  answer: {
    status: 200,
    description: 'The file was read to its end.',
    schema: Import,
    example: exampleAnswer,
  },
  async handle(call) {
    const [list, action, fileFormat] = [await tenantOf(call), actionOf(call), formatOf(call)];
    const { reason } = call.query;
    const target = suppressionTarget(call.deps, {
      tenant: list,
      format: fileFormat,
      action,
      reason: reason === undefined ? undefined : reasonOf(reason),
      origin: `Imported with the key ${call.caller.keyId}`,
    });
    return runUpload(call, { kind: 'suppressions', action, list }, fileFormat, target);
  },
});

export const exportSuppressions = operation({
  method: 'get',
  path: '/suppressions/export',
  operationId: 'exportSuppressions',
  summary: 'A suppression list as a file',
  description:
    'By reason, then from the oldest entry on; import takes it back. On AWS a file has 10,000 entries at most, and the header ' +
    '`Link` with `rel="next"` (RFC 8288) names the rest.',
  parameters: [
    tenantQuery,
    query('format', 'csv or jsonl; absent: csv.'),
    ...LIST_RANGE,
    query('after', 'From a `Link`.'),
  ],
  answer: { status: 200, description: 'The file.', media: FILE_TYPES },
  async handle(call) {
    const fileFormat = formatOf(call);
    const range = { tenant: await tenantOf(call), ...rangeOf(call), token: call.query.after };
    const file = { type: MEDIA[fileFormat], fileName: `suppressions.${fileFormat}` };
    if (call.unbounded) return { text: { ...file, pieces: exportList(call.deps, range, fileFormat) } };
    const { text, token } = await exportPage(call.deps, range, fileFormat, BOUNDED);
    const rest = token && new URLSearchParams({ ...call.query, after: token }).toString();
    const next = rest && `/v1/suppressions/export?${rest}`;
    return { text: { ...file, pieces: onePiece(text) }, next };
  },
});
