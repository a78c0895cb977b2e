/**
 * Makes and reads links that report an open or a click and redirect a click to its target:
 *
 *     /t/o/<token>                      the image of a message
 *     /t/c/<token>/<target>[/<tags>]    a link of it; target and tags in base64url
 *
 *     token: base64url( time 6 | uuid 16 | n 2 | place 2 | HMAC-SHA256, first 13 ), 52 characters, no bit to spare
 *
 * The signature covers the kind, the host, the contents of the token, and target and tags as spelt in the path. So
 * the endpoint redirects only to targets that were in a message, no token can be guessed or changed, and a link of
 * one sender's domain is invalid at another's: a sender with tracked mail cannot borrow the name of a stranger's
 * domain. Links do not expire: mail is kept for years, and its links should work as long.
 */
import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto';
import { PosternError } from '../errors.ts';
import { ID_BYTES, isMessageId, readIdBytes, writeIdBytes } from '../mail/message-id.ts';

/** Prefix of every path. */
export const TRACKING_PATH = '/t';

/** Bytes before the signature, and of the signature: 104 bits. */
const CONTENT = ID_BYTES + 4;
const TAG = 13;
/** `n` of a message that went to several recipients: its bytes are the same for all. */
const SEVERAL = 0xffff;
/**
 * Maximum length of a target and of its tags, octets: a path stays well under the limit of servers and proxies (8
 * KiB).
 */
export const MAX_TARGET = 4096;
export const MAX_LINK_TAGS = 512;

const PATH =
  /^\/t\/(?:o\/(?<open>[\w-]{52})|c\/(?<click>[\w-]{52})\/(?<link>(?<target>[\w-]{1,5462})(?:\/(?<tags>[\w-]{1,683}))?))$/;

/** The message, and where possible the recipient, of a link. */
export interface TrackedMessage {
  messageId: string;
  /** Index of the single recipient; absent when the message went to several. */
  n?: number;
}

export interface TrackedOpen extends TrackedMessage {
  kind: 'open';
}

export interface TrackedClick extends TrackedMessage {
  kind: 'click';
  /** Target of the link. */
  target: string;
  /** Index of the link among the message's tracked links, from 0. */
  place: number;
  /** Value of the `ses:tags` attribute; empty when there are none. */
  tags: string;
}

export interface TrackingLinks {
  /** Path of the image. @param host name without port, of the server that the link will point to. */
  open(host: string, message: TrackedMessage): string;
  /**
   * Path of a link.
   * @param target RFC 3986 characters, at most `MAX_TARGET`. @param tags ASCII, at most `MAX_LINK_TAGS`.
   */
  click(host: string, message: TrackedMessage, place: number, target: string, tags: string): string;
  /** Reads a path; undefined when it was not made here, was altered, or belongs to another host. */
  read(host: string, path: string): TrackedOpen | TrackedClick | undefined;
}

/** Makes tracking links that are signed with a secret, which all makers and readers share. */
export function createTrackingLinks(secret: Buffer): TrackingLinks {
  const key = createSecretKey(secret);

  /** @param link target and tags as spelt in the path; empty for the image. */
  function sign(content: Buffer, host: string, link: string): Buffer {
    // A host holds no blank, and no link is empty, so a signature of an image cannot pass for that of a link.
    const signed = `${content.toString('latin1')}${host.toLowerCase()} ${link}`;
    return createHmac('sha256', key).update(signed, 'latin1').digest().subarray(0, TAG);
  }

  function token(host: string, { messageId, n = SEVERAL }: TrackedMessage, place: number, link: string) {
    if (!isMessageId(messageId) || !(n >= 0 && n <= SEVERAL) || !(place >= 0 && place <= 0xffff)) {
      throw new PosternError('internal', `No link can name link ${place} of delivery ${n} of ${messageId}.`);
    }
    const bytes = Buffer.allocUnsafe(CONTENT + TAG);
    writeIdBytes(messageId, bytes);
    bytes.writeUInt16BE(n, ID_BYTES);
    bytes.writeUInt16BE(place, ID_BYTES + 2);
    sign(bytes.subarray(0, CONTENT), host, link).copy(bytes, CONTENT);
    return bytes.toString('base64url');
  }

  return {
    open: (host, message) => `${TRACKING_PATH}/o/${token(host, message, 0, '')}`,

    click(host, message, place, target, tags) {
      if (target.length > MAX_TARGET || tags.length > MAX_LINK_TAGS) {
        throw new PosternError('internal', 'The target or the tags of a link are too long to be tracked.');
      }
      const link = tags === '' ? encode(target) : `${encode(target)}/${encode(tags)}`;
      return `${TRACKING_PATH}/c/${token(host, message, place, link)}/${link}`;
    },

    read(host, path) {
      const parts = PATH.exec(path)?.groups;
      if (!parts) return undefined;
      const { open, click, link = '', target, tags } = parts;
      const bytes = Buffer.from((open ?? click)!, 'base64url');
      const content = bytes.subarray(0, CONTENT);
      if (!timingSafeEqual(sign(content, host, link), bytes.subarray(CONTENT))) return undefined;
      const message = { messageId: readIdBytes(content), ...recipient(content.readUInt16BE(ID_BYTES)) };
      if (open !== undefined) return { kind: 'open', ...message };
      const place = content.readUInt16BE(ID_BYTES + 2);
      return { kind: 'click', ...message, target: decode(target!), place, tags: decode(tags ?? '') };
    },
  };
}

function recipient(n: number): { n?: number } {
  return n === SEVERAL ? {} : { n };
}

function encode(text: string): string {
  return Buffer.from(text, 'latin1').toString('base64url');
}

function decode(text: string): string {
  return Buffer.from(text, 'base64url').toString('latin1');
}
