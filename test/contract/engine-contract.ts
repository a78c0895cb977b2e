/**
 * The contract of `lib/engine/ports.ts`, run unchanged over every engine. It assumes no order inside a lane,
 * no time but what `clock.advance` gives, and no storage of its own: lanes, tenants and ids are new in each test.
 */
import { after, before, describe } from 'node:test';
import { configContract } from './config-contract.ts';
import { filesContract } from './files-contract.ts';
import type { ContractOptions, EngineUnderTest } from './harness.ts';
import { leaseContract } from './lease-contract.ts';
import { ledgerContract } from './ledger-contract.ts';
import { queueContract } from './queue-contract.ts';
import { recordsContract } from './records-contract.ts';
import { rowsContract } from './rows-contract.ts';
import { searchContract } from './search-contract.ts';
import { sharingContract } from './sharing-contract.ts';
import { suppressionContract } from './suppression-contract.ts';
import { takeOverContract } from './take-over-contract.ts';

/** Runs the contract over the engine that `open` gives. */
export function engineContract(
  name: string,
  open: () => Promise<EngineUnderTest>,
  options: ContractOptions = {},
): void {
  describe(`${name}: the engine contract`, () => {
    let opened: EngineUnderTest;
    before(async () => {
      opened = await open();
    });
    after(() => opened.close());
    const under = () => opened;
    queueContract(under, options);
    ledgerContract(under, options);
    recordsContract(under, options);
    suppressionContract(under);
    rowsContract(under);
    filesContract(under);
    searchContract(under);
    configContract(under);
    leaseContract(under);
    sharingContract(under);
    takeOverContract(under);
  });
}
