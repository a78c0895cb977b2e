/** How code is bundled: the functions by CDK's own construct, the egress node as an asset of its own. */
import { copyFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { AssetHashType, DockerImage, type ILocalBundling } from 'aws-cdk-lib';
import { type BundlingOptions, OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs';
import type { AssetOptions } from 'aws-cdk-lib/aws-s3-assets';
import { buildSync } from 'esbuild';

/** Root of the project. */
export const ROOT = join(import.meta.dirname, '..', '..');

const TARGET = 'node24';
/**
 * ES modules first: the SDK's CommonJS builds ask for Node's modules by a `require` that an ES module has not,
 * and the bundle would fail at its import.
 */
const MAIN_FIELDS = ['module', 'main'];

/** Of every function: one ES module with everything in it, the SDK included, so that what was tested runs. */
export const FUNCTION_BUNDLING: BundlingOptions = {
  format: OutputFormat.ESM,
  target: TARGET,
  mainFields: MAIN_FIELDS,
  externalModules: [],
  minify: true,
  sourceMap: true,
  sourcesContent: false,
};

/** Entry of an egress node, and what is installed beside it. */
const NODE_ENTRY = 'egress-node/node.ts';
const NODE_FILES = ['egress-node/install-node.sh', 'egress-node/postern-egress.service'];

/**
 * The egress node as an asset: one file, its unit of systemd, its installation. Its CommonJS packages ask for Node's modules by
 * `require`, which the banner gives them.
 */
export function nodeAsset(): AssetOptions & { path: string } {
  const local: ILocalBundling = {
    tryBundle(directory) {
      buildSync({
        entryPoints: [join(ROOT, NODE_ENTRY)],
        outfile: join(directory, 'egress.mjs'),
        bundle: true,
        platform: 'node',
        format: 'esm',
        target: TARGET,
        mainFields: MAIN_FIELDS,
        minify: true,
        sourcemap: true,
        sourcesContent: false,
        logLevel: 'warning',
        banner: {
          js: "import { createRequire } from 'node:module';const require = createRequire(import.meta.url);",
        },
      });
      for (const file of NODE_FILES) copyFileSync(join(ROOT, file), join(directory, basename(file)));
      return true;
    },
  };
  return {
    path: join(ROOT, 'egress-node'),
    assetHashType: AssetHashType.OUTPUT,
    bundling: { image: DockerImage.fromRegistry('none'), local },
  };
}
