/**
 * The flags of V8 with which the standalone process runs: a command line, not a setting, because V8 reads them before
 * any code of ours. `package.json`, the systemd unit and the Containerfile have the same (`test/unit/v8-flags.test.ts`).
 *
 * - Semi-space of 4 MB: one of 16 MB takes 45 MB more, and next to nothing off the collector's work.
 * - Heap growth of 200 %: what V8 counts as old space includes the bytes of bodies in flight, twice its own 38 MB. By its
 *   own rule it marks the whole heap anew for every 290 messages of 100 KB; with this for every 1,000, in 30 MB more.
 */
export const V8_FLAGS: readonly string[] = ['--max-semi-space-size=4', '--heap-growing-percent=200'];
