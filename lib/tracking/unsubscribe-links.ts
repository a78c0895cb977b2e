/**
 * Makes and reads the links by which a reader unsubscribes (RFC 8058):
 *
 *     /t/u/<token>      base64url( IV 12 | ciphertext | tag 16 ) of the message's id and of who leaves what
 *
 * AES-256-GCM under a key of this use; the host is authenticated too, so that a link of one sender's domain is invalid
 * at another's. The link holds all that is needed to act, because it must work for as long as a mail is kept, longer
 * than records are. It is sealed, not only signed: it holds an address, and links end in the logs of proxies. The IV is
 * a keyed digest of the content, so equal content gives an equal link, and no IV serves two contents.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto';
import { ID_BYTES, readIdBytes, writeIdBytes } from '../mail/message-id.ts';
import { TRACKING_PATH } from './links.ts';

const IV = 12;
const TAG = 16;
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
  const derive = (use: string): Buffer =>
    Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), `unsubscribe ${use}`, 32));
  const [key, ivKey] = [derive('seal'), derive('iv')];

  return {
    make(host, { messageId, tenant, address, contactList, topic }) {
      const id = Buffer.alloc(ID_BYTES);
      writeIdBytes(messageId, id);
      const names = Buffer.from(JSON.stringify([tenant, address, contactList, topic]));
      const content = Buffer.concat([id, names]);
      const aad = Buffer.from(host.toLowerCase());
      const iv = createHmac('sha256', ivKey).update(aad).update(' ').update(content).digest().subarray(0, IV);
      const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: TAG }).setAAD(aad);
      const sealed = Buffer.concat([iv, cipher.update(content), cipher.final(), cipher.getAuthTag()]);
      return `${TRACKING_PATH}/u/${sealed.toString('base64url')}`;
    },

    read(host, path) {
      const match = PATH.exec(path);
      if (!match) return undefined;
      const sealed = Buffer.from(match[1]!, 'base64url');
      if (sealed.length < IV + ID_BYTES + TAG) return undefined;
      const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, IV), { authTagLength: TAG });
      decipher.setAAD(Buffer.from(host.toLowerCase())).setAuthTag(sealed.subarray(-TAG));
      let content: Buffer;
      try {
        content = Buffer.concat([decipher.update(sealed.subarray(IV, -TAG)), decipher.final()]);
      } catch {
        return undefined;
      }
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
