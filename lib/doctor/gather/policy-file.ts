/**
 * Fetches the policy file of MTA-STS: over HTTPS with a valid certificate, from a public address, without following a
 * redirect (RFC 8461 §3.3). The server is a stranger's: size and time are bounded.
 */
import https from 'node:https';
import { pinnedLookup } from '../../pinned-lookup.ts';
import type { Clock } from '../../time.ts';
import type { PolicyFile } from '../rules/mta-sts.ts';

/** RFC 8461 §3.3 suggests 64 KB, and a minute. */
const MAX_SIZE = 64 * 1024;
const MAX_TIME = 10_000;

export interface PolicyFetchOptions {
  /** All addresses of a name. */
  resolve: (hostname: string) => Promise<string[]>;
  clock: Clock;
  /** In a test: where the servers are. */
  local?: { port: number; ca: string };
}

export type FetchPolicy = (domain: string) => Promise<PolicyFile>;

export function createPolicyFetch({ resolve, clock, local }: PolicyFetchOptions): FetchPolicy {
  return (domain) =>
    new Promise((done) => {
      const request = https.get({
        host: `mta-sts.${domain}`,
        path: '/.well-known/mta-sts.txt',
        port: local?.port ?? 443,
        ca: local?.ca,
        agent: false,
        lookup: pinnedLookup(resolve, local !== undefined),
        headers: { 'user-agent': 'Postern' },
      });
      const settle = (file: PolicyFile): void => {
        cancel();
        done(file);
        request.destroy();
      };
      const cancel = clock.after(MAX_TIME, () =>
        settle({ problem: `no whole answer within ${MAX_TIME / 1000} s` }),
      );
      request.on('error', (error) => settle({ problem: error.message }));
      request.on('response', (response) => {
        const type = response.headers['content-type'] ?? '';
        if (response.statusCode !== 200)
          return settle({ problem: `the server answers ${response.statusCode}` });
        if (!/^text\/plain\s*(?:;|$)/i.test(type))
          return settle({ problem: `its type is ${JSON.stringify(type.slice(0, 60))}, not text/plain` });
        const kept: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          kept.push(chunk);
          size += chunk.length;
          if (size > MAX_SIZE) settle({ problem: `it is larger than ${MAX_SIZE / 1024} KB` });
        });
        response.on('end', () => settle({ body: Buffer.concat(kept).toString('utf8') }));
        response.on('error', (error) => settle({ problem: error.message }));
      });
    });
}
