/** Who may submit: clients that log in with an access key's SMTP password, and networks that need none. */
import { timingSafeEqual } from 'node:crypto';
import { callerOf } from '../accept/caller.ts';
import type { Caller } from '../accept/types.ts';
import { Cache } from '../cache.ts';
import { requireScope } from '../control/key-scope.ts';
import { smtpPassword } from '../control/smtp-password.ts';
import type { Control } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import { type IpNetwork, isInNetwork, parseNetwork } from '../ip.ts';
import type { ClientSession } from '../smtp-server/options.ts';
import type { Clock } from '../time.ts';

/** Maximum number of derived SMTP passwords in the cache. */
const MAX_PASSWORDS = 10_000;
/** Maximum number of addresses in the cache of those that need no login. */
const MAX_ADDRESSES = 10_000;
/** Octets of an SMTP password. */
const PASSWORD_OCTETS = 44;

export class Callers {
  readonly #control: Pick<Control, 'keys' | 'keyUse'>;
  readonly #region: string;
  readonly #clock: Clock;
  readonly #networks: IpNetwork[];
  /** SMTP passwords by key, derived once. */
  readonly #passwords = new Cache<string, { secret: string; password: Buffer }>(MAX_PASSWORDS);
  /** Whether an address may relay: parsed once, where each MAIL and each message asks for it. */
  readonly #relays = new Cache<string, boolean>(MAX_ADDRESSES);

  /** @param relayFrom networks in CIDR form that may submit without AUTH. */
  constructor(
    control: Pick<Control, 'keys' | 'keyUse'>,
    region: string,
    relayFrom: readonly string[],
    clock: Clock,
  ) {
    this.#clock = clock;
    this.#control = control;
    this.#region = region;
    this.#networks = relayFrom.map((cidr) => parseNetwork(cidr)!);
  }

  /** @returns undefined for wrong credentials. */
  async login(username: string, given: string, session: ClientSession): Promise<Caller | undefined> {
    const expected = await this.#passwordOf(username);
    const password = Buffer.from(given);
    // An unknown key costs the same comparison, so that the time does not reveal which keys exist.
    const reference = expected ?? Buffer.alloc(PASSWORD_OCTETS);
    const same = password.length === reference.length && timingSafeEqual(password, reference);
    const key = expected && same ? await this.#control.keys.find(username) : undefined;
    // What restricts a key is said at MAIL, where the client shows the text of a refusal.
    return key && { keyId: key.id, tenant: key.tenant, admin: key.admin, sourceIp: session.remoteAddress };
  }

  /** Whether an address may submit without AUTH. */
  mayRelay(address: string): boolean {
    const known = this.#relays.get(address);
    if (known !== undefined) return known;
    const may = this.#networks.some((network) => isInNetwork(address, network));
    this.#relays.set(address, may);
    return may;
  }

  /**
   * The caller of a session, at once where no key has to be read. @throws `missing_authentication`, `unknown_key`,
   * `access_denied`.
   */
  of(session: ClientSession): Caller | Promise<Caller> {
    const user = session.user as Caller | undefined;
    if (user) return this.#keyHolder(user.keyId, session.remoteAddress);
    if (this.mayRelay(session.remoteAddress)) {
      return { keyId: 'relay', tenant: 'default', admin: false, sourceIp: session.remoteAddress };
    }
    throw new PosternError('missing_authentication', 'Authentication required');
  }

  async #keyHolder(keyId: string, address: string): Promise<Caller> {
    // The key may have been revoked since the login.
    const key = await this.#control.keys.find(keyId);
    if (!key) throw new PosternError('unknown_key', 'The key was revoked.');
    const caller = callerOf(this.#control, key, address, this.#clock.now());
    requireScope(caller, 'send');
    return caller;
  }

  async #passwordOf(keyId: string): Promise<Buffer | undefined> {
    const key = await this.#control.keys.find(keyId);
    if (!key) return undefined;
    const known = this.#passwords.get(keyId);
    if (known?.secret === key.secret) return known.password;
    const password = Buffer.from(smtpPassword(key.secret, this.#region));
    this.#passwords.set(keyId, { secret: key.secret, password });
    return password;
  }
}
