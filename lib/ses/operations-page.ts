/** Writes `operations.md`, the table of operations: `npm run ses-operations`. A test holds the page equal to the code. */
import { writeFileSync } from 'node:fs';
import { HANDLERS } from './handlers.ts';
import { SES_V2 } from './model/models.ts';
import { PARTIAL, REFUSED, reasonOf } from './refusals.ts';
import type { SesOperationName } from './types.ts';

const PAGE = new URL('operations.md', import.meta.url);

/** How an operation is answered, and what of it is not done. */
function answerOf(operation: SesOperationName): [answer: string, more: string] {
  if (HANDLERS.has(operation)) {
    const missing = PARTIAL[operation];
    return missing === undefined ? ['whole', ''] : ['in part', missing];
  }
  return REFUSED.has(operation) ? ['refused', reasonOf(operation)!] : ['not offered', ''];
}

/** The page as Markdown. */
export function operationsPage(): string {
  const operations = (Object.keys(SES_V2.operations) as SesOperationName[]).sort();
  const rows = operations.map((name) => [name, ...answerOf(name)] as const);
  const count = (answer: string): number => rows.filter(([, one]) => one === answer).length;
  return `# Operations of the SES v2 API

Written by \`npm run ses-operations\` from the handlers and \`refusals.ts\`: change these, not this page. Each operation that is answered is called by the AWS SDK in \`test/conformance\`, and each error of its model that applies is provoked there.

${operations.length} operations: ${count('whole')} whole, ${count('in part')} in part, ${count('refused')} refused, ${count('not offered')} not offered.

| operation | answered | what is not done, and why |
| --- | --- | --- |
${rows.map((row) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`).join('\n')}
`;
}

if (import.meta.main) writeFileSync(PAGE, operationsPage());
