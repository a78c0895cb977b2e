/** The operator's buckets, standalone: directories, or a service that speaks S3's protocol. */
import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DirectoryFiles } from '../../lib/engine/embedded/directory-files.ts';
import type { Files } from '../../lib/engine/files.ts';
import type { Settings } from '../settings.ts';

type BucketSettings = Pick<Settings, 's3' | 's3AccessKeyId' | 's3SecretAccessKey' | 'region'>;

/** The stack closes what is opened. */
export async function bucketsOf(
  { s3, s3AccessKeyId, s3SecretAccessKey, region }: BucketSettings,
  stack: AsyncDisposableStack,
): Promise<Files['bucket']> {
  if (s3 === undefined) return () => undefined;
  if (/^https?:/i.test(s3)) {
    // Loaded here alone: no other part of a process on one machine uses it.
    const { openBuckets } = await import('../../lib/engine/aws/bucket-files.ts');
    const buckets = openBuckets({
      endpoint: s3,
      region,
      accessKeyId: s3AccessKeyId!,
      secretAccessKey: s3SecretAccessKey!,
    });
    stack.defer(() => buckets.close());
    return buckets.bucket;
  }
  return (name) => {
    const directory = join(resolve(s3), name);
    return statSync(directory, { throwIfNoEntry: false })?.isDirectory()
      ? new DirectoryFiles(directory)
      : undefined;
  };
}
