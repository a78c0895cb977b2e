/** The emulators in a process of their own, which outlives every node and reports their endpoints to its parent. */
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { LANE_GROUPS } from '../../lib/shaping/providers.ts';
import { startTestAws } from '../support/aws.ts';

export const SECRETS = 'postern-cluster-secrets';
export const LANES = ['transactional', 'bulk'].flatMap((name) =>
  LANE_GROUPS.map((group) => `default:${name}:${group}`),
);

if (import.meta.main) {
  const aws = await startTestAws(LANES);
  const { resources, client } = aws;
  const s3 = new S3Client({ ...client, endpoint: client.endpoints!.s3, forcePathStyle: true });
  await s3.send(new CreateBucketCommand({ Bucket: SECRETS }));
  s3.destroy();
  // The SDK connects to the host of a queue's URL, and the emulator's name for itself does not resolve.
  const queueUrlPrefix = resources.queueUrlPrefix.replace(/\/\/[^/:]+/, '//127.0.0.1');
  process.send!({ resources: { ...resources, queueUrlPrefix }, endpoints: client.endpoints });
  process.on('disconnect', () => void aws.stop().then(() => process.exit()));
}
