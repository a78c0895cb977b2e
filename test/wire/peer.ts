/**
 * A scripted SMTP peer on a real loopback socket. A dialog is data: what the peer sends, what it must receive,
 * and how it misbehaves. Input that differs from the dialog ends the connection and stands in `problem`.
 */
import { once } from 'node:events';
import net from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import tls from 'node:tls';
import tlsOptions from 'smtp-server/lib/tls-options.js';

export type PeerStep =
  | { do: 'say'; bytes: Buffer }
  | { do: 'hear'; lines: string[] }
  | { do: 'body'; octets?: Buffer }
  | { do: 'octets'; octets: Buffer }
  | { do: 'secure' }
  | { do: 'hold' }
  | { do: 'drip'; bytes: Buffer }
  | { do: 'deafen' }
  | { do: 'reset' };

/** Sends the lines in one packet, each with CRLF. */
export const say = (...lines: string[]): PeerStep => ({
  do: 'say',
  bytes: Buffer.from(`${lines.join('\r\n')}\r\n`),
});
/** Sends bytes as they are. */
export const raw = (text: string): PeerStep => ({ do: 'say', bytes: Buffer.from(text, 'latin1') });
/** Waits for these lines, exactly. */
export const hear = (...lines: string[]): PeerStep => ({ do: 'hear', lines });
/** Waits for a body up to its lone dot; with `octets`, for exactly these (the dot and its CRLF included). */
export const body = (octets?: string): PeerStep => ({
  do: 'body',
  octets: octets === undefined ? undefined : Buffer.from(octets),
});
/** Waits for exactly these octets. */
export const octets = (bytes: Buffer): PeerStep => ({ do: 'octets', octets: bytes });
/** Takes the server's part in a TLS handshake. */
export const secure: PeerStep = { do: 'secure' };
/** Pauses the dialog until the client is gone, or until `release`. */
export const hold: PeerStep = { do: 'hold' };
/** Sends one octet, calls `tick`, and so on. */
export const drip = (text: string): PeerStep => ({ do: 'drip', bytes: Buffer.from(text) });
/** Reads no more. */
export const deafen: PeerStep = { do: 'deafen' };
/** Resets the connection. A dialog that simply ends closes it in order. */
export const reset: PeerStep = { do: 'reset' };

export class Peer {
  /** How the client departed from the dialog. */
  problem: string | undefined;
  /** Number of complete replies sent. */
  said = 0;
  /** Called between the octets of a `drip`. */
  tick: () => void = () => {};
  /** Sizes and beginnings of the packets that came, as the socket gave them. */
  readonly packets: Buffer[] = [];

  readonly #steps: PeerStep[];
  readonly #server: net.Server;
  readonly #holding = Promise.withResolvers<void>();
  readonly #finished = Promise.withResolvers<void>();
  #release = Promise.withResolvers<void>();
  #socket: net.Socket | undefined;
  #input = Buffer.alloc(0);
  #gone = false;
  #arrived: (() => void) | undefined;

  private constructor(steps: PeerStep[]) {
    this.#steps = steps;
    this.#server = net.createServer({ noDelay: true }, (socket) => void this.#play(socket));
  }

  static async listen(steps: PeerStep[]): Promise<Peer> {
    const peer = new Peer(steps);
    peer.#server.listen(0, '127.0.0.1');
    await once(peer.#server, 'listening');
    return peer;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Resolves when a `hold` is reached. */
  get holding(): Promise<void> {
    return this.#holding.promise;
  }

  /** Resolves when the dialog was played to its end, or broken off. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  /** Goes on after a `hold`. */
  release(): void {
    this.#release.resolve();
  }

  async close(): Promise<void> {
    this.#socket?.destroy();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }

  async #play(socket: net.Socket): Promise<void> {
    this.#attach(socket);
    try {
      for (const step of this.#steps) await this.#step(step);
      this.#socket?.end();
    } catch (error) {
      this.problem = (error as Error).message;
      this.#socket?.destroy();
    }
    this.#finished.resolve();
  }

  #attach(socket: net.Socket): void {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.packets.push(chunk);
      this.#input = Buffer.concat([this.#input, chunk]);
      this.#arrived?.();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#gone = true;
      this.#release.resolve();
      this.#arrived?.();
    });
  }

  async #step(step: PeerStep): Promise<void> {
    switch (step.do) {
      case 'say':
        this.said += step.bytes.toString('latin1').match(/^\d{3} .*$/gm)?.length ?? 0;
        this.#socket!.write(step.bytes);
        return;
      case 'hear':
        for (const line of step.lines) await this.#expect(line, '\r\n');
        return;
      case 'body': {
        const end = step.octets ?? Buffer.from('\r\n.\r\n');
        if (step.octets) await this.#exactly(step.octets);
        else await this.#until(() => this.#cut(this.#input.indexOf(end), end.length), 'a body');
        return;
      }
      case 'octets':
        await this.#exactly(step.octets);
        return;
      case 'secure':
        await this.#secure();
        return;
      case 'hold':
        this.#holding.resolve();
        await this.#release.promise;
        this.#release = Promise.withResolvers();
        return;
      case 'drip':
        for (const octet of step.bytes) {
          if (this.#gone) return;
          this.#socket!.write(Buffer.of(octet));
          for (let i = 0; i < 3; i++) await turn();
          this.tick();
        }
        return;
      case 'deafen':
        this.#socket!.pause();
        return;
      case 'reset':
        this.#socket!.resetAndDestroy();
    }
  }

  async #expect(line: string, end: string): Promise<void> {
    const received = await this.#until(() => this.#cut(this.#input.indexOf(end), end.length), line);
    if (received !== line)
      throw new Error(`received ${JSON.stringify(received)} in place of ${JSON.stringify(line)}`);
  }

  async #exactly(wanted: Buffer): Promise<void> {
    const received = await this.#until(
      () => (this.#input.length >= wanted.length ? this.#cut(wanted.length, 0) : undefined),
      `${wanted.length} octets`,
    );
    if (received !== wanted.toString('latin1'))
      throw new Error(`received other octets: ${JSON.stringify(received.slice(0, 200))}`);
  }

  /** Takes what comes before `at` out of the input. */
  #cut(at: number, skip: number): string | undefined {
    if (at === -1) return undefined;
    const text = this.#input.toString('latin1', 0, at);
    this.#input = this.#input.subarray(at + skip);
    return text;
  }

  async #until(attempt: () => string | undefined, what: string): Promise<string> {
    for (;;) {
      const got = attempt();
      if (got !== undefined) return got;
      if (this.#gone) throw new Error(`the client left before ${JSON.stringify(what)}`);
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
    }
  }

  async #secure(): Promise<void> {
    const plain = this.#socket!;
    plain.removeAllListeners('data');
    const socket = new tls.TLSSocket(plain, { isServer: true, ...tlsOptions({}) });
    if (this.#input.length > 0) throw new Error('the client did not wait for the answer to STARTTLS');
    this.#attach(socket);
    await once(socket, 'secure');
  }
}
