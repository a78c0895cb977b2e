/**
 * Erases what a tenant's data has of one address:
 *
 * | where | what becomes of it |
 * |---|---|
 * | suppression list | the entry goes, or stays without what it says of mail: nothing but the entry keeps mail away |
 * | contact lists | the contact goes |
 * | messages, and what happened to them | the address, and names beside it in To, Cc and Reply-To, give way to a placeholder |
 * | failures of imports | the same; files with them go |
 * | files of exports of messages | they go, whoever they name: their jobs can be ordered again |
 *
 * A message with a delivery that has not ended stays, because its mail is on its way; erase again when it has ended. A
 * repeat erases what is left, and so nothing.
 */

import { createEraser } from '../engine/erased.ts';
import type { Engine, Rows } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import { parseEnvelopeAddress } from '../mail/address.ts';
import type { Clock } from '../time.ts';
import { ContactLists } from './contact-lists.ts';
import { Contacts } from './contacts.ts';
import { EXPORT_JOB, JobRows, type StoredJob } from './transfer/job-rows.ts';
import { IMPORT_JOB, ImportJobs } from './transfer/jobs.ts';

const PAGE = 100;

export interface EraseOptions {
  tenant: string;
  address: string;
  /** Keep the suppression entry, with its reason and its time alone, so that no mail is sent. */
  keepSuppression: boolean;
  /** For a person: who ordered it. */
  origin: string;
}

/** How many of each kind were erased. */
export interface Erased {
  address: string;
  suppressions: number;
  contacts: number;
  importFailures: number;
  /** Absent: the engine cannot search its messages. */
  messages?: { erased: number; outcomes: number; underWay: number };
}

/** @throws PosternError `invalid_address`, or of the storage group: then it may be repeated. */
export async function eraseAddress(
  { engine, clock }: { engine: Pick<Engine, 'suppressions' | 'rows' | 'records' | 'files'>; clock: Clock },
  { tenant, address: text, keepSuppression, origin }: EraseOptions,
): Promise<Erased> {
  const { address } = parseEnvelopeAddress(text.trim());
  const eraser = createEraser(address);
  const { rows } = engine;
  const suppressions = await eraseSuppression(engine, { tenant, address, keepSuppression, origin }, clock);
  const contacts = await eraseContacts(rows, clock, tenant, address);
  const importFailures = await new ImportJobs(rows, clock).erase(tenant, eraser);
  await removeResults(engine, clock, tenant);
  let messages: Erased['messages'];
  for (let after: number | undefined = 0; after !== undefined; ) {
    const step = await engine.records.anonymise(address, tenant, after);
    if (!step) break;
    messages ??= { erased: 0, outcomes: 0, underWay: 0 };
    messages.erased += step.messages;
    messages.outcomes += step.outcomes;
    messages.underWay += step.underWay;
    after = step.next;
  }
  return { address, suppressions, contacts, importFailures, messages };
}

async function eraseSuppression(
  { suppressions }: Pick<Engine, 'suppressions'>,
  { tenant, address, keepSuppression, origin }: EraseOptions,
  clock: Clock,
): Promise<number> {
  const [entry] = await suppressions.find([{ tenant, address }]);
  if (!entry) return 0;
  const at = clock.now();
  if (!keepSuppression) return (await suppressions.remove(tenant, address, at)) ? 1 : 0;
  const why = `Kept when all else was erased. ${origin}`;
  // The same again is nothing new.
  if (entry.why === why && entry.messageId === undefined) return 0;
  await suppressions.put({ tenant, address: entry.address, reason: entry.reason, at, why });
  return 1;
}

/** Removes the files that may name the address: what they are of is not erased, and can be had again. */
async function removeResults(
  { rows, files }: Pick<Engine, 'rows' | 'files'>,
  clock: Clock,
  tenant: string,
): Promise<void> {
  for (const kind of [IMPORT_JOB, EXPORT_JOB]) {
    const jobs = new JobRows<StoredJob>(rows, clock, kind);
    for (let after: string | undefined; ; ) {
      const page = await jobs.list(tenant, { after, max: PAGE });
      for (const { result } of page) if (result !== undefined) await files.results.remove(result);
      if (page.length < PAGE) break;
      after = page.at(-1)!.id;
    }
  }
}

async function eraseContacts(rows: Rows, clock: Clock, tenant: string, address: string): Promise<number> {
  const contacts = new Contacts(rows, clock);
  let count = 0;
  for (const { name } of await new ContactLists(rows, clock).list(tenant, { max: 100 })) {
    try {
      await contacts.delete(tenant, name, address);
      count += 1;
    } catch (error) {
      if (!(error instanceof PosternError) || error.code !== 'not_found') throw error;
    }
  }
  return count;
}
