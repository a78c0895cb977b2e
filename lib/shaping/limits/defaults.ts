/**
 * Limits that apply unless an operator sets others: the capacity of the large providers for an IP in good standing. A
 * document like any other (`document.ts`).
 */
import type { LimitDocument } from './document.ts';

export const DEFAULT_LIMITS: LimitDocument = {
  default: {
    connections: 10,
    providerConnections: 1000,
    ipConnections: 1000,
    concurrency: 100_000,
    connectionRate: '100/min',
    messageRate: '100/s',
    messagesPerConnection: 100,
    recipientsPerConnection: 1000,
    idle: '60s',
    tls: 'opportunistic',
    addressFamilies: 'ipv4-first',
    bulkReserve: 0.1,
    deadAfter: 1,
  },
  // The operator's own relays.
  route: {
    connections: 20,
    connectionRate: 'unlimited',
    messageRate: 'unlimited',
    messagesPerConnection: 1000,
  },
  providers: {
    // Gmail and Workspace share their hosts and count together; mail in clear is deferred.
    google: { messagesPerConnection: 50, providerConnections: 5, tls: 'required' },
    yahoo: { messagesPerConnection: 20 },
    outlook: { messagesPerConnection: 50, providerConnections: 5 },
    office365: { messagesPerConnection: 50, providerConnections: 5 },
    apple: { messagesPerConnection: 5, providerConnections: 10 },
    comcast: { connections: 25, messagesPerConnection: 1000, idle: '30s', tls: 'required' },
    mimecast: { connections: 10, messagesPerConnection: 100 },
    barracuda: { messagesPerConnection: 15, providerConnections: 10, tls: 'required' },
    gmx: { connections: 4, messagesPerConnection: 20, tls: 'required' },
    orange: { messagesPerConnection: 100, providerConnections: 2, tls: 'required' },
    netvigator: { messagesPerConnection: 10, providerConnections: 5, tls: 'required' },
    kpn: { connections: 10, messagesPerConnection: 10, tls: 'required' },
    qq: { connections: 4, messagesPerConnection: 8, tls: 'required' },
    netease: { connections: 4, messagesPerConnection: 7, tls: 'required' },
    // Another company than Yahoo.
    'yahoo-japan': { connections: 2, messageRate: '10/s', messagesPerConnection: 20 },
  },
};
