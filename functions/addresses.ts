/**
 * Lambda entry, called by CloudFormation: keeps a row for each address of a cell, and its PTR record. Addresses that
 * a cell has lost are removed first, so that a host name may move from one address to another.
 */
import type { CloudFormationCustomResourceEvent } from 'aws-lambda';
import { type AddressRow, openRegister, type Register } from '../lib/engine/aws/register.ts';
import { answerDeployment } from './custom-resource.ts';

/** Maximum number of parallel calls: EC2 throttles changes of addresses of an account. */
const AT_ONCE = 5;

export interface CellProperties {
  Cell: string;
  Addresses: AddressRow[];
}

/**
 * Updates the register from the old addresses of a cell to its new ones. @throws Error that names the address and the
 * remedy.
 */
export async function keepAddresses(
  register: Register,
  cell: string,
  before: readonly AddressRow[],
  now: readonly AddressRow[],
): Promise<void> {
  const text = (row: AddressRow | undefined) => JSON.stringify(row);
  const known = new Map(before.map((row) => [row.hostname, row]));
  const wanted = new Map(now.map((row) => [row.hostname, row]));
  const gone = before.filter(({ hostname }) => !wanted.has(hostname));
  const changed = now.filter((row) => text(known.get(row.hostname)) !== text(row));
  await inBatches(gone, async (row) => {
    if (row.ptr === 'yes') await register.resetPtr(row);
    await register.remove(cell, row);
  });
  await inBatches(changed, async (row) => {
    const old = known.get(row.hostname);
    if (old?.ptr === 'yes' && (row.ptr !== 'yes' || old.allocationId !== row.allocationId))
      await register.resetPtr(old);
    if (row.ptr === 'yes') await register.setPtr(row);
    await register.put(cell, row);
  });
}

async function inBatches(
  rows: readonly AddressRow[],
  work: (row: AddressRow) => Promise<void>,
): Promise<void> {
  for (let from = 0; from < rows.length; from += AT_ONCE) {
    await Promise.all(rows.slice(from, from + AT_ONCE).map(work));
  }
}

export async function handler(event: CloudFormationCustomResourceEvent): Promise<void> {
  const { Cell, Addresses } = event.ResourceProperties as unknown as CellProperties;
  await answerDeployment(event, `addresses-${Cell}`, async () => {
    const register = openRegister(process.env);
    const before =
      event.RequestType === 'Update'
        ? (event.OldResourceProperties as unknown as CellProperties).Addresses
        : Addresses;
    if (event.RequestType === 'Delete') await keepAddresses(register, Cell, before, []);
    else await keepAddresses(register, Cell, event.RequestType === 'Create' ? [] : before, Addresses);
  });
}
