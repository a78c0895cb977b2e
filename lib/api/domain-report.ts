/** What DNS says about an identity now, and what is wrong with it. */
import * as z from 'zod/mini';
import type { DomainReport } from '../doctor/domain-check.ts';
import { FindingAnswer, findingExample } from './findings.ts';
import { identityOf } from './identities.ts';
import { iso, label, operation } from './operation.ts';
import { about, flag, named, text, time } from './schema.ts';

const DomainReportAnswer = named(
  'DomainReport',
  z.strictObject({
    domain: text('Domain in From.'),
    checkedAt: time('A report is given again for half a minute.'),
    ok: flag('There is no finding of severity error or warning.'),
    findings: z.array(FindingAnswer).check(about('The worst first.')),
    seen: z
      .array(
        z.strictObject({
          check: z.enum(['spf', 'dkim', 'dmarc', 'return-path', 'mta-sts', 'tls-rpt', 'bimi']),
          name: text(),
          type: z.enum(['TXT', 'MX']),
          values: z.array(text()).check(about('Empty: none is published.')),
        }),
      )
      .check(about('What DNS says now.')),
  }),
);

export const identityReport = operation({
  method: 'get',
  path: '/identities/{name}/check',
  operationId: 'identityReport',
  summary: 'Check SPF, DKIM, DMARC, return path, MTA-STS, TLS-RPT, BIMI and DNSSEC of an identity',
  description:
    'Looks DNS up now; it changes nothing. SPF is evaluated for the public source addresses (RFC 7208), DMARC by RFC 9989.',
  parameters: [label('name', 'Domain or address.')],
  answer: {
    status: 200,
    description: 'What is wrong, why it matters, and the exact record that mends it.',
    schema: DomainReportAnswer,
    example: {
      domain: 'example.com',
      checkedAt: '2026-11-29T12:00:00.000Z',
      ok: false,
      findings: [findingExample],
      seen: [{ check: 'dmarc', name: '_dmarc.example.com', type: 'TXT', values: [] }],
    },
  },
  async handle(call) {
    return { body: reportOf(await call.deps.domains.check(await identityOf(call))) };
  },
});

function reportOf({ domain, checkedAt, findings, seen }: DomainReport): z.infer<typeof DomainReportAnswer> {
  return {
    domain,
    checkedAt: iso(checkedAt),
    ok: findings.every(({ severity }) => severity === 'notice'),
    findings,
    seen: seen.map((one) => ({ ...one, values: [...one.values] })),
  };
}
