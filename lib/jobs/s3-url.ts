/** Where `s3://BUCKET/KEY` leads: to a bucket that the operator has named to this installation, and to no other. */
import type { FileStore, Files } from '../engine/files.ts';
import { PosternError } from '../errors.ts';

/** S3: 3 to 63 of these. */
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

/** @throws PosternError `bad_request` for no such URL, or a bucket that is none here. */
export function placeOf(url: string, files: Files): { store: FileStore; name: string } {
  const [, bucket = '', name = ''] = /^s3:\/\/([^/]+)\/(.+)$/s.exec(url) ?? [];
  const store = BUCKET.test(bucket) && !bucket.includes('..') ? files.bucket(bucket) : undefined;
  if (store && name !== '') return { store, name };
  const shown = JSON.stringify(url.slice(0, 200));
  throw new PosternError(
    'bad_request',
    store || name === ''
      ? `The S3Url ${shown} is not written s3://bucket/key.`
      : `The bucket of ${shown} is none that this installation may use. Its operator names it: POSTERN_S3, or \`files\` of the stage.`,
  );
}
