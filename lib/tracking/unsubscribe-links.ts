/**
 * Makes and reads the links by which a reader unsubscribes (RFC 8058):
 *
 *     /t/u/<token>      base64url( IV 12 | ciphertext | tag 16 ) of the message's id and of who leaves what
 *
 * Sealed for this use (seal.ts); the host is authenticated too, so that a link of one sender's domain is invalid
 * at another's. The link holds all that is needed to act, because it must work for as long as a mail is kept, longer
 * than records are.
 */
import { ID_BYTES, readIdBytes, writeIdBytes } from '../mail/message-id.ts';
import { TRACKING_PATH } from './links.ts';
import { createSeal } from './seal.ts';

/** An address has 320 octets at most, a tenant 64, a list and a topic 64 each: far below this. */
const PATH = /^\/t\/u\/([\w-]{64,2048})$/;

/** Who leaves what. */
export interface Unsubscription {
  messageId: string;
  tenant: string;
  /** Envelope recipient of the message. */
  address: string;
  /** Absent: the message is of no list of this service, and the sender keeps its own. */
  contactList?: string;
  /** Absent: all topics of the list. */
  topic?: string;
}

export interface UnsubscribeLinks {
  /** Path of a link. @param host name without port, of the server that the link will point to. */
  make(host: string, unsubscription: Unsubscription): string;
  /** Reads a path; undefined when it was not made here, was altered, or belongs to another host. */
  read(host: string, path: string): Unsubscription | undefined;
}

/** Makes links that are sealed with a secret, which all makers and readers share. */
export function createUnsubscribeLinks(secret: Buffer): UnsubscribeLinks {
  const seal = createSeal(secret, 'unsubscribe');

  return {
    make(host, { messageId, tenant, address, contactList, topic }) {
      const id = Buffer.alloc(ID_BYTES);
      writeIdBytes(messageId, id);
      const names = Buffer.from(JSON.stringify([tenant, address, contactList, topic]));
      return `${TRACKING_PATH}/u/${seal.close(Buffer.concat([id, names]), host.toLowerCase())}`;
    },

    read(host, path) {
      const match = PATH.exec(path);
      const content = match && seal.open(match[1]!, host.toLowerCase());
      if (!content || content.length < ID_BYTES) return undefined;
      const [tenant, address, contactList, topic] = JSON.parse(
        content.toString('utf8', ID_BYTES),
      ) as string[];
      return {
        messageId: readIdBytes(content),
        tenant: tenant!,
        address: address!,
        ...(contactList && { contactList }),
        ...(topic && { topic }),
      };
    },
  };
}
