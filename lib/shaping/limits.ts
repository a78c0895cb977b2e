/** How fast a destination may be fed: one table, merged from the general to the particular. */
import type { Provider } from './providers.ts';

/** Limits of one site from one source IP. */
export interface Limits {
  /** Connections open at once. */
  connections: number;
  connectionsPerMinute: number;
  messagesPerSecond: number;
  messagesPerConnection: number;
  /** Connections open at once from one source IP to all sites of the provider together. */
  providerConnections: number;
  /** Seconds after which a connection without work is closed. */
  idle: number;
}

export interface LimitTable {
  default: Limits;
  /** Destinations named by a static route: the operator's own hosts, which no stranger's limit protects. */
  routes: Partial<Limits>;
  providers: Readonly<Record<Provider, Partial<Limits>>>;
  /** By site name; over the provider's. */
  sites: Readonly<Record<string, Partial<Limits>>>;
  /** Connections open at once from one source IP to everywhere. */
  connectionsPerIp: number;
}

const UNLIMITED = Number.POSITIVE_INFINITY;

/** Values that the providers are known to bear from an IP in good standing. */
export const LIMITS: LimitTable = {
  default: {
    connections: 10,
    connectionsPerMinute: 100,
    messagesPerSecond: 100,
    messagesPerConnection: 100,
    providerConnections: UNLIMITED,
    idle: 60,
  },
  routes: {
    connections: 20,
    connectionsPerMinute: UNLIMITED,
    messagesPerSecond: UNLIMITED,
    messagesPerConnection: 1000,
  },
  providers: {
    google: { messagesPerConnection: 50, providerConnections: 5 },
    yahoo: { messagesPerConnection: 20 },
    outlook: { messagesPerConnection: 50, providerConnections: 5 },
    office365: { messagesPerConnection: 50, providerConnections: 5 },
    apple: { messagesPerConnection: 5, providerConnections: 10 },
    comcast: { connections: 25, messagesPerConnection: 1000, idle: 30 },
    mimecast: { connections: 10, messagesPerConnection: 100 },
    barracuda: { messagesPerConnection: 15, providerConnections: 10 },
    gmx: { connections: 4, messagesPerConnection: 20 },
    orange: { messagesPerConnection: 100, providerConnections: 2 },
    netvigator: { messagesPerConnection: 10, providerConnections: 5 },
    kpn: { connections: 10, messagesPerConnection: 10 },
    qq: { connections: 4, messagesPerConnection: 8 },
    netease: { connections: 4, messagesPerConnection: 7 },
  },
  sites: {},
  connectionsPerIp: 1000,
};

/** The limits of a site: default, then route or provider, then the site's own row. */
export function limitsFor(table: LimitTable, provider: Provider, site: string, routed: boolean): Limits {
  return {
    ...table.default,
    ...(routed ? table.routes : table.providers[provider]),
    ...table.sites[site],
  };
}

/**
 * How many connections a backlog is worth: one for the first message, close to `limit` when a hundred wait
 * (`limit * (1 - e^(-0.023 * backlog))`), never more than there are messages.
 */
export function connectionsWanted(limit: number, backlog: number): number {
  return Math.min(backlog, Math.ceil(limit * (1 - Math.exp(-0.023 * backlog))));
}
