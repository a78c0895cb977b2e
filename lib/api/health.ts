/** What is wrong with this installation. */
import * as z from 'zod/mini';
import { PosternError } from '../errors.ts';
import { FindingAnswer, findingExample } from './findings.ts';
import { iso, operation, query, requireAdmin } from './operation.ts';
import { about, flag, named, text, time } from './schema.ts';

const HealthAnswer = named(
  'Health',
  z.strictObject({
    checkedAt: time('A report is given again for five minutes.'),
    ok: flag('There is no finding of severity error or warning.'),
    findings: z.array(FindingAnswer).check(about('The worst first.')),
    checks: z
      .array(
        z.strictObject({
          name: text(),
          state: z.enum(['done', 'skipped', 'failed']),
          text: z.optional(text('Why it was skipped or failed.')),
        }),
      )
      .check(about('What was looked at.')),
  }),
);

export const health = operation({
  method: 'get',
  path: '/health',
  operationId: 'health',
  summary: "What is wrong with this installation, why it matters, and what mends it (administrator's key)",
  description:
    'Looks at port 25 outwards, PTR and EHLO of each source address, the resolver, blocklists, certificate, clock, disk, limits of the kernel, the age of queues, and refusals for a fault of this side. It takes up to 25 seconds when the last report is older than five minutes; delivery does not wait for it.',
  parameters: [query('refresh', '`true`: look again, even if the last report is younger than five minutes.')],
  answer: {
    status: 200,
    description: 'The findings.',
    schema: HealthAnswer,
    example: {
      checkedAt: '2026-11-29T12:00:00.000Z',
      ok: false,
      findings: [findingExample],
      checks: [{ name: 'outward', state: 'done' }],
    },
  },
  async handle(call) {
    requireAdmin(call, 'see the health of the installation');
    const { refresh } = call.query;
    if (refresh !== undefined && refresh !== 'true' && refresh !== 'false')
      throw new PosternError('bad_request', 'refresh must be true or false.');
    const { checkedAt, findings, checks } = await call.deps.health.report(refresh === 'true');
    const ok = findings.every(({ severity }) => severity === 'notice');
    return { body: { checkedAt: iso(checkedAt), ok, findings, checks } };
  },
});
