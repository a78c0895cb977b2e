/** Stores the changes of the suppression lists to which outcomes lead. */
import type { MessageRecord, Outcome } from '../engine/items.ts';
import type { Records, Suppressions } from '../engine/ports.ts';
import { suppressionKey } from '../engine/suppression.ts';
import { PosternError } from '../errors.ts';
import type { Log } from '../log.ts';
import { type SuppressionChange, suppressionChange } from './suppression.ts';

/**
 * Reads the records of all messages that the outcomes refer to, each once. Missing records are left out.
 * @param unreadable called with each record that this version cannot read; absent: the error is thrown.
 * @throws PosternError of the storage group.
 */
export async function recordsOf(
  records: Pick<Records, 'message'>,
  outcomes: readonly Outcome[],
  unreadable?: (messageId: string, error: PosternError) => void,
): Promise<ReadonlyMap<string, MessageRecord>> {
  const ids = [...new Set(outcomes.map(({ messageId }) => messageId))];
  const found = new Map<string, MessageRecord>();
  await Promise.all(
    ids.map(async (id) => {
      try {
        const record = await records.message(id);
        if (record) found.set(id, record);
      } catch (error) {
        if (!unreadable || !isUnreadable(error)) throw error;
        unreadable(id, error);
      }
    }),
  );
  return found;
}

/** Whether a record is unreadable, so that a repeat gives the same error. */
function isUnreadable(error: unknown): error is PosternError {
  return error instanceof PosternError && ['storage_too_new', 'storage_damaged'].includes(error.code);
}

/**
 * Updates the lists. The same outcomes may come again, and in any order.
 * @param records of the messages that the outcomes refer to. @returns counts of bounces and complaints among them.
 * @throws PosternError of the storage group: some changes may be stored, and all may be repeated.
 */
export async function suppress(
  list: Pick<Suppressions, 'put' | 'remove'>,
  outcomes: readonly Outcome[],
  records: ReadonlyMap<string, MessageRecord>,
  log: Pick<Log, 'info'>,
): Promise<number> {
  const byAddress = new Map<string, SuppressionChange[]>();
  let count = 0;
  for (const outcome of outcomes) {
    const record = records.get(outcome.messageId);
    const change = record && suppressionChange(record, outcome);
    if (!change) continue;
    count += 1;
    const key = `${change.entry.tenant}/${suppressionKey(change.entry.address)}`;
    const before = byAddress.get(key);
    if (before) before.push(change);
    else byAddress.set(key, [change]);
  }
  await Promise.all(
    Array.from(byAddress.values(), async (changes) => {
      // In their order: an address whose complaint is withdrawn is on the list for a moment only.
      for (const { action, entry } of changes) {
        const { tenant, address, at, reason } = entry;
        if (action === 'add') await list.put(entry);
        else if (action === 'remove') await list.remove(tenant, address, at, reason);
        log.info('suppression', { action, ...entry });
      }
    }),
  );
  return count;
}
