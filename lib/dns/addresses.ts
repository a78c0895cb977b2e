/** All addresses of a name, for a connection to it. IPv4 first: more receivers are reachable by it. */
import type { Resolver } from './resolver.ts';

/** @returns a function that rejects where DNS gives no answer and no address is known. */
export function addressesBy(resolver: Pick<Resolver, 'resolve'>): (hostname: string) => Promise<string[]> {
  return async (hostname) => {
    const answers = await Promise.all([resolver.resolve(hostname, 'A'), resolver.resolve(hostname, 'AAAA')]);
    const found = answers.flatMap((answer) => (answer.kind === 'found' ? answer.records : []));
    const failed = answers.find((answer) => answer.kind === 'failed');
    if (found.length === 0 && failed) throw new Error(`${hostname}: ${failed.text}`);
    return found;
  };
}
