/** The connections of a pool: how many are worth opening and may be, where they go, and what one that fails means. */
import type { MailCounter } from '../shaping/counter.ts';
import { connectionsWanted } from '../shaping/limits/limit.ts';
import { scarceDeadlines } from '../smtp/deadlines.ts';
import type { SessionEnd } from '../smtp/types.ts';
import { Connection, type Siblings } from './connection.ts';
import type { ConnectionClaim, ShareCount } from './connection-limits.ts';
import type { Target } from './destination.ts';
import type { PoolCore, PoolHost } from './pool-host.ts';

export class PoolConnections implements Siblings {
  opened = 0;
  idle: Connection[] = [];
  readonly #all = new Set<Connection>();
  readonly #pool: PoolCore;
  readonly #host: PoolHost;
  /** Address that was chosen last: connections to unproven sites are counted by its network. */
  #address: string | undefined;

  constructor(pool: PoolCore, host: PoolHost) {
    this.#pool = pool;
    this.#host = host;
  }

  /** Open or being opened. */
  get size(): number {
    return this.#all.size;
  }

  /** As what they are counted at their source. */
  get claimed(): { provider: string; proven: boolean; address: string | undefined } {
    const { site, limiter } = this.#pool;
    return { provider: site.provider, proven: limiter.answered, address: this.#address };
  }

  /** Opens connections, as many as the backlog is worth and the limits allow. */
  grow(now: number, impatient: boolean): void {
    const pool = this.#pool;
    const { source, breaker, limiter, queue } = pool;
    source.connections.unstarve(pool);
    const { own, limits, apart } = pool.limits.current;
    const most = limiter.concurrency.window(own.limits.connections);
    const limit = Math.min(limits.connections, breaker.state(now) === 'closed' ? most : this.opened + 1);
    const busy = this.opened - this.idle.length;
    let wanted = connectionsWanted(limit, queue.ready + busy);
    if (impatient && busy === this.#all.size) wanted = Math.max(wanted, Math.min(limit, busy + 1));
    // Connections with limits of their own are counted for these too, in all pools.
    const counter = apart && limiter.counter(`connections of ${apart.name}`);
    while (this.#all.size < wanted) {
      if (limiter.connections >= most || (counter?.running ?? 0) >= limits.connections) {
        if (this.#all.size === 0) source.connections.starve(pool);
        return;
      }
      const wait = Math.max(
        limiter.connectWait(now, own),
        counter?.pacer.wait(now, apart!.connectionPace) ?? 0,
      );
      if (wait > 0) {
        pool.pumpIn(wait);
        return;
      }
      const target = this.#pickTarget(now);
      if (target === undefined) return;
      this.#address = target.address;
      const claim = source.connections.connect(pool, queue.tenants(), this.claimed, own, now);
      if (claim === undefined) return;
      limiter.connected(now, own);
      counter?.pacer.take(now, apart!.connectionPace);
      this.#open(target, now, claim, counter);
    }
  }

  /** The address to connect to; undefined when there is none now, and the mail that waits has been seen to. */
  #pickTarget(now: number): Target | undefined {
    const pool = this.#pool;
    const { site, breaker } = pool;
    const targets = breaker.targets(now);
    if (targets === undefined) {
      void site.lookup(this.#host.destinations).then(() => pool.pump());
      return undefined;
    }
    if (targets.kind === 'fault') {
      const { code, text } = targets;
      pool.failAll({ kind: 'unsent', phase: 'connect', code, text }, undefined);
      return undefined;
    }
    const target = breaker.pick(targets, now);
    if (target !== undefined) return target;
    breaker.open('connect_failed', `No address of ${site.name} can be reached from here.`, now);
    if (this.opened === 0) pool.putBack();
    else pool.pumpIn(breaker.retryAt - now);
    return undefined;
  }

  #open(target: Target, now: number, claim: ConnectionClaim, counter: MailCounter | undefined): void {
    const pool = this.#pool;
    const host = this.#host;
    const { source, limiter } = pool;
    const { limits } = pool.limits.current;
    const connection = new Connection(pool, this, host, target, claim, counter);
    this.#all.add(connection);
    limiter.connections += 1;
    if (counter !== undefined) counter.running += 1;
    const deadlines = { ...host.deadlines, ...limits.deadlines };
    connection.session = host.open({
      address: target.address,
      port: target.port,
      host: target.host,
      localAddress: source.local,
      mayWrite: () => source.mayGoOn(host.clock.now()),
      ehloName: source.ehloName,
      tls: pool.breaker.tls(target, now),
      deadlines: claim.scarce ? scarceDeadlines(deadlines) : deadlines,
      maxTransactions: Math.min(
        limits.messagesPerConnection,
        limits.recipientsPerConnection,
        limiter.messagesPerConnection(now),
      ),
      idle: limits.idle,
      clock: host.clock,
      next: connection.next,
      done: connection.done,
      ended: (end) => this.#ended(connection, end),
    });
  }

  /** A connection has closed. */
  #ended(connection: Connection, end: SessionEnd): void {
    const pool = this.#pool;
    const { target, via, opened } = connection;
    this.#all.delete(connection);
    if (connection.idle) this.idle = this.idle.filter((other) => other !== connection);
    if (opened) this.opened -= 1;
    pool.limiter.connections -= 1;
    connection.counter?.ended();
    if (!opened && end.code !== 'quit') {
      if (end.code === 'peer_timeout') pool.limiter.answered = false;
      const others = { connections: this.#all.size, opened: this.opened };
      const text = `${target.host} [${target.address}]: ${end.text}`;
      const { lookAgain, result } = pool.breaker.failure(target, end, text, others);
      if (lookAgain !== undefined) pool.pumpIn(lookAgain);
      if (result !== undefined) pool.failAll(result, via);
    }
    pool.source.connections.disconnected(pool, connection.claim);
  }

  /** Closes one that has nothing to do, and counts in a share if one is named. @returns whether there was one. */
  closeIdle(share: ShareCount | undefined): boolean {
    const connection = this.idle.find(
      ({ session, claim }) =>
        session?.busy === 0 &&
        (share === undefined || claim.shares.includes(share) || claim.unproven.includes(share)),
    );
    connection?.session?.quit();
    return connection !== undefined;
  }

  /** Each closes when what is under way on it has ended. */
  quit(): void {
    for (const { session } of this.#all) session?.quit();
  }

  /** Ends them now. */
  destroy(text: string): void {
    for (const { session } of this.#all) session?.destroy(text);
  }
}
