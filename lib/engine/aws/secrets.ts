/**
 * The secrets of an installation: 32 random bytes each, an object of a separate bucket under a key of its own, made
 * by the first process that needs one. They are not in the tables, because a reader of the tables (a backup, an
 * export, an egress node) must not be able to open the sealed secrets in them.
 */
import { randomBytes } from 'node:crypto';
import {
  GetObjectCommand,
  NoSuchKey,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3';
import { PosternError } from '../../errors.ts';
import { CERTIFICATE, type SecretName } from './schema.ts';

const SECRET_BYTES = 32;

interface ObjectName {
  Bucket: string;
  Key: string;
}

/**
 * Reads a secret, and makes it when there is none: of two that make it at one time one wins, and both get that one.
 * @throws `storage_damaged` when it does not have 32 bytes; `storage_unavailable` when the bucket does not answer.
 */
export async function readSecret(
  name: SecretName,
  options: { bucket: string; client?: S3ClientConfig },
): Promise<Buffer> {
  const s3 = new S3Client(options.client ?? {});
  const object = { Bucket: options.bucket, Key: name };
  try {
    const found = await read(s3, object);
    if (found) return found;
    const put = new PutObjectCommand({ ...object, Body: randomBytes(SECRET_BYTES), IfNoneMatch: '*' });
    await s3.send(put).catch((error: unknown) => {
      // 412 and 409 (S3 user guide, "conditional writes"): another was first, and ours must not replace it.
      const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
      if (status !== 412 && status !== 409) throw error;
    });
    const made = await read(s3, object);
    if (made) return made;
    throw new PosternError(
      'storage_unavailable',
      `${name} cannot be read back from ${options.bucket}. Try again.`,
    );
  } catch (cause) {
    if (cause instanceof PosternError) throw cause;
    throw unavailable(object, cause);
  } finally {
    s3.destroy();
  }
}

/**
 * Reads the certificate of the submission service.
 * @throws `not_found` when no operator has put it there; `storage_unavailable` when the bucket does not answer.
 */
export async function readCertificateObject(options: {
  bucket: string;
  client?: S3ClientConfig;
}): Promise<string> {
  const s3 = new S3Client(options.client ?? {});
  const object = { Bucket: options.bucket, Key: CERTIFICATE };
  const found = await get(s3, object)
    .catch((cause: unknown) => {
      throw unavailable(object, cause);
    })
    .finally(() => s3.destroy());
  if (found) return found.toString();
  throw new PosternError(
    'not_found',
    `There is no ${CERTIFICATE} in ${options.bucket}. Put key and certificates there in PEM.`,
  );
}

async function read(s3: S3Client, object: ObjectName): Promise<Buffer | undefined> {
  const bytes = await get(s3, object);
  if (bytes === undefined || bytes.length === SECRET_BYTES) return bytes;
  throw new PosternError(
    'storage_damaged',
    `${object.Key} in ${object.Bucket} has ${bytes.length} bytes instead of ${SECRET_BYTES}. Restore an earlier version of it.`,
  );
}

async function get(s3: S3Client, object: ObjectName): Promise<Buffer | undefined> {
  try {
    const { Body } = await s3.send(new GetObjectCommand(object));
    return Buffer.from((await Body?.transformToByteArray()) ?? []);
  } catch (error) {
    if (error instanceof NoSuchKey) return undefined;
    throw error;
  }
}

function unavailable({ Bucket, Key }: ObjectName, cause: unknown): PosternError {
  return new PosternError('storage_unavailable', `${Key} of ${Bucket} cannot be used: ${String(cause)}`, {
    cause,
  });
}
