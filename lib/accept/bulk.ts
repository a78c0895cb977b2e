/**
 * Bulk mail that a large provider would refuse: warned of or refused at accept, as the document `config/bulk` orders for
 * its configuration set or tenant. Off, it costs one look at the header of bulk mail; other mail passes by.
 */
import { BULK, DOCUMENT } from '../control/config-kinds.ts';
import type { Resolver } from '../dns/resolver.ts';
import { BulkCheck } from '../doctor/bulk-check.ts';
import type { BulkSender } from '../doctor/rules/bulk.ts';
import { PosternError } from '../errors.ts';
import type { Log } from '../log.ts';
import { BULK_FAULTS, type BulkFault, isOneClick } from '../mail/bulk-rules.ts';
import { unfoldedValue } from '../mail/message.ts';
import type { Clock } from '../time.ts';
import type { Checked } from './check.ts';
import type { AcceptDeps, BulkDeps } from './deps.ts';
import { UNSUBSCRIBE_FIELDS } from './unsubscribe.ts';

/** @param checked of class bulk. @throws `bulk_refused` that names each fault. */
export async function checkBulk({ bulk, control }: AcceptDeps, checked: Checked): Promise<void> {
  const { prepared, identity } = checked;
  if (bulk === undefined) return;
  const oneClick = hasOneClick(checked);
  const sender: BulkSender = {
    domain: prepared.from.domain,
    signs: signerOf(checked),
    returnPath: prepared.returnPathDomain,
  };
  bulk.check.note(sender, oneClick);
  const mode =
    control.documents.read(BULK, DOCUMENT)?.mode(prepared.tenant, prepared.configurationSet) ?? 'off';
  if (mode === 'off') return;
  const faults: BulkFault[] = oneClick ? [] : ['no_one_click'];
  faults.push(...(await bulk.check.faultsOf(sender)));
  if (faults.length === 0) return;
  bulk.onFaults?.(mode, faults, sender.domain);
  if (mode === 'warn') return;
  throw new PosternError(
    'bulk_refused',
    `Bulk mail as ${identity.name} would be refused by Gmail, Yahoo or Microsoft: ${faults.map((fault) => BULK_FAULTS[fault]).join('; ')}.`,
  );
}

/** Checks whose findings go to the log. */
export function loggedBulk(
  resolver: Pick<Resolver, 'resolve'>,
  clock: Clock,
  log: Pick<Log, 'warn'>,
): BulkDeps {
  return {
    check: new BulkCheck({ resolver, clock }),
    onFaults: (mode, faults, domain) =>
      log.warn('bulk mail that a large provider would refuse', { mode, faults, domain }),
  };
}

/** The domain whose key signs, while that key is in DNS. */
function signerOf({ identity }: Checked): string | undefined {
  if (!identity.dkim.signingEnabled) return undefined;
  // The domain of an address signs, and is verified while the address is.
  if (identity.type === 'EMAIL_ADDRESS')
    return identity.name.slice(identity.name.lastIndexOf('@') + 1).toLowerCase();
  return identity.dkim.status === 'SUCCESS' ? identity.name : undefined;
}

/** Whether the message has, or gets, one-click unsubscribe. */
function hasOneClick({ submission: { content }, raw, unsubscribeBase }: Checked): boolean {
  if (unsubscribeBase !== undefined) return true;
  if (raw) {
    const own = raw.message.fields.filter(({ name }) => UNSUBSCRIBE_FIELDS.has(name));
    return isOneClick(own.map((field) => ({ name: field.name, value: unfoldedValue(field) })));
  }
  return content.kind !== 'raw' && isOneClick(content.headers ?? []);
}
