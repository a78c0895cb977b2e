/**
 * Writes a draft to the service. Documents first, because sets name pools, and identities name sets. Each step stands
 * for itself: one that fails is told, and the others go on; done again, an import changes nothing more.
 */
import {
  AlreadyExistsException,
  CreateConfigurationSetCommand,
  CreateConfigurationSetEventDestinationCommand,
  CreateEmailIdentityCommand,
  CreateEmailTemplateCommand,
  PutConfigurationSetDeliveryOptionsCommand,
  PutEmailIdentityConfigurationSetAttributesCommand,
  PutEmailIdentityDkimSigningAttributesCommand,
  PutEmailIdentityMailFromAttributesCommand,
  UpdateEmailTemplateCommand,
} from '@aws-sdk/client-sesv2';
import type { DestinationDraft, IdentityDraft, ImportDraft, SetDraft, TemplateDraft } from './draft.ts';
import { merged, type Replaced } from './merge.ts';
import { type ImportTarget, TargetError } from './target.ts';

/** A step of an import. */
export interface Written {
  readonly what: string;
  readonly text: string;
  readonly failed: boolean;
}

/** A document that the import changes. */
export interface DocumentChangeDraft {
  readonly kind: 'limits' | 'routing' | 'automation';
  readonly value: object;
  readonly replaced: readonly Replaced[];
  readonly expect: number;
  readonly same: boolean;
}

interface StoredVersion {
  version: number;
  value?: unknown;
}

/** What each document becomes, over what is stored; nothing is written. */
export async function documentsOf(
  draft: ImportDraft,
  target: ImportTarget | undefined,
): Promise<DocumentChangeDraft[]> {
  const own: readonly (readonly [DocumentChangeDraft['kind'], object, boolean])[] = [
    ['routing', { pools: draft.pools }, Object.keys(draft.pools).length > 0],
    ['limits', draft.limits, Object.keys(draft.limits).length > 0],
    ['automation', { rules: draft.rules }, draft.rules.length > 0],
  ];
  const changes: DocumentChangeDraft[] = [];
  for (const [kind, value, any] of own) {
    if (!any) continue;
    const stored = await storedOf(kind, target);
    const replaced: Replaced[] = [];
    const whole = merged(stored?.value, value, kind, replaced) as object;
    changes.push({
      kind,
      value: whole,
      replaced,
      expect: stored?.version ?? 0,
      same: JSON.stringify(whole) === JSON.stringify(stored?.value),
    });
  }
  return changes;
}

async function storedOf(kind: string, target: ImportTarget | undefined): Promise<StoredVersion | undefined> {
  try {
    return (await target?.call('GET', `/config/${kind}/default`)) as StoredVersion | undefined;
  } catch (error) {
    if (error instanceof TargetError && error.status === 404) return undefined;
    throw error;
  }
}

/** Writes everything. @param each is told of every step. */
export async function applyDraft(
  draft: ImportDraft,
  changes: readonly DocumentChangeDraft[],
  target: ImportTarget,
  each: (step: Written) => void,
): Promise<void> {
  const step = async (what: string, act: () => Promise<string>): Promise<void> => {
    try {
      each({ what, text: await act(), failed: false });
    } catch (error) {
      each({ what, text: (error as Error).message, failed: true });
    }
  };
  for (const { kind, value, expect, same } of changes) {
    await step(`document ${kind}`, async () => {
      if (same) return 'is so already.';
      // Another change in between is refused by its version, and not overwritten.
      const headers = expect > 0 ? { 'if-match': `"${expect}"` } : undefined;
      const { version } = (await target.call(
        'PUT',
        `/config/${kind}/default`,
        value,
        headers,
      )) as StoredVersion;
      return `version ${version} is in force; POST /v1/config/${kind}/default/rollback brings the one before back.`;
    });
  }
  for (const [name, set] of draft.sets)
    await step(`configuration set ${name}`, () => writeSet(target, name, set));
  for (const one of draft.destinations)
    await step(`event destination ${one.set}/${one.name}`, () => writeDestination(target, one));
  for (const identity of draft.identities.values())
    await step(`identity ${identity.name}`, () => writeIdentity(target, identity));
  for (const template of draft.templates.values())
    await step(`template ${template.name}`, () => writeTemplate(target, template));
  await writeSuppressions(draft, target, step);
}

async function writeSet(
  { ses }: ImportTarget,
  ConfigurationSetName: string,
  { pool, options }: SetDraft,
): Promise<string> {
  const DeliveryOptions = pool ? { SendingPoolName: pool } : undefined;
  try {
    await ses.send(
      new CreateConfigurationSetCommand({
        ConfigurationSetName,
        ...(DeliveryOptions && { DeliveryOptions }),
        ...options,
      }),
    );
    return 'made.';
  } catch (error) {
    if (!(error instanceof AlreadyExistsException)) throw error;
    if (pool === undefined) return 'is there already.';
    await ses.send(
      new PutConfigurationSetDeliveryOptionsCommand({ ConfigurationSetName, SendingPoolName: pool }),
    );
    return `is there already; its pool is ${pool} now.`;
  }
}

async function writeDestination(
  { ses }: ImportTarget,
  { set, name, destination }: DestinationDraft,
): Promise<string> {
  try {
    await ses.send(
      new CreateConfigurationSetEventDestinationCommand({
        ConfigurationSetName: set,
        EventDestinationName: name,
        EventDestination: destination,
      }),
    );
    return 'made.';
  } catch (error) {
    if (error instanceof AlreadyExistsException) return 'is there already.';
    throw error;
  }
}

async function writeIdentity(
  { ses }: ImportTarget,
  { name, key, configurationSet, mailFromDomain }: IdentityDraft,
): Promise<string> {
  const attributes = key && { DomainSigningSelector: key.selector, DomainSigningPrivateKey: key.privateKey };
  let text = 'made.';
  try {
    await ses.send(
      new CreateEmailIdentityCommand({
        EmailIdentity: name,
        ...(attributes && { DkimSigningAttributes: attributes }),
        ...(configurationSet && { ConfigurationSetName: configurationSet }),
      }),
    );
  } catch (error) {
    if (!(error instanceof AlreadyExistsException)) throw error;
    text = 'is there already.';
    if (attributes) {
      await ses.send(
        new PutEmailIdentityDkimSigningAttributesCommand({
          EmailIdentity: name,
          SigningAttributesOrigin: 'EXTERNAL',
          SigningAttributes: attributes,
        }),
      );
      text = `is there already; ${key.selector} signs now.`;
    }
    if (configurationSet)
      await ses.send(
        new PutEmailIdentityConfigurationSetAttributesCommand({
          EmailIdentity: name,
          ConfigurationSetName: configurationSet,
        }),
      );
  }
  if (mailFromDomain)
    await ses.send(
      new PutEmailIdentityMailFromAttributesCommand({ EmailIdentity: name, MailFromDomain: mailFromDomain }),
    );
  return key ? text : `${text} Publish its records: GET /v1/identities/${name}/dns.`;
}

async function writeTemplate(
  { ses }: ImportTarget,
  { name, subject, text, html }: TemplateDraft,
): Promise<string> {
  const input = { TemplateName: name, TemplateContent: { Subject: subject, Text: text, Html: html } };
  try {
    await ses.send(new CreateEmailTemplateCommand(input));
    return 'made.';
  } catch (error) {
    if (!(error instanceof AlreadyExistsException)) throw error;
    await ses.send(new UpdateEmailTemplateCommand(input));
    return 'was there, and is replaced.';
  }
}

interface UploadAnswer {
  rows: number;
  taken: number;
  unchanged: number;
  failed: number;
  failures?: readonly { line: number; why: string }[];
}

async function writeSuppressions(
  { suppressions }: ImportDraft,
  target: ImportTarget,
  step: (what: string, act: () => Promise<string>) => Promise<void>,
): Promise<void> {
  const rows = suppressions.flatMap((one) =>
    'address' in one ? [`${JSON.stringify({ emailAddress: one.address, reason: one.reason })}\n`] : [],
  );
  const files = suppressions.flatMap((one) => ('file' in one ? [one] : []));
  const upload = async (path: string, text: string, type: string): Promise<string> => {
    const {
      rows,
      taken,
      unchanged,
      failed,
      failures = [],
    } = (await target.call('POST', `/suppressions/import${path}`, text, {
      'content-type': type,
    })) as UploadAnswer;
    const [first] = failures;
    const why = first ? ` The first one: line ${first.line}, ${first.why}` : '';
    return `${rows} rows: ${taken} taken, ${unchanged} that change nothing, ${failed} not taken.${why}`;
  };
  if (rows.length > 0) await step('suppression list', () => upload('', rows.join(''), 'application/jsonl'));
  for (const { file, text } of files)
    await step(`suppression list, ${file}`, () => upload('?reason=BOUNCE', text, 'text/csv'));
}
