/**
 * An account of Amazon SES, read through its SDK: identities, configuration sets with their event destinations,
 * templates, the suppression list and dedicated IP pools. Nothing of it is changed.
 */
import {
  GetAccountCommand,
  GetConfigurationSetCommand,
  GetConfigurationSetEventDestinationsCommand,
  GetDedicatedIpsCommand,
  GetEmailIdentityCommand,
  GetEmailTemplateCommand,
  ListConfigurationSetsCommand,
  ListContactListsCommand,
  ListDedicatedIpPoolsCommand,
  ListEmailIdentitiesCommand,
  ListEmailTemplatesCommand,
  ListSuppressedDestinationsCommand,
  type SESv2Client,
} from '@aws-sdk/client-sesv2';
import { ImportDraft } from '../draft.ts';
import type { FindingState, SourcePlace } from '../finding.ts';

/** Answers of lists that are followed: bounds a server that always has another page. */
const MOST_PAGES = 10_000;

/** Reads an account. A part that its key may not read is a finding. @param name of the account in the report. */
export async function readSes(client: SESv2Client, name: string): Promise<ImportDraft> {
  const draft = new ImportDraft();
  draft.poolsWait = true;
  const at = (directive: string, value?: string): SourcePlace => ({
    file: name,
    line: 0,
    directive,
    ...(value && { value }),
  });
  const parts: readonly [string, () => Promise<void>][] = [
    ['account', () => readAccount(client, draft, at)],
    ['dedicated IP pools', () => readPools(client, draft, at)],
    ['configuration sets', () => readSets(client, draft, at)],
    ['identities', () => readIdentities(client, draft, at)],
    ['templates', () => readTemplates(client, draft, at)],
    ['suppression list', () => readSuppressions(client, draft, at)],
    ['contact lists', () => readContactLists(client, draft, at)],
  ];
  for (const [what, read] of parts) {
    try {
      await read();
    } catch (error) {
      const { name: code, message } = error as Error;
      draft.note(
        at(what),
        'fault',
        `was not read (${code}: ${message.slice(0, 200)}). The key needs the right to list and get it.`,
      );
    }
  }
  return draft;
}

type At = (directive: string, value?: string) => SourcePlace;

/** Follows the pages of a list. */
async function pages<P extends { NextToken?: string }>(
  page: (NextToken: string | undefined) => Promise<P>,
  each: (page: P) => Promise<void> | void,
): Promise<void> {
  let token: string | undefined;
  for (let i = 0; i < MOST_PAGES; i += 1) {
    const answer = await page(token);
    await each(answer);
    token = answer.NextToken;
    if (!token) return;
  }
}

async function readAccount(client: SESv2Client, draft: ImportDraft, at: At): Promise<void> {
  const { SendQuota, SuppressionAttributes } = await client.send(new GetAccountCommand({}));
  const { Max24HourSend = -1, MaxSendRate = -1 } = SendQuota ?? {};
  const none = "is Amazon's limit of the account. To keep it, set a shared limit";
  if (Max24HourSend > 0)
    draft.note(
      at('account Max24HourSend', String(Max24HourSend)),
      'impossible',
      `${none}: { account: { quota: '${Math.min(999_999_999, Math.floor(Max24HourSend))}/d' } }.`,
    );
  if (MaxSendRate > 0)
    draft.note(
      at('account MaxSendRate', String(MaxSendRate)),
      'impossible',
      `${none}: { account: { rate: '${Math.max(1, Math.floor(MaxSendRate))}/s' } }.`,
    );
  const reasons = SuppressionAttributes?.SuppressedReasons ?? [];
  draft.note(
    at('account SuppressedReasons', reasons.join(', ')),
    'already',
    'BOUNCE and COMPLAINT suppress unless PutAccountSuppressionAttributes says otherwise.',
  );
}

async function readPools(client: SESv2Client, draft: ImportDraft, at: At): Promise<void> {
  const pools: string[] = [];
  await pages(
    (NextToken) => client.send(new ListDedicatedIpPoolsCommand({ NextToken })),
    ({ DedicatedIpPools }) => {
      pools.push(...(DedicatedIpPools ?? []));
    },
  );
  for (const pool of pools) {
    const ips: string[] = [];
    await pages(
      (NextToken) => client.send(new GetDedicatedIpsCommand({ PoolName: pool, NextToken })),
      ({ DedicatedIps }) => {
        ips.push(...(DedicatedIps ?? []).flatMap(({ Ip }) => (Ip ? [Ip] : [])));
      },
    );
    // Pools that Amazon names are its own; a configuration set does not name them.
    if (pool.startsWith('ses-')) draft.note(at(`pool ${pool}`), 'aside', "is a pool of Amazon's.");
    else {
      draft.pool(pool, []);
      const leased =
        ips.length > 0
          ? ` Its addresses (${ips.join(', ')}) stay with Amazon: give it your own, which warm up.`
          : '';
      draft.note(
        at(`pool ${pool}`),
        ips.length > 0 ? 'changed' : 'taken',
        `pool ${pool}, without addresses.${leased}`,
      );
    }
  }
}

async function readSets(client: SESv2Client, draft: ImportDraft, at: At): Promise<void> {
  const names: string[] = [];
  await pages(
    (NextToken) => client.send(new ListConfigurationSetsCommand({ NextToken })),
    ({ ConfigurationSets }) => {
      names.push(...(ConfigurationSets ?? []));
    },
  );
  for (const name of names) {
    const set = await client.send(new GetConfigurationSetCommand({ ConfigurationSetName: name }));
    const pool = set.DeliveryOptions?.SendingPoolName;
    const { DeliveryOptions, SendingOptions, SuppressionOptions, TrackingOptions, Tags } = set;
    const known = pool === undefined || draft.pools[pool] !== undefined;
    draft.sets.set(name, {
      ...(known && pool && { pool }),
      options: {
        ...(DeliveryOptions && {
          DeliveryOptions: { ...DeliveryOptions, ...(known ? {} : { SendingPoolName: undefined }) },
        }),
        ...(SendingOptions && { SendingOptions }),
        ...(SuppressionOptions?.SuppressedReasons && {
          SuppressionOptions: { SuppressedReasons: SuppressionOptions.SuppressedReasons },
        }),
        ...(TrackingOptions && { TrackingOptions }),
        ...(Tags?.length && { Tags }),
      },
    });
    draft.note(
      at(`configuration set ${name}`),
      known ? 'taken' : 'changed',
      `sending, suppression and tracking${pool ? (known ? `, pool ${pool}` : `; its pool ${pool} is not there, so it has the default one`) : ''}.`,
    );
    if (set.ArchivingOptions?.ArchiveArn)
      draft.note(
        at(`configuration set ${name} ArchivingOptions`),
        'impossible',
        'it writes to an archive of Amazon SES Mail Manager. Keep copies by an event destination, or by Bcc.',
      );
    await readDestinations(client, draft, at, name);
  }
}

async function readDestinations(client: SESv2Client, draft: ImportDraft, at: At, set: string): Promise<void> {
  const { EventDestinations } = await client.send(
    new GetConfigurationSetEventDestinationsCommand({ ConfigurationSetName: set }),
  );
  for (const {
    Name,
    SnsDestination,
    KinesisFirehoseDestination,
    EventBridgeDestination,
    CloudWatchDestination,
    PinpointDestination,
    Enabled,
    MatchingEventTypes,
  } of EventDestinations ?? []) {
    const place = at(`event destination ${set}/${Name}`);
    if (PinpointDestination) {
      draft.note(
        place,
        'impossible',
        'Pinpoint has no counterpart. Make an event destination of another kind.',
      );
      continue;
    }
    draft.destinations.push({
      set,
      name: Name!,
      destination: {
        Enabled,
        MatchingEventTypes,
        SnsDestination,
        KinesisFirehoseDestination,
        EventBridgeDestination,
        CloudWatchDestination,
      },
    });
    draft.note(
      place,
      'taken',
      'as it is; the role of Postern needs the rights to it, as that of SES had them.',
    );
  }
}

async function readIdentities(client: SESv2Client, draft: ImportDraft, at: At): Promise<void> {
  const names: string[] = [];
  await pages(
    (NextToken) => client.send(new ListEmailIdentitiesCommand({ NextToken, PageSize: 100 })),
    ({ EmailIdentities }) => {
      names.push(
        ...(EmailIdentities ?? []).flatMap(({ IdentityName }) => (IdentityName ? [IdentityName] : [])),
      );
    },
  );
  for (const name of names) {
    const found = await client.send(new GetEmailIdentityCommand({ EmailIdentity: name }));
    const identity = draft.identity(name);
    if (found.ConfigurationSetName) identity.configurationSet = found.ConfigurationSetName;
    if (found.MailFromAttributes?.MailFromDomain)
      identity.mailFromDomain = found.MailFromAttributes.MailFromDomain;
    const byo = found.DkimAttributes?.SigningAttributesOrigin === 'EXTERNAL';
    const isDomain = found.IdentityType !== 'EMAIL_ADDRESS';
    let [state, text]: [FindingState, string] = [
      'changed',
      'Amazon does not give its key away: Postern makes one. Publish its record (GET /v1/identities/NAME/dns) beside the old ones before mail goes.',
    ];
    if (byo)
      text =
        'a key that was brought is not shown by SES: bring it again (PutEmailIdentityDkimSigningAttributes), or publish the record of the new one.';
    if (!isDomain)
      [state, text] = [
        'changed',
        'an address is verified by its domain here: create the domain as an identity.',
      ];
    draft.note(at(`identity ${name}`), state, text);
    if (identity.mailFromDomain)
      draft.note(
        at(`identity ${name} MailFromDomain`, identity.mailFromDomain),
        'changed',
        'its MX and SPF must name Postern (GET /v1/identities/NAME/dns).',
      );
    const policies = Object.keys(found.Policies ?? {});
    if (policies.length > 0)
      draft.note(
        at(`identity ${name} policies`, policies.join(', ')),
        'impossible',
        'another account does not send by a policy: give it an access key.',
      );
  }
}

async function readTemplates(client: SESv2Client, draft: ImportDraft, at: At): Promise<void> {
  const names: string[] = [];
  await pages(
    (NextToken) => client.send(new ListEmailTemplatesCommand({ NextToken, PageSize: 100 })),
    ({ TemplatesMetadata }) => {
      names.push(
        ...(TemplatesMetadata ?? []).flatMap(({ TemplateName }) => (TemplateName ? [TemplateName] : [])),
      );
    },
  );
  for (const name of names) {
    const { TemplateContent } = await client.send(new GetEmailTemplateCommand({ TemplateName: name }));
    draft.templates.set(name, {
      name,
      subject: TemplateContent?.Subject,
      text: TemplateContent?.Text,
      html: TemplateContent?.Html,
    });
    draft.note(at(`template ${name}`), 'taken', 'as it is.');
  }
}

async function readSuppressions(client: SESv2Client, draft: ImportDraft, at: At): Promise<void> {
  let count = 0;
  await pages(
    (NextToken) => client.send(new ListSuppressedDestinationsCommand({ NextToken, PageSize: 1000 })),
    ({ SuppressedDestinationSummaries }) => {
      for (const { EmailAddress, Reason } of SuppressedDestinationSummaries ?? []) {
        if (!EmailAddress || (Reason !== 'BOUNCE' && Reason !== 'COMPLAINT')) continue;
        draft.suppressions.push({ address: EmailAddress, reason: Reason });
        count += 1;
      }
    },
  );
  draft.note(at('suppression list'), 'taken', `${count} addresses.`);
}

async function readContactLists(client: SESv2Client, draft: ImportDraft, at: At): Promise<void> {
  const { ContactLists } = await client.send(new ListContactListsCommand({}));
  for (const { ContactListName } of ContactLists ?? []) {
    draft.note(
      at(`contact list ${ContactListName}`),
      'impossible',
      'contacts are not copied. Export the list from SES (CreateExportJob), and send the file to POST /v1/contact-lists/NAME/import.',
    );
  }
}
