/** Files in a bucket of S3, or of a service that speaks its protocol. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { PosternError } from '../../errors.ts';
import { type FileStore, noSuchFile, partsOf } from '../files.ts';
import { errorName, storageError } from './clients.ts';

/** Bytes of a part of an upload (S3: 5 MiB at least, 10,000 parts at most). */
const PART = 8 << 20;

/** A bucket of a service that speaks S3's protocol, for a process that is not on AWS. */
export interface BucketEndpoint {
  endpoint: string;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
}

/** The buckets of an endpoint. It decides which there are, and what the key may do. */
export function openBuckets({ endpoint, region, accessKeyId, secretAccessKey }: BucketEndpoint): {
  bucket(name: string): FileStore;
  close(): void;
} {
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  return { bucket: (name) => new BucketFiles(client, name), close: () => client.destroy() };
}

export class BucketFiles implements FileStore {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefix: string;

  /** @param prefix of the keys of all its files. */
  constructor(client: S3Client, bucket: string, prefix = '') {
    this.#client = client;
    this.#bucket = bucket;
    this.#prefix = prefix;
  }

  async *read(name: string): AsyncGenerator<Uint8Array> {
    try {
      const { Body } = await this.#client.send(new GetObjectCommand(this.#object(name)));
      // On Node the body of an answer is a stream.
      for await (const piece of Body as AsyncIterable<Uint8Array>) yield piece;
    } catch (error) {
      throw this.#failure(name, error);
    }
  }

  async write(name: string, pieces: AsyncIterable<string | Uint8Array>): Promise<void> {
    const object = this.#object(name);
    const parts = partsIn(pieces)[Symbol.asyncIterator]();
    // Pieces that fail have their own error.
    const first = (await parts.next()).value ?? Buffer.alloc(0);
    if (first.length < PART) {
      await this.#do(name, () => this.#client.send(new PutObjectCommand({ ...object, Body: first })));
      return;
    }
    const { UploadId } = await this.#do(name, () =>
      this.#client.send(new CreateMultipartUploadCommand(object)),
    );
    try {
      const Parts: { ETag?: string; PartNumber: number }[] = [];
      for (let Body: Buffer | undefined = first; Body; Body = (await parts.next()).value ?? undefined) {
        const part = { ...object, UploadId, PartNumber: Parts.length + 1, Body };
        const { ETag } = await this.#do(name, () => this.#client.send(new UploadPartCommand(part)));
        Parts.push({ ETag, PartNumber: part.PartNumber });
      }
      const whole = { ...object, UploadId, MultipartUpload: { Parts } };
      await this.#do(name, () => this.#client.send(new CompleteMultipartUploadCommand(whole)));
    } catch (error) {
      // What is left of it is billed until the bucket's lifecycle removes it.
      await this.#client
        .send(new AbortMultipartUploadCommand({ ...object, UploadId }))
        .catch(() => undefined);
      throw error;
    }
  }

  async remove(name: string): Promise<void> {
    await this.#do(name, () => this.#client.send(new DeleteObjectCommand(this.#object(name))));
  }

  async link(name: string, life: number): Promise<string> {
    // Loaded at its first use: few processes ever need it.
    const { getSignedUrl } = await import('@aws-sdk/s3-request-presigner');
    const get = new GetObjectCommand({
      ...this.#object(name),
      ResponseContentDisposition: `attachment; filename="${name.slice(name.lastIndexOf('/') + 1).replace(/[^\w.-]/g, '_')}"`,
    });
    return getSignedUrl(this.#client, get, { expiresIn: Math.floor(life / 1000) });
  }

  #object(name: string): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: this.#prefix + partsOf(name).join('/') };
  }

  async #do<T>(name: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.#failure(name, error);
    }
  }

  /** What S3 says of an operator's bucket is the operator's to mend: that must not be tried for ever. */
  #failure(name: string, error: unknown): PosternError {
    if (error instanceof PosternError) return error;
    const code = errorName(error);
    if (code === 'NoSuchKey') return noSuchFile(name);
    if (code === 'NoSuchBucket')
      return new PosternError('not_found', `There is no bucket ${this.#bucket}.`, { cause: error });
    if (/AccessDenied|Forbidden|InvalidAccessKeyId|SignatureDoesNotMatch/.test(code))
      return new PosternError(
        'access_denied',
        `This service may not use ${name.slice(0, 200)} in the bucket ${this.#bucket}, or it is not there (${code}).`,
        { cause: error },
      );
    return storageError(`The file ${name.slice(0, 200)} of the bucket ${this.#bucket} cannot be used`, error);
  }
}

/** Pieces as parts of one size, the last one shorter. */
async function* partsIn(pieces: AsyncIterable<string | Uint8Array>): AsyncGenerator<Buffer, undefined> {
  let held: Buffer[] = [];
  let size = 0;
  for await (const piece of pieces) {
    const bytes = Buffer.from(piece as Uint8Array);
    held.push(bytes);
    size += bytes.length;
    if (size < PART) continue;
    const all = Buffer.concat(held, size);
    const end = size - (size % PART);
    for (let at = 0; at < end; at += PART) yield all.subarray(at, at + PART);
    held = [all.subarray(end)];
    size -= end;
  }
  if (size > 0) yield Buffer.concat(held, size);
}
