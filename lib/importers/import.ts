/**
 * `postern import`: reads what another product was told, shows what becomes of each directive, and with `apply` writes
 * it. Without it nothing is changed, here or there.
 */
import { SESv2Client } from '@aws-sdk/client-sesv2';
import { applyDraft, documentsOf } from './apply.ts';
import { check } from './checked.ts';
import type { ImportDraft } from './draft.ts';
import { readExim } from './exim/exim.ts';
import { readKumoMta } from './kumomta/kumomta.ts';
import { readPostfix } from './postfix/postfix.ts';
import { readPowerMta } from './powermta/powermta.ts';
import { startFile, summary, writeReport } from './report.ts';
import { readSes } from './ses/ses.ts';
import { DiskFiles, SourceFault, type SourceFiles } from './source-files.ts';
import { ImportTarget, type TargetOptions } from './target.ts';

/** Products whose configuration is in files, each with its reader. */
export const READERS = {
  postfix: readPostfix,
  exim: readExim,
  powermta: readPowerMta,
  kumomta: readKumoMta,
} as const satisfies Record<string, (files: SourceFiles) => ImportDraft>;

export const PRODUCTS = [...(Object.keys(READERS) as (keyof typeof READERS)[]), 'ses'] as const;
export type Product = (typeof PRODUCTS)[number];

export interface ImportRun {
  readonly product: Product;
  /** File or directory; for `ses` the endpoint of another one than Amazon's, or absent. */
  readonly path?: string;
  /** Directory below which the files that it names may be read; else that of `path`. */
  readonly root?: string;
  /** Region of the SES account; else the environment's. */
  readonly region?: string;
  /** Writes to `target`; else nothing is changed. */
  readonly apply: boolean;
  /** Also reports what does not concern sending. */
  readonly all: boolean;
  /** One JSON object in place of lines. */
  readonly json: boolean;
  /** Where to write, and what the changes are compared with; absent: with nothing. */
  readonly target?: TargetOptions;
}

/** Exit codes: all is well; something failed or was not readable; there was nothing to read. */
export const EXIT = { well: 0, failed: 1, nothing: 2 } as const;

/** Reads and checks a configuration. @throws SourceFault when there is none. */
export async function readProduct({ product, path, root, region }: ImportRun): Promise<ImportDraft> {
  if (product === 'ses') {
    const { AWS_ENDPOINT_URL_SESV2: elsewhere } = process.env;
    if (path === undefined && elsewhere) {
      throw new SourceFault(
        `AWS_ENDPOINT_URL_SESV2 leads to ${elsewhere}, not to Amazon: unset it, or name the endpoint of the account`,
      );
    }
    const client = new SESv2Client({ ...(path && { endpoint: path }), ...(region && { region }) });
    try {
      const draft = await readSes(client, path ?? `ses ${region ?? ''}`.trim());
      check(draft);
      return draft;
    } finally {
      client.destroy();
    }
  }
  if (path === undefined) throw new SourceFault('Name the file or directory to import.');
  const draft = READERS[product](new DiskFiles(path, root));
  check(draft);
  return draft;
}

/**
 * Runs an import.
 * @param write takes lines for standard output. @param warn takes lines for standard error.
 * @returns the exit code.
 */
export async function runImport(
  options: ImportRun,
  write: (line: string) => void,
  warn: (line: string) => void,
): Promise<number> {
  let draft: ImportDraft;
  try {
    draft = await readProduct(options);
  } catch (error) {
    if (!(error instanceof SourceFault)) throw error;
    warn(`${options.path ?? options.product}: ${error.message}.`.replace(/\.\.$/, '.'));
    return EXIT.nothing;
  }
  const target = options.target && new ImportTarget(options.target);
  try {
    return await report(draft, target, options, write, warn);
  } finally {
    target?.close();
  }
}

async function report(
  draft: ImportDraft,
  target: ImportTarget | undefined,
  options: ImportRun,
  write: (line: string) => void,
  warn: (line: string) => void,
): Promise<number> {
  const { apply, all, json } = options;
  const changes = await documentsOf(draft, target);
  const { fault } = draft.findings.counts;
  if (json) {
    const { findings, sets, identities, start } = draft;
    const names = Array.from(identities.values(), ({ key, ...rest }) => ({
      ...rest,
      ...(key && { selector: key.selector }),
    }));
    write(
      JSON.stringify({
        counts: findings.counts,
        findings: findings.list,
        documents: changes,
        sets: Object.fromEntries(sets),
        identities: names,
        settings: start,
      }),
    );
  } else writeReport(draft, changes, { all, write });
  if (!apply) {
    if (!json) warn('Nothing was changed. Repeat it with --apply to write this.');
    return fault > 0 ? EXIT.failed : EXIT.well;
  }
  if (fault > 0) {
    warn(
      `${fault} directives could not be read, and what they limit would be lost: nothing was changed. Mend the lines that are marked FAULT, or take them out, and repeat it.`,
    );
    return EXIT.failed;
  }
  if (target === undefined) {
    warn("There is no service to write to: give its address and an administrator's key.");
    return EXIT.failed;
  }
  let failed = 0;
  await applyDraft(draft, changes, target, (step) => {
    if (step.failed) failed += 1;
    (step.failed ? warn : json ? () => undefined : write)(
      `${step.failed ? 'FAILED ' : 'written'} ${step.what}: ${step.text}`,
    );
  });
  if (!json && startFile(draft.start) !== undefined)
    write('The settings above are still to be put into postern.config.ts; restart Postern then.');
  if (failed > 0)
    warn(
      `${failed} steps failed; the others are written. Mend what they say, and repeat it: what is written stays as it is.`,
    );
  else if (!json) write(summary(draft));
  return failed > 0 ? EXIT.failed : EXIT.well;
}
