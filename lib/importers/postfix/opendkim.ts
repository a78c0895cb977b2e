/** OpenDKIM's configuration: which key signs for which domain (opendkim.conf(5)). */

import { takeKey } from '../dkim-key.ts';
import type { ImportDraft } from '../draft.ts';
import type { FindingState, SourcePlace } from '../finding.ts';
import { SourceFault, type SourceFiles } from '../source-files.ts';

interface DkimRow {
  key: string;
  value: string;
  at: SourcePlace;
}

const SIGNING = 'Signed are the headers of RFC 6376, From twice, with relaxed canonicalization and SHA-256.';

const MEANINGS: ReadonlyMap<string, readonly [FindingState, string]> = new Map(
  (
    [
      [
        'already',
        SIGNING,
        'Canonicalization SignatureAlgorithm SignHeaders OversignHeaders OmitHeaders BodyLengthDB MaximumSignedBytes FixCRLF RequiredHeaders StrictHeaders MinimumKeyBits IdentityHeader IdentityHeaderRemove SenderHeaders SelectCanonicalizationHeader SelectorHeader RequireSafeKeys AllowSHA1Only',
      ],
      [
        'already',
        'Mail of an identity is always signed with its key.',
        'MultipleSignatures SubDomains DontSignMailTo InternalHosts ExternalIgnoreList ExemptDomains MTA MTACommand MacroList LocalADSP ResignAll ResignMailTo POPDBFile',
      ],
      ['impossible', 'Signatures do not expire. Rotate the key instead.', 'SignatureTTL'],
      [
        'impossible',
        'Scripts are not run. Use onAccept of postern.policy.ts.',
        'SetupPolicyScript ScreenPolicyScript FinalPolicyScript StatisticsPolicyScript',
      ],
      [
        'impossible',
        'A report address in the signature is not written.',
        'ReportAddress RequestReports SendReports ReportBccAddress',
      ],
    ] as const
  ).flatMap(([state, text, names]) =>
    names.split(' ').map((name) => [name.toLowerCase(), [state, text] as const] as const),
  ),
);

/** Reads `opendkim.conf`, and the keys that it leads to. */
export function readOpenDkim(draft: ImportDraft, files: SourceFiles, path: string): void {
  const { path: shown, lines } = files.read(path);
  const found = new Map<string, DkimRow>();
  for (const [i, line] of lines.entries()) {
    const parts = /^([A-Za-z][\w-]*)\s+(.*)$/.exec(line.replace(/(^|\s)#.*$/, '').trim());
    if (parts === null) continue;
    const [, key, value] = parts;
    const at = { file: shown, line: i + 1, directive: key!, value: value! };
    const name = key!.toLowerCase();
    const meaning = MEANINGS.get(name);
    if (OWN.has(name)) found.set(name, { key: key!, value: value!, at });
    else if (meaning) draft.note(at, meaning[0], meaning[1]);
    else draft.note(at, 'aside', 'It does not concern signing.');
  }
  const keys = keysOf(draft, files, found.get('keytable'));
  const table = found.get('signingtable');
  if (table) sign(draft, files, table, keys, path);
  else signAll(draft, files, found, path);
  if (found.has('keytable') && !table)
    draft.note(found.get('keytable')!.at, 'impossible', 'a KeyTable without a SigningTable signs nothing.');
}

const OWN = new Set(['domain', 'selector', 'keyfile', 'keytable', 'signingtable']);

function signAll(
  draft: ImportDraft,
  files: SourceFiles,
  found: ReadonlyMap<string, DkimRow>,
  from: string,
): void {
  const [domain, selector, keyFile] = ['domain', 'selector', 'keyfile'].map((name) => found.get(name));
  if (!domain || !selector || !keyFile) return;
  for (const one of domain.value.split(/[\s,]+/)) {
    takeKey(draft, files, keyFile.at, { domain: one, selector: selector.value, path: keyFile.value, from });
  }
  draft.note(domain.at, 'taken', 'an identity each.');
  draft.note(selector.at, 'taken', 'the selector of its key.');
}

/** Rows of a dataset: `refile:/path`, `file:/path`, a path, or the rows themselves. */
function rowsOf(draft: ImportDraft, files: SourceFiles, { value, at }: DkimRow): DkimRow[] {
  const [, type = '', rest = value] = /^([a-z]+):(.*)$/s.exec(value) ?? [];
  if (type === 'csl' || (type === '' && !value.startsWith('/') && value.includes('='))) {
    return rest.split(',').map((pair) => {
      const [key = '', ...then] = pair.split('=');
      return { key: key.trim(), value: then.join('=').trim(), at };
    });
  }
  if (!/^(refile|file|)$/.test(type)) {
    draft.note(at, 'impossible', `a dataset of the type ${type} is not read. Export it as a file.`);
    return [];
  }
  try {
    const { path, lines } = files.read(rest);
    draft.note(at, 'taken', `read from ${path}.`);
    return lines.flatMap((line, i) => {
      const parts = /^([^\s#]\S*)\s+(.*)$/.exec(line.trim());
      if (parts === null) return [];
      return [
        {
          key: parts[1]!,
          value: parts[2]!,
          at: { file: path, line: i + 1, directive: parts[1]!, value: parts[2]! },
        },
      ];
    });
  } catch (error) {
    if (!(error instanceof SourceFault)) throw error;
    draft.note(at, 'fault', `${rest} ${error.message}.`);
    return [];
  }
}

/** `name  domain:selector:/path/to/key`; `%` stands for the domain of the sender. */
function keysOf(
  draft: ImportDraft,
  files: SourceFiles,
  table: DkimRow | undefined,
): Map<string, DkimRow & { parts: string[] }> {
  const keys = new Map<string, DkimRow & { parts: string[] }>();
  for (const row of table ? rowsOf(draft, files, table) : []) {
    const parts = /^([^:]+):([^:]+):(.+)$/s.exec(row.value);
    if (parts === null) draft.note(row.at, 'fault', 'is not domain:selector:key.');
    else keys.set(row.key, { ...row, parts: parts.slice(1) });
  }
  return keys;
}

/** `*@example.com  name`, `example.com name`, `.example.com name`, `user@example.com name`. */
function sign(
  draft: ImportDraft,
  files: SourceFiles,
  table: DkimRow,
  keys: ReadonlyMap<string, DkimRow & { parts: string[] }>,
  from: string,
): void {
  for (const { key: pattern, value: name, at } of rowsOf(draft, files, table)) {
    const key = keys.get(name.split(',')[0]!.trim());
    if (key === undefined) {
      draft.note(at, 'fault', `there is no key ${name} in the KeyTable.`);
      continue;
    }
    const sender = pattern
      .replace(/^\*@/, '')
      .replace(/^[*@]?\.?/, '')
      .split('@')
      .at(-1)!;
    const domain = key.parts[0] === '%' ? sender : key.parts[0]!;
    if (domain === '' || domain.includes('*')) {
      draft.note(at, 'impossible', 'signs whatever domain. Create an identity for each, with its key.');
      continue;
    }
    const [selector, path] = [key.parts[1]!, key.parts[2]!.replaceAll('%', domain)];
    takeKey(draft, files, key.at, { domain, selector, path, from });
    if (sender === '' || sender === domain || sender.endsWith(`.${domain}`)) {
      draft.note(
        at,
        'taken',
        `mail from ${sender || 'anyone'} is signed for ${domain}; an identity covers its subdomains.`,
      );
    } else {
      draft.note(
        at,
        'changed',
        `mail from ${sender} was signed for ${domain}. Postern signs for the domain of the From: create the identity ${sender}, and set cosignDomain for a second signature.`,
      );
    }
  }
}
