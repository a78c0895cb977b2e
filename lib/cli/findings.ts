/** Findings of the doctor: what is wrong, why it matters, and the record or command that mends it. */
import type { AnswerValue } from './client.ts';
import type { Printer } from './output.ts';

const COLOURS: Readonly<Record<string, 'red' | 'yellow' | 'blue'>> = {
  error: 'red',
  warning: 'yellow',
  notice: 'blue',
};

export function findings(out: Printer, found: readonly AnswerValue[]): void {
  if (found.length === 0) out.line(out.paint('green', 'Nothing is wrong.'));
  for (const { severity, subject, text, why, remedy, record, command } of found) {
    out.line(`${out.paint(COLOURS[severity] ?? 'bold', severity)}  ${subject}: ${text}`);
    out.pairs([
      ['  why', why],
      ['  do', remedy],
      ['  record', record && `${record.name}. ${record.type} ${record.value}`],
      ['  run', command],
    ]);
  }
}
