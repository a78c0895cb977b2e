/**
 * Loaded before anything else by `node --import`, and written in plain JavaScript: an older Node, which cannot run
 * TypeScript, would only report an unknown file extension.
 */
const NEEDED = 24;
if (Number(process.versions.node.split('.')[0]) < NEEDED) {
  process.stderr.write(
    `postern: this is Node ${process.versions.node}, and Postern needs Node ${NEEDED}. "npm ci" brings it, ` +
      'unless it is run with --ignore-scripts or --omit=optional: run "npm rebuild node", or install ' +
      `Node ${NEEDED}.\n`,
  );
  process.exit(1);
}
