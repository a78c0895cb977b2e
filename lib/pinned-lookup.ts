/**
 * Resolves the host of an HTTP request and gives the checked addresses to the connect itself: nothing looks the name up a
 * second time, so that a name that resolves differently then (DNS rebinding) reaches nothing inside.
 */
import type { LookupAddress } from 'node:dns';
import type { RequestOptions } from 'node:http';
import { familyOf } from './ip.ts';
import { isPublicAddress } from './public-address.ts';

type LookupDone = (error: Error | null, addresses?: string | LookupAddress[], family?: number) => void;

/** @param resolve all addresses of a name. @param free whether private addresses may be connected to, too. */
export function pinnedLookup(
  resolve: (hostname: string) => Promise<string[]>,
  free: boolean,
): RequestOptions['lookup'] {
  const lookup = (hostname: string, { all }: { all?: boolean }, done: LookupDone): void => {
    resolve(hostname).then(
      (addresses) => {
        const usable: LookupAddress[] = addresses
          .filter((address) => free || isPublicAddress(address))
          .map((address) => ({ address, family: familyOf(address) }));
        const [first] = usable;
        if (!first) done(new Error(`${hostname} has no ${addresses.length > 0 ? 'public ' : ''}address`));
        else if (all) done(null, usable);
        else done(null, first.address, first.family);
      },
      (error: Error) => done(error),
    );
  };
  return lookup as RequestOptions['lookup'];
}
