/** Aggregate reports about a domain (DMARC, TLS-RPT), and the DNS records by which receivers send them. */
import * as z from 'zod/mini';
import { provenMailFrom } from '../control/mail-from.ts';
import { PosternError } from '../errors.ts';
import { REPORT_ROWS } from '../inbound/aggregate-reports.ts';
import type { ReportSummary } from '../outcome/report-summary.ts';
import { identityOf } from './identities.ts';
import { iso, label, operation, query } from './operation.ts';
import { about, integer, named, text, time } from './schema.ts';

const PAGE = 100;
const DATE = /^\d{4}-\d\d-\d\d$/;

const common = {
  day: text('Day on which its time begins, as 2026-01-31.'),
  organisation: text('Who wrote it, in its own words: a report is not signed by this service.'),
  reportId: text(),
  begin: time('Start of its time.'),
  end: time('End of its time.'),
};
const DmarcSummary = named(
  'DmarcSummary',
  z.strictObject({
    ...common,
    kind: z.literal('dmarc'),
    policy: text('Policy that the receiver found.'),
    messages: integer('Messages that named the domain.'),
    dkim: integer('Passed by DKIM, aligned.'),
    spf: integer('Passed by SPF, aligned.'),
    passed: integer('Passed by either.'),
    dispositions: z.strictObject({
      none: integer('Messages.'),
      quarantine: integer('Messages.'),
      reject: integer('Messages.'),
    }),
    sources: z
      .array(
        z.strictObject({
          ip: text(),
          messages: integer('Messages.'),
          dkim: integer('Messages.'),
          spf: integer('Messages.'),
          signedBy: z.array(text()).check(about('Domains whose signatures the mail bore.')),
        }),
      )
      .check(about('Addresses that the mail came from, those with most messages first; 50 at most.')),
    moreSources: integer('Addresses that are left out.'),
  }),
);
const TlsSummary = named(
  'TlsSummary',
  z.strictObject({
    ...common,
    kind: z.literal('tls'),
    successful: integer('Sessions over TLS as the policy asks.'),
    failed: integer('Sessions that failed.'),
    policies: z.array(
      z.strictObject({
        type: text('`sts`, `tlsa` or `no-policy-found`.'),
        successful: integer('Sessions.'),
        failed: integer('Sessions.'),
        failures: z.array(
          z.strictObject({
            type: text('As `certificate-expired`.'),
            sessions: integer('Sessions.'),
            mxHost: z.optional(text()),
            reason: z.optional(text()),
          }),
        ),
      }),
    ),
  }),
);
const IdentityReports = named(
  'IdentityReports',
  z.strictObject({
    name: text(),
    records: z
      .array(z.strictObject({ name: text(), type: z.enum(['TXT']), value: text() }))
      .check(
        about(
          'To be published, so that receivers send reports. Keep the policy of a DMARC record that you have, and add the rua.',
        ),
      ),
    reports: z.array(z.union([DmarcSummary, TlsSummary])).check(about('By day, newest first.')),
    next: z.optional(text('For `after` of the next page; absent: there is none.')),
  }),
);

const identityReports = operation({
  method: 'get',
  path: '/identities/{name}/reports',
  operationId: 'identityReports',
  summary: 'What receivers report about the mail of a domain: DMARC and TLS',
  description: 'Kept for 93 days, a hundred of one day at most.',
  parameters: [
    label('name', 'Domain.'),
    query('from', 'Only of this day or later, as 2026-01-31.'),
    query('before', 'Only of earlier days than this.'),
    query('after', '`next` of the page before.'),
  ],
  answer: {
    status: 200,
    description: 'The records to publish, and a page of reports.',
    schema: IdentityReports,
    example: {
      name: 'example.com',
      records: [
        {
          name: '_dmarc.example.com',
          type: 'TXT',
          value: 'v=DMARC1; p=none; rua=mailto:r…@mail.example.net',
        },
      ],
      reports: [],
    },
  },
  async handle(call) {
    const identity = await identityOf(call);
    const { name, type } = identity;
    const { reportAddress, engine } = call.deps;
    if (type !== 'DOMAIN' || !reportAddress) {
      throw new PosternError('bad_request', 'Reports are about domains: name an identity that is one.');
    }
    const { from, before, after } = call.query;
    for (const day of [from, before]) {
      if (day !== undefined && !DATE.test(day)) {
        throw new PosternError(
          'bad_request',
          `?from and ?before are days, as 2026-01-31, not ${JSON.stringify(day.slice(0, 32))}.`,
        );
      }
    }
    const rows = await engine.rows.query({
      kind: REPORT_ROWS,
      partition: name,
      from,
      before,
      after,
      descending: true,
      max: PAGE,
    });
    return {
      body: {
        name,
        records: recordsOf(name, reportAddress(name, provenMailFrom(identity))),
        reports: rows.map(({ key, value }) => shown(key, value as ReportSummary)),
        next: rows.length === PAGE ? rows.at(-1)!.key : undefined,
      },
    };
  },
});

export const REPORTS = [identityReports];

/**
 * A receiver sends reports to another domain only when that agrees (RFC 9990, "Verifying External Destinations"; RFC
 * 7489 §7.1 before it).
 */
function recordsOf(domain: string, address: string) {
  const at = address.slice(address.indexOf('@') + 1);
  const records = [
    { name: `_dmarc.${domain}`, type: 'TXT' as const, value: `v=DMARC1; p=none; rua=mailto:${address}` },
    { name: `_smtp._tls.${domain}`, type: 'TXT' as const, value: `v=TLSRPTv1; rua=mailto:${address}` },
  ];
  if (at === domain || at.endsWith(`.${domain}`)) return records;
  return [...records, { name: `${domain}._report._dmarc.${at}`, type: 'TXT' as const, value: 'v=DMARC1' }];
}

function shown(key: string, summary: ReportSummary) {
  const { begin, end, ...rest } = summary;
  return { day: key.slice(0, 10), ...rest, begin: iso(begin), end: iso(end) };
}
