/** Findings of the doctor in answers. */
import * as z from 'zod/mini';
import { CATALOGUE, type FindingId } from '../doctor/catalogue.ts';
import { about, named, text } from './schema.ts';

const IDS = Object.keys(CATALOGUE) as [FindingId, ...FindingId[]];

export const FindingAnswer = named(
  'Finding',
  z.strictObject({
    id: z.enum(IDS).check(about('Stable code of the rule.')),
    severity: z
      .enum(['error', 'warning', 'notice'])
      .check(
        about(
          'error: mail is refused, lost or does not leave. warning: some providers refuse it or trust it less. notice: it works, and could be better.',
        ),
      ),
    subject: text('The domain, address or thing that it is about.'),
    text: text('What is wrong.'),
    why: text('Why it matters.'),
    remedy: text('What to do.'),
    record: z
      .optional(
        z.strictObject({ name: text(), type: z.enum(['TXT', 'CNAME', 'MX', 'A', 'PTR']), value: text() }),
      )
      .check(about('The record to publish.')),
    command: z.optional(text('For a shell on the host.')),
  }),
);

export const findingExample: z.infer<typeof FindingAnswer> = {
  id: 'dmarc.missing',
  severity: 'error',
  subject: 'example.com',
  text: 'Neither example.com nor a domain above it has a DMARC record.',
  why: CATALOGUE['dmarc.missing'].why,
  remedy: 'Publish one. Begin with p=none, read the reports, then go on to quarantine and reject.',
  record: {
    name: '_dmarc.example.com',
    type: 'TXT',
    value: 'v=DMARC1; p=none; rua=mailto:dmarc@example.com',
  },
};
