/**
 * A zone of Route 53, by its API: TXT records are upserted, and deleted with the value that they have, because Route 53
 * deletes nothing else.
 */
import {
  type Change,
  ChangeResourceRecordSetsCommand,
  ListResourceRecordSetsCommand,
  type ResourceRecordSet,
  Route53Client,
  type Route53ClientConfig,
} from '@aws-sdk/client-route-53';
import type { HostedZone, TextRecord } from '../hosted-zone.ts';
import { storageError } from './clients.ts';

/** Route 53 quotas: characters of values in a request, of which an UPSERT counts twice; and elements, likewise. */
const CHARACTERS = 32_000;
const CHANGES = 400;
/** Tries with the SDK's back-off: Route 53 takes five requests a second of an account. */
const ATTEMPTS = 6;

export function openHostedZone(zoneId: string, client: Route53ClientConfig = {}): HostedZone {
  const route53 = new Route53Client({ maxAttempts: ATTEMPTS, ...client });

  /** The TXT record of a name; undefined when there is none. */
  async function find(name: string): Promise<ResourceRecordSet | undefined> {
    const { ResourceRecordSets = [] } = await route53.send(
      new ListResourceRecordSetsCommand({
        HostedZoneId: zoneId,
        StartRecordName: name,
        StartRecordType: 'TXT',
        MaxItems: 1,
      }),
    );
    // The list begins with the first record that is not before the name.
    return ResourceRecordSets.find((one) => one.Type === 'TXT' && one.Name?.replace(/\.$/, '') === name);
  }

  async function changeOf({ name, strings }: TextRecord, ttl: number): Promise<Change | undefined> {
    if (strings) {
      const ResourceRecords = [{ Value: strings.map(quoted).join(' ') }];
      return { Action: 'UPSERT', ResourceRecordSet: { Name: name, Type: 'TXT', TTL: ttl, ResourceRecords } };
    }
    const present = await find(name);
    return present && { Action: 'DELETE', ResourceRecordSet: present };
  }

  return {
    async write(records, ttl) {
      try {
        const changes: Change[] = [];
        for (const record of records) {
          const change = await changeOf(record, ttl);
          if (change) changes.push(change);
        }
        for (const Changes of batches(changes)) {
          const ChangeBatch = { Comment: 'Postern: DKIM keys', Changes };
          await route53.send(new ChangeResourceRecordSetsCommand({ HostedZoneId: zoneId, ChangeBatch }));
        }
      } catch (error) {
        throw storageError(`The zone ${zoneId} of Route 53 cannot be written`, error);
      }
    },
  };
}

/** Changes in parts that a request may have. */
function batches(changes: readonly Change[]): Change[][] {
  const parts: Change[][] = [];
  let room = 0;
  for (const change of changes) {
    const records = change.ResourceRecordSet?.ResourceRecords ?? [];
    const length = 2 * records.reduce((sum, { Value = '' }) => sum + Value.length, 0);
    const last = parts.at(-1);
    if (last && length <= room && last.length < CHANGES) last.push(change);
    else {
      parts.push([change]);
      room = CHARACTERS;
    }
    room -= length;
  }
  return parts;
}

/** A character string in a value (Route 53 developer guide, "TXT record type"). */
function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}
