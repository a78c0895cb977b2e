/**
 * Sessions of the console, kept in the browser alone: a cookie with the key, sealed by the installation's master key.
 * Every process can open it, none stores it, and it ends with its key: each call of a page authenticates anew.
 *
 * ```
 *  sign-in: key ─► AES-256-GCM(key, id, end) ─► cookie   HttpOnly; SameSite=Strict; Secure over TLS
 *  form:    HMAC(id of the session) ─► token in each form   a page of another site has neither cookie nor token
 * ```
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import { type Clock, HOUR, MINUTE } from '../time.ts';

/** A working day: after it the operator signs in again. */
const LIFE = 12 * HOUR;
/** Life of what the next page is to say, ms. */
const NOTICE = MINUTE;
const IV = 12;
const TAG = 16;
/** Longest cookie that is opened: a key has at most 128 + 256 characters. */
const MAX_SEALED = 2_048;

export interface ConsoleSession {
  /** What follows `Authorization: Bearer`. */
  bearer: string;
  id: string;
  /** When it ends, since the epoch, ms. */
  end: number;
}

export class ConsoleSessions {
  readonly #key: Buffer;
  readonly #clock: Clock;

  constructor(masterKey: Buffer, clock: Clock) {
    this.#key = Buffer.from(hkdfSync('sha256', masterKey, Buffer.alloc(0), 'postern console', 32));
    this.#clock = clock;
  }

  /** Begins a session. @returns the value of its cookie. */
  begin(bearer: string): string {
    const session = { bearer, id: randomBytes(16).toString('base64url'), end: this.#clock.now() + LIFE };
    return this.#seal('session', session);
  }

  /** The session of a cookie; undefined for one that was altered, made elsewhere, or is over. */
  find(cookie: string | undefined): ConsoleSession | undefined {
    return this.#open('session', cookie) as ConsoleSession | undefined;
  }

  /** Seals what the page after a redirect is to say. */
  notice(text: string): string {
    return this.#seal('notice', { text, end: this.#clock.now() + NOTICE });
  }

  noticeOf(cookie: string | undefined): string | undefined {
    return (this.#open('notice', cookie) as { text: string } | undefined)?.text;
  }

  /** What every form of the session carries. */
  token({ id }: ConsoleSession): string {
    return createHmac('sha256', this.#key).update(`token ${id}`).digest('base64url');
  }

  isToken(session: ConsoleSession, given: string | undefined): boolean {
    const expected = Buffer.from(this.token(session));
    const found = Buffer.from(given ?? '');
    return found.length === expected.length && timingSafeEqual(found, expected);
  }

  #seal(use: string, value: ConsoleSession | { text: string; end: number }): string {
    const iv = randomBytes(IV);
    const cipher = createCipheriv('aes-256-gcm', this.#key, iv).setAAD(Buffer.from(use));
    const sealed = Buffer.concat([cipher.update(JSON.stringify(value), 'utf8'), cipher.final()]);
    return Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64url');
  }

  #open(use: string, cookie: string | undefined): object | undefined {
    if (cookie === undefined || cookie.length > MAX_SEALED) return undefined;
    const bytes = Buffer.from(cookie, 'base64url');
    if (bytes.length <= IV + TAG) return undefined;
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, IV))
        .setAAD(Buffer.from(use))
        .setAuthTag(bytes.subarray(IV, IV + TAG));
      const text = Buffer.concat([decipher.update(bytes.subarray(IV + TAG)), decipher.final()]);
      const value = JSON.parse(text.toString('utf8')) as { end: number };
      return value.end > this.#clock.now() ? value : undefined;
    } catch {
      return undefined;
    }
  }
}
