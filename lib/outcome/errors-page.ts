/** Writes `errors.md` from the tables of errors, reasons and causes: `npm run errors`. A test holds the page equal to them. */
import { writeFileSync } from 'node:fs';
import { ERRORS } from '../errors.ts';
import { CAUSES } from './causes.ts';
import { REASONS } from './reasons.ts';

const PAGE = new URL('../errors.md', import.meta.url);

/** The page as Markdown. */
export function errorsPage(): string {
  const errors = Object.entries(ERRORS).map(
    ([code, { http, smtp, enhanced, ses, temporary, fault, action }]) =>
      row(`\`${code}\``, http, `${smtp} ${enhanced}`, `\`${ses}\``, yes(temporary), fault, action),
  );
  const reasons = Object.entries(REASONS).map(([code, { smtp, enhanced, temporary, fault, action }]) =>
    row(`\`${code}\``, `${smtp} ${enhanced}`, yes(temporary), fault, action),
  );
  const causes = Object.entries(CAUSES).map(
    ([cause, { category, bounce, fault, temporary, suppresses, action }]) =>
      row(
        `\`${cause}\``,
        temporary ? 'temporary' : 'permanent',
        fault,
        `${bounce.type}, ${bounce.subType}`,
        category,
        yes(suppresses),
        action,
      ),
  );
  return `# Errors, reasons and causes

Written by \`npm run errors\` from \`errors.ts\`, \`outcome/reasons.ts\` and \`outcome/causes.ts\`: change these, not this page.

## Errors

What a caller is answered: over HTTP by status and code, over the SES API by the name of its exception, over SMTP by reply.

${table(['code', 'HTTP', 'SMTP', 'SES', 'a repeat can succeed', 'fault', 'what to do'], errors)}

## Reasons

Why a delivery stands as it does: \`reason\` of a delivery and of an attempt. The SMTP columns are what events show where no peer replied.

${table(['code', 'SMTP', 'tried again', 'fault', 'what to do'], reasons)}

## Causes

What a reply or a report is about, by its enhanced code, the wording of its provider, or its plain code (\`outcome/cause-rules.ts\`). A temporary reply is temporary whatever its cause, and suppresses nobody.

${table(['cause', 'lasts', 'fault', 'SES bounce', 'category', 'suppresses', 'what to do'], causes)}
`;
}

function table(names: readonly string[], rows: readonly string[]): string {
  return [row(...names), row(...names.map(() => '---')), ...rows].join('\n');
}

function row(...cells: readonly (string | number)[]): string {
  return `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`;
}

function yes(value: boolean): string {
  return value ? 'yes' : 'no';
}

if (import.meta.main) writeFileSync(PAGE, errorsPage());
