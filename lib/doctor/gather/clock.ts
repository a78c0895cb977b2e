/** Compares the clock with a time server by one SNTP request (RFC 4330). */
import { createSocket } from 'node:dgram';
import { familyOf } from '../../ip.ts';
import type { Clock } from '../../time.ts';

/** From 1900 to 1970, s (RFC 4330 §3). */
const NTP_EPOCH = 2_208_988_800;
const PORT = 123;
const MAX_TIME = 3_000;

/** @returns how far the clock is ahead of the server (behind: negative), ms; a text: why that is unknown. */
export function clockOffset(address: string, clock: Clock, port = PORT): Promise<number | string> {
  return new Promise((done) => {
    const socket = createSocket(familyOf(address) === 6 ? 'udp6' : 'udp4');
    const settle = (result: number | string): void => {
      if (!open) return;
      open = false;
      cancel();
      socket.close();
      done(result);
    };
    let open = true;
    let sentAt = 0;
    const cancel = clock.after(MAX_TIME, () => settle(`no answer within ${MAX_TIME / 1000} s`));
    // Version 4, mode 3 (client). The server repeats the transmit time, by which its answer is recognised.
    const request = Buffer.alloc(48);
    request[0] = 0x23;
    socket.on('error', (error) => settle(error.message));
    socket.on('message', (answer) => {
      const now = clock.now();
      if (answer.length < 48 || !answer.subarray(24, 32).equals(request.subarray(40, 48))) return;
      if ((answer[0]! & 7) !== 4 || answer[1] === 0 || answer[0]! >> 6 === 3) {
        settle('the server is not synchronised, or refuses');
        return;
      }
      // RFC 4330 §5: the way there and back cancel out.
      settle(Math.round((sentAt - timeAt(answer, 32) + (now - timeAt(answer, 40))) / 2));
    });
    socket.connect(port, address, () => {
      sentAt = clock.now();
      request.writeUInt32BE(Math.floor(sentAt / 1000) + NTP_EPOCH, 40);
      request.writeUInt32BE(Math.floor(((sentAt % 1000) / 1000) * 2 ** 32), 44);
      socket.send(request);
    });
  });
}

function timeAt(packet: Buffer, offset: number): number {
  return (
    (packet.readUInt32BE(offset) - NTP_EPOCH) * 1000 + (packet.readUInt32BE(offset + 4) / 2 ** 32) * 1000
  );
}
