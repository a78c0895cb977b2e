/** The output of `npm start`: its listeners, notes on its settings, and the first key, once. */
import type { AccessKey } from '../../lib/control/types.ts';
import type { Settings } from '../settings.ts';

/** Addresses of the open listeners. */
export interface Listening {
  api: string;
  submission: string;
  submissionTls?: string;
  inbound: string;
  /** Authoritative DNS for the zone of DKIM keys. */
  dkimZone?: string;
}

/**
 * Formats the lines to print.
 * @param firstKey present only when it was made at this start: it is not shown again.
 * @param foreign source addresses of the settings that are not addresses of this host.
 */
export function banner(
  settings: Settings,
  listening: Listening,
  firstKey?: { key: AccessKey; smtpPassword: string },
  foreign: readonly string[] = [],
): string {
  const scheme = settings.apiTls ? 'https' : 'http';
  const lines = [
    '',
    `  Postern is ready. Data in ${settings.data}`,
    '',
    `  API         ${scheme}://${listening.api}   SES v2, SES v1, /v1, /metrics, /healthz`,
    `  console     ${scheme}://${listening.api}/console   sign in with a key`,
    `  submission  smtp://${listening.submission}   STARTTLS, AUTH PLAIN LOGIN`,
  ];
  if (listening.submissionTls) lines.push(`  submission  smtps://${listening.submissionTls}`);
  lines.push(`  inbound     smtp://${listening.inbound}   bounces and complaints`);
  if (listening.dkimZone)
    lines.push(`  DNS         ${listening.dkimZone}   ${settings.dkimZone}, and nothing else`);
  const notes: string[] = [];
  if (!settings.verifyIdentities)
    notes.push('Identities count as verified without DNS proof (POSTERN_VERIFY_IDENTITIES=off).');
  if (settings.relayFrom.length > 0) notes.push(`${settings.relayFrom.join(', ')} may submit without AUTH.`);
  for (const { domain, host, port } of settings.routes)
    notes.push(`Mail for ${domain} goes to ${host}:${port}.`);
  for (const address of foreign)
    notes.push(
      `${address} is not an address of this host: no mail leaves from it. Correct POSTERN_EGRESS_IPS.`,
    );
  if (notes.length > 0) lines.push('', ...notes.map((note) => `  ${note}`));
  if (firstKey) {
    lines.push(
      '',
      '  First administrator key. It is shown once; keep it now.',
      '',
      `    export AWS_ACCESS_KEY_ID=${firstKey.key.id}`,
      `    export AWS_SECRET_ACCESS_KEY=${firstKey.key.secret}`,
      `    export AWS_REGION=${settings.region} AWS_DEFAULT_REGION=${settings.region}`,
      `    export AWS_ENDPOINT_URL_SESV2=${scheme}://${listening.api}`,
      '',
      `    SMTP user ${firstKey.key.id}, password ${firstKey.smtpPassword}`,
      `    Bearer token ${firstKey.key.id}.${firstKey.key.secret}`,
    );
  }
  return `${lines.join('\n')}\n\n`;
}
