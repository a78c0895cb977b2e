/** Writes `directives.md`: each directive of the corpus with what becomes of it. `npm run importers`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { coverage } from './corpus.ts';

/** The page as text. */
export function directivesPage(): string {
  const products = coverage();
  const lines = [
    '# Directives that the importers understand',
    '',
    'Written by `npm run importers` from the importers and `corpus/`: change these, not this page. Understood is a directive that is taken, taken with a change, needed not, or refused with what to do instead.',
    '',
    '| product | directives that concern sending | understood | | not understood |',
    '| --- | --- | --- | --- | --- |',
  ];
  for (const { product, sending, understood, unknown } of products) {
    lines.push(
      `| ${product} | ${sending} | ${understood} | ${((100 * understood) / sending).toFixed(1)} % | ${unknown.join(', ') || '–'} |`,
    );
  }
  for (const { product, source, directives } of products) {
    const aside = directives.filter(({ state }) => state === 'aside').length;
    const rest = aside === 0 ? '' : ` ${aside} more do not concern sending.`;
    lines.push(
      '',
      `## ${product}`,
      '',
      `From \`corpus/${source}\`.${rest}`,
      '',
      '| directive | state | |',
      '| --- | --- | --- |',
    );
    for (const { directive, state, text } of directives) {
      if (state !== 'aside') lines.push(`| ${cell(directive)} | ${state} | ${cell(text)} |`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
}

if (import.meta.main) writeFileSync(join(import.meta.dirname, 'directives.md'), directivesPage());
