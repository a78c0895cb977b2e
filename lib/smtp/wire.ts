/**
 * The connection: TCP, and TLS over it. Bytes come in by `received`, in order; `lost` comes once, last, and
 * not after `close` or `abort`.
 */
import net from 'node:net';
import tls from 'node:tls';
import { pin, unpin } from '../discard.ts';
import { LARGE } from './outbox.ts';
import type { PeerHabits, SmtpSession, TlsTicket } from './types.ts';

export interface WireHandlers {
  connected(): void;
  secured(): void;
  /** `chunk` is only valid during the call. */
  received(chunk: Buffer): void;
  /** The kernel has taken all written bytes. */
  flushed(): void;
  /** The connection is lost: by its error, or closed by the peer. */
  lost(error?: NodeJS.ErrnoException): void;
}

/**
 * All connections read into the same memory: a chunk is read to its end before the next one comes, and a
 * buffer for each of some ten thousand sessions would be most of the process.
 */
const INPUT = Buffer.allocUnsafeSlow(64 * 1024);

/** Any certificate will do unless the caller looks at `verified`; TLS 1.0 and 1.1 are gone (RFC 8996). */
let context: tls.SecureContext | undefined;

export class Wire {
  readonly #handlers: WireHandlers;
  #socket: net.Socket;
  #secure: tls.TLSSocket | undefined;
  /** The ticket by which this connection resumed a TLS session. */
  #resumed: TlsTicket | undefined;
  #unflushed = 0;
  #over = false;

  constructor(address: string, port: number, localAddress: string | undefined, handlers: WireHandlers) {
    this.#handlers = handlers;
    this.#socket = net.connect({
      host: address,
      port,
      localAddress,
      noDelay: true,
      autoSelectFamily: false,
      onread: {
        buffer: INPUT,
        callback: (length, buffer) => {
          if (!this.#over) handlers.received((buffer as Buffer).subarray(0, length));
          return true;
        },
      },
    });
    this.#socket.once('connect', () => {
      if (!this.#over) handlers.connected();
    });
    this.#watch(this.#socket);
  }

  /** Whether the kernel has taken all written bytes. */
  get idle(): boolean {
    return this.#unflushed === 0;
  }

  get localAddress(): string | undefined {
    return this.#socket.localAddress;
  }

  get resumed(): boolean {
    return this.#resumed !== undefined;
  }

  get tls(): SmtpSession['tls'] {
    const socket = this.#secure;
    if (!socket) return undefined;
    return {
      protocol: socket.getProtocol() ?? 'unknown',
      cipher: socket.getCipher().name,
      verified: this.#resumed?.verified ?? socket.authorized,
    };
  }

  /** Writes pieces by one call. Large ones are not copied: their memory must stay as it is until the kernel has it. */
  write(pieces: readonly Buffer[]): void {
    this.#unflushed += 1;
    const socket = this.#secure ?? this.#socket;
    const last = pieces.length - 1;
    if (last === 0 && pieces[0]!.length < LARGE) {
      socket.write(pieces[0]!, this.#written);
      return;
    }
    for (const piece of pieces) pin(piece);
    socket.cork();
    for (let n = 0; n < last; n++) socket.write(pieces[n]!);
    socket.write(pieces[last]!, (error) => {
      for (const piece of pieces) unpin(piece);
      this.#written(error);
    });
    socket.uncork();
  }

  /**
   * Begins TLS as the client, and resumes the session of the last connection where the peer permits it.
   * @param host the name for SNI (RFC 6066 §3) and for `verified`.
   */
  secure(host: string, habits: PeerHabits | undefined): void {
    const name = host.endsWith('.') ? host.slice(0, -1) : host;
    context ??= tls.createSecureContext({ minVersion: 'TLSv1.2' });
    const ticket = habits?.ticket;
    const socket = tls.connect({
      socket: this.#socket,
      host: name,
      servername: net.isIP(name) === 0 ? name : '',
      rejectUnauthorized: false,
      secureContext: context,
      session: ticket?.session,
    });
    let session: Buffer | undefined;
    const keep = (): void => {
      if (session && this.#secure) habits?.keepTicket({ session, verified: this.tls!.verified });
    };
    // TLS 1.2 provides its session before the handshake is done, TLS 1.3 after it, and more than one.
    socket.on('session', (given: Buffer) => {
      session = given;
      keep();
    });
    socket.once('secureConnect', () => {
      if (this.#over) return;
      this.#secure = socket;
      if (ticket && socket.isSessionReused()) {
        this.#resumed = ticket;
        session ??= ticket.session;
      }
      keep();
      this.#handlers.secured();
    });
    socket.on('data', (chunk: Buffer) => {
      if (!this.#over) this.#handlers.received(chunk);
    });
    this.#watch(socket);
    // The ticket may be the cause of the failure.
    if (ticket) socket.once('close', () => this.#secure || habits?.keepTicket(undefined));
  }

  /** Closes in good order, after what was written. */
  close(): void {
    this.#over = true;
    (this.#secure ?? this.#socket).destroySoon();
  }

  /** Closes now. */
  abort(): void {
    this.#over = true;
    (this.#secure ?? this.#socket).destroy();
    this.#socket.destroy();
  }

  readonly #written = (error?: Error | null): void => {
    if (error) return;
    this.#unflushed -= 1;
    if (this.#unflushed === 0 && !this.#over) this.#handlers.flushed();
  };

  #watch(socket: net.Socket): void {
    const lost = (error?: NodeJS.ErrnoException): void => {
      if (this.#over) return;
      this.#over = true;
      this.#handlers.lost(error);
    };
    socket.on('error', lost);
    socket.once('end', () => lost());
    socket.once('close', () => lost());
  }
}
