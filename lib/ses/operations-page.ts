/** Writes `operations.md`, the table of operations: `npm run ses-operations`. A test holds the page equal to the code. */
import { writeFileSync } from 'node:fs';
import { HANDLERS } from './handlers.ts';
import { SES_V2 } from './model/models.ts';
import { SES_V1 } from './model/v1-model.ts';
import { PARTIAL, REFUSED, reasonOf } from './refusals.ts';
import type { SesActionName, SesOperationName } from './types.ts';
import { ACTIONS } from './v1/actions.ts';
import { actionReason } from './v1/refusals.ts';

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
  return `# Operations of the SES API

Written by \`npm run ses-operations\` from the handlers and \`refusals.ts\`: change these, not this page. Each operation that is answered is called by the AWS SDK in \`test/conformance\`, and each error of its model that applies is provoked there.

${operations.length} operations: ${count('whole')} whole, ${count('in part')} in part, ${count('refused')} refused, ${count('not offered')} not offered.

${table('operation', rows)}

## Actions of SES v1

${actionsPart()}
`;
}

type AnswerRow = readonly [name: string, answer: string, more: string];

function table(what: string, rows: readonly AnswerRow[]): string {
  const lines = rows.map((row) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`);
  return `| ${what} | answered | what is not done, and why |\n| --- | --- | --- |\n${lines.join('\n')}`;
}

/** Actions of SES v1, by the same objects as SES v2. */
function actionsPart(): string {
  const actions = (Object.keys(SES_V1.operations) as SesActionName[]).sort();
  const rows = actions.map((name): AnswerRow => {
    if (ACTIONS.has(name)) return [name, 'yes', ''];
    const reason = actionReason(name);
    return [name, reason === undefined ? 'not offered' : 'refused', reason ?? ''];
  });
  const count = (answer: string): number => rows.filter(([, one]) => one === answer).length;
  return `${actions.length} actions: ${count('yes')} answered, ${count('refused')} refused, ${count('not offered')} not offered.\n\n${table('action', rows)}`;
}

if (import.meta.main) writeFileSync(PAGE, operationsPage());
