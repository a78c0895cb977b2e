/**
 * Loaded before anything else (`--require`), because libuv reads the number of its threads when the first one works.
 *
 * They sign, which keeps a core busy: more of them than cores push the event loop and the storage thread off theirs.
 */
process.env.UV_THREADPOOL_SIZE ??= String(require('node:os').availableParallelism());
