/**
 * The counts that a connection from a source IP is part of, and the maximum of each.
 *
 * Without them, two peers could take all connections of an IP. One that never answers holds a connection for the five
 * minutes of a deadline, and costs its owner nothing: a wildcard record makes hundreds of sites of one machine. A
 * tenant whose sites are slow, by design or by chance, keeps the mail of the others from leaving.
 *
 * ```
 *  counted in            │ may have
 *  the IP                │ ipConnections
 *  the provider          │ providerConnections
 *  one tenant            │ three quarters of ipConnections, while another tenant uses the IP
 *  unproven sites        │ a fifth of ipConnections: connections to sites that have not answered a message
 *  … of one tenant       │ three quarters of that
 *  … at one network      │ connections: what one site may have (IPv4 /24, IPv6 /48)
 * ```
 */
import { networkOf } from '../ip.ts';
import type { ConstraintWord } from './constraint.ts';
import type { LimitName } from './limits/limit.ts';
import type { Resolved } from './limits/terms.ts';

/** Enough for a hundred new sites a second that answer within two seconds, of the 1000 connections of an IP. */
const UNPROVEN_PART = 0.2;
/** Minimum, so that under a small limit of the IP new sites still get more than one connection. */
const LEAST_UNPROVEN = 2;
/** Share that one tenant may take. A smaller one would cost throughput where one tenant sends most of the mail. */
const TENANT_PART = 0.75;

/** A requested connection. */
export interface ConnectionRequest {
  readonly provider: string;
  /** Tenant for whose mail it is opened. */
  readonly tenant: string;
  /** Whether the site has answered a message, and has not been silent since. */
  readonly proven: boolean;
  /** Address to connect to; undefined: not chosen yet. */
  readonly address: string | undefined;
  /** Whether more than one tenant has used the IP lately. */
  readonly contended: boolean;
}

/** One of the counts that a connection is part of. */
export interface ConnectionShare {
  readonly key: string;
  readonly most: number;
  /** The limit from which `most` is derived. */
  readonly from: LimitName;
  /** Name in explanations and metrics. */
  readonly limit: string;
  readonly word: ConstraintWord;
  readonly text: string;
  /** Whether it is the tenant's own: others may still connect when it is used up. */
  readonly ofTenant?: true;
  /** Whether it ends with the first answer. */
  readonly unproven?: true;
}

/** The counts of a connection, the one that names the cause best first. */
export function* connectionShares(
  { provider, tenant, proven, address, contended }: ConnectionRequest,
  { limits }: Pick<Resolved, 'limits'>,
): Iterable<ConnectionShare> {
  for (const [key, from] of [
    [`provider ${provider}`, 'providerConnections'],
    ['ip', 'ipConnections'],
  ] as const) {
    const most = limits[from];
    yield { key, most, from, limit: from, word: from, text: `All ${most} connections are in use` };
  }
  const from = 'ipConnections';
  if (contended) {
    const most = Math.max(1, Math.floor(limits.ipConnections * TENANT_PART));
    const limit = `connections of tenant=${tenant}`;
    const text = `Tenant ${tenant} has all ${most} connections in use that one tenant may have`;
    yield { key: `tenant ${tenant}`, most, from, limit, word: 'tenant share', text, ofTenant: true };
  }
  if (proven) return;
  const word = 'unproven sites';
  const common = { from, word, unproven: true } as const;
  const most = Math.max(LEAST_UNPROVEN, Math.floor(limits.ipConnections * UNPROVEN_PART));
  const whose = 'sites that have not answered a message';
  yield {
    ...common,
    key: 'unproven',
    most,
    limit: 'connections to unproven sites',
    text: `All ${most} connections are in use that ${whose} may have`,
  };
  if (address !== undefined) {
    const network = networkOf(address);
    const few = limits.connections;
    const text = `All ${few} connections are in use that ${whose} may have at ${network}`;
    const limit = `connections to unproven sites at ${network}`;
    yield { ...common, from: 'connections', key: `network ${network}`, most: few, limit, text };
  }
  const part = Math.max(LEAST_UNPROVEN, Math.floor(most * TENANT_PART));
  yield {
    ...common,
    key: `unproven of ${tenant}`,
    most: part,
    limit: `connections to unproven sites of tenant=${tenant}`,
    text: `Tenant ${tenant} has all ${part} connections in use that ${whose} may have for one tenant`,
    ofTenant: true,
  };
}
