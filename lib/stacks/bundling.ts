/** How code is bundled: the functions by CDK's own construct, long-lived processes as assets. */
import { copyFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { AssetHashType, DockerImage, type ILocalBundling } from 'aws-cdk-lib';
import { type BundlingOptions, OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs';
import type { AssetOptions } from 'aws-cdk-lib/aws-s3-assets';
import { type BuildOptions, buildSync } from 'esbuild';

/** Root of the project. */
export const ROOT = join(import.meta.dirname, '..', '..');

const TARGET = 'node24';
/**
 * ES modules first: the SDK's CommonJS builds load Node's modules by a `require` that an ES module lacks, and the
 * bundle would fail at its import.
 */
const MAIN_FIELDS = ['module', 'main'];
/** Packages that are CommonJS alone load Node's modules by `require`, which an ES module lacks. */
const BANNER = "import { createRequire } from 'node:module';const require = createRequire(import.meta.url);";

/** Of every function: one ES module with everything in it, the SDK included, so that what was tested runs. */
export const FUNCTION_BUNDLING: BundlingOptions = {
  format: OutputFormat.ESM,
  target: TARGET,
  mainFields: MAIN_FIELDS,
  externalModules: [],
  minify: true,
  sourceMap: true,
  sourcesContent: false,
  banner: BANNER,
};

/** Options for a long-lived process. */
export const SERVICE_BUNDLING = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: TARGET,
  mainFields: MAIN_FIELDS,
  minify: true,
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning',
  banner: { js: BANNER },
} as const satisfies BuildOptions;

/** How CDK puts further files beside the bundle of a function. */
export function copying(files: readonly string[]): BundlingOptions {
  return {
    commandHooks: {
      beforeBundling: () => [],
      beforeInstall: () => [],
      afterBundling: (_, output) => files.map((file) => `cp '${file}' '${output}'`),
    },
  };
}

/** What is installed beside a long-lived process. */
const SERVICE_FILES = [
  'install-service.sh',
  'install-node.sh',
  'install-outside.sh',
  'verify-node.sh',
  'postern@.service',
];

/** Puts a long-lived process into a directory: its code in one file, its unit of systemd, its installation. */
export function bundleService(
  entry: string,
  service: string,
  beside: readonly string[],
  directory: string,
): void {
  buildSync({
    ...SERVICE_BUNDLING,
    entryPoints: [join(ROOT, 'egress-node', entry)],
    outfile: join(directory, `${service}.mjs`),
  });
  const files = [...SERVICE_FILES.map((file) => join(ROOT, 'egress-node', 'service', file)), ...beside];
  for (const file of files) copyFileSync(file, join(directory, basename(file)));
}

/**
 * A long-lived process of `egress-node/` as an asset: one file, its unit of systemd, its installation.
 * @param entry file in `egress-node/`. @param service its name when installed. @param beside paths of further files.
 */
export function serviceAsset(
  entry: string,
  service: 'egress' | 'submission',
  beside: readonly string[],
): AssetOptions & { path: string } {
  const local: ILocalBundling = {
    tryBundle(directory) {
      bundleService(entry, service, beside, directory);
      return true;
    },
  };
  return {
    path: join(ROOT, 'egress-node'),
    assetHashType: AssetHashType.OUTPUT,
    // CDK distinguishes bundles of one directory by this; nothing runs in a container.
    bundling: { image: DockerImage.fromRegistry('none'), command: [service], local },
  };
}
