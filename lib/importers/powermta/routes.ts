/** PowerMTA's directives that send the mail of a domain elsewhere. */
import type { ImportDraft, LimitPlace } from '../draft.ts';
import { poolName } from '../names.ts';
import type { Statement } from './config.ts';

/** @returns whether it was such a directive. */
export function takeRoute(
  draft: ImportDraft,
  { name, value, at, blocks }: Statement,
  placesOf: () => readonly LimitPlace[],
): boolean {
  const domain = blocks.findLast(({ kind }) => kind === 'domain')?.name.toLowerCase();
  switch (name) {
    case 'route':
    case 'smtp-hosts': {
      const parts = /^\[?([^\s\]:]+|[0-9a-f:]+(?=\]))\]?(?::(\d{1,5}))?$/i.exec(
        value.split(/[\s,]+/)[0] ?? '',
      );
      if (/lookup-mx/i.test(value))
        draft.note(
          at,
          'impossible',
          "another domain's MX hosts are not used. Name the host itself in routes.",
        );
      else if (parts === null || domain === undefined)
        draft.note(at, 'fault', `${value} is no host of a domain.`);
      else {
        for (const one of domain.split(/[\s,]+/))
          draft.start.routes.push({ domain: one, host: parts[1]!, port: Number(parts[2] ?? '25') });
        const several = /[\s,]/.test(value.trim())
          ? ' The first of several hosts is taken: give a name that has all addresses.'
          : '';
        draft.note(
          at,
          several ? 'changed' : 'taken',
          `route ${domain}=${parts[1]}:${parts[2] ?? '25'} of postern.config.ts.${several}`,
        );
      }
      return true;
    }
    case 'default-smtp-port':
      if (domain === undefined || domain === '*') {
        draft.start.smtpPort = Number(value) || undefined;
        draft.note(at, 'taken', 'smtpPort of postern.config.ts.');
      } else
        draft.note(
          at,
          'impossible',
          'a port of one domain is part of its route: name host and port in routes.',
        );
      return true;
    case 'smtp-require-tls':
    case 'tls-policy':
      for (const place of placesOf()) draft.limit(at, place, 'tls', 'required');
      draft.note(at, 'taken', 'tls required.');
      return true;
    case 'reroute-to-virtual-mta': {
      const pool = poolName(value);
      draft.note(
        at,
        'impossible',
        `mail of ${domain ?? 'all domains'} by pool ${pool}: order it (postern reroute ${pool} --domain DOMAIN), or answer { pool: '${pool}' } in onRoute of postern.policy.ts.`,
      );
      return true;
    }
    case 'type':
      if (/^smtp$/i.test(value)) draft.note(at, 'already', 'Mail is delivered by SMTP.');
      else
        draft.note(
          at,
          'impossible',
          `${value}: Postern delivers by SMTP alone. ${/discard/i.test(value) ? 'For tests use the mailbox simulator, or a sink (npm run sink).' : 'Send such mail elsewhere before it comes to Postern.'}`,
        );
      return true;
    case 'file-format':
    case 'file-destination':
    case 'command':
      draft.note(
        at,
        'impossible',
        'Postern delivers by SMTP alone. Send such mail elsewhere before it comes to Postern.',
      );
      return true;
    default:
      return false;
  }
}
