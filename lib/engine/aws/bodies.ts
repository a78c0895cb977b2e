/**
 * Bytes outside of queue items: bodies of messages, in the table or in S3, and the bodies port (S3).
 *
 * The table's TTL and the bucket's lifecycle delete expired bodies, both free of charge. A body outlives every
 * delivery of its message; no delivery checks whether it was the last.
 */
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { PosternError } from '../../errors.ts';
import { type Clock, DAY } from '../../time.ts';
import type { Bodies } from '../ports.ts';
import { bytes, type Key, text, ttlOf } from './attributes.ts';
import { errorName, storageError } from './clients.ts';
import type { DeliveryTable } from './delivery-table.ts';
import type { BodyPlace } from './envelope.ts';

const EXPIRES = 'expires-at';
/** TTL may delete up to two days late, never early; a day more covers every clock. */
const GRACE = DAY;

const bodyKey = (messageId: string): Key => ({ pk: messageId, sk: 'b' });
const bodyObject = (messageId: string): string => `bodies/${messageId}`;

/** Objects of a bucket. */
export class BucketObjects {
  readonly #s3: S3Client;
  readonly #bucket: string;

  constructor(s3: S3Client, bucket: string) {
    this.#s3 = s3;
    this.#bucket = bucket;
  }

  async put(key: string, body: Uint8Array, expiresAt: number): Promise<void> {
    await this.#do(() =>
      this.#s3.send(
        new PutObjectCommand({
          Bucket: this.#bucket,
          Key: key,
          Body: body,
          Metadata: { [EXPIRES]: String(expiresAt) },
        }),
      ),
    );
  }

  async get(key: string): Promise<{ body: Buffer; expiresAt: number } | undefined> {
    return this.#do(async () => {
      try {
        const answer = await this.#s3.send(new GetObjectCommand({ Bucket: this.#bucket, Key: key }));
        const body = Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
        return { body, expiresAt: Number(answer.Metadata?.[EXPIRES] ?? Number.POSITIVE_INFINITY) };
      } catch (error) {
        if (errorName(error) === 'NoSuchKey') return undefined;
        throw error;
      }
    });
  }

  async delete(key: string): Promise<void> {
    await this.#do(() => this.#s3.send(new DeleteObjectCommand({ Bucket: this.#bucket, Key: key })));
  }

  async #do<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw storageError(`The bucket ${this.#bucket} cannot be used`, error);
    }
  }
}

/** Compressed bodies of messages that are not in their queue items. */
export class MessageBodies {
  readonly #objects: BucketObjects;
  readonly #deliveries: DeliveryTable;

  constructor(objects: BucketObjects, deliveries: DeliveryTable) {
    this.#objects = objects;
    this.#deliveries = deliveries;
  }

  async put(messageId: string, place: BodyPlace, packed: Buffer, expiresAt: number): Promise<void> {
    if (place === 's3') return this.#objects.put(bodyObject(messageId), packed, expiresAt + GRACE);
    const { pk, sk } = bodyKey(messageId);
    return this.#deliveries.putAll([
      { pk: text(pk), sk: text(sk), b: bytes(packed), ttl: ttlOf(expiresAt + GRACE) },
    ]);
  }

  /** @throws PosternError `storage_damaged` when it is gone. */
  async get(messageId: string, place: BodyPlace): Promise<Buffer> {
    const packed =
      place === 's3'
        ? (await this.#objects.get(bodyObject(messageId)))?.body
        : await this.#fromTable(bodyKey(messageId));
    if (packed) return packed;
    throw new PosternError('storage_damaged', `The body of ${messageId} is gone (${place}).`);
  }

  /** An eventually consistent read costs half as much, and a body was written minutes before. */
  async #fromTable(key: Key): Promise<Buffer | undefined> {
    const item = (await this.#deliveries.get(key, false)) ?? (await this.#deliveries.get(key, true));
    return item?.b?.B && Buffer.from(item.b.B);
  }
}

/** The bodies port. */
export class AwsBodies implements Bodies {
  readonly #objects: BucketObjects;
  readonly #clock: Clock;

  constructor(objects: BucketObjects, clock: Clock) {
    this.#objects = objects;
    this.#clock = clock;
  }

  put(id: string, body: Uint8Array, expiresAt: number): Promise<void> {
    return this.#objects.put(`objects/${id}`, body, expiresAt);
  }

  async get(id: string): Promise<Buffer | undefined> {
    const found = await this.#objects.get(`objects/${id}`);
    return found && found.expiresAt > this.#clock.now() ? found.body : undefined;
  }

  delete(id: string): Promise<void> {
    return this.#objects.delete(`objects/${id}`);
  }

  /** The bucket's lifecycle removes what expired. */
  prune(): Promise<number> {
    return Promise.resolve(0);
  }
}
