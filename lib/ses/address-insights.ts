/**
 * `GetEmailAddressInsights`: what this installation knows of an address. No mailbox is asked: whether it exists is
 * answered from what became of mail to it. Disposable domains and random text are not judged, and their verdicts left out.
 */
import { PosternError } from '../errors.ts';
import { parseEnvelopeAddress } from '../mail/address.ts';
import { type Call, operation } from './operation.ts';

type AddressVerdict = 'LOW' | 'MEDIUM' | 'HIGH';

/** Names of functions (RFC 2142), and those that most organisations have. */
const ROLES = new Set(
  (
    'abuse admin administrator billing contact dns ftp help helpdesk hello hostmaster hr info it jobs legal list ' +
    'mail mailer-daemon marketing news newsletter no-reply noc noreply office orders postmaster press privacy ' +
    'root sales security service spam support sysadmin team usenet uucp webmaster www'
  ).split(' '),
);
const MAX_ADDRESS = 320;

export const getEmailAddressInsights = operation(
  'GetEmailAddressInsights',
  'use',
  async ({ EmailAddress: text }, call) => {
    if (text === '' || text.length > MAX_ADDRESS)
      throw new PosternError('bad_request', `EmailAddress must have 1 to ${MAX_ADDRESS} characters.`);
    const parsed = parsedOrNone(text);
    if (!parsed) {
      return answer('LOW', { HasValidSyntax: 'LOW', HasValidDnsRecords: 'LOW', MailboxExists: 'LOW' });
    }
    const { address, domain } = parsed;
    const [takesMail, exists] = await Promise.all([
      call.deps.domains.takesMail(domain),
      mailboxExists(address, call),
    ]);
    const dns: AddressVerdict = takesMail === undefined ? 'MEDIUM' : takesMail ? 'HIGH' : 'LOW';
    const local = address.slice(0, address.lastIndexOf('@')).toLowerCase().replace(/\+.*/, '');
    const mailbox: AddressVerdict = dns === 'LOW' ? 'LOW' : exists;
    return answer(dns === 'MEDIUM' && mailbox === 'HIGH' ? 'MEDIUM' : mailbox, {
      HasValidSyntax: 'HIGH',
      HasValidDnsRecords: dns,
      MailboxExists: mailbox,
      IsRoleAddress: ROLES.has(local) ? 'HIGH' : 'LOW',
    });
  },
);

function parsedOrNone(text: string): { address: string; domain: string } | undefined {
  try {
    return parseEnvelopeAddress(text);
  } catch (error) {
    if (error instanceof PosternError && error.entry.fault === 'caller') return undefined;
    throw error;
  }
}

/** Listed for a bounce: no; took the tenant's last message: yes; else nobody knows. */
async function mailboxExists(address: string, { deps, caller }: Call): Promise<AddressVerdict> {
  const { tenant } = caller;
  const { suppressions, records } = deps.engine;
  const [listed] = await suppressions.find([{ tenant, address }]);
  if (listed) return listed.reason === 'BOUNCE' ? 'LOW' : 'HIGH';
  try {
    const { messages } = await records.search({ tenant, recipient: address, max: 1 });
    const [last] = messages;
    if (!last) return 'MEDIUM';
    const n = last.recipients.findIndex((one) => one.toLowerCase() === address.toLowerCase());
    const state = await records.state(last.id, n);
    return state === 'delivered' ? 'HIGH' : state === 'bounced' ? 'LOW' : 'MEDIUM';
  } catch (error) {
    // No index of messages is kept here.
    if (error instanceof PosternError && error.code === 'unsupported_operation') return 'MEDIUM';
    throw error;
  }
}

function answer(isValid: AddressVerdict, evaluations: Readonly<Record<string, AddressVerdict>>) {
  const verdicts = Object.entries(evaluations).map(([name, verdict]) => [
    name,
    { ConfidenceVerdict: verdict },
  ]);
  return {
    MailboxValidation: {
      IsValid: { ConfidenceVerdict: isValid },
      Evaluations: Object.fromEntries(verdicts) as Record<string, { ConfidenceVerdict: AddressVerdict }>,
    },
  };
}
